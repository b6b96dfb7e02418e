//! What it costs to know which sessions a person has: one node, with the index and without it.
//!
//! `cargo bench -p castor-replication --no-default-features --bench people -- [SESSIONS]` (default 1,000,000, of
//! a tenth as many people). Creates the sessions, then looks people up, and ends sessions. Times are of the
//! processor, so that they hold on a busy machine; each of the two runs is a process of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

mod common;

use castor_proto::delta::DestroyReason;
use castor_proto::ticket::{TicketKey, TicketKind};
use castor_replication::engine::{Command, Reply, Store};

use common::{Alone, person, resident, session};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sessions that are ended, and people that are looked up.
const SOME: u64 = 100_000;

/// How often these are looked up.
const TIMES: u64 = 10;

/// Nanoseconds that this process, which has one thread, has been on a processor.
fn busy() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    stat.split_whitespace().next().unwrap().parse().unwrap()
}

fn say(what: &str, indexed: bool, count: u64, began: u64) {
    let each = (busy() - began) as f64 / count as f64;
    let how = if indexed { "with" } else { "without" };
    println!("{what}, {how} index: {each:.0} ns each of {count}");
}

fn look_up(store: &Store, sessions: u64, people: u64) {
    let names: Vec<String> = (0..SOME).map(|at| person(at * 7 % people)).collect();
    let began = busy();
    let mut counted = 0;
    for _ in 0..TIMES {
        counted += names
            .iter()
            .map(|n| store.count_sessions_of(n))
            .sum::<usize>();
    }
    say("count a person's sessions", true, SOME * TIMES, began);
    let began = busy();
    let mut listed = 0;
    for _ in 0..TIMES {
        listed += names
            .iter()
            .map(|n| store.sessions_of(n).len())
            .sum::<usize>();
    }
    say("list a person's ten sessions", true, SOME * TIMES, began);
    assert_eq!(counted, listed);
    let all_have_ten = sessions.is_multiple_of(10);
    assert!(!all_have_ten || counted as u64 == SOME * TIMES * 10);
}

fn run(indexed: bool, sessions: u64) {
    let before = resident();
    let mut node = Alone::start(indexed);
    let people = (sessions / 10).max(1);
    let mut keys: Vec<TicketKey> = Vec::new();
    let began = busy();
    for number in 0..sessions {
        let key = node.create(session(number % people));
        if (keys.len() as u64) < SOME {
            keys.push(key);
        }
    }
    say("create a session", indexed, sessions, began);
    let each = resident().saturating_sub(before) / sessions;
    println!("  resident: {each} bytes a session; counted: {} bytes", {
        node.store.gauges().bytes() as u64 / sessions
    });
    if indexed {
        look_up(&node.store, sessions, people);
    }
    let began = busy();
    let count = keys.len() as u64;
    for key in keys {
        let end = Command::Destroy {
            key,
            kind: TicketKind::Tgt,
            hard_expiry: node.mono + 1,
            reason: DestroyReason::Logout,
        };
        assert!(matches!(node.ask(end), Reply::Destroyed(_)));
    }
    say("end a session", indexed, count, began);
}

fn main() {
    let number = |text: String| text.parse::<u64>().ok();
    let sessions = std::env::args().find_map(number).unwrap_or(1_000_000);
    let how = |word: &str| std::env::args().any(|argument| argument == word);
    if how("with") || how("without") {
        return run(how("with"), sessions);
    }
    for word in ["without", "with"] {
        let mut once = std::process::Command::new(std::env::current_exe().unwrap());
        let done = once.args([word, &sessions.to_string()]).status().unwrap();
        assert!(done.success());
    }
}
