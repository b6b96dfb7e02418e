//! Accepting connections: TCP, TLS and Unix sockets, bounded in number, size and time.
//!
//! [`Listener`] binds, [`run`] serves a router on it until told to stop. Each request carries a
//! [`Peer`] extension that says who is at the other end of the connection; what a proxy says about
//! the client behind it is judged elsewhere. HTTP/1.1 only: proxies speak it to their upstreams.

mod listener;
mod metrics;
mod observe;
mod peer;
mod serve;
mod timed;
pub mod tls;

#[cfg(test)]
mod tests;

pub use listener::{Arriving, BindError, Foreign, Listener, Wire, bind};
pub use metrics::ServerMetrics;
pub use observe::{RequestMetrics, observe};
pub use peer::{Peer, PeerAddress};
pub use serve::{Limits, Options, Running, run};
