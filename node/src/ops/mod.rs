//! Keeping a node alive and watching it: health, metrics, logs, audit, start and stop.
//!
//! `metrics`, `logging` and `audit` may be called from everywhere and call nobody.

pub mod audit;
pub mod health;
pub mod levels;
pub mod lifecycle;
mod log_fields;
pub mod logging;
pub mod metrics;
pub mod reload;
pub mod replica;
#[cfg(test)]
pub(crate) mod testing;
