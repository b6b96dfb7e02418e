//! The Castor CAS server, room by room.
//!
//! - [`clock`]: the only place that reads the clocks and draws randomness
//! - [`config`]: what can be configured, read and checked before anything is bound

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo)
)]

pub mod clock;
pub mod config;
