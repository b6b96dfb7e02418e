//! Which sessions a person has: an index of the store, kept only when somebody asks by person.
//!
//! Only the engine writes, entry by entry, as sessions come and go; so the index holds exactly the live
//! sessions of the store. Readers get copies. The order, by the moment a session began and then by its
//! key, is the same on every node.

use castor_proto::ids::WallMs;
use castor_proto::ticket::{SessionOwner, TicketKey};

use super::shared::Table;

/// One table per value of a byte, as in the store: growing one moves few people.
const TABLES: usize = 256;

/// What a session adds to the index, bytes, as estimated; what a person does is counted with the first.
const SESSION_BYTES: i64 = size_of::<(WallMs, TicketKey)>() as i64;
const PERSON_BYTES: i64 = 72;

type Sessions = Vec<(WallMs, TicketKey)>;

pub(super) struct People {
    tables: Vec<Table<Sessions>>,
}

impl People {
    pub(super) fn new() -> Self {
        Self {
            tables: (0..TABLES).map(|_| Table::new()).collect(),
        }
    }

    fn table(&self, person: &TicketKey) -> &Table<Sessions> {
        &self.tables[usize::from(person.shard())]
    }

    /// A session with this body came to life, or its life ended; returns by how many bytes the index
    /// grew.
    pub(super) fn change(&self, session: TicketKey, body: &[u8], came: bool) -> i64 {
        let Some(owner) = SessionOwner::of(body) else {
            return 0;
        };
        let person = person(owner.principal);
        let at = (owner.created, session);
        if came {
            self.came(person, at)
        } else {
            self.went(person, at)
        }
    }

    fn came(&self, person: TicketKey, at: (WallMs, TicketKey)) -> i64 {
        self.table(&person)
            .change(person, Vec::new, |sessions, is_new| {
                let Err(place) = sessions.binary_search(&at) else {
                    return 0;
                };
                // Nearly everybody has one session: no room for more until there are.
                if sessions.is_empty() {
                    sessions.reserve_exact(1);
                }
                sessions.insert(place, at);
                SESSION_BYTES + if is_new { PERSON_BYTES } else { 0 }
            })
    }

    fn went(&self, person: TicketKey, at: (WallMs, TicketKey)) -> i64 {
        let table = self.table(&person);
        let (grown, is_new) = table.change(person, Vec::new, |sessions, is_new| {
            let Ok(place) = sessions.binary_search(&at) else {
                return (0, is_new);
            };
            sessions.remove(place);
            (-SESSION_BYTES, is_new)
        });
        let gone = table.remove_if(&person, Vec::is_empty).is_some();
        let counted = if gone && !is_new { PERSON_BYTES } else { 0 };
        grown - counted
    }

    pub(super) fn sessions_of(&self, principal: &str) -> Vec<TicketKey> {
        let person = person(principal);
        let keys = |sessions: &Sessions| sessions.iter().map(|(_, key)| *key).collect();
        self.table(&person).read(&person, keys).unwrap_or_default()
    }

    pub(super) fn count(&self, principal: &str) -> usize {
        let person = person(principal);
        self.table(&person).read(&person, Vec::len).unwrap_or(0)
    }
}

/// The place of a person in the tables.
fn person(principal: &str) -> TicketKey {
    let digest = blake3::hash(principal.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest.as_bytes()[..16]);
    TicketKey(key)
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use castor_proto::delta::{DestroyReason, Entry};
    use castor_proto::ids::NodeName;
    use castor_proto::ticket::{
        IdKeys, IdParts, Payload, Principal, Tgt, TicketBody, TicketId, TicketKind,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::engine::store::Store;

    fn entry(number: u64, who: u8, created: WallMs) -> Entry {
        let node = NodeName::parse("n1").unwrap();
        let keys = IdKeys {
            check: &[1; 32],
            tag: &[2; 32],
        };
        let parts = IdParts {
            kind: TicketKind::Tgt,
            sequence: number,
            random: &"a".repeat(27),
            nodes: &[&node],
        };
        let body = TicketBody {
            id: TicketId::build(&parts, &keys),
            created,
            hard_expiry: created + 1_000_000,
            idle_ms: 0,
            ancestors: Vec::new(),
            view: Vec::new(),
            key_id: 1,
            payload: Payload::Tgt(Tgt {
                principal: Principal {
                    id: format!("person{who}"),
                    attributes: Vec::new(),
                },
                authenticated_at: created,
                handler: "test".into(),
                remember_me: false,
                client_address: "192.0.2.1".into(),
            }),
        };
        let mut entry = Entry::bottom(body.key(), TicketKind::Tgt, body.hard_expiry);
        entry.body = Some(body.encode().into());
        entry
    }

    /// What a store that was searched from end to end would say.
    fn searched(store: &Store, who: u8) -> Vec<TicketKey> {
        let mut found = Vec::new();
        store.visit(TicketKind::Tgt, &mut |entry| {
            let body = TicketBody::decode(entry.body.as_ref().unwrap()).unwrap();
            let Payload::Tgt(tgt) = body.payload else {
                return true;
            };
            if entry.destroyed.is_none() && tgt.principal.id == format!("person{who}") {
                found.push((body.created, entry.key));
            }
            true
        });
        found.sort_unstable();
        found.into_iter().map(|(_, key)| key).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_index_says_what_a_search_says(
            steps in prop::collection::vec((0u64..12, 0u8..3, 0u8..4), 0..60)
        ) {
            let store = Store::new([3; 32]).with_people(true);
            for (number, step, after) in steps {
                // Three people, and several sessions that began at one moment.
                let whole = entry(number, (number % 3) as u8, 1_000 + number / 4);
                match step {
                    0 => drop(store.join(&whole)),
                    1 => {
                        let mut end = Entry::bottom(whole.key, whole.kind, whole.hard_expiry);
                        end.destroyed = Some(DestroyReason::Logout);
                        store.join(&end);
                    }
                    _ => drop(store.remove_if(&whole.key, |_| after > 1)),
                }
                for who in 0..3 {
                    let name = format!("person{who}");
                    let sessions = store.sessions_of(&name);
                    prop_assert_eq!(store.count_sessions_of(&name), sessions.len());
                    prop_assert_eq!(sessions, searched(&store, who));
                }
            }
            for number in 0..12 {
                store.remove_if(&entry(number, (number % 3) as u8, 1_000 + number / 4).key, |_| true);
            }
            prop_assert_eq!(store.gauges().bytes(), 0, "what was counted is given back");
        }
    }

    #[test]
    fn nothing_is_kept_unless_it_is_wanted() {
        let store = Store::new([3; 32]);
        store.join(&entry(1, 0, 1_000));
        assert!(store.sessions_of("person0").is_empty());
        assert_eq!(store.count_sessions_of("person0"), 0);
    }
}
