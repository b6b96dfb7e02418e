//! Gives every target the inputs that are kept for it. Every crate with fuzz targets uses this file.

use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use crate::targets::Target;

/// The files of a folder in a fixed order; none when it is not there.
fn inputs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The kept inputs of these targets in a crate; panics when one of them fails, or a target has none.
pub fn all(targets: &[(&str, Target)], package: &Path) {
    let fuzz = package.join("fuzz");
    let mut failed = Vec::new();
    for (name, target) in targets {
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
}
