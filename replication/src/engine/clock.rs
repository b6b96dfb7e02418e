//! The node's own clock (rule 10): wall clock at start plus monotonic time.
//!
//! A step of the operating system's clock is adopted only when the median of all known clocks
//! agrees; otherwise it is ignored. Safety depends on none of this; availability does.

use std::collections::BTreeMap;

use castor_proto::ids::{NodeName, WallMs};

use super::input::Now;
use super::mutants::mutant;

/// With fewer clocks than this, offsets only alarm.
const QUORUM: usize = 3;

pub(super) struct Clock {
    anchor_mono: u64,
    anchor_wall: WallMs,
    tolerance_ms: u64,
    /// Peer's clock minus ours, with the moment of measurement.
    offsets: BTreeMap<NodeName, (i64, u64)>,
    step_seen: i64,
}

/// A wall-clock step that was noticed.
pub(super) struct Step {
    pub(super) by_ms: i64,
    pub(super) adopted: bool,
}

impl Clock {
    pub(super) fn new(now: Now, tolerance_ms: u64) -> Self {
        Self {
            anchor_mono: now.mono,
            anchor_wall: now.wall,
            tolerance_ms,
            offsets: BTreeMap::new(),
            step_seen: 0,
        }
    }

    /// Own time.
    pub(super) fn own(&self, now: Now) -> WallMs {
        self.anchor_wall + now.mono.saturating_sub(self.anchor_mono) / 1_000
    }

    /// Own time minus monotonic time, milliseconds: lets readers compute own time themselves.
    pub(super) fn base(&self) -> i64 {
        self.anchor_wall as i64 - (self.anchor_mono / 1_000) as i64
    }

    /// Takes a measurement: the peer said `wall` half a round trip ago.
    pub(super) fn measured(&mut self, peer: &NodeName, wall: WallMs, rtt: u64, now: Now) {
        let theirs = wall as i64 + (rtt / 2_000) as i64;
        self.offsets
            .insert(peer.clone(), (theirs - self.own(now) as i64, now.mono));
    }

    pub(super) fn forget(&mut self, peer: &NodeName) {
        self.offsets.remove(peer);
    }

    pub(super) fn offset(&self, peer: &NodeName) -> Option<i64> {
        self.offsets.get(peer).map(|(offset, _)| *offset)
    }

    /// Median of all known clocks, own included, relative to the own one.
    pub(super) fn median(&self) -> i64 {
        let mut all: Vec<i64> = self.offsets.values().map(|(offset, _)| *offset).collect();
        all.push(0);
        all.sort_unstable();
        let middle = all.len() / 2;
        let low = all.get((all.len() - 1) / 2).copied().unwrap_or(0);
        let high = all.get(middle).copied().unwrap_or(0);
        low.midpoint(high)
    }

    /// Whether the own clock agrees with the others; alone or in pairs it always does.
    pub(super) fn is_sound(&self) -> bool {
        self.offsets.len() + 1 < QUORUM || self.median().unsigned_abs() <= self.tolerance_ms
    }

    /// Compares the wall clock with the own one and follows a step that the median supports.
    pub(super) fn watch(&mut self, now: Now) -> Option<Step> {
        let by_ms = now.wall as i64 - self.own(now) as i64;
        if by_ms.unsigned_abs() <= self.tolerance_ms {
            self.step_seen = 0;
            return None;
        }
        let agrees = self.offsets.len() + 1 >= QUORUM
            && (by_ms - self.median()).unsigned_abs() <= self.tolerance_ms;
        if agrees || mutant!(ClockGoesBack) {
            self.anchor_wall = now.wall;
            self.anchor_mono = now.mono;
            self.offsets.clear();
            self.step_seen = 0;
            return Some(Step {
                by_ms,
                adopted: true,
            });
        }
        let news = (by_ms - self.step_seen).unsigned_abs() > self.tolerance_ms;
        self.step_seen = by_ms;
        news.then_some(Step {
            by_ms,
            adopted: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_ms: u64, wall: u64) -> Now {
        Now {
            mono: mono_ms * 1_000,
            wall,
        }
    }

    #[test]
    fn a_lone_step_is_ignored_and_reported_once() {
        let mut clock = Clock::new(at(0, 1_000_000), 2_000);
        assert!(clock.watch(at(10, 1_000_010)).is_none());
        assert!(!clock.watch(at(20, 4_000_000)).unwrap().adopted);
        assert!(clock.watch(at(30, 4_000_010)).is_none());
        assert_eq!(clock.own(at(40, 4_000_020)), 1_000_040);
    }

    #[test]
    fn a_step_that_the_median_supports_is_adopted() {
        let mut clock = Clock::new(at(0, 1_000_000), 2_000);
        for name in ["b", "c"] {
            let name = NodeName::parse(name).unwrap();
            clock.measured(&name, 1_000_000 + 3_600_000, 0, at(0, 1_000_000));
        }
        assert!(!clock.is_sound());
        assert!(clock.watch(at(10, 4_600_010)).unwrap().adopted);
        assert_eq!(clock.own(at(20, 4_600_020)), 4_600_020);
    }

    #[test]
    fn one_wrong_peer_makes_nobody_unsound() {
        let mut clock = Clock::new(at(0, 1_000_000), 2_000);
        for (name, wall) in [("b", 9_000_000), ("c", 1_000_000)] {
            clock.measured(&NodeName::parse(name).unwrap(), wall, 0, at(0, 1_000_000));
        }
        assert!(clock.is_sound());
    }
}
