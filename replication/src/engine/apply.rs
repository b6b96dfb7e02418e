//! The one way into the store, and the way out at the end of a ticket's life (rules 13 and 17).

use std::sync::Arc;

use castor_proto::delta::{DestroyReason, Entry, Joined, ServiceKey, ServiceUse};
use castor_proto::ids::{Member, WallMs};
use castor_proto::ticket::{BodyFacts, TicketKey};

use super::mutants::mutant;
use super::record::Outline;
use super::store::is_idle;
use super::{Engine, Event, stats};

/// Longest life that is believed of any ticket, milliseconds: 400 days.
const LIFE_MAX_MS: u64 = 400 * 24 * 3_600_000;

/// What a change brings in the way of a body.
pub(super) enum NewBody {
    /// None, or the one that is held.
    Nothing,
    /// One that was read and found right.
    Read {
        /// Its idle limit; 0 for none.
        idle_ms: u64,
    },
}

impl Engine {
    /// Joins a change, with every index kept true. A change to a ticket past its end, or with a
    /// body that is not what it says, is refused and counted.
    pub(super) fn apply(&mut self, entry: &Entry) -> Joined {
        let Some(body) = self.accept(entry) else {
            stats::count(&self.stats.refused_entries);
            return Joined::default();
        };
        self.apply_accepted(entry, body)
    }

    /// Joins a change that was judged just now.
    pub(super) fn apply_accepted(&mut self, entry: &Entry, body: NewBody) -> Joined {
        let change = self.store.join(entry);
        let shard = entry.key.shard();
        if let Some(before) = change.moved_from {
            self.digests.flip(shard, before, change.old_digest, -1);
            self.digests
                .flip(shard, change.hard_expiry, change.new_digest, 1);
        } else {
            let came = i64::from(change.inserted);
            self.digests
                .flip(shard, change.hard_expiry, change.digest_flip, came);
        }
        let dropped = mutant!(TombstoneDropped) && change.joined.newly_destroyed;
        match body {
            // The whole state is in the change itself.
            NewBody::Read { idle_ms } if change.inserted => {
                let idles = (entry.last_used, idle_ms);
                let over = entry.destroyed.is_some();
                self.watch_state(entry.key, entry.hard_expiry, over, idles);
            }
            _ if change.inserted || change.moved_from.is_some() || dropped => {
                self.watch_entry(entry.key);
            }
            _ => {}
        }
        stats::add(
            &self.stats.services_dropped,
            change.joined.services_dropped as u64,
        );
        if change.joined.decided_conflict {
            self.decided_conflict(entry.key);
        }
        change.joined
    }

    /// Joins a change that came on a peer's stream.
    pub(super) fn apply_from(&mut self, origin: &Member, entry: &Entry) {
        let joined = self.apply(entry);
        if joined.newly_destroyed {
            self.remember_duty(entry.key, origin);
        }
    }

    /// Judges a change; absent when it is refused. The body is read once, here.
    pub(super) fn accept(&self, entry: &Entry) -> Option<NewBody> {
        if entry.kind.is_single_use() || !entry.check() {
            return None;
        }
        let own = self.own();
        let tolerance = self.config.tolerance_ms;
        // A node whose clock is wrong refuses nothing for expiry (rule 10).
        let judges = || self.clock.is_sound();
        let untimely = entry.hard_expiry + tolerance < own || entry.hard_expiry > own + LIFE_MAX_MS;
        if untimely && judges() {
            return None;
        }
        let Some(bytes) = &entry.body else {
            return Some(NewBody::Nothing);
        };
        if self.store.is_body(&entry.key, bytes) {
            return Some(NewBody::Nothing);
        }
        let body = BodyFacts::of(bytes).ok()?;
        let grace = self.config.idle_grace_ms;
        let long_idle = body.idle_ms > 0
            && is_idle(body.idle_ms.saturating_add(grace), entry.last_used, own)
            && !self.store.has_body(&entry.key);
        let fits = body.key == entry.key
            && body.kind == entry.kind
            && body.hard_expiry <= entry.hard_expiry
            && !(long_idle && entry.destroyed.is_none() && judges());
        fits.then_some(NewBody::Read {
            idle_ms: body.idle_ms,
        })
    }

    /// Takes in what a peer knows of a session's applications, and passes on what is new.
    pub(super) fn learn_services(
        &mut self,
        key: TicketKey,
        services: Vec<(ServiceKey, ServiceUse)>,
    ) {
        let Some(known) = self.store.entry(&key) else {
            return;
        };
        let mut news = Entry::bottom(key, known.kind, known.hard_expiry);
        news.services = services;
        news.services.sort_by_key(|(key, _)| *key);
        news.services.dedup_by_key(|(key, _)| *key);
        let mut joined = known;
        if joined.join(&news).changed {
            self.publish(news);
        }
    }

    /// When to look at an entry again: at its end, or when it has idled for long enough to be
    /// forgotten.
    fn watch_entry(&mut self, key: TicketKey) {
        let Some(entry) = self.store.outline(&key) else {
            return;
        };
        let body = entry.body.as_ref().filter(|_| entry.destroyed.is_none());
        let body = body.and_then(|bytes| BodyFacts::of(bytes).ok());
        let idles = (entry.last_used, body.map_or(0, |body| body.idle_ms));
        let over = entry.destroyed.is_some();
        self.watch_state(key, entry.hard_expiry, over, idles);
    }

    fn watch_state(
        &mut self,
        key: TicketKey,
        hard_expiry: WallMs,
        destroyed: bool,
        (last_used, idle_ms): (WallMs, u64),
    ) {
        let mut end = hard_expiry + 2 * self.config.tolerance_ms;
        if mutant!(TombstoneDropped) && destroyed {
            end = self.own() + 3_000; // rule 13
        }
        let idles = idle_ms > 0 && !destroyed;
        let idle = last_used + idle_ms + self.config.idle_grace_ms;
        let at = if idles { idle.min(end) } else { end };
        self.entry_expiry.watch(key, at);
    }

    pub(super) fn forget_expired(&mut self) {
        if !self.clock.is_sound() {
            return;
        }
        let own = self.own();
        let tolerance = self.config.tolerance_ms;
        for key in self.entry_expiry.take_due(own) {
            if mutant!(EndedKept) {
                continue; // rule 13
            }
            if mutant!(IdleTombstone) {
                self.end_idle(key, own); // rule 17
            }
            let over = |entry: &Outline| {
                (mutant!(TombstoneDropped) && entry.destroyed.is_some()) // rule 13
                    || entry.hard_expiry + 2 * tolerance <= own || self.has_idled_away(entry, own)
            };
            let ended = self.expired_duty(&key);
            if let Some((hard_expiry, digest)) = self.store.remove_if(&key, over) {
                self.digests.flip(key.shard(), hard_expiry, digest, -1);
                self.duties.forget(&key);
                if let Some(entry) = ended {
                    self.event(Event::LogoutDuty { entry });
                }
            } else {
                self.watch_entry(key);
            }
        }
        for key in self.single_expiry.take_due(own) {
            let end = self.singles.get(&key).map(|single| single.hard_expiry);
            match end {
                Some(end) if self.single_end(end) <= own => self.forget_single(&key),
                Some(end) => self.watch_single(key, end),
                None => {}
            }
        }
    }

    /// A defect: idleness ends a session for good.
    fn end_idle(&mut self, key: TicketKey, own: WallMs) {
        let Some(entry) = self.store.outline(&key) else {
            return;
        };
        if self.has_idled_away(&entry, own) {
            let mut end = Entry::bottom(key, entry.kind, entry.hard_expiry);
            end.destroyed = Some(DestroyReason::Operator);
            self.publish(end);
        }
    }

    pub(super) fn expiry_is_due(&self) -> bool {
        let own = self.own();
        self.clock.is_sound() && (self.entry_expiry.is_due(own) || self.single_expiry.is_due(own))
    }

    pub(super) fn has_idled_away(&self, entry: &Outline, own: u64) -> bool {
        entry.destroyed.is_none()
            && entry
                .body
                .as_ref()
                .and_then(|bytes| BodyFacts::of(bytes).ok())
                .is_some_and(|body| {
                    body.idle_ms > 0
                        && is_idle(
                            body.idle_ms + self.config.idle_grace_ms,
                            entry.last_used,
                            own,
                        )
                })
    }

    pub(super) fn watch_single(&mut self, key: TicketKey, hard_expiry: u64) {
        let end = self.single_end(hard_expiry);
        self.single_expiry.watch(key, end);
    }

    /// When a single-use ticket may be forgotten: later than anybody may vote on it (rule 10).
    fn single_end(&self, hard_expiry: u64) -> u64 {
        if mutant!(ForgetsEarly) {
            return hard_expiry.saturating_sub(6_000);
        }
        hard_expiry + 2 * self.config.tolerance_ms
    }

    fn forget_single(&mut self, key: &TicketKey) {
        if let Some(single) = self.singles.forget(key) {
            let size = single
                .body
                .as_ref()
                .map_or(0, |held| held.bytes.len() as i64);
            let counted = i64::from(single.body.is_some());
            self.store.gauges().add(single.kind, -counted, -size);
        }
    }

    /// Keeps a single-use ticket; false when it may not be voted on any more.
    pub(super) fn hold(&mut self, held: &super::singles::Held) -> bool {
        let known = self.singles.get(&held.body.key()).is_some();
        let absurd = held.body.hard_expiry > self.own() + LIFE_MAX_MS && self.clock.is_sound();
        if absurd || (!known && self.singles.len() >= self.config.singles_max) {
            return false;
        }
        let mut news = false;
        let had_body = self
            .singles
            .get(&held.body.key())
            .is_some_and(|single| single.body.is_some());
        if !self.singles.hold(held, &mut news) {
            return false;
        }
        if news {
            self.watch_single(held.body.key(), held.body.hard_expiry);
        }
        if !had_body {
            self.store
                .gauges()
                .add(held.body.kind(), 1, held.bytes.len() as i64);
        }
        true
    }

    pub(super) fn decided_conflict(&mut self, key: TicketKey) {
        stats::count(&self.stats.decided_conflict);
        self.event(Event::DecidedConflict(key));
    }

    /// The encoded body of a held single-use ticket.
    pub(super) fn single_bytes(&self, key: &TicketKey) -> Option<Arc<[u8]>> {
        self.singles
            .get(key)
            .and_then(|s| s.body.as_ref())
            .map(|held| Arc::clone(&held.bytes))
    }
}
