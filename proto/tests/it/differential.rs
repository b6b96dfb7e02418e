//! The format is bincode 2 "standard": checked against bincode itself on real tickets and entries.
//!
//! The mirrors below repeat the declarations of the wire types with bincode's own derives. Both
//! implementations must write the same bytes, and agree on every mutation of them: accepted by both
//! with the same value, or refused by both.

use bincode::{Decode, Encode, config};
use castor_proto::codec;
use castor_proto::delta::Entry;
use castor_proto::limits::DECODE_MAX;
use castor_proto::ticket::{BodyFacts, TicketBody};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::samples;

#[derive(Debug, PartialEq, Encode, Decode)]
struct MirrorBody {
    id: String,
    created: u64,
    hard_expiry: u64,
    idle_ms: u64,
    ancestors: Vec<[u8; 16]>,
    view: Vec<(String, [u8; 16])>,
    key_id: u32,
    payload: MirrorPayload,
}

#[derive(Debug, PartialEq, Encode, Decode)]
struct MirrorPrincipal {
    id: String,
    attributes: Vec<(String, Vec<String>)>,
}

#[derive(Debug, PartialEq, Encode, Decode)]
enum MirrorPayload {
    Tgt {
        principal: MirrorPrincipal,
        authenticated_at: u64,
        handler: String,
        remember_me: bool,
        client_address: String,
    },
    St {
        service: String,
        registered_service: i64,
        from_new_login: bool,
    },
    Pt {
        service: String,
        registered_service: i64,
        from_new_login: bool,
        proxies: Vec<String>,
    },
    Pgt {
        principal: MirrorPrincipal,
        callback: String,
        proxies: Vec<String>,
    },
    Tst {
        subject: String,
        properties: Vec<(String, String)>,
    },
}

#[derive(Debug, PartialEq, Encode, Decode)]
struct MirrorEntry {
    key: [u8; 16],
    kind: MirrorKind,
    hard_expiry: u64,
    body: Option<Vec<u8>>,
    last_used: u64,
    services: Vec<(u64, (u64, String, String))>,
    told: Vec<(u64, u64)>,
    destroyed: Option<MirrorReason>,
    decided: Option<[u8; 16]>,
}

#[derive(Debug, PartialEq, Encode, Decode)]
enum MirrorKind {
    Tgt,
    St,
    Pt,
    Pgt,
    PgtIou,
    Tst,
}

#[derive(Debug, PartialEq, Encode, Decode)]
enum MirrorReason {
    Logout,
    Operator,
    Replaced,
}

/// bincode's opinion of some bytes, with our rules: all of them, within the limit.
fn oracle<T: Decode<()>>(bytes: &[u8]) -> Option<T> {
    let limited = config::standard().with_limit::<DECODE_MAX>();
    match bincode::decode_from_slice(bytes, limited) {
        Ok((value, used)) if used == bytes.len() => Some(value),
        _ => None,
    }
}

fn oracle_encode<T: Encode>(value: &T) -> Vec<u8> {
    bincode::encode_to_vec(value, config::standard()).unwrap()
}

/// Both accept with the same content, or both refuse; and what we accept we write back.
fn agree<T, M>(bytes: &[u8])
where
    T: codec::Encode + codec::Decode + std::fmt::Debug,
    M: Encode + Decode<()> + std::fmt::Debug,
{
    match (codec::decode::<T>(bytes), oracle::<M>(bytes)) {
        (Ok(ours), Some(theirs)) => {
            assert_eq!(
                codec::encode(&ours),
                oracle_encode(&theirs),
                "{ours:?} {theirs:?}"
            );
        }
        (Err(_), None) => {}
        (ours, theirs) => panic!("ours: {ours:?}\nbincode: {theirs:?}\nbytes: {bytes:?}"),
    }
}

#[test]
fn both_write_and_read_the_same_bytes() {
    for (name, body) in samples::bodies() {
        let bytes = body.encode();
        let mirror = oracle::<MirrorBody>(&bytes).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(oracle_encode(&mirror), bytes, "{name}");
        assert_eq!(mirror.id, body.id.as_str());
        assert_eq!((mirror.created, mirror.key_id), (body.created, body.key_id));
    }
    for entry in samples::entries() {
        let bytes = codec::encode(&entry);
        let mirror = oracle::<MirrorEntry>(&bytes).unwrap();
        assert_eq!(oracle_encode(&mirror), bytes);
        assert_eq!(mirror.body.as_deref(), entry.body.as_deref());
    }
}

/// Flips, cuts, repeats and inserts.
fn mutated(bytes: &[u8], edits: &[(Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, what, value) in edits {
        if bytes.is_empty() {
            break;
        }
        let at = at.index(bytes.len());
        match what % 5 {
            0 => bytes[at] ^= value,
            1 => bytes[at] = *value,
            2 => bytes.truncate(at),
            3 => bytes.insert(at, *value),
            _ => {
                bytes.remove(at);
            }
        }
    }
    bytes
}

fn edits() -> impl Strategy<Value = Vec<(Index, u8, u8)>> {
    prop::collection::vec(any::<(Index, u8, u8)>(), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn mutated_tickets_find_the_same_judgement(which in 0usize..5, edits in edits()) {
        let (_, body) = samples::bodies().swap_remove(which);
        agree::<TicketBody, MirrorBody>(&mutated(&body.encode(), &edits));
    }

    #[test]
    fn the_facts_of_a_body_are_those_of_the_whole_body(which in 0usize..5, edits in edits()) {
        let (_, body) = samples::bodies().swap_remove(which);
        let bytes = mutated(&body.encode(), &edits);
        let whole = TicketBody::decode(&bytes).map(|body| BodyFacts {
            key: body.key(),
            kind: body.kind(),
            hard_expiry: body.hard_expiry,
            idle_ms: body.idle_ms,
        });
        prop_assert_eq!(BodyFacts::of(&bytes), whole);
    }

    #[test]
    fn mutated_entries_find_the_same_judgement(which in 0usize..2, edits in edits()) {
        let entry = samples::entries().swap_remove(which);
        agree::<Entry, MirrorEntry>(&mutated(&codec::encode(&entry), &edits));
    }

    #[test]
    fn arbitrary_bytes_find_the_same_judgement(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        agree::<Entry, MirrorEntry>(&bytes);
        agree::<TicketBody, MirrorBody>(&bytes);
    }
}
