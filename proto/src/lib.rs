//! What is on the wire between Castor nodes.
//!
//! From the inside out: a [`ticket::TicketBody`] never changes; what changes about it is an
//! [`delta::Entry`], which joins; engines exchange [`message::PeerMessage`]s; [`codec`] turns values
//! into bytes. Nothing here reads a clock, draws randomness or does input and output.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod codec;
pub mod delta;
pub mod error;
pub mod ids;
pub mod limits;
pub mod message;
pub mod ticket;
