//! What the network takes from the machine it runs on, so that a simulation can stand in for it.
//!
//! Everything above is the same under simulation: QUIC, TLS, gossip, lanes, engine. Time needs no place
//! here, because the driver reads the runtime's clock only (`clock.rs`), and neither does chance, which
//! comes from the operating system in the same file.

use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

pub use quinn::udp::{RecvMeta, Transmit};
pub use quinn::{AsyncUdpSocket, UdpPoller};
use quinn::{Runtime as _, TokioRuntime};
use rustls::crypto::CryptoProvider;
use socket2::{Domain, Protocol, Socket, Type};

use super::tls;

/// Kernel buffers, bytes: bursts of 64 full batches. The kernel may give less (net.core.rmem_max).
const SOCKET_BUFFER: usize = 4 << 20;

/// Opens the peer port.
pub type Bind = fn(SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>>;

/// Socket and cryptography below the links.
#[derive(Clone)]
pub struct Surroundings {
    /// Opens the peer port.
    pub bind: Bind,
    /// TLS' algorithms and its source of chance.
    pub provider: Arc<CryptoProvider>,
    /// Whether work may be done on other threads; a simulation repeats itself only without.
    pub threads: bool,
}

impl Default for Surroundings {
    /// This machine.
    fn default() -> Self {
        Self {
            bind: bind_udp,
            provider: tls::provider(),
            threads: true,
        }
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Surroundings")
    }
}

fn bind_udp(listen: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
    TokioRuntime.wrap_udp_socket(udp_socket(listen)?)
}

fn udp_socket(listen: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(listen),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    // Best effort: the kernel caps both silently, and a smaller buffer only costs throughput.
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    Ok(socket.into())
}
