//! Failed sign-ins, counted for the whole cluster (rule 25).
//!
//! One map, oldest minute first: what is too old, or too much, goes from its beginning, and replicas
//! that have seen the same keep the same. Request handlers read it directly; only the engine writes.
//! A failure goes to every peer at once and nobody acknowledges it; besides, each peer is told all
//! counters, others' too, over and over, so that a lost message, a cut link or a restart is made up for.
//! Each such walk takes a heartbeat for every 256 counters, and the next begins [`WALK_EVERY`] after its
//! end: 10 s apart when there are few, 108 s when the map is full.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::ops::{Bound, RangeInclusive};
use std::sync::{Mutex, MutexGuard, PoisonError};

use castor_proto::failures::{Counter, Failed, FailureCell, FailureKey, MINUTE_MS, minute_of};
use castor_proto::ids::{Incarnation, Member, WallMs};
use castor_proto::limits;
use castor_proto::message::PeerMessage;
use castor_proto::version::WireVersion;

use super::config::Micros;
use super::peers::Peer;
use super::{Engine, MS, stats};

/// Time from the end of one walk over all counters with a peer to the next.
pub const WALK_EVERY: Micros = 10_000 * MS;

/// Counters told in one step of a walk; there is one step for each heartbeat.
const WALK_STEP: usize = 256;

/// What the counters of one key say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Failures that count.
    pub failures: u64,
    /// The latest of them.
    pub last: WallMs,
}

impl Tally {
    fn add(&mut self, failed: &Failed) {
        if failed.standing() > 0 {
            self.failures += u64::from(failed.standing());
            self.last = self.last.max(failed.last);
        }
    }
}

/// How a counter was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// Nothing new, or older than everything of a full map.
    Nothing,
    New,
    /// The oldest one made room for it.
    Evicting,
}

/// The counters of one node.
#[derive(Default)]
pub struct Failures {
    counters: Mutex<BTreeMap<FailureCell, Failed>>,
}

impl Failures {
    /// What counts against a key since this moment.
    pub fn of(&self, key: &FailureKey, since: WallMs, now: WallMs) -> Tally {
        let counters = self.lock();
        let mut tally = Tally::default();
        let (Some((oldest, _)), Some((newest, _))) =
            (counters.first_key_value(), counters.last_key_value())
        else {
            return tally;
        };
        let first = minute_of(since).max(oldest.minute);
        let last = minute_of(now).saturating_add(1).min(newest.minute);
        // A minute is one look.
        for minute in first..=last {
            let from = cell(minute, *key, [0; 16]);
            let to = cell(minute, *key, [0xff; 16]);
            for (_, failed) in counters.range(from..=to) {
                tally.add(failed);
            }
        }
        tally
    }

    /// What counts against every key since this moment; those that nothing counts against left out.
    pub fn all(&self, since: WallMs) -> BTreeMap<FailureKey, Tally> {
        let mut keys: BTreeMap<FailureKey, Tally> = BTreeMap::new();
        for (cell, failed) in self.lock().iter() {
            if cell.minute >= minute_of(since) && failed.standing() > 0 {
                keys.entry(cell.key).or_default().add(failed);
            }
        }
        keys
    }

    /// Every counter, oldest minute first.
    pub fn counters(&self) -> Vec<Counter> {
        let counters = self.lock();
        counters
            .iter()
            .map(|(cell, failed)| (*cell, *failed))
            .collect()
    }

    /// Counters held.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nobody has failed lately.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<FailureCell, Failed>> {
        // A counter is changed in one step, so a panic elsewhere leaves none half changed.
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more failure of this process; what its counter says then.
    fn fail(&self, at: FailureCell, now: WallMs, most: usize) -> (Failed, Taken) {
        let held = self.lock().get(&at).copied();
        let failed = Failed {
            count: held.map_or(0, |held| held.count).saturating_add(1),
            forgiven: held.map_or(0, |held| held.forgiven),
            last: now,
        };
        let taken = self.take(at, failed, most);
        let now = self.lock().get(&at).copied().unwrap_or(failed);
        (now, taken)
    }

    fn take(&self, at: FailureCell, failed: Failed, most: usize) -> Taken {
        let mut counters = self.lock();
        let full = counters.len() >= most;
        let oldest = counters.first_key_value().map(|(cell, _)| *cell);
        match counters.entry(at) {
            Slot::Occupied(mut held) => {
                return if held.get_mut().join(&failed) {
                    Taken::New
                } else {
                    Taken::Nothing
                };
            }
            Slot::Vacant(_) if full && oldest.is_some_and(|oldest| at < oldest) => {
                return Taken::Nothing;
            }
            Slot::Vacant(slot) => {
                slot.insert(failed);
            }
        }
        if full {
            counters.pop_first();
            Taken::Evicting
        } else {
            Taken::New
        }
    }

    /// Nothing counts against these keys any more; the counters that changed.
    fn forgive(&self, keys: &[FailureKey]) -> Vec<Counter> {
        let mut counters = self.lock();
        let minutes = minutes_held(&counters);
        let mut changed = Vec::new();
        for key in keys {
            for minute in &minutes {
                let of_key = cell(*minute, *key, [0; 16])..=cell(*minute, *key, [0xff; 16]);
                for (cell, failed) in counters.range_mut(of_key) {
                    if failed.standing() > 0 {
                        failed.forgiven = failed.count;
                        changed.push((*cell, *failed));
                    }
                }
            }
        }
        changed
    }

    /// Some counters, in order, from behind one on.
    fn after(&self, last: Option<FailureCell>, most: usize) -> Vec<Counter> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let counters = self.lock();
        let some = counters.range((from, Bound::Unbounded)).take(most);
        some.map(|(cell, failed)| (*cell, *failed)).collect()
    }

    /// Forgets every counter of another minute than these.
    fn keep(&self, minutes: RangeInclusive<u32>) {
        let mut counters = self.lock();
        while let Some(oldest) = counters.first_entry()
            && oldest.key().minute < *minutes.start()
        {
            oldest.remove();
        }
        // Made while a clock was wrong.
        while let Some(newest) = counters.last_entry()
            && newest.key().minute > *minutes.end()
        {
            newest.remove();
        }
    }
}

/// The minutes of which there are counters: few, also where a clock that was wrong made them decades
/// apart.
fn minutes_held(counters: &BTreeMap<FailureCell, Failed>) -> Vec<u32> {
    let mut minutes = Vec::new();
    let mut oldest = counters.first_key_value();
    while let Some((found, _)) = oldest {
        minutes.push(found.minute);
        oldest = found.minute.checked_add(1).and_then(|next| {
            let first = FailureKey {
                address: [0; 16],
                user: None,
            };
            counters.range(cell(next, first, [0; 16])..).next()
        });
    }
    minutes
}

fn cell(minute: u32, key: FailureKey, origin: [u8; 16]) -> FailureCell {
    FailureCell {
        minute,
        key,
        origin: Incarnation(origin),
    }
}

/// Where telling a peer all counters stands.
#[derive(Debug, Clone, Copy)]
struct Walk {
    /// Told up to here; none at a walk's beginning.
    after: Option<FailureCell>,
    /// When the next step is due.
    due: Micros,
}

/// The walks with every peer that is linked.
#[derive(Default)]
pub(super) struct Walks(BTreeMap<Member, Walk>);

impl Engine {
    /// A sign-in failed here.
    pub(super) fn failed(&mut self, keys: &[FailureKey]) {
        let own = self.own();
        let (minute, origin) = (minute_of(own), self.config.me.incarnation);
        let mut counters = Vec::with_capacity(keys.len());
        for key in keys.iter().take(limits::FAILURES_MAX) {
            let at = FailureCell {
                minute,
                key: *key,
                origin,
            };
            let most = self.config.failures_max;
            let (failed, taken) = self.store.failures().fail(at, own, most);
            self.count_evicted(taken);
            counters.push((at, failed));
        }
        self.tell_failures(&counters);
    }

    /// What is known against these keys does not count any more, anywhere.
    pub(super) fn forgive(&mut self, keys: &[FailureKey]) {
        let changed = self.store.failures().forgive(keys);
        self.tell_failures(&changed);
    }

    fn tell_failures(&mut self, counters: &[Counter]) {
        let peers = self.peers.iter().filter(|peer| self.takes_failures(peer));
        let members: Vec<Member> = peers.map(|peer| peer.member.clone()).collect();
        for member in members {
            for some in counters.chunks(limits::FAILURES_MAX) {
                let counters = some.to_vec();
                self.send(&member, PeerMessage::Failures { counters });
            }
        }
    }

    /// Peers of the first wire version have no counters.
    fn takes_failures(&self, peer: &Peer) -> bool {
        peer.is_reachable() && peer.wire.unwrap_or(self.config.wire) >= WireVersion::V2
    }

    /// Takes in what a peer holds.
    pub(super) fn learn_failures(&mut self, counters: &[Counter]) {
        let minutes = self.failure_minutes();
        for (at, failed) in counters {
            // A node whose clock is wrong refuses nothing for its time (rule 10).
            if minutes.contains(&at.minute) || !self.clock.is_sound() {
                let most = self.config.failures_max;
                let taken = self.store.failures().take(*at, *failed, most);
                self.count_evicted(taken);
            }
        }
    }

    fn count_evicted(&self, taken: Taken) {
        if taken == Taken::Evicting {
            stats::count(&self.stats.failures_evicted);
        }
    }

    /// Minutes whose failures count: up to the next one, as clocks may differ by a little.
    fn failure_minutes(&self) -> RangeInclusive<u32> {
        let own = self.own();
        let earliest = own.saturating_sub(self.config.failures_keep_ms);
        minute_of(earliest)..=minute_of(own + self.config.tolerance_ms + MINUTE_MS)
    }

    /// Forgets what does not count any more, and tells every peer the next counters of its walk.
    pub(super) fn watch_failures(&mut self) {
        if self.clock.is_sound() {
            self.store.failures().keep(self.failure_minutes());
        }
        let peers = self.peers.iter().filter(|peer| self.takes_failures(peer));
        let members: Vec<Member> = peers.map(|peer| peer.member.clone()).collect();
        self.walks.0.retain(|member, _| members.contains(member));
        for member in members {
            self.walk(member);
        }
    }

    fn walk(&mut self, member: Member) {
        let now = self.now.mono;
        // A link that has just come up may yet say that it speaks the first version.
        let fresh = Walk {
            after: None,
            due: now + self.config.ping_interval,
        };
        let walk = *self.walks.0.entry(member.clone()).or_insert(fresh);
        if walk.due > now {
            return;
        }
        let counters = self.store.failures().after(walk.after, WALK_STEP);
        let next = match counters.last() {
            Some((last, _)) if counters.len() == WALK_STEP => Walk {
                after: Some(*last),
                due: now,
            },
            _ => Walk {
                after: None,
                due: now + WALK_EVERY,
            },
        };
        self.walks.0.insert(member.clone(), next);
        if !counters.is_empty() {
            self.send(&member, PeerMessage::Failures { counters });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> FailureKey {
        FailureKey {
            address: [number; 16],
            user: None,
        }
    }

    fn once(last: WallMs) -> Failed {
        Failed {
            count: 1,
            forgiven: 0,
            last,
        }
    }

    #[test]
    fn a_full_map_keeps_the_newest_in_any_order() {
        let cells: Vec<FailureCell> = (0..6u8)
            .map(|number| cell(100 + u32::from(number), key(9 - number), [1; 16]))
            .collect();
        let kept = |order: &[usize]| {
            let failures = Failures::default();
            for at in order {
                failures.take(
                    cells[*at],
                    once(u64::from(cells[*at].minute) * MINUTE_MS),
                    3,
                );
                assert!(failures.len() <= 3);
            }
            failures.counters()
        };
        let rising = kept(&[0, 1, 2, 3, 4, 5]);
        assert_eq!(rising.len(), 3);
        assert_eq!(rising[0].0, cells[3]);
        assert_eq!(rising, kept(&[5, 4, 3, 2, 1, 0]));
        assert_eq!(rising, kept(&[3, 0, 5, 1, 4, 2, 0]));
    }

    #[test]
    fn what_counts_is_what_is_not_forgiven_in_the_window() {
        let failures = Failures::default();
        let (one, two) = (key(1), key(2));
        let minute = |number: u64| number * MINUTE_MS;
        for (at, origin, times) in [(10, 1, 2), (10, 2, 1), (12, 1, 3)] {
            for time in 0..times {
                let at_cell = cell(at, one, [origin; 16]);
                failures.fail(at_cell, minute(u64::from(at)) + time, 100);
            }
        }
        failures.fail(cell(12, two, [1; 16]), minute(12), 100);
        let of = |key, since| failures.of(key, minute(since), minute(13));
        assert_eq!(of(&one, 10).failures, 6);
        assert_eq!(of(&one, 11).failures, 3);
        assert_eq!(of(&one, 10).last, minute(12) + 2);
        assert_eq!(failures.forgive(&[one]).len(), 3);
        assert_eq!(of(&one, 10), Tally::default());
        assert_eq!(of(&two, 10).failures, 1);
        assert_eq!(failures.all(0).into_keys().collect::<Vec<_>>(), [two]);
        let (after, _) = failures.fail(cell(12, one, [1; 16]), minute(12) + 9, 100);
        assert_eq!((after.count, after.forgiven), (4, 3));
        assert_eq!(of(&one, 10).failures, 1, "what comes later counts");
        failures.keep(12..=12);
        assert_eq!(failures.len(), 2);
        failures.keep(10..=11);
        assert!(failures.is_empty());
    }

    #[test]
    fn forgiving_looks_at_no_more_minutes_than_there_are() {
        let failures = Failures::default();
        // Made while a clock was wrong.
        for minute in [0, 29_000_000, u32::MAX] {
            failures.fail(cell(minute, key(1), [1; 16]), 7, 100);
            failures.fail(cell(minute, key(2), [1; 16]), 7, 100);
        }
        assert_eq!(minutes_held(&failures.lock()), [0, 29_000_000, u32::MAX]);
        assert_eq!(failures.forgive(&[key(1)]).len(), 3);
        assert_eq!(failures.all(0).into_keys().collect::<Vec<_>>(), [key(2)]);
        assert!(minutes_held(&BTreeMap::new()).is_empty());
    }
}
