//! What changes about a ticket, and how replicas agree without talking about order.
//!
//! An [`Entry`] is a join-semilattice (rule 13): the immutable body may be absent; last use is a
//! maximum; visited services are a bounded map joined by greatest stamp; destroyed and decided are
//! sticky. A delta is an entry with most fields empty, so one [`Entry::join`] serves deltas,
//! snapshots and repairs, and any of them may be lost, doubled and reordered.

use std::sync::Arc;

use crate::codec::{self, SchemaRead, SchemaWrite};
use crate::ids::{ClaimId, WallMs};
use crate::limits;
use crate::ticket::{TicketKey, TicketKind};

/// Names one visited application within a session: registered service and path, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub struct ServiceKey(pub u64);

impl ServiceKey {
    /// Of a registered service's id and a service URL, whose query and fragment do not count.
    pub fn new(registered_service: i64, url: &str) -> Self {
        let path = url.split(['?', '#']).next().unwrap_or(url);
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&registered_service.to_le_bytes())
            .update(path.as_bytes());
        let digest = hasher.finalize();
        let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
        Self(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }
}

/// The newest service ticket that an application received within a session.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub struct ServiceUse {
    /// When the ticket was issued, on the issuer's own clock.
    pub stamp: WallMs,
    /// The service ticket's id, as delivered: the `SessionIndex` of single logout.
    pub ticket: String,
    /// The service URL.
    pub url: String,
}

impl std::fmt::Debug for ServiceUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServiceUse({})", self.stamp)
    }
}

/// Why a ticket was destroyed. The least wins when two nodes give different reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub enum DestroyReason {
    /// The person signed out.
    Logout,
    /// An operator ended the session.
    Operator,
    /// A newer session took its place.
    Replaced,
}

/// One replica's knowledge of one ticket, and equally a change to it.
#[derive(Clone, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct Entry {
    /// Which ticket.
    pub key: TicketKey,
    /// Its kind, so that a tombstone can precede its body.
    pub kind: TicketKind,
    /// When it ends for good; bounds the life of every tombstone.
    pub hard_expiry: WallMs,
    /// The encoded [`crate::ticket::TicketBody`], when known.
    pub body: Option<Arc<[u8]>>,
    /// Last use; 0 when unknown.
    pub last_used: WallMs,
    /// Visited applications, sorted by key, at most [`limits::SERVICES_MAX`].
    pub services: Vec<(ServiceKey, ServiceUse)>,
    /// Applications already told of the logout, sorted by key, each with the stamp of the use it
    /// was told of (rule 15b). At most [`limits::SERVICES_MAX`].
    pub told: Vec<(ServiceKey, WallMs)>,
    /// Set once, for ever.
    pub destroyed: Option<DestroyReason>,
    /// The claim that consumed a single-use ticket (rule 9). Set once, for ever.
    pub decided: Option<ClaimId>,
}

/// A [`ServiceUse`] whose texts lie somewhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SchemaWrite)]
pub struct UseRef<'a> {
    /// As [`ServiceUse::stamp`].
    pub stamp: WallMs,
    /// As [`ServiceUse::ticket`].
    pub ticket: &'a str,
    /// As [`ServiceUse::url`].
    pub url: &'a str,
}

/// An [`Entry`] whose texts lie somewhere else: for the digest of what a replica keeps in another form.
/// Its encoding is the entry's.
#[derive(Clone, PartialEq, Eq, SchemaWrite)]
pub struct EntryRef<'a> {
    /// As [`Entry::key`].
    pub key: TicketKey,
    /// As [`Entry::kind`].
    pub kind: TicketKind,
    /// As [`Entry::hard_expiry`].
    pub hard_expiry: WallMs,
    /// As [`Entry::body`].
    pub body: Option<&'a [u8]>,
    /// As [`Entry::last_used`].
    pub last_used: WallMs,
    /// As [`Entry::services`].
    pub services: Vec<(ServiceKey, UseRef<'a>)>,
    /// As [`Entry::told`].
    pub told: Vec<(ServiceKey, WallMs)>,
    /// As [`Entry::destroyed`].
    pub destroyed: Option<DestroyReason>,
    /// As [`Entry::decided`].
    pub decided: Option<ClaimId>,
}

impl std::fmt::Debug for EntryRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EntryRef({:?})", self.key)
    }
}

impl EntryRef<'_> {
    /// As [`Entry::state_digest`].
    pub fn state_digest(&self, digest_key: &[u8; 32]) -> u128 {
        digest_of(&codec::encode(self), digest_key)
    }
}

fn digest_of(state: &[u8], digest_key: &[u8; 32]) -> u128 {
    let digest = blake3::keyed_hash(digest_key, state);
    let mut half = [0u8; 16];
    half.copy_from_slice(&digest.as_bytes()[..16]);
    u128::from_le_bytes(half)
}

/// What became of one value offered to a bounded map.
#[derive(PartialEq, Eq)]
enum Slot {
    /// Nothing new.
    Known,
    /// Taken in.
    Taken,
    /// Taken in, and an older value had to go.
    Displaced,
    /// Older than everything in a full map.
    Refused,
}

/// Joins one value into a sorted map that keeps the [`limits::SERVICES_MAX`] greatest values. The
/// greatest values of a union do not depend on the order of joining.
fn join_slot<V: Ord + Clone>(map: &mut Vec<(ServiceKey, V)>, key: ServiceKey, value: &V) -> Slot {
    match map.binary_search_by_key(&key, |(key, _)| *key) {
        Ok(at) => match map.get_mut(at) {
            Some((_, ours)) if *value > *ours => {
                *ours = value.clone();
                Slot::Taken
            }
            _ => Slot::Known,
        },
        Err(at) if map.len() < limits::SERVICES_MAX => {
            // Few are ever added, to very many tickets: growing by doubling would hold room for four at once.
            map.reserve_exact(1);
            map.insert(at, (key, value.clone()));
            Slot::Taken
        }
        Err(at) => {
            let least = (0..map.len()).min_by(|a, b| match (map.get(*a), map.get(*b)) {
                (Some(a), Some(b)) => (&a.1, a.0).cmp(&(&b.1, b.0)),
                _ => std::cmp::Ordering::Equal,
            });
            let Some(least) = least else {
                return Slot::Refused;
            };
            if map.get(least).is_some_and(|(k, v)| (v, *k) < (value, key)) {
                map.insert(at, (key, value.clone()));
                map.remove(if least < at { least } else { least + 1 });
                Slot::Displaced
            } else {
                Slot::Refused
            }
        }
    }
}

/// Joins one bounded list, sorted by key, into another: the rule for [`Entry::services`] and
/// [`Entry::told`], whatever form their values are kept in. Returns how many values had to go.
pub fn join_list<V: Ord + Clone>(
    ours: &mut Vec<(ServiceKey, V)>,
    theirs: &[(ServiceKey, V)],
    done: &mut Joined,
) -> usize {
    let mut displaced = 0;
    for (key, value) in theirs {
        let outcome = join_slot(ours, *key, value);
        done.changed |= outcome == Slot::Taken || outcome == Slot::Displaced;
        displaced += usize::from(outcome == Slot::Displaced);
    }
    displaced
}

/// What a join did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Joined {
    /// The state is not what it was.
    pub changed: bool,
    /// It is destroyed now and was not before.
    pub newly_destroyed: bool,
    /// Two different claims were both reported decided: a broken invariant to alarm on.
    pub decided_conflict: bool,
    /// Visited applications dropped because the map is full.
    pub services_dropped: usize,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The body holds the ticket id, a credential.
        f.debug_struct("Entry")
            .field("key", &self.key)
            .field("kind", &self.kind)
            .field("hard_expiry", &self.hard_expiry)
            .field("body", &self.body.as_ref().map(|body| body.len()))
            .field("last_used", &self.last_used)
            .field("services", &self.services)
            .field("told", &self.told)
            .field("destroyed", &self.destroyed)
            .field("decided", &self.decided)
            .finish()
    }
}

impl Entry {
    /// Knows nothing but which ticket it is.
    pub fn bottom(key: TicketKey, kind: TicketKind, hard_expiry: WallMs) -> Self {
        Self {
            key,
            kind,
            hard_expiry,
            body: None,
            last_used: 0,
            services: Vec::new(),
            told: Vec::new(),
            destroyed: None,
            decided: None,
        }
    }

    /// Takes in what `other` knows of the same ticket. Commutative, associative, idempotent.
    ///
    /// Entries of different tickets are left alone.
    pub fn join(&mut self, other: &Self) -> Joined {
        if self.key != other.key {
            return Joined::default();
        }
        let mut done = self.join_fields(other);
        done.services_dropped = join_list(&mut self.services, &other.services, &mut done);
        join_list(&mut self.told, &other.told, &mut done);
        done
    }

    /// As [`Entry::join`], without the lists of applications.
    pub fn join_fields(&mut self, other: &Self) -> Joined {
        let mut done = Joined::default();
        if self.key != other.key {
            return done;
        }
        if other.hard_expiry > self.hard_expiry {
            self.hard_expiry = other.hard_expiry;
            done.changed = true;
        }
        if other.kind < self.kind {
            self.kind = other.kind;
            done.changed = true;
        }
        // An id has one body for ever; should two ever differ, the smaller wins everywhere.
        if let Some(theirs) = &other.body
            && self.body.as_ref().is_none_or(|ours| theirs < ours)
        {
            self.body = Some(Arc::clone(theirs));
            done.changed = true;
        }
        if other.last_used > self.last_used {
            self.last_used = other.last_used;
            done.changed = true;
        }
        self.join_sticky(other, &mut done);
        done
    }

    fn join_sticky(&mut self, other: &Self, done: &mut Joined) {
        if let Some(theirs) = other.destroyed
            && self.destroyed.is_none_or(|ours| theirs < ours)
        {
            done.newly_destroyed = self.destroyed.is_none();
            self.destroyed = Some(theirs);
            done.changed = true;
        }
        if let Some(theirs) = other.decided {
            match self.decided {
                Some(ours) if ours == theirs => {}
                Some(ours) => {
                    done.decided_conflict = true;
                    if theirs < ours {
                        self.decided = Some(theirs);
                        done.changed = true;
                    }
                }
                None => {
                    self.decided = Some(theirs);
                    done.changed = true;
                }
            }
        }
    }

    /// Digest of the whole published state (rule 19): equal states have equal digests on every
    /// node, and the digest of a shard is the XOR of its entries' digests.
    pub fn state_digest(&self, digest_key: &[u8; 32]) -> u128 {
        digest_of(&codec::encode(self), digest_key)
    }

    /// Rough size in a message and on its way there, in bytes; what a replica keeps takes less.
    pub fn weight(&self) -> usize {
        let services: usize = self
            .services
            .iter()
            .map(|(_, s)| 96 + s.ticket.len() + s.url.len())
            .sum();
        160 + self.body.as_ref().map_or(0, |body| body.len() + 16) + services + self.told.len() * 32
    }

    /// Whether a decoded entry keeps the limits that a decoder can check alone.
    pub fn check(&self) -> bool {
        let within = |moment: WallMs| moment <= limits::WALL_MAX;
        within(self.hard_expiry)
            && within(self.last_used)
            && self.services.iter().all(|(_, s)| within(s.stamp))
            && self.told.iter().all(|(_, stamp)| within(*stamp))
            && self.services.len() <= limits::SERVICES_MAX
            && self.told.len() <= limits::SERVICES_MAX
            && self
                .body
                .as_ref()
                .is_none_or(|body| body.len() <= limits::TICKET_BODY_MAX)
            && is_sorted(&self.services)
            && is_sorted(&self.told)
            && self.services.iter().all(|(_, s)| {
                s.url.len() <= limits::SERVICE_URL_MAX
                    && s.ticket.len() <= crate::ticket::TicketId::MAX
            })
    }
}

fn is_sorted<V>(map: &[(ServiceKey, V)]) -> bool {
    map.windows(2).all(|pair| match pair {
        [a, b] => a.0 < b.0,
        _ => true,
    })
}
