//! How tickets stay alive on every node.
//!
//! The driver (feature `driver`) gives the algorithm QUIC, gossip and a clock.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(feature = "driver")]
pub mod driver;
