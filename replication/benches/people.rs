//! What it costs to know which sessions a person has: one node, with the index and without it.
//!
//! `cargo bench -p castor-replication --bench people -- [SESSIONS]` (default 1,000,000, of a tenth as many
//! people). Creates the sessions, then looks a person up, and ends sessions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

use std::sync::Arc;
use std::time::Instant;

use castor_proto::delta::DestroyReason;
use castor_proto::ids::{Incarnation, Member, NodeName};
use castor_proto::ticket::{Payload, Principal, Tgt, TicketKey, TicketKind};
use castor_replication::engine::{
    Command, Config, Engine, Input, NewReusable, Now, Output, Reply, Stats, Store, TicketKeys,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sessions that are ended, and people that are looked up.
const SOME: u64 = 100_000;

struct Alone {
    engine: Engine,
    store: Arc<Store>,
    mono: u64,
    commands: u64,
}

impl Alone {
    fn start(indexed: bool) -> Self {
        let member = Member {
            node: NodeName::parse("n1").unwrap(),
            incarnation: Incarnation([1; 16]),
        };
        let keys = TicketKeys {
            key_id: 1,
            check: [1; 32],
            tag: [2; 32],
        };
        let mut config = Config::new(member, [3; 32]);
        config.index_people = indexed;
        let store = Arc::new(Store::new([3; 32]).with_people(indexed));
        let stats = Arc::new(Stats::default());
        let mono = 3_600_000_000;
        let engine = Engine::new(
            config,
            keys,
            Arc::clone(&store),
            stats,
            &[4; 32],
            0,
            at(mono),
        );
        let mut alone = Self {
            engine,
            store,
            mono,
            commands: 0,
        };
        while !alone.engine.is_ready() {
            alone.mono += 100_000;
            alone.engine.handle(at(alone.mono), Input::Tick);
            while alone.engine.poll().is_some() {}
        }
        alone
    }

    fn ask(&mut self, command: Command) -> Reply {
        self.commands += 1;
        self.mono += 20;
        let input = Input::Command(self.commands, command);
        self.engine.handle(at(self.mono), input);
        let mut answer = None;
        while let Some(output) = self.engine.poll() {
            if let Output::Reply(_, reply) = output {
                answer = Some(reply);
            }
        }
        answer.expect("a node alone answers at once")
    }
}

fn at(mono: u64) -> Now {
    let wall = 1_800_000_000_000 + mono / 1_000;
    Now { mono, wall }
}

fn person(number: u64) -> String {
    format!("user{number:07}")
}

/// Somebody's session, with ten attributes.
fn session(who: u64) -> NewReusable {
    let id = person(who);
    let attribute = |at: u64| (format!("attribute-{at}"), vec![format!("{id}@example.org")]);
    let principal = Principal {
        attributes: (0..10).map(attribute).collect(),
        id,
    };
    NewReusable {
        id: None,
        life_ms: 28_800_000,
        idle_ms: 7_200_000,
        ancestors: Vec::new(),
        payload: Payload::Tgt(Tgt {
            principal,
            authenticated_at: 0,
            handler: "bench".into(),
            remember_me: false,
            client_address: "192.0.2.7".into(),
        }),
        key_id: None,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a bench without the driver has no other clock"
)]
fn now() -> Instant {
    Instant::now()
}

fn say(what: &str, indexed: bool, count: u64, began: Instant) {
    let each = began.elapsed().as_secs_f64() * 1e9 / count as f64;
    let how = if indexed { "with" } else { "without" };
    println!("{what}, {how} index: {each:.0} ns each of {count}");
}

/// Resident memory of this process, bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages = status.split_whitespace().nth(1).unwrap();
    pages.parse::<u64>().unwrap() * 4096
}

fn run(indexed: bool, sessions: u64) {
    let before = resident();
    let mut node = Alone::start(indexed);
    let people = (sessions / 10).max(1);
    let mut keys: Vec<TicketKey> = Vec::new();
    let began = now();
    for number in 0..sessions {
        let new = Box::new(session(number % people));
        let Reply::Created(Ok(created)) = node.ask(Command::Create(new)) else {
            panic!("not created");
        };
        if (keys.len() as u64) < SOME {
            keys.push(created.body.key());
        }
    }
    say("create a session", indexed, sessions, began);
    let each = resident().saturating_sub(before) / sessions;
    println!("  resident: {each} bytes a session; counted: {} bytes", {
        node.store.gauges().bytes() as u64 / sessions
    });
    if indexed {
        let names: Vec<String> = (0..SOME)
            .map(|number| person(number * 7 % people))
            .collect();
        let began = now();
        let seen: usize = names.iter().map(|n| node.store.count_sessions_of(n)).sum();
        say("count a person's sessions", indexed, SOME, began);
        let began = now();
        let listed: usize = names.iter().map(|n| node.store.sessions_of(n).len()).sum();
        say("list a person's sessions", indexed, SOME, began);
        assert_eq!(seen, listed);
        assert!(sessions < 10 || seen as u64 == SOME * 10, "{seen}");
    }
    let began = now();
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
    for indexed in [false, true] {
        run(indexed, sessions);
    }
}
