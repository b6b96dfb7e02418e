//! What is on the wire between Castor nodes: tickets, deltas, messages, sealing.
//!
//! From the inside out: a message is encoded ([`codec`]), a batch of messages is sealed and signed
//! ([`seal`]), the envelope is framed ([`frame`]) and travels inside mutual TLS 1.3 over QUIC, which
//! is not in this crate. A link begins with a [`hello`], in which both ends agree on a wire
//! [`version`]. Sizes are bounded by [`limits`].
//!
//! No tokio, no clock, no random numbers: time, nonces and keys are arguments.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod codec;
pub mod error;
pub mod frame;
pub mod hello;
pub mod limits;
pub mod seal;
pub mod version;
