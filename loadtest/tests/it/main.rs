//! The judge is tried: a small CAS server with switchable sins must be caught, an honest one passed.
//!
//! Promises: each sin is found by the rule meant for it. Does not: test Castor itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub
)]

mod benches;
mod check;
mod fake_cas;
mod faults;
mod load;
mod oracle;
mod program;
mod report;
mod setup;
mod swarm;
mod swarm_program;
