//! The Castor CAS server, room by room.
//!
//! - [`admin`]: drain, sessions and keys, on the administration socket
//! - [`authn`]: who is this?
//! - [`clock`]: the only place that reads the clocks and draws randomness
//! - [`config`]: what can be configured, read and checked before anything is bound
//! - [`ops`]: health, metrics, logs, audit, start and stop
//! - [`server`]: accepts connections, bounded in number, size and time
//! - [`services`]: which applications may ask, and what they learn
//! - [`web`]: everything a browser meets

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo)
)]

pub mod admin;
pub mod authn;
pub mod clock;
pub mod config;
pub mod ops;
pub mod server;
pub mod services;
pub mod web;
