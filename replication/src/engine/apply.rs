//! The one way into the store, and the way out at the end of a ticket's life (rules 13 and 17).

use std::sync::Arc;

use castor_proto::delta::{Entry, Joined, ServiceKey, ServiceUse};
use castor_proto::ids::Member;
use castor_proto::ticket::{TicketBody, TicketKey};

use super::store::is_idle;
use super::{Engine, Event, stats};

/// Longest life that is believed of any ticket, milliseconds: 400 days.
const LIFE_MAX_MS: u64 = 400 * 24 * 3_600_000;

impl Engine {
    /// Joins a change, with every index kept true. A change to a ticket past its end, or with a
    /// body that is not what it says, is refused and counted.
    pub(super) fn apply(&mut self, entry: &Entry) -> Joined {
        if !self.is_acceptable(entry) {
            stats::count(&self.stats.refused_entries);
            return Joined::default();
        }
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
        if change.inserted || change.moved_from.is_some() {
            self.watch_entry(entry.key);
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

    pub(super) fn is_acceptable(&self, entry: &Entry) -> bool {
        if entry.kind.is_single_use() || !entry.check() {
            return false;
        }
        let own = self.own();
        let tolerance = self.config.tolerance_ms;
        // A node whose clock is wrong refuses nothing for expiry (rule 10).
        let judges = self.clock.is_sound();
        if judges && (entry.hard_expiry + tolerance < own || entry.hard_expiry > own + LIFE_MAX_MS)
        {
            return false;
        }
        let Some(bytes) = &entry.body else {
            return true;
        };
        if self.store.is_body(&entry.key, bytes) {
            return true;
        }
        let Ok(body) = TicketBody::decode(bytes) else {
            return false;
        };
        let grace = self.config.idle_grace_ms;
        let long_idle = body.idle_ms > 0
            && is_idle(body.idle_ms.saturating_add(grace), entry.last_used, own)
            && !self.store.has_body(&entry.key);
        body.key() == entry.key
            && body.kind() == entry.kind
            && body.hard_expiry <= entry.hard_expiry
            && !(judges && long_idle && entry.destroyed.is_none())
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
        let Some(entry) = self.store.entry(&key) else {
            return;
        };
        let end = entry.hard_expiry + 2 * self.config.tolerance_ms;
        let idle = entry
            .body
            .as_ref()
            .filter(|_| entry.destroyed.is_none())
            .and_then(|bytes| {
                let idle_ms = TicketBody::decode(bytes).ok()?.idle_ms;
                (idle_ms > 0).then_some(entry.last_used + idle_ms + self.config.idle_grace_ms)
            });
        self.entry_expiry
            .watch(key, idle.map_or(end, |idle| idle.min(end)));
    }

    pub(super) fn forget_expired(&mut self) {
        if !self.clock.is_sound() {
            return;
        }
        let own = self.own();
        let tolerance = self.config.tolerance_ms;
        for key in self.entry_expiry.take_due(own) {
            let over = |entry: &Entry| {
                entry.hard_expiry + 2 * tolerance <= own || self.has_idled_away(entry, own)
            };
            if let Some((hard_expiry, digest)) = self.store.remove_if(&key, over) {
                self.digests.flip(key.shard(), hard_expiry, digest, -1);
                self.duties.forget(&key);
            } else {
                self.watch_entry(key);
            }
        }
        for key in self.single_expiry.take_due(own) {
            let end = self.singles.get(&key).map(|single| single.hard_expiry);
            match end {
                Some(end) if end + 2 * tolerance <= own => self.forget_single(&key),
                Some(end) => self.single_expiry.watch(key, end + 2 * tolerance),
                None => {}
            }
        }
    }

    pub(super) fn expiry_is_due(&self) -> bool {
        let own = self.own();
        self.clock.is_sound() && (self.entry_expiry.is_due(own) || self.single_expiry.is_due(own))
    }

    fn has_idled_away(&self, entry: &Entry, own: u64) -> bool {
        entry.destroyed.is_none()
            && entry
                .body
                .as_ref()
                .and_then(|bytes| TicketBody::decode(bytes).ok())
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
        self.single_expiry
            .watch(key, hard_expiry + 2 * self.config.tolerance_ms);
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
