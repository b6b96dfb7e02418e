//! One sample of everything that is on the wire. Changing a sample changes golden bytes: add new
//! ones instead.

use std::sync::Arc;

use castor_proto::delta::{DestroyReason, Entry, ServiceKey, ServiceUse};
use castor_proto::failures::{Failed, FailureCell, FailureKey, minute_of};
use castor_proto::hello::{Accepted, ClusterTag, Hello, HelloAnswer, Refusal as HelloRefusal};
use castor_proto::ids::{Ballot, ClaimId, Incarnation, Member, NodeName};
use castor_proto::message::{Ask, Compare, PeerMessage, Phase, Refusal, Vote};
use castor_proto::rounds::{Asked, BucketFrom, BucketsTold, PairsTold, ShardFrom, Standing, Told};
use castor_proto::ticket::{
    IdKeys, IdParts, Payload, Pgt, Principal, Pt, St, Tgt, TicketBody, TicketId, TicketKey,
    TicketKind, Tst,
};
use castor_proto::version::VersionRange;

pub(crate) const NOW: u64 = 1_795_000_000_000;

pub(crate) fn node(number: u8) -> NodeName {
    NodeName::parse(&format!("node-{number}")).unwrap()
}

fn member(number: u8) -> Member {
    Member {
        node: node(number),
        incarnation: Incarnation([number; 16]),
    }
}

fn id(kind: TicketKind, sequence: u64, nodes: &[u8]) -> TicketId {
    let nodes: Vec<NodeName> = nodes.iter().copied().map(node).collect();
    let nodes: Vec<&NodeName> = nodes.iter().collect();
    let keys = IdKeys {
        check: &[1; 32],
        tag: &[2; 32],
    };
    let parts = IdParts {
        kind,
        sequence,
        random: "AbCdEfGhIjKlMnOpQrStUvWxYz0",
        nodes: &nodes,
    };
    TicketId::build(&parts, &keys)
}

fn principal() -> Principal {
    Principal {
        id: "zoë".into(),
        attributes: vec![
            ("mail".into(), vec!["zoe@example.org".into()]),
            ("memberOf".into(), vec!["staff".into(), "wheel".into()]),
            ("empty".into(), vec![]),
        ],
    }
}

fn body(kind: TicketKind, payload: Payload) -> TicketBody {
    let single = kind.is_single_use();
    let view: &[u8] = if single { &[1, 2, 3] } else { &[1] };
    TicketBody {
        id: id(kind, 7, view),
        created: NOW,
        hard_expiry: NOW + 28_800_000,
        idle_ms: if single { 0 } else { 7_200_000 },
        ancestors: if kind == TicketKind::Tgt {
            vec![]
        } else {
            vec![TicketKey([9; 16])]
        },
        view: if single {
            vec![member(1), member(2), member(3)]
        } else {
            vec![]
        },
        key_id: 0x00c0_ffee,
        payload,
    }
}

/// One ticket of each kind.
pub(crate) fn bodies() -> Vec<(&'static str, TicketBody)> {
    let service = "https://app.example.org/path?x=1&y=ü#f".to_owned();
    let tgt = Tgt {
        principal: principal(),
        authenticated_at: NOW - 5,
        handler: "file".into(),
        remember_me: true,
        client_address: "2001:db8::1".into(),
    };
    let st = St {
        service: service.clone(),
        registered_service: -4,
        from_new_login: true,
    };
    let pt = Pt {
        service: service.clone(),
        registered_service: i64::MAX,
        from_new_login: false,
        proxies: vec!["https://proxy.example.org/cb".into()],
    };
    let pgt = Pgt {
        principal: principal(),
        callback: "https://proxy.example.org/cb".into(),
        proxies: vec![],
    };
    let tst = Tst {
        subject: service,
        properties: vec![("warn".into(), "true".into())],
    };
    vec![
        ("tgt", body(TicketKind::Tgt, Payload::Tgt(tgt))),
        ("st", body(TicketKind::St, Payload::St(st))),
        ("pt", body(TicketKind::Pt, Payload::Pt(pt))),
        ("pgt", body(TicketKind::Pgt, Payload::Pgt(pgt))),
        ("tst", body(TicketKind::Tst, Payload::Tst(tst))),
    ]
}

/// A tombstone that precedes its body, and a session with everything filled in.
pub(crate) fn entries() -> Vec<Entry> {
    let (_, tgt) = bodies().swap_remove(0);
    let mut full = Entry::bottom(tgt.key(), TicketKind::Tgt, tgt.hard_expiry);
    let used = ServiceUse {
        stamp: NOW,
        ticket: id(TicketKind::St, 1, &[1]).as_str().to_owned(),
        url: "https://app.example.org/path".into(),
    };
    full.body = Some(Arc::from(tgt.encode()));
    full.last_used = NOW + 10;
    full.services = vec![(ServiceKey(5), used.clone()), (ServiceKey(u64::MAX), used)];
    full.told = vec![(ServiceKey(5), NOW)];
    full.destroyed = Some(DestroyReason::Operator);
    full.decided = Some(ClaimId([4; 16]));
    let mut shadow = Entry::bottom(TicketKey([3; 16]), TicketKind::St, NOW);
    shadow.destroyed = Some(DestroyReason::Logout);
    vec![full, shadow]
}

/// At least one message of every variant of wire version 1; several where a variant holds an enum of its own.
pub(crate) fn messages() -> Vec<(&'static str, PeerMessage)> {
    let mut all = fast_messages();
    all.extend(stream_messages());
    all.extend(bulk_messages());
    all
}

fn fast_messages() -> Vec<(&'static str, PeerMessage)> {
    use PeerMessage as M;
    let key = TicketKey([6; 16]);
    let ballot = Ballot {
        round: 2,
        nonce: u64::MAX,
    };
    let claim = ClaimId([8; 16]);
    let body: Arc<[u8]> = Arc::from(bodies().swap_remove(1).1.encode());
    let ask = |body, ask| M::Ask {
        rpc: 300,
        key,
        body,
        ask,
    };
    let answer = |vote| M::Answer { rpc: 300, vote };
    let (sent, wall) = (1 << 40, NOW);
    vec![
        (
            "ping",
            M::Ping {
                sent,
                phase: Phase::Empty,
            },
        ),
        (
            "pong",
            M::Pong {
                sent,
                wall,
                phase: Phase::Ready,
            },
        ),
        (
            "store",
            M::Store {
                rpc: 1,
                body: Arc::clone(&body),
            },
        ),
        (
            "stored",
            M::Stored {
                rpc: 1,
                refused: None,
            },
        ),
        (
            "stored_refused",
            M::Stored {
                rpc: 1,
                refused: Some(Refusal::Unwilling),
            },
        ),
        ("ask_open", ask(Some(body), Ask::Open(claim))),
        ("ask_prepare", ask(None, Ask::Prepare(ballot))),
        ("ask_accept", ask(None, Ask::Accept(ballot, claim))),
        (
            "answer_value",
            answer(Vote::Value {
                claim,
                accepted: true,
            }),
        ),
        (
            "answer_promise",
            answer(Vote::Promise(
                Ballot { round: 1, nonce: 7 },
                Some((Ballot::default(), claim)),
            )),
        ),
        ("answer_accepted", answer(Vote::Accepted(ballot))),
        ("answer_outbid", answer(Vote::Outbid(ballot))),
        ("answer_decided", answer(Vote::Decided(claim, 1_500))),
        ("answer_refused", answer(Vote::Refused(Refusal::NotInView))),
        (
            "decided",
            M::Decided {
                key,
                kind: TicketKind::Pt,
                hard_expiry: NOW,
                claim,
            },
        ),
        ("find", M::Find { rpc: 2, key }),
        (
            "found_nothing",
            M::Found {
                rpc: 2,
                entry: None,
            },
        ),
        (
            "found",
            M::Found {
                rpc: 2,
                entry: Some(entries().swap_remove(0)),
            },
        ),
        ("fenced", M::Fenced),
    ]
}

fn stream_messages() -> Vec<(&'static str, PeerMessage)> {
    use PeerMessage as M;
    let used = entries().swap_remove(0).services;
    let services = vec![(TicketKey([1; 16]), used)];
    vec![
        ("subscribe", M::Subscribe { nonce: 77, have: 0 }),
        (
            "stream_start",
            M::StreamStart {
                nonce: 77,
                next: 1,
                head: 250,
            },
        ),
        (
            "deltas",
            M::Deltas {
                first: 251,
                head: 70_000,
                entries: entries(),
            },
        ),
        (
            "deltas_ack",
            M::DeltasAck {
                applied: 65_535,
                services,
            },
        ),
    ]
}

fn bulk_messages() -> Vec<(&'static str, PeerMessage)> {
    use PeerMessage as M;
    let key = TicketKey([6; 16]);
    let shards = Compare::Shards(5_000_000, (0..256u128).map(|shard| shard << 100).collect());
    let buckets = Compare::Buckets(vec![(255, vec![(1, u128::MAX), (2, 3)]), (0, vec![])]);
    let pairs = Compare::Entries(vec![(1, 5_983_333, vec![(key, 9)])]);
    let request = |mine| M::CompareRequest { rpc: 3, mine };
    let (shard, vector) = (255, vec![(member(1), 10), (member(2), 0)]);
    vec![
        (
            "shard_request",
            M::ShardRequest {
                rpc: 3,
                shard,
                after: Some(key),
                vector,
            },
        ),
        (
            "shard_part",
            M::ShardPart {
                rpc: 3,
                entries: Some(entries()),
                more: true,
            },
        ),
        (
            "shard_part_not_yet",
            M::ShardPart {
                rpc: 3,
                entries: None,
                more: false,
            },
        ),
        ("compare_shards", request(shards)),
        ("compare_buckets", request(buckets.clone())),
        ("compare_entries", request(pairs)),
        (
            "compare_reply",
            M::CompareReply {
                rpc: 3,
                theirs: buckets,
            },
        ),
        (
            "entries_request",
            M::EntriesRequest {
                rpc: 4,
                keys: vec![key],
            },
        ),
        (
            "entries",
            M::Entries {
                rpc: 4,
                entries: entries(),
                covered: 3,
            },
        ),
        ("entries_taken", M::EntriesTaken { rpc: 4 }),
    ]
}

/// What wire version 2 has beyond the first: at least one message of every variant.
pub(crate) fn messages_v2() -> Vec<(&'static str, PeerMessage)> {
    use PeerMessage as M;
    let (key, last) = (TicketKey([6; 16]), TicketKey([7; 16]));
    let (shard, bucket) = (255, 5_983_333);
    let shard_from = ShardFrom { shard, bucket };
    let after = Some(key);
    let bucket_from = BucketFrom {
        shard,
        bucket,
        after,
    };
    let buckets = BucketsTold {
        of: shard_from,
        digests: vec![(bucket, u128::MAX), (bucket + 1, 3)],
        more: true,
    };
    let pairs = PairsTold {
        of: bucket_from,
        digests: vec![(last, 9)],
        more: false,
    };
    let standing = Standing {
        vector: vec![(member(1), 70_000), (member(2), 0)],
        quiet_ms: 12_000,
    };
    let request = |asked| M::RoundRequest { rpc: 5, asked };
    let reply = |told| M::RoundReply {
        rpc: 5,
        standing: standing.clone(),
        told,
    };
    let shards = (0..256u128).map(|shard| shard << 100).collect();
    vec![
        ("round_request_shards", request(Asked::Shards(bucket))),
        (
            "round_request_buckets",
            request(Asked::Buckets(vec![shard_from])),
        ),
        (
            "round_request_pairs",
            request(Asked::Pairs(vec![bucket_from])),
        ),
        (
            "round_request_states",
            request(Asked::States(vec![key, last])),
        ),
        ("round_reply_shards", reply(Told::Shards(bucket, shards))),
        ("round_reply_buckets", reply(Told::Buckets(vec![buckets]))),
        ("round_reply_pairs", reply(Told::Pairs(vec![pairs]))),
        (
            "round_reply_states",
            reply(Told::States(vec![0, u128::MAX])),
        ),
        ("failures", failures()),
    ]
}

fn failures() -> PeerMessage {
    let counter = |user, count, forgiven, last| {
        let key = FailureKey {
            address: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 7],
            user,
        };
        let cell = FailureCell {
            minute: minute_of(last),
            key,
            origin: Incarnation([1; 16]),
        };
        let failed = Failed {
            count,
            forgiven,
            last,
        };
        (cell, failed)
    };
    PeerMessage::Failures {
        counters: vec![
            counter(None, 300, 0, 1_795_000_059_999),
            counter(Some([8; 16]), 5, 5, 1_795_000_060_000),
        ],
    }
}

pub(crate) fn hello() -> Hello {
    Hello {
        cluster: ClusterTag::of("demo"),
        node: node(1),
        incarnation: Incarnation([1; 16]),
        wire: VersionRange { min: 1, max: 2 },
        keys: vec![1, 0xffff_ffff],
        advertise: "node-1.example.org:8445".into(),
        phase: Phase::Bootstrapping,
    }
}

/// Every answer to a hello.
pub(crate) fn answers() -> Vec<(&'static str, HelloAnswer)> {
    let accepted = Accepted {
        node: node(2),
        incarnation: Incarnation([2; 16]),
        wire: 1,
        advertise: "192.0.2.7:8445".into(),
        phase: Phase::Ready,
    };
    let in_use = HelloRefusal::NameInUse {
        address: "192.0.2.8:8445".into(),
    };
    let no_version = HelloRefusal::NoCommonVersion(VersionRange { min: 3, max: 4 });
    let refused = HelloAnswer::Refused;
    vec![
        ("accepted", HelloAnswer::Accepted(accepted)),
        ("other_cluster", refused(HelloRefusal::OtherCluster)),
        ("name_in_use", refused(in_use)),
        ("no_common_version", refused(no_version)),
        ("no_common_key", refused(HelloRefusal::NoCommonKey)),
        ("banned", refused(HelloRefusal::Banned)),
        ("not_your_name", refused(HelloRefusal::NotYourName)),
        ("yourself", refused(HelloRefusal::Yourself)),
        ("malformed", refused(HelloRefusal::Malformed)),
    ]
}
