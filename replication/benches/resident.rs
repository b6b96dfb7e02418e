//! What a session takes of memory with the program's own allocator, also after hours of coming and going.
//!
//! `cargo bench -p castor-replication --no-default-features --bench resident -- [SESSIONS]` (default 1,000,000, of a
//! tenth as many people, each session with ten attributes). One process makes them all and then has each visit
//! five applications. Another has sessions of very different lives begin and end, three times as many, while
//! those that are there visit one application after the other, in any order: its memory is in the pieces that a
//! server's is in after a day.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod common;

use castor_proto::ticket::TicketKey;

use common::{Alone, resident, session, visit};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What [`Alone`] lets pass with each command, microseconds.
const STEP: u64 = 20;

/// Applications that a session visits in its life.
const VISITED: u64 = 5;

fn create(node: &mut Alone, number: u64, life_ms: u64) -> TicketKey {
    let mut new = session(number);
    new.life_ms = life_ms;
    node.create(new)
}

/// `own` bytes a session are this bench's.
fn say(node: &Alone, what: &str, before: u64, own: usize) {
    let sessions = node.store.len() as u64;
    println!(
        "{what}: {} bytes a session resident, {} by the engine's estimate; {sessions} sessions",
        (resident() - before) / sessions - own as u64,
        node.store.gauges().bytes() as u64 / sessions
    );
}

fn at_once(sessions: u64) {
    let mut node = Alone::start(false);
    println!("empty: {} KiB resident", resident() >> 10);
    let (before, people) = (resident(), (sessions / 10).max(1));
    let mut keys = Vec::with_capacity(sessions as usize);
    for number in 0..sessions {
        keys.push(create(&mut node, number % people, 28_800_000));
    }
    let own = size_of::<TicketKey>();
    say(&node, "no application", before, own);
    for key in &keys {
        for which in 0..VISITED {
            visit(&mut node, *key, which..which + 1);
        }
    }
    say(&node, "five applications", before, own);
}

fn in_a_flow(sessions: u64) {
    let mut node = Alone::start(false);
    let (before, people) = (resident(), (sessions / 10).max(1));
    let mut random = 1_u64;
    let mut some = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005);
        random = random.wrapping_add(1);
        (random >> 33) % below
    };
    let mean_ms = sessions * (1 + VISITED) * STEP / 1_000;
    // A session is visited here while it is one of the latest; some of these have ended.
    let mut latest: Vec<(TicketKey, u64)> = Vec::with_capacity(sessions as usize);
    let (mut visits, mut begun) = (0, 0);
    for number in 0..3 * sessions {
        let life = 1 + some(2 * mean_ms);
        let new = (create(&mut node, number % people, life), 0);
        match latest.get_mut((number % sessions) as usize) {
            Some(place) => *place = new,
            None => latest.push(new),
        }
        begun += 1;
        for _ in 0..VISITED {
            let at = some(latest.len() as u64) as usize;
            let (key, visited) = latest[at];
            if visited < VISITED {
                visit(&mut node, key, visited..visited + 1);
                latest[at].1 += 1;
                visits += 1;
            }
        }
    }
    println!("in a flow, {} visits in ten sessions", visits * 10 / begun);
    let own = latest.len() * size_of::<(TicketKey, u64)>() / node.store.len();
    say(&node, "in a flow", before, own);
}

fn main() {
    let number = |text: String| text.parse::<u64>().ok();
    let sessions = std::env::args().find_map(number).unwrap_or(1_000_000);
    if std::env::args().any(|argument| argument == "flow") {
        return in_a_flow(sessions);
    }
    at_once(sessions);
    let mut other = std::process::Command::new(std::env::current_exe().unwrap());
    let done = other
        .args(["flow", &sessions.to_string()])
        .status()
        .unwrap();
    assert!(done.success());
}
