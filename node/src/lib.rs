//! The Castor CAS server, room by room.
//!
//! - [`actuator`]: what Apereo's actuator endpoints tell and do, in their shape
//! - [`admin`]: drain, sessions and keys, on the administration socket
//! - [`app`]: the only place where rooms are assembled
//! - [`authn`]: who is this?
//! - [`cli`]: the commands
//! - [`cas`]: the CAS protocol, one file per endpoint
//! - [`clock`]: the only place that reads the clocks and draws randomness
//! - [`config`]: what can be configured, read and checked before anything is bound
//! - [`ops`]: health, metrics, logs, audit, start and stop
//! - [`outbound`]: the only room that calls out
//! - [`routes`]: every path, and who answers it
//! - [`server`]: accepts connections, bounded in number, size and time
//! - [`services`]: which applications may ask, and what they learn
//! - [`slo`]: visited applications learn that a session has ended
//! - [`tickets`]: the only door to replication
//! - [`web`]: everything a browser meets

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo)
)]

pub mod actuator;
pub mod admin;
pub mod app;
pub mod authn;
pub mod cas;
pub mod cli;
pub mod clock;
pub mod config;
pub mod ops;
pub mod outbound;
pub mod routes;
pub mod server;
pub mod services;
pub mod slo;
pub mod tickets;
pub mod web;
