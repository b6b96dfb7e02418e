//! Which applications may ask, and what they learn.
//!
//! - [`definition`]: one registered service from its JSON text
//! - [`mod@file`]: a folder of definitions, taken whole or not at all
//! - [`registry`]: the set in force; the first definition that covers a service URL counts
//! - [`access`], [`participation`]: who may use a service, and with which session
//! - [`release`]: which name and attributes it sees; [`key`]: what is encrypted for it
//! - [`proxy`]: whether it may proxy
//! - [`pattern`]: Java regular expressions; [`json`]: the text of definitions, with line numbers

pub mod access;
pub mod attributes;
pub mod definition;
pub mod file;
mod index;
pub mod json;
pub mod key;
pub mod participation;
pub mod pattern;
pub mod proxy;
pub mod registry;
pub mod release;
#[cfg(test)]
mod testing;
pub mod url;

pub use definition::{RegisteredService, ResponseType};
pub use registry::Registry;
