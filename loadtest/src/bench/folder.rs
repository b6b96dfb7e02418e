//! A folder of a bench's own, within the one that was asked for: what is removed at the end is what was made here.
//!
//! Promises: nothing that was there before is touched; the outer folder is removed only when it is
//! empty. Does not: survive the value; dropping it removes it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Folders left by programs that were killed before a new one is refused.
const NAMES_MAX: u32 = 1_000;

/// A new folder.
#[derive(Debug)]
pub struct Own {
    within: PathBuf,
    place: PathBuf,
}

impl Own {
    /// Makes a folder that was not there, named after `name`, in `within`, which is made when it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(within: &Path, name: &str) -> anyhow::Result<Self> {
        std::fs::create_dir_all(within).with_context(|| within.display().to_string())?;
        for number in 1..=NAMES_MAX {
            let place = within.join(format!("{name}-{number}"));
            match std::fs::create_dir(&place) {
                Ok(()) => {
                    let within = within.to_owned();
                    return Ok(Self { within, place });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| place.display().to_string()),
            }
        }
        bail!("{} is full of old folders", within.display())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.place
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.place);
        // Only when nothing else is in it.
        let _ = std::fs::remove_dir(&self.within);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_stays() {
        let outer = tempfile::tempdir().unwrap();
        let within = outer.path().join("mine");
        std::fs::create_dir_all(within.join("a-1")).unwrap();
        std::fs::write(within.join("a-1/letter"), "dear").unwrap();
        let own = Own::make(&within, "a").unwrap();
        assert_eq!(own.path(), within.join("a-2"));
        std::fs::write(own.path().join("file"), "").unwrap();
        drop(own);
        assert!(within.join("a-1/letter").exists() && !within.join("a-2").exists());
        let other = outer.path().join("other");
        drop(Own::make(&other, "a").unwrap());
        assert!(!other.exists());
    }
}
