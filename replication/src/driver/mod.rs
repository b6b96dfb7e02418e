//! Everything that touches the network, the clock or the operating system.
//!
//! [`network::Network`] is what the event loop stands on: links to every peer over QUIC with mutual
//! TLS ([`quic`], [`tls`]), lanes of sealed envelopes, and membership ([`gossip`]). [`pki`] makes the
//! cluster's certificates; [`clock`] is the one place that reads clock and randomness.

mod accept;
pub mod clock;
mod dial;
pub mod gossip;
mod lane;
pub mod link_metrics;
pub mod network;
mod peers;
pub mod pki;
mod quic;
mod socket;
pub mod tls;
