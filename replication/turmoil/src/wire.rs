//! TCP of the simulated network, as the node's listener takes it.

use std::io;
use std::net::SocketAddr;

use castor_node::server::{Arriving, Foreign, Listener, Wire};
use turmoil::net::TcpListener;

/// Opens a port of the simulated host that asks.
pub async fn listen(port: u16) -> io::Result<Listener> {
    let address = SocketAddr::from(([0, 0, 0, 0], port));
    let port = Port(TcpListener::bind(address).await?);
    Ok(Listener::foreign(Box::new(port), address))
}

struct Port(TcpListener);

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Port")
    }
}

impl Foreign for Port {
    fn accept(&self) -> Arriving<'_> {
        Box::pin(async {
            let (stream, address) = self.0.accept().await?;
            Ok((Box::new(stream) as Box<dyn Wire>, address))
        })
    }
}
