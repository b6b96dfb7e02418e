//! What the wire costs: encoding and decoding, joining, sealing and opening, signing and verifying, by batch size.
//!
//! `cargo bench -p castor-proto --bench wire`. A batch holds that many new sessions, each with ten attributes, and is
//! one envelope. Figures are for a whole batch; per session they are that divided by its size.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

use std::hint::black_box;
use std::sync::Arc;

use castor_proto::codec;
use castor_proto::delta::Entry;
use castor_proto::hello::ClusterTag;
use castor_proto::ids::{Incarnation, NodeName};
use castor_proto::message::{Lane, PeerMessage};
use castor_proto::seal::sign::{self, Domain};
use castor_proto::seal::{
    ClusterKey, Expected, KeyId, KeyRing, NodeSigner, Outgoing, open_envelope, seal_envelope,
};
use castor_proto::ticket::{
    BodyFacts, IdKeys, IdParts, Payload, Principal, Tgt, TicketBody, TicketId, TicketKind,
};
use castor_proto::version::CURRENT;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Sessions in a batch.
const BATCHES: [usize; 5] = [1, 8, 16, 64, 512];

fn node(name: &str) -> NodeName {
    NodeName::parse(name).unwrap()
}

fn body(sequence: u64) -> TicketBody {
    let keys = IdKeys {
        check: &[1; 32],
        tag: &[2; 32],
    };
    let parts = IdParts {
        kind: TicketKind::Tgt,
        sequence,
        random: "AbCdEfGhIjKlMnOpQrStUvWxYz0",
        nodes: &[&node("node-a")],
    };
    let person = format!("user{sequence:07}");
    let attribute = |at: u64| {
        (
            format!("attribute-{at}"),
            vec![format!("{person}@example.org")],
        )
    };
    TicketBody {
        id: TicketId::build(&parts, &keys),
        created: 1_800_000_000_000,
        hard_expiry: 1_800_028_800_000,
        idle_ms: 7_200_000,
        ancestors: Vec::new(),
        view: Vec::new(),
        key_id: 1,
        payload: Payload::Tgt(Tgt {
            principal: Principal {
                attributes: (0..10).map(attribute).collect(),
                id: person.clone(),
            },
            authenticated_at: 1_800_000_000_000,
            handler: "bench".into(),
            remember_me: false,
            client_address: "192.0.2.7".into(),
        }),
    }
}

fn entry(sequence: u64) -> Entry {
    let body = body(sequence);
    let mut entry = Entry::bottom(body.key(), body.kind(), body.hard_expiry);
    entry.last_used = body.created;
    entry.body = Some(Arc::from(body.encode()));
    entry
}

fn batch(sessions: usize) -> Vec<PeerMessage> {
    let entries: Vec<Entry> = (0..sessions as u64).map(entry).collect();
    let (first, head) = (1, sessions as u64);
    vec![PeerMessage::Deltas {
        first,
        head,
        entries,
    }]
}

fn tickets(criterion: &mut Criterion) {
    let (body, entry) = (body(7), entry(7));
    let bytes = body.encode();
    println!(
        "the body of a session with ten attributes: {} bytes",
        bytes.len()
    );
    criterion.bench_function("ticket/encode a session", |b| {
        b.iter(|| black_box(&body).encode())
    });
    criterion.bench_function("ticket/decode a session", |b| {
        b.iter(|| TicketBody::decode(black_box(&bytes)).unwrap());
    });
    criterion.bench_function("ticket/judge a session without copying it", |b| {
        b.iter(|| BodyFacts::of(black_box(&bytes)).unwrap());
    });
    criterion.bench_function("entry/join a new session", |b| {
        let bottom = Entry::bottom(entry.key, entry.kind, entry.hard_expiry);
        b.iter_batched_ref(
            || bottom.clone(),
            |held| held.join(black_box(&entry)),
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("entry/join what is there", |b| {
        let mut held = entry.clone();
        b.iter(|| held.join(black_box(&entry)));
    });
    criterion.bench_function("entry/digest of the state", |b| {
        b.iter(|| black_box(&entry).state_digest(&[3; 32]));
    });
}

fn batches(criterion: &mut Criterion) {
    for (what, encodes) in [("encode", true), ("decode", false)] {
        let mut group = criterion.benchmark_group(format!("batch/{what}"));
        for sessions in BATCHES {
            let messages = batch(sessions);
            let bytes = codec::encode(&messages);
            group.throughput(Throughput::Elements(sessions as u64));
            group.bench_function(BenchmarkId::from_parameter(sessions), |b| {
                b.iter(|| match encodes {
                    true => codec::encode(black_box(&messages)).len(),
                    false => codec::decode::<Vec<PeerMessage>>(black_box(&bytes))
                        .unwrap()
                        .len(),
                });
            });
        }
    }
}

fn envelopes(criterion: &mut Criterion) {
    let ring = KeyRing::new(None, ClusterKey::new(KeyId(1), [1; 32].into(), 0), None).unwrap();
    let signer = NodeSigner::from_seed(&[2; 32]).unwrap();
    let (sender, receiver) = (node("node-a"), node("node-b"));
    let (cluster, incarnation) = (ClusterTag::of("bench"), Incarnation([4; 16]));
    let outgoing = Outgoing {
        version: CURRENT,
        cluster,
        sender: &sender,
        incarnation,
        receiver: &receiver,
        lane: Lane::Stream,
        sequence: 16,
        nonce: [5; 24],
    };
    let expected = Expected {
        cluster,
        sender: &sender,
        incarnation,
        receiver: &receiver,
        lane: Lane::Stream,
    };
    let mut group = criterion.benchmark_group("envelope");
    for sessions in BATCHES {
        let payload = codec::encode(&batch(sessions));
        let sealed = seal_envelope(&ring, &signer, &outgoing, &payload).unwrap();
        group.throughput(Throughput::Bytes(payload.len() as u64));
        group.bench_function(BenchmarkId::new("seal and sign", sessions), |b| {
            b.iter(|| seal_envelope(&ring, &signer, &outgoing, black_box(&payload)).unwrap());
        });
        group.bench_function(BenchmarkId::new("verify and open", sessions), |b| {
            b.iter_batched(
                || sealed.clone(),
                |sealed| open_envelope(sealed, &ring, &signer.public_key(), &expected).unwrap(),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
    let (digest, key) = ([6; 32], signer.public_key());
    let signature = signer.sign(Domain::Envelope, &digest).unwrap();
    criterion.bench_function("signature/sign, whatever the batch", |b| {
        b.iter(|| signer.sign(Domain::Envelope, black_box(&digest)).unwrap());
    });
    criterion.bench_function("signature/verify, whatever the batch", |b| {
        b.iter(|| sign::verify(&key, Domain::Envelope, black_box(&digest), &signature));
    });
}

criterion_group!(benches, tickets, batches, envelopes);
criterion_main!(benches);
