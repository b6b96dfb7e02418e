//! The Castor CAS server, room by room.
//!
//! - [`config`]: what can be configured, read and checked before anything is bound

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo)
)]

pub mod config;
