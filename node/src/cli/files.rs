//! Writing files that other programs rely on: complete or not at all, private where they hold secrets.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};

/// Mode of a file with a secret.
pub(super) const PRIVATE: u32 = 0o600;
/// Mode of a file that everyone may read.
pub(super) const PUBLIC: u32 = 0o644;

/// Refuses when one of `paths` exists and `force` is not given, before anything is written.
pub(super) fn must_be_new(paths: &[&Path], force: bool) -> anyhow::Result<()> {
    for path in paths {
        if !force && path.symlink_metadata().is_ok() {
            bail!("{} exists; --force replaces it", path.display());
        }
    }
    Ok(())
}

/// Writes `bytes` to `path` with `mode`: beside it first, then renamed.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let shown = path.display();
    let Some(name) = path.file_name() else {
        bail!("{shown} is no name of a file");
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", std::process::id()));
    let beside = path.with_file_name(hidden);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)
        .with_context(|| format!("cannot write {shown}"))?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written.with_context(|| format!("cannot write {shown}"))
}
