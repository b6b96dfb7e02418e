//! Replays the kept inputs of every fuzz target: `node/fuzz/corpus` and `node/fuzz/regress`.
//!
//! The same assertions as under libFuzzer, without it. One test only: memory is counted for the
//! whole process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// The targets are public for the crate that gives them to libFuzzer.
#![allow(unreachable_pub)]

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

mod targets;

/// The files of a folder in a fixed order; none when it is not there.
fn inputs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn kept_inputs_of_every_target_hold() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut failed = Vec::new();
    for (name, target) in targets::ALL {
        let corpus = inputs(&fuzz.join("corpus").join(name));
        assert!(!corpus.is_empty(), "{name} has no corpus");
        let regress = inputs(&fuzz.join("regress").join(name));
        println!(
            "{name}: {} inputs, {} once failed",
            corpus.len(),
            regress.len()
        );
        target(&[]);
        for path in corpus.iter().chain(&regress) {
            let bytes = std::fs::read(path).unwrap();
            if catch_unwind(|| target(&bytes)).is_err() {
                failed.push(path.display().to_string());
            }
        }
    }
    assert!(failed.is_empty(), "these inputs fail: {failed:#?}");
    let too_much = catch_unwind(|| targets::within(1_000, || vec![0u8; 2_000]));
    assert!(too_much.is_err(), "the bound on memory is not checked");
}
