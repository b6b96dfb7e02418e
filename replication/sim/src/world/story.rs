//! What a run tells: lines in milliseconds for people, a hash for comparing two runs.

use super::{BEGINNING, MS};

/// Told while a world runs; silent and free of cost unless asked for.
#[derive(Default)]
pub struct Story {
    /// Print each event to standard output.
    pub told: bool,
    hasher: Option<Box<blake3::Hasher>>,
}

impl Story {
    /// Keeps a hash of everything that happens.
    pub fn hashed() -> Self {
        Self {
            told: false,
            hasher: Some(Box::default()),
        }
    }

    /// The hash so far, when one is kept.
    pub fn hash(&self) -> Option<String> {
        let hasher = self.hasher.as_ref()?;
        Some(hasher.finalize().to_hex().to_string())
    }

    pub(crate) fn line(&self, now: u64, what: impl FnOnce() -> String) {
        if self.told {
            let time = now.saturating_sub(BEGINNING);
            println!("{:>8}.{:03} {}", time / MS, time % MS, what());
        }
    }

    pub(crate) fn note(&mut self, numbers: &[u64], what: impl FnOnce() -> String) {
        if let Some(hasher) = &mut self.hasher {
            for number in numbers {
                hasher.update(&number.to_le_bytes());
            }
            hasher.update(what().as_bytes());
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
    }
}
