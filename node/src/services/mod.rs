//! Which applications may ask, and what they learn.
//!
//! - [`definition`]: one registered service from its JSON text
//! - [`mod@file`]: a folder of definitions, taken whole or not at all
//! - [`registry`]: the set in force; the first definition that covers a service URL counts
//! - [`release`]: who may use a service, and which attributes it sees
//! - [`pattern`]: Java regular expressions; [`json`]: the text of definitions, with line numbers

pub mod definition;
pub mod file;
pub mod json;
pub mod pattern;
pub mod registry;
pub mod release;

pub use definition::{RegisteredService, ResponseType};
pub use registry::Registry;
