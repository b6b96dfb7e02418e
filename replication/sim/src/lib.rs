//! Simulated clusters: the production engine, without its driver, in one heap of events.
//!
//! [`world`] is time, network and processes, and decides nothing; the engine's own tests use it too. A
//! [`plan`] is what a seed stands for, [`nemesis`] does the damage, [`workload`] are the people,
//! [`ledger`] is what they were promised, and [`invariants`] judge. [`mod@run`] puts them together.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod cli;
mod clock;
pub mod fleet;
pub mod invariants;
pub mod ledger;
#[cfg(feature = "mutants")]
mod mutants;
pub mod nemesis;
pub mod plan;
mod progress;
pub mod random;
pub mod report;
pub mod run;
mod seeds;
pub mod workload;
pub mod world;
mod year;
