//! What only real processes show: nodes started by `castor demo` behind a real nginx.
//!
//! Promises: every test brings up its own cluster in its own folder and takes it down again, fails
//! (never skips) when nginx, Chromium or a client is not there, and prints the processes' own log
//! when it fails. Run by `make system`; a plain `cargo test` leaves it out. Does not measure load.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

mod clients;
mod drain;
mod failures;
mod lag;
mod once;
mod pages;
mod proxying;
mod refusals;
mod reload;
mod sign_in;
mod single_logout;
mod strangers;
mod throttle;
mod wire;
