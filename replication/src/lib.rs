//! How tickets stay alive on every node.
//!
//! [`engine`] is the algorithm without input and output: time, randomness and messages are
//! arguments. The driver (feature `driver`) gives it QUIC, gossip and a clock.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(all(feature = "driver", feature = "shuttle"))]
compile_error!("the feature `shuttle` is for tests of schedules: add --no-default-features");

#[cfg(feature = "driver")]
pub mod driver;
pub mod engine;
