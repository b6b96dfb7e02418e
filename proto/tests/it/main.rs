//! The wire seen from outside: golden bytes, and the reference implementation of the format.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod differential;
mod golden;
mod laws;
mod samples;
