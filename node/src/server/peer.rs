//! Who is at the other end of a connection.

use std::net::{IpAddr, SocketAddr};

/// The other end of the connection a request came over; a request extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: PeerAddress,
    /// Whether the connection is encrypted by Castor itself.
    pub tls: bool,
}

/// The address of the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    /// An address and port.
    Tcp(SocketAddr),
    /// A process on this machine.
    Unix {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
        /// Process id, where the system tells it.
        pid: Option<i32>,
    },
}

impl Peer {
    /// The address without the port, IPv4 in its own form; `None` for a Unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.address {
            PeerAddress::Tcp(address) => Some(address.ip().to_canonical()),
            PeerAddress::Unix { .. } => None,
        }
    }

    /// Whether the peer is on this machine.
    pub fn is_local(&self) -> bool {
        self.ip().is_none_or(|ip| ip.is_loopback())
    }
}
