//! What is on the wire between Castor nodes.
//!
//! From the inside out: a [`ticket::TicketBody`] never changes; what changes about it is an
//! [`delta::Entry`], which joins; engines exchange [`message::PeerMessage`]s; [`codec`] turns values
//! into bytes; a batch of messages is sealed and signed ([`seal`]), the envelope is framed
//! ([`frame`]) and travels inside mutual TLS 1.3 over QUIC, which is not in this crate. A link begins
//! with a [`hello`], in which both ends agree on a wire [`version`]. Sizes are bounded by [`limits`].
//!
//! Nothing here reads a clock, draws randomness or does input and output: time, nonces and keys are
//! arguments.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod codec;
pub mod delta;
pub mod error;
pub mod failures;
pub mod frame;
pub mod hello;
pub mod ids;
pub mod limits;
pub mod message;
pub mod rounds;
pub mod seal;
pub mod ticket;
pub mod version;
