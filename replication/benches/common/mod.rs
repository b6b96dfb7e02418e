//! What benches of the engine share: a node alone, without a network, and somebody's session.
//!
//! Benches of whole nodes take [`session`] and `cluster.rs` by their paths.

mod session;

use std::sync::Arc;

use castor_proto::delta::{ServiceKey, ServiceUse};
use castor_proto::ids::{Incarnation, Member, NodeName};
use castor_proto::ticket::TicketKey;
use castor_replication::engine::{
    Command, Config, Engine, Input, NewReusable, Now, Output, Reply, Stats, Store, TicketKeys,
};

#[allow(unused_imports, reason = "not every bench names people")]
pub(crate) use session::{person, session};

/// One node's engine, its store and its clock.
pub(crate) struct Alone {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<Store>,
    /// Monotonic, microseconds.
    pub(crate) mono: u64,
    commands: u64,
}

impl Alone {
    /// Starts it; it serves. With or without the index of people.
    pub(crate) fn start(indexed: bool) -> Self {
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

    /// Has something done; a node alone answers at once.
    pub(crate) fn ask(&mut self, command: Command) -> Reply {
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

    /// Makes a session.
    pub(crate) fn create(&mut self, new: NewReusable) -> TicketKey {
        let Reply::Created(Ok(created)) = self.ask(Command::Create(Box::new(new))) else {
            panic!("not created");
        };
        created.body.key()
    }
}

pub(crate) fn at(mono: u64) -> Now {
    let wall = 1_800_000_000_000 + mono / 1_000;
    Now { mono, wall }
}

/// A session visits some of five applications; its tickets' ids have the form that three nodes give them.
#[allow(dead_code, reason = "not every bench visits")]
pub(crate) fn visit(node: &mut Alone, key: TicketKey, which: std::ops::Range<u64>) {
    let visited = |at: u64| {
        let url = format!("https://app{at}.example.org/login/cas");
        let used = ServiceUse {
            stamp: 1_800_000_000_000 + at,
            ticket: format!(
                "ST-{}-AbCdEfGhIjKlMnOpQrStUvWxYz012345678-abcdefghijkl",
                1_234_567 + at
            ),
            url: url.clone(),
        };
        (ServiceKey::new(at as i64, &url), used)
    };
    let services = which.map(visited).collect();
    assert!(matches!(
        node.ask(Command::Adopt { key, services }),
        Reply::Done
    ));
}

/// Resident memory of this process, bytes.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages = status.split_whitespace().nth(1).unwrap();
    pages.parse::<u64>().unwrap() * 4096
}
