//! The tickets of one node: a concurrent map that request handlers read directly.
//!
//! Only the engine writes, and only by joining (rule 13), so a reader never waits for more than one
//! entry's join. Readers get copies; no guard leaves this module. Single-use tickets are the
//! engine's own business and are not in here: nobody may read them past the claim.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use castor_proto::delta::{DestroyReason, Entry, Joined, ServiceKey, ServiceUse};
use castor_proto::ids::WallMs;
use castor_proto::ticket::{TicketBody, TicketKey, TicketKind};

use super::failures::Failures;
use super::people::People;
use super::record::{Outline, Record};
use super::shared::{AtomicI64, Table};
use super::urls::Urls;

/// A ticket key is uniformly random, so it is its own hash; the same on every node and run.
#[derive(Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks_exact(8).take(1) {
            if let Ok(chunk) = chunk.try_into() {
                self.0 = u64::from_le_bytes(chunk);
            }
        }
    }

    fn write_usize(&mut self, _: usize) {}
}

pub(super) type KeyMap<V> = std::collections::HashMap<TicketKey, V, BuildHasherDefault<KeyHasher>>;

/// One table per shard of digests and bootstrap.
const SHARDS: usize = 256;

/// Gauges of the store, readable by anyone.
#[derive(Debug, Default)]
pub struct Gauges {
    kinds: [AtomicI64; TicketKind::ALL.len()],
    held: [AtomicI64; TicketKind::ALL.len()],
    bytes: AtomicI64,
}

impl Gauges {
    /// Live tickets of a kind on this node; tombstones are not counted.
    pub fn tickets(&self, kind: TicketKind) -> i64 {
        self.kinds
            .get(kind as usize)
            .map_or(0, |count| count.load(Relaxed))
    }

    /// Entries of a kind in the store, tombstones and shadows included. None of a single-use kind is
    /// in there.
    pub fn held(&self, kind: TicketKind) -> i64 {
        let held = self.held.get(kind as usize);
        held.map_or(0, |count| count.load(Relaxed))
    }

    /// Estimated bytes of everything held.
    pub fn bytes(&self) -> i64 {
        self.bytes.load(Relaxed)
    }

    pub(super) fn add(&self, kind: TicketKind, tickets: i64, bytes: i64) {
        if let Some(count) = self.kinds.get(kind as usize) {
            count.fetch_add(tickets, Relaxed);
        }
        self.bytes.fetch_add(bytes, Relaxed);
    }

    fn came(&self, kind: TicketKind, entries: i64) {
        if let Some(count) = self.held.get(kind as usize) {
            count.fetch_add(entries, Relaxed);
        }
    }
}

/// Whether a ticket can be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It can.
    Live,
    /// Not used for longer than its idle limit, as far as this node knows (rule 17).
    Idle,
    /// Past its end.
    Expired,
    /// Signed out, ended by an operator, or replaced.
    Destroyed,
}

/// A copy of what this node knows of one reusable ticket.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// The immutable body.
    pub body: TicketBody,
    /// Last use, own clock.
    pub last_used: WallMs,
    /// Set when it was destroyed.
    pub destroyed: Option<DestroyReason>,
}

impl Ticket {
    /// Whether it can be used at `now`, its ancestors aside.
    pub fn liveness(&self, now: WallMs) -> Liveness {
        if self.destroyed.is_some() {
            Liveness::Destroyed
        } else if self.body.hard_expiry <= now {
            Liveness::Expired
        } else if is_idle(self.body.idle_ms, self.last_used, now) {
            Liveness::Idle
        } else {
            Liveness::Live
        }
    }
}

pub(super) fn is_idle(idle_ms: u64, last_used: WallMs, now: WallMs) -> bool {
    idle_ms > 0 && now.saturating_sub(last_used.min(now)) > idle_ms
}

/// How an entry changed, for the engine's indexes.
pub(super) struct Change {
    pub(super) joined: Joined,
    pub(super) inserted: bool,
    /// Digest before (0 for a new entry) XOR digest after.
    pub(super) digest_flip: u128,
    pub(super) hard_expiry: WallMs,
    /// Its end before, when a body or tombstone moved it.
    pub(super) moved_from: Option<WallMs>,
    pub(super) old_digest: u128,
    pub(super) new_digest: u128,
}

/// The concurrent map.
pub struct Store {
    /// Boxed: a table keeps room for more than it holds.
    shards: Vec<Table<Box<Record>>>,
    urls: Urls,
    digest_key: [u8; 32],
    gauges: Gauges,
    failures: Failures,
    /// Own time minus the driver's monotonic time, milliseconds (rule 10).
    clock_base: AtomicI64,
    people: Option<People>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({} entries)", self.len())
    }
}

impl Store {
    /// Empty.
    pub fn new(digest_key: [u8; 32]) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Table::new()).collect(),
            urls: Urls::default(),
            digest_key,
            gauges: Gauges::default(),
            failures: Failures::default(),
            clock_base: AtomicI64::new(0),
            people: None,
        }
    }

    /// The same, and keeps which sessions each person has, if that is wanted.
    #[must_use]
    pub fn with_people(mut self, wanted: bool) -> Self {
        self.people = wanted.then(People::new);
        self
    }

    /// The sessions of a person that are not destroyed, the oldest first, by the moment of their
    /// beginning and then by key; also such as have idled away and are not forgotten yet. None at all
    /// when the store does not keep them.
    pub fn sessions_of(&self, principal: &str) -> Vec<TicketKey> {
        let people = self.people.as_ref();
        people.map_or_else(Vec::new, |people| people.sessions_of(principal))
    }

    /// How many [`Store::sessions_of`] would give.
    pub fn count_sessions_of(&self, principal: &str) -> usize {
        let people = self.people.as_ref();
        people.map_or(0, |people| people.count(principal))
    }

    /// Entries held, tombstones included.
    pub fn len(&self) -> usize {
        let held = TicketKind::ALL.map(|kind| self.gauges.held(kind));
        usize::try_from(held.into_iter().sum::<i64>()).unwrap_or(0)
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counts by kind.
    pub fn gauges(&self) -> &Gauges {
        &self.gauges
    }

    /// Failed sign-ins of the whole cluster (rule 25).
    pub fn failures(&self) -> &Failures {
        &self.failures
    }

    /// Own time at a monotonic moment in microseconds.
    pub fn own_time(&self, mono: u64) -> WallMs {
        let own = self.clock_base.load(Relaxed) + (mono / 1_000) as i64;
        own.max(0) as u64
    }

    pub(super) fn set_clock_base(&self, base: i64) {
        self.clock_base.store(base, Relaxed);
    }

    fn table(&self, key: &TicketKey) -> &Table<Box<Record>> {
        &self.shards[usize::from(key.shard())]
    }

    /// What this node knows of a ticket; absent when it is unknown or only its end is known.
    pub fn find(&self, key: &TicketKey) -> Option<Ticket> {
        let (body, last_used, destroyed) = self.table(key).read(key, |record| {
            let body = Arc::clone(record.body()?);
            Some((body, record.last_used(), record.destroyed()))
        })??;
        let body = TicketBody::decode(&body).ok()?;
        Some(Ticket {
            body,
            last_used,
            destroyed,
        })
    }

    /// Whether a ticket is known to be destroyed, body or not.
    pub fn is_destroyed(&self, key: &TicketKey) -> bool {
        let table = self.table(key);
        table
            .read(key, |record| record.destroyed().is_some())
            .unwrap_or(false)
    }

    /// Whether this very body is known.
    pub(super) fn is_body(&self, key: &TicketKey, bytes: &Arc<[u8]>) -> bool {
        let table = self.table(key);
        table
            .read(key, |record| record.body() == Some(bytes))
            .unwrap_or(false)
    }

    /// Whether the body is known.
    pub fn has_body(&self, key: &TicketKey) -> bool {
        let table = self.table(key);
        table
            .read(key, |record| record.body().is_some())
            .unwrap_or(false)
    }

    /// The applications visited in a session.
    pub fn services(&self, key: &TicketKey) -> Vec<(ServiceKey, ServiceUse)> {
        let table = self.table(key);
        table
            .read(key, |record| record.services(&self.urls))
            .unwrap_or_default()
    }

    /// When an application was visited last in a session; 0 when it was not.
    pub(super) fn visited(&self, key: &TicketKey, service: ServiceKey) -> WallMs {
        let table = self.table(key);
        table
            .read(key, |record| record.visited(service, &self.urls))
            .unwrap_or(0)
    }

    /// A copy of the state of one ticket, without its applications.
    pub(super) fn outline(&self, key: &TicketKey) -> Option<Outline> {
        self.table(key).read(key, |record| record.outline())
    }

    /// A copy of the whole state of one ticket.
    pub fn entry(&self, key: &TicketKey) -> Option<Entry> {
        let table = self.table(key);
        table.read(key, |record| record.entry(*key, &self.urls))
    }

    /// Calls `visit` with every live reusable ticket of a kind until it says stop. Locks are held
    /// for a part of one shard at a time and never while `visit` runs. The order means nothing.
    pub fn visit(&self, kind: TicketKind, visit: &mut dyn FnMut(Entry) -> bool) {
        self.visit_all(&mut |entry| {
            let wanted = entry.kind == kind && entry.body.is_some();
            !wanted || visit(entry)
        });
    }

    /// Calls `visit` with every entry, tombstones included, until it says stop. Locks as above.
    pub fn visit_all(&self, visit: &mut dyn FnMut(Entry) -> bool) {
        for table in &self.shards {
            let entries: Vec<Entry> = table.all(|key, record| record.entry(*key, &self.urls));
            if !entries.into_iter().all(&mut *visit) {
                return;
            }
        }
    }

    /// The keys of one of the 256 shards with their ends and digests, sorted.
    pub(super) fn shard_keys(&self, shard: u8) -> Vec<(TicketKey, WallMs, u128)> {
        let Some(table) = self.shards.get(usize::from(shard)) else {
            return Vec::new();
        };
        let mut keys = table.all(|key, record| (*key, record.hard_expiry(), record.digest()));
        keys.sort_unstable();
        keys
    }

    /// Joins a change in. The only way in. Whoever wants to know whether it was this change that
    /// destroyed or decided something reads the answer, and never looks first.
    pub(super) fn join(&self, delta: &Entry) -> Change {
        let fresh = || Box::new(Record::new(delta.kind, delta.hard_expiry));
        self.table(&delta.key)
            .change(delta.key, fresh, |record, inserted| {
                self.join_into(record, inserted, delta)
            })
    }

    fn join_into(&self, record: &mut Record, inserted: bool, delta: &Entry) -> Change {
        let (weight, counted) = if inserted { (0, 0) } else { weigh(record) };
        let old_kind = record.kind();
        let (old_expiry, old_digest) = (record.hard_expiry(), record.digest());
        let (joined, urls) = record.join(delta, inserted, &self.urls, &self.digest_key);
        let (new_weight, new_counted) = weigh(record);
        let kind = record.kind();
        if inserted {
            self.gauges.came(kind, 1);
        } else if kind != old_kind {
            self.gauges.came(old_kind, -1);
            self.gauges.came(kind, 1);
        }
        // What was counted under another kind is counted there no more.
        self.gauges.add(old_kind, -counted, -weight);
        self.gauges.add(kind, new_counted, new_weight + urls);
        self.index_person(&delta.key, record, new_counted - counted);
        let (hard_expiry, new_digest) = (record.hard_expiry(), record.digest());
        Change {
            joined,
            inserted,
            digest_flip: old_digest ^ new_digest,
            hard_expiry,
            moved_from: (!inserted && old_expiry != hard_expiry).then_some(old_expiry),
            old_digest,
            new_digest,
        }
    }

    /// Keeps the index of people true: a session came to life (1), or its life ended (-1).
    fn index_person(&self, key: &TicketKey, record: &Record, change: i64) {
        let Some(people) = &self.people else { return };
        if record.kind() != TicketKind::Tgt || change == 0 {
            return;
        }
        if let Some(body) = record.body() {
            let bytes = people.change(*key, body, change > 0);
            self.gauges.add(record.kind(), 0, bytes);
        }
    }

    /// How many URLs are kept once for all sessions, and their estimated bytes.
    pub fn shared_urls(&self) -> (usize, i64) {
        self.urls.read(|known| known.held())
    }

    /// What [`Gauges::bytes`] must say of entries, counted anew. For tests of that.
    #[doc(hidden)]
    pub fn recount_bytes(&self) -> i64 {
        let tables = self.shards.iter();
        let tables = tables.flat_map(|table| table.all(|_, record| record.bytes()));
        tables.sum::<i64>() + self.urls.read(|known| known.recount_bytes())
    }

    /// Loses a ticket behind the engine's back, as a fault of memory or of this program would. For
    /// tests of what finds it.
    #[doc(hidden)]
    pub fn lose(&self, key: &TicketKey) -> bool {
        self.remove_if(key, |_| true).is_some()
    }

    /// Forgets an entry if it is `over` at that very moment; returns its end and digest.
    pub(super) fn remove_if(
        &self,
        key: &TicketKey,
        over: impl FnOnce(&Outline) -> bool,
    ) -> Option<(WallMs, u128)> {
        let table = self.table(key);
        let record = table.remove_if(key, |record| over(&record.outline()))?;
        self.gauges.came(record.kind(), -1);
        let (weight, counted) = weigh(&record);
        let urls = record.give_back(&self.urls);
        self.gauges.add(record.kind(), -counted, -weight - urls);
        self.index_person(key, &record, -counted);
        Some((record.hard_expiry(), record.digest()))
    }
}

/// Bytes, and one for a live ticket.
fn weigh(record: &Record) -> (i64, i64) {
    (record.bytes(), i64::from(record.is_live()))
}
