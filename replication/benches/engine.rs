//! What the engine does with 1,000,000 sessions in its store: creating, reading, issuing and claiming, expiring.
//!
//! `cargo bench -p castor-replication --no-default-features --bench engine`. One node without a network, so each figure is
//! the engine's own share of a request; sealing and signing are measured by castor-proto's bench `wire`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod common;

use std::cell::RefCell;
use std::hint::black_box;

use castor_proto::ids::ClaimId;
use castor_proto::ticket::{Payload, St, TicketKey};
use castor_replication::engine::{ClaimOutcome, Command, Input, NewSingleUse, Reply};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

use common::{Alone, at, resident, session};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sessions in the store.
const SESSIONS: u64 = 1_000_000;

/// Their life, milliseconds: what is measured lets hours pass. They do not idle away.
const LONG: u64 = 90 * 86_400_000;

/// Sessions that end at the same moment.
const ENDING: u64 = 512;

/// Life of those, milliseconds.
const SHORT: u64 = 1_000;

fn create(node: &mut Alone, number: u64, life_ms: u64) -> TicketKey {
    let mut new = session(number);
    (new.life_ms, new.idle_ms) = (life_ms, 0);
    node.create(new)
}

fn issue(node: &mut Alone, root: TicketKey) -> TicketKey {
    let service = "https://app.example.org/login/cas".to_owned();
    let new = NewSingleUse {
        ancestors: vec![root],
        life_ms: 10_000,
        payload: Payload::St(St {
            service: service.clone(),
            registered_service: 7,
            from_new_login: true,
        }),
        service: Some((7, service)),
    };
    let Reply::Issued(Ok(issued)) = node.ask(Command::Issue(Box::new(new))) else {
        panic!("not issued");
    };
    issued.body.key()
}

fn claim(node: &mut Alone, key: TicketKey) {
    let command = Command::Claim {
        key,
        hints: Vec::new(),
        unresolved_hint: false,
        claim: ClaimId([7; 16]),
    };
    let Reply::Claimed(ClaimOutcome::Won(_)) = node.ask(command) else {
        panic!("not won");
    };
}

/// Lets time pass until what has ended by then is forgotten.
fn expire(node: &mut Alone, sessions: usize) {
    while node.store.len() > sessions {
        node.mono += 10_000;
        node.engine.handle(at(node.mono), Input::Tick);
        while node.engine.poll().is_some() {}
    }
}

fn engine(criterion: &mut Criterion) {
    let mut node = Alone::start(false);
    let before = resident();
    let keys: Vec<TicketKey> = (0..SESSIONS).map(|n| create(&mut node, n, LONG)).collect();
    let own = size_of::<TicketKey>() as u64;
    println!(
        "resident with the program's allocator: {} bytes a session",
        (resident() - before) / SESSIONS - own
    );
    let mut next = 0_usize;
    // Far from each other in memory, as requests are.
    let mut some = || {
        next = (next + 7_919) % keys.len();
        keys[next]
    };
    let store = node.store.clone();
    criterion.bench_function("store/read one of 1,000,000 sessions", |bencher| {
        bencher.iter(|| black_box(store.find(&some())).is_some());
    });
    let node = RefCell::new(node);
    let alone = || node.borrow_mut();
    criterion.bench_function("engine/issue a service ticket", |bencher| {
        bencher.iter(|| issue(&mut alone(), some()));
    });
    criterion.bench_function("engine/issue and claim a service ticket", |bencher| {
        bencher.iter(|| {
            let mut node = alone();
            let ticket = issue(&mut node, some());
            claim(&mut node, ticket);
        });
    });
    // After single-use tickets, which end first: what is forgotten here is sessions alone.
    criterion.bench_function("engine/forget 512 sessions that end", |bencher| {
        bencher.iter_batched(
            || {
                let mut node = alone();
                let held = node.store.len();
                for number in 0..ENDING {
                    create(&mut node, number, SHORT);
                }
                // To just before the moment at which they may be forgotten.
                node.mono += (SHORT + 3_900) * 1_000;
                let ends = node.mono;
                node.engine.handle(at(ends), Input::Tick);
                while node.engine.poll().is_some() {}
                held
            },
            |held| expire(&mut alone(), held),
            BatchSize::PerIteration,
        );
    });
    criterion.bench_function("engine/create a session beside 1,000,000", |bencher| {
        let mut number = 0;
        bencher.iter(|| {
            number += 1;
            create(&mut alone(), number, LONG)
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = engine
}
criterion_main!(benches);
