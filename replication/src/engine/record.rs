//! One entry as a store keeps it: 64 bytes, its body, and its applications in one piece.
//!
//! A session in memory is what a cluster's size is reckoned by, so nothing is kept here twice: the key is the
//! table's, the lists are packed. Whoever wants an [`Entry`] gets one made. Promises: joining is
//! [`Entry::join`], and the digest is that of the entry.

use std::sync::Arc;

use castor_proto::delta::{DestroyReason, Entry, EntryRef, Joined, ServiceKey, ServiceUse, UseRef};
use castor_proto::ids::{ClaimId, WallMs};
use castor_proto::ticket::{TicketKey, TicketKind};

use super::lists::Lists;
use super::mutants::{digested, mutant};
use super::urls::Urls;

/// What an entry takes beside its record, its body and its lists, bytes: its place in the table (25, of
/// which a half to seven eighths are in use) and in the index of ends.
const PLACES: usize = 72;

/// What an allocation takes beyond what was asked for, bytes, as estimated.
const ROUNDING: usize = 24;

/// A moment in six bytes; enough for 8,900 years.
#[derive(Clone, Copy)]
struct Moment([u8; 6]);

impl Moment {
    fn new(at: WallMs) -> Self {
        let [a, b, c, d, e, f, ..] = at.min((1 << 48) - 1).to_le_bytes();
        Self([a, b, c, d, e, f])
    }

    fn get(self) -> WallMs {
        let [a, b, c, d, e, f] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }
}

/// An entry with its digest.
pub(super) struct Record {
    digest: [u8; 16],
    body: Option<Arc<[u8]>>,
    lists: Lists,
    hard_expiry: Moment,
    last_used: Moment,
    kind: TicketKind,
    destroyed: Option<DestroyReason>,
}

const _: () = assert!(
    size_of::<Record>() <= 64,
    "the memory of a session is promised"
);

/// An entry without its applications.
pub(super) struct Outline {
    pub(super) kind: TicketKind,
    pub(super) hard_expiry: WallMs,
    pub(super) last_used: WallMs,
    pub(super) body: Option<Arc<[u8]>>,
    pub(super) destroyed: Option<DestroyReason>,
    pub(super) digest: u128,
}

impl Record {
    /// Knows nothing but its kind and end.
    pub(super) fn new(kind: TicketKind, hard_expiry: WallMs) -> Self {
        Self {
            digest: [0; 16],
            body: None,
            lists: Lists::default(),
            hard_expiry: Moment::new(hard_expiry),
            last_used: Moment::new(0),
            kind,
            destroyed: None,
        }
    }

    pub(super) fn digest(&self) -> u128 {
        u128::from_le_bytes(self.digest)
    }

    pub(super) fn kind(&self) -> TicketKind {
        self.kind
    }

    pub(super) fn hard_expiry(&self) -> WallMs {
        self.hard_expiry.get()
    }

    pub(super) fn last_used(&self) -> WallMs {
        self.last_used.get()
    }

    pub(super) fn body(&self) -> Option<&Arc<[u8]>> {
        self.body.as_ref()
    }

    pub(super) fn destroyed(&self) -> Option<DestroyReason> {
        self.destroyed
    }

    /// Whether it is a ticket that was not destroyed.
    pub(super) fn is_live(&self) -> bool {
        self.body.is_some() && self.destroyed.is_none()
    }

    pub(super) fn outline(&self) -> Outline {
        Outline {
            kind: self.kind,
            hard_expiry: self.hard_expiry(),
            last_used: self.last_used(),
            body: self.body.clone(),
            destroyed: self.destroyed,
            digest: self.digest(),
        }
    }

    /// The entry without its lists.
    fn fields(&self, key: TicketKey) -> Entry {
        let mut entry = Entry::bottom(key, self.kind, self.hard_expiry());
        entry.body.clone_from(&self.body);
        entry.last_used = self.last_used();
        entry.destroyed = self.destroyed;
        entry.decided = self.lists.decided();
        entry
    }

    /// The entry, made anew.
    pub(super) fn entry(&self, key: TicketKey, urls: &Urls) -> Entry {
        let mut entry = self.fields(key);
        if self.lists.len() > 0 {
            (entry.services, entry.told) = urls.read(|known| self.lists.unpack(known));
        }
        entry
    }

    /// The applications visited.
    pub(super) fn services(&self, urls: &Urls) -> Vec<(ServiceKey, ServiceUse)> {
        if self.lists.len() == 0 {
            return Vec::new();
        }
        urls.read(|known| self.lists.unpack(known)).0
    }

    /// When an application was visited last; 0 when it was not.
    pub(super) fn visited(&self, service: ServiceKey, urls: &Urls) -> WallMs {
        if self.lists.len() == 0 {
            return 0;
        }
        urls.read(|known| self.lists.stamp(service, known))
    }

    /// Joins a change in, and keeps the digest of what came of it. The second number returned says by how
    /// many bytes, as estimated, the shared URLs grew.
    pub(super) fn join(
        &mut self,
        change: &Entry,
        inserted: bool,
        urls: &Urls,
        digest_key: &[u8; 32],
    ) -> (Joined, i64) {
        let mut fields = self.fields(change.key);
        if mutant!(WholeRecord) && change.last_used > fields.last_used {
            fields.destroyed = change.destroyed; // rule 13
        }
        if mutant!(UseGoesBack) && change.last_used > 0 {
            fields.last_used = change.last_used; // rule 13
        }
        let was_decided = fields.decided;
        let mut joined = fields.join_fields(change);
        let decided = fields.decided;
        let has_lists = !(change.services.is_empty() && change.told.is_empty());
        let mut grown = 0;
        if has_lists || decided != was_decided {
            grown = urls.write(|known| self.lists.join(change, decided, known, &mut joined));
        }
        self.hard_expiry = Moment::new(fields.hard_expiry);
        self.last_used = Moment::new(fields.last_used);
        self.kind = fields.kind;
        self.destroyed = fields.destroyed;
        self.body = fields.body.take();
        if joined.changed || inserted {
            let digest = self.state_digest(change.key, decided, urls, digest_key); // rule 19
            self.digest = digest.to_le_bytes();
        }
        (joined, grown)
    }

    fn state<'a>(
        &'a self,
        key: TicketKey,
        decided: Option<ClaimId>,
        services: Vec<(ServiceKey, UseRef<'a>)>,
        told: Vec<(ServiceKey, WallMs)>,
    ) -> EntryRef<'a> {
        digested(EntryRef {
            key,
            kind: self.kind,
            hard_expiry: self.hard_expiry(),
            body: self.body.as_deref(),
            last_used: self.last_used(),
            services,
            told,
            destroyed: self.destroyed,
            decided,
        })
    }

    fn state_digest(
        &self,
        key: TicketKey,
        decided: Option<ClaimId>,
        urls: &Urls,
        digest_key: &[u8; 32],
    ) -> u128 {
        if self.lists.len() == 0 {
            let state = self.state(key, decided, Vec::new(), Vec::new());
            return state.state_digest(digest_key);
        }
        urls.read(|known| {
            self.lists.seen(known, |services, told| {
                let state = self.state(key, decided, services, told);
                state.state_digest(digest_key)
            })
        })
    }

    /// The record is forgotten; returns the bytes, as estimated, that shared URLs set free.
    pub(super) fn give_back(&self, urls: &Urls) -> i64 {
        if self.lists.len() == 0 {
            return 0;
        }
        urls.write(|known| self.lists.give_back(known))
    }

    /// Estimated bytes of memory; those of shared URLs are counted apart.
    pub(super) fn bytes(&self) -> i64 {
        let body = self
            .body
            .as_ref()
            .map_or(0, |body| body.len() + 16 + ROUNDING);
        let lists = match self.lists.len() {
            0 => 0,
            len => len + ROUNDING,
        };
        (PLACES + size_of::<Self>() + body + lists) as i64
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use castor_proto::limits::SERVICES_MAX;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::engine::store::Store;

    const DIGEST_KEY: [u8; 32] = [3; 32];

    fn service_use() -> impl Strategy<Value = ServiceUse> {
        let usual = "[A-Za-z0-9]{35}-[A-Za-z0-9]{4}";
        let ticket = prop_oneof![
            (0..40u32, usual).prop_map(|(n, rest)| format!("ST-{n}-{rest}")),
            (0..4u32).prop_map(|n| format!("ST-{n}")),
        ];
        let query = prop_oneof![Just(""), Just("?a=b"), Just("#c"), Just("?x?y#z")];
        (0..50u64, ticket, 0..4u8, query).prop_map(|(stamp, ticket, which, query)| ServiceUse {
            stamp,
            ticket,
            url: format!("https://{which}.example.org/é{query}"),
        })
    }

    prop_compose! {
        /// Of one of four tickets, with few or many applications.
        fn change(most: usize)(
            which in 0..4u8,
            hard_expiry in 900..1_000u64,
            body in option::of(Just(Arc::from(vec![1, 2, 3]))),
            last_used in 0..100u64,
            services in vec((0..400u64, service_use()), 0..most),
            told in vec((0..400u64, 0..50u64), 0..most.min(20)),
            destroyed in option::of(Just(DestroyReason::Logout)),
            decided in option::of(0..2u8),
        ) -> Entry {
            let mut entry = Entry::bottom(TicketKey([which; 16]), TicketKind::Tgt, hard_expiry);
            (entry.body, entry.last_used, entry.destroyed) = (body, last_used, destroyed);
            entry.decided = decided.map(|claim| ClaimId([claim; 16]));
            entry.services = services.into_iter().map(|(key, s)| (ServiceKey(key), s)).collect();
            entry.services.sort();
            entry.services.dedup_by_key(|(key, _)| *key);
            entry.services.truncate(SERVICES_MAX);
            entry.told = told.into_iter().map(|(key, stamp)| (ServiceKey(key), stamp)).collect();
            entry.told.sort();
            entry.told.dedup_by_key(|(key, _)| *key);
            entry
        }
    }

    /// Joins changes into a store and, by the rule alone, into entries beside it.
    fn holds_what_entries_hold(changes: Vec<(Entry, bool)>) {
        let store = Store::new(DIGEST_KEY);
        let mut beside: Vec<Entry> = Vec::new();
        for (change, forgets) in changes {
            let key = change.key;
            if forgets {
                store.remove_if(&key, |_| true);
                beside.retain(|entry| entry.key != key);
            } else {
                let at = beside.iter().position(|entry| entry.key == key);
                let at = at.unwrap_or_else(|| {
                    beside.push(Entry::bottom(key, change.kind, change.hard_expiry));
                    beside.len() - 1
                });
                let rule = beside[at].join(&change);
                assert_eq!(store.join(&change).joined, rule);
            }
            for entry in &beside {
                assert_eq!(store.entry(&entry.key).as_ref(), Some(entry));
                assert_eq!(store.services(&entry.key), entry.services);
                let digest = store.outline(&entry.key).unwrap().digest;
                assert_eq!(digest, entry.state_digest(&DIGEST_KEY));
                for key in 0..400 {
                    let mut services = entry.services.iter();
                    let used = services.find(|(service, _)| service.0 == key);
                    let stamp = used.map_or(0, |(_, used)| used.stamp);
                    assert_eq!(store.visited(&entry.key, ServiceKey(key)), stamp);
                }
            }
            assert_eq!(store.gauges().bytes(), store.recount_bytes());
        }
        for which in 0..4 {
            store.remove_if(&TicketKey([which; 16]), |_| true);
        }
        assert_eq!((store.gauges().bytes(), store.recount_bytes()), (0, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn a_store_holds_what_entries_hold(
            changes in vec((change(6), prop::bool::weighted(0.1)), 0..24)
        ) {
            holds_what_entries_hold(changes);
        }

        #[test]
        fn also_when_there_are_too_many_applications(
            changes in vec((change(260), prop::bool::weighted(0.05)), 0..8)
        ) {
            holds_what_entries_hold(changes);
        }
    }
}
