//! Simulated clusters: the production engine, without its driver, in one heap of events.
//!
//! [`world`] is time, network and processes; nothing in it decides anything. The engine's own tests
//! use it as well.

pub mod random;
pub mod world;
