//! Counters of failed sign-ins (rule 25), since wire version 2.
//!
//! A counter belongs to one key, one minute and one process, and only that process adds to it; what an
//! operator forgives is a second number that only grows. So replicas join by the greater of each, in any
//! order and any number of times. A key has a size that whoever fails cannot choose, and no user name:
//! people type passwords where their name belongs.

use crate::codec::{SchemaRead, SchemaWrite};
use crate::ids::{Incarnation, WallMs};
use crate::limits;

/// Milliseconds of the minute that a counter belongs to.
pub const MINUTE_MS: u64 = 60_000;

/// Who failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub struct FailureKey {
    /// Where from: an address, or the network that stands for it. An IPv4 address is a mapped one.
    pub address: [u8; 16],
    /// Keyed digest of the user name; absent where only the address counts.
    pub user: Option<[u8; 16]>,
}

impl std::fmt::Debug for FailureKey {
    /// Kinds only: an address is somebody's own affair.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let by = self.user.map_or("address", |_| "user and address");
        write!(f, "FailureKey({by})")
    }
}

/// Which counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub struct FailureCell {
    /// Minutes since the Unix epoch. First, so that the oldest counters sort first.
    pub minute: u32,
    /// Who failed.
    pub key: FailureKey,
    /// The process that counts.
    pub origin: Incarnation,
}

/// What a counter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Failed {
    /// Failures in this minute at this process.
    pub count: u32,
    /// How many of them do not count any more.
    pub forgiven: u32,
    /// The latest of them.
    pub last: WallMs,
}

impl Failed {
    /// Joins what another replica holds of the same counter. Returns whether anything is new.
    pub fn join(&mut self, other: &Self) -> bool {
        let before = *self;
        self.count = self.count.max(other.count);
        self.forgiven = self.forgiven.max(other.forgiven);
        self.last = self.last.max(other.last);
        *self != before
    }

    /// Failures that still count.
    #[must_use]
    pub fn standing(&self) -> u32 {
        self.count.saturating_sub(self.forgiven)
    }
}

/// A counter with what it says.
pub type Counter = (FailureCell, Failed);

/// The minute of a moment.
#[must_use]
pub fn minute_of(moment: WallMs) -> u32 {
    u32::try_from(moment / MINUTE_MS).unwrap_or(u32::MAX)
}

pub(crate) fn check(counters: &[Counter]) -> bool {
    let fits = |(cell, failed): &Counter| {
        failed.last <= limits::WALL_MAX
            && failed.count > 0
            && failed.forgiven <= failed.count
            && cell.minute == minute_of(failed.last)
    };
    counters.len() <= limits::FAILURES_MAX && counters.iter().all(fits)
}
