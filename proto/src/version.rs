//! Which versions of the wire a node speaks, and how two nodes agree on one.
//!
//! Promises: two adjacent minor releases always have a version in common; an operator can hold a
//! cluster at an older version (`cluster.wire_max`) until every node is upgraded. Frames and the
//! hello keep one layout for ever ([`crate::frame`], [`crate::hello`]); everything inside an envelope
//! has exactly the layout of the version named in its header.

use std::fmt;

use crate::codec::{SchemaRead, SchemaWrite};

/// A version of everything inside an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum WireVersion {
    /// The first: tickets, deltas, claims, digests as in `testdata/v1`.
    V1 = 1,
    /// Digest rounds (rule 19), the messages of [`crate::rounds`], counters of failed sign-ins
    /// ([`crate::failures`]), and 16 streams for the fast lane of a link in place of one. Everything else as
    /// in version 1.
    V2 = 2,
}

/// Oldest version this build speaks.
pub const MIN_SUPPORTED: WireVersion = WireVersion::V1;
/// Newest version this build speaks, and what it uses when it can choose.
pub const CURRENT: WireVersion = WireVersion::V2;

impl WireVersion {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The version with this number, if this build speaks it.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::V1),
            2 => Some(Self::V2),
            _ => None,
        }
    }
}

impl fmt::Display for WireVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}

/// An inclusive range of version numbers, as a hello states it; may name versions unknown here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, SchemaRead, SchemaWrite)]
pub struct VersionRange {
    /// Oldest number spoken.
    pub min: u16,
    /// Newest number spoken.
    pub max: u16,
}

/// `cluster.wire_max` is older than anything this build speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wire version {cap} is older than {MIN_SUPPORTED}, the oldest that this build speaks")]
pub struct CapTooOld {
    /// The configured maximum.
    pub cap: u16,
}

impl VersionRange {
    /// Everything this build speaks.
    pub const SUPPORTED: Self = Self {
        min: MIN_SUPPORTED as u16,
        max: CURRENT as u16,
    };

    /// What this build speaks, up to `cap` (`cluster.wire_max`); `None` means no cap.
    ///
    /// # Errors
    /// [`CapTooOld`] when nothing would be left.
    pub fn capped(cap: Option<u16>) -> Result<Self, CapTooOld> {
        let full = Self::SUPPORTED;
        match cap {
            Some(cap) if cap < full.min => Err(CapTooOld { cap }),
            Some(cap) => Ok(Self {
                max: cap.min(full.max),
                ..full
            }),
            None => Ok(full),
        }
    }

    /// The newest version in this range that this build knows.
    #[must_use]
    pub fn newest(self) -> WireVersion {
        self.negotiate(Self::SUPPORTED).unwrap_or(MIN_SUPPORTED)
    }

    /// The newest version in both ranges that this build knows; the same on both sides.
    #[must_use]
    pub fn negotiate(self, other: Self) -> Option<WireVersion> {
        let newest = self.max.min(other.max);
        let oldest = self.min.max(other.min);
        if newest < oldest {
            return None;
        }
        WireVersion::from_number(newest)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.min)
        } else {
            write!(f, "{}-{}", self.min, self.max)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_choose_the_newest_common_version() {
        let ours = VersionRange::SUPPORTED;
        let newer = VersionRange { min: 1, max: 3 };
        assert_eq!(ours.negotiate(newer), Some(CURRENT));
        assert_eq!(newer.negotiate(ours), Some(CURRENT));
    }

    #[test]
    fn ranges_without_overlap_do_not_agree() {
        let future = VersionRange { min: 7, max: 9 };
        assert_eq!(VersionRange::SUPPORTED.negotiate(future), None);
        let upside_down = VersionRange { min: 9, max: 1 };
        assert_eq!(VersionRange::SUPPORTED.negotiate(upside_down), None);
    }

    #[test]
    fn a_node_held_at_the_first_version_agrees_on_it_with_everybody() {
        let held = VersionRange::capped(Some(1)).unwrap();
        assert_eq!(
            held.negotiate(VersionRange::SUPPORTED),
            Some(WireVersion::V1)
        );
        assert_eq!(
            VersionRange::SUPPORTED.negotiate(held),
            Some(WireVersion::V1)
        );
        assert_eq!(held.negotiate(held), Some(WireVersion::V1));
        assert_eq!(
            (held.newest(), VersionRange::SUPPORTED.newest()),
            (WireVersion::V1, CURRENT)
        );
    }

    #[test]
    fn a_cap_below_the_oldest_version_is_refused_and_one_above_changes_nothing() {
        assert_eq!(VersionRange::capped(Some(0)), Err(CapTooOld { cap: 0 }));
        assert_eq!(VersionRange::capped(Some(99)), Ok(VersionRange::SUPPORTED));
        assert_eq!(VersionRange::capped(None), Ok(VersionRange::SUPPORTED));
    }

    #[test]
    fn numbers_and_versions_agree() {
        for number in 0..=u16::MAX {
            if let Some(version) = WireVersion::from_number(number) {
                assert_eq!(version.number(), number);
            }
        }
        assert!(MIN_SUPPORTED <= CURRENT);
    }
}
