//! The targets' bodies, shared with the test that replays the kept inputs.

#[path = "../../tests/fuzz/targets/mod.rs"]
pub mod targets;
