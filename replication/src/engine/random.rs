//! The engine's randomness: one seed, one run. BLAKE3 in extendable-output mode.

use super::config::Micros;

/// A deterministic stream of random bytes.
pub(super) struct Random {
    reader: blake3::OutputReader,
}

impl Random {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        Self {
            reader: blake3::Hasher::new_keyed(seed).finalize_xof(),
        }
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        self.reader.fill(bytes);
    }

    pub(super) fn u64(&mut self) -> u64 {
        let mut bytes = [0u8; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Between `low` and `high`, both included.
    pub(super) fn between(&mut self, low: Micros, high: Micros) -> Micros {
        low + self.u64() % (high.saturating_sub(low) + 1)
    }
}
