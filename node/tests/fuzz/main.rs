//! Replays the kept inputs of every fuzz target: `node/fuzz/corpus` and `node/fuzz/regress`.
//!
//! The same assertions as under libFuzzer, without it. One test only: memory is counted for the
//! whole process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// The targets are public for the crate that gives them to libFuzzer.
#![allow(unreachable_pub)]

use std::panic::catch_unwind;
use std::path::Path;

#[path = "../../../proto/tests/fuzz/replay.rs"]
mod replay;
mod targets;

#[test]
fn kept_inputs_of_every_target_hold() {
    replay::all(&targets::ALL, Path::new(env!("CARGO_MANIFEST_DIR")));
    let too_much = catch_unwind(|| targets::within(1_000, || vec![0u8; 2_000]));
    assert!(too_much.is_err(), "the bound on memory is not checked");
}
