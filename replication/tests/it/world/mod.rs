//! A cluster in one thread: one heap of events, one seed, one clock per node.
//!
//! Delivery may be late, doubled, reordered or lost; links may be cut one way; nodes crash with
//! their memory and start again as new incarnations. The same seed replays the same run.

mod ask;

pub use ask::is_valid;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use castor_proto::codec;
use castor_proto::delta::DestroyReason;
use castor_proto::ids::{ClaimId, Incarnation, Member, NodeName};
use castor_proto::message::{PeerMessage, Phase};
use castor_proto::ticket::{
    Payload, Principal, St, Tgt, TicketBody, TicketId, TicketKey, TicketKind,
};
use castor_proto::version::{self, WireVersion};
use castor_replication::engine::{
    ClaimOutcome, Command, Config, Engine, Event, GossipMember, Input, NewReusable, NewSingleUse,
    Now, Output, Reply, Stats, Store, TicketKeys,
};

pub const DIGEST_KEY: [u8; 32] = [9; 32];
pub const MS: u64 = 1_000;
const WALL_START: u64 = 1_800_000_000_000;

enum Happening {
    Deliver {
        from: Member,
        to: usize,
        bytes: Vec<u8>,
        life: u64,
    },
    Wake {
        node: usize,
        life: u64,
    },
    Link {
        at: usize,
        to: usize,
        up: bool,
        life: u64,
    },
    Gossip {
        at: usize,
    },
}

pub struct Node {
    pub engine: Engine,
    pub store: Arc<Store>,
    pub stats: Arc<Stats>,
    pub member: Member,
    pub events: Vec<Event>,
    pub life: u64,
    pub wire: WireVersion,
    wake: u64,
}

/// How the network misbehaves.
#[derive(Clone, Copy)]
pub struct Weather {
    pub delay: (u64, u64),
    /// Of 1,000 messages.
    pub loss: u64,
    pub doubled: u64,
}

pub const CALM: Weather = Weather {
    delay: (100, 300),
    loss: 0,
    doubled: 0,
};
pub const STORM: Weather = Weather {
    delay: (100, 30_000),
    loss: 50,
    doubled: 50,
};

pub struct World {
    pub nodes: Vec<Option<Node>>,
    pub now: u64,
    pub weather: Weather,
    pub tune: fn(&mut Config),
    heap: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    serial: u64,
    lives: u64,
    seed: u64,
    random: blake3::OutputReader,
    cut: BTreeSet<(usize, usize)>,
    /// Links that have answered a hello, with the life of the node that dialled.
    up: BTreeSet<(usize, usize, u64)>,
    next_command: u64,
    /// Stopped processes, and until when: whatever would happen to them waits.
    frozen: BTreeMap<usize, u64>,
    pub replies: BTreeMap<u64, Reply>,
    pub skew_ms: Vec<i64>,
    /// Questions of subscriptions, in the order in which they were asked.
    pub subscriptions: Vec<u64>,
    /// The newest wire version each node speaks from its next start on.
    pub wire: Vec<WireVersion>,
}

impl World {
    pub fn new(size: usize, seed: u64) -> Self {
        Self::with(size, seed, |_| {})
    }

    /// A cluster that has started and is ready.
    pub fn with(size: usize, seed: u64, tune: fn(&mut Config)) -> Self {
        let mut world = Self::empty(size, seed, tune);
        (0..size).for_each(|i| world.start(i));
        world.until("every node is ready", |w| (0..size).all(|i| w.is_ready(i)));
        world.run_for(600 * MS);
        world
    }

    pub fn empty(size: usize, seed: u64, tune: fn(&mut Config)) -> Self {
        let random = blake3::Hasher::new()
            .update(&seed.to_le_bytes())
            .finalize_xof();
        Self {
            nodes: (0..size).map(|_| None).collect(),
            now: 3_600_000_000,
            weather: CALM,
            tune,
            heap: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            serial: 0,
            lives: 0,
            seed,
            random,
            cut: BTreeSet::new(),
            up: BTreeSet::new(),
            next_command: 0,
            frozen: BTreeMap::new(),
            replies: BTreeMap::new(),
            skew_ms: vec![0; size],
            subscriptions: Vec::new(),
            wire: vec![version::CURRENT; size],
        }
    }

    pub fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound.max(1)
    }

    pub fn name(i: usize) -> NodeName {
        NodeName::parse(&format!("node-{i}")).unwrap()
    }

    fn clock(&self, i: usize) -> Now {
        let wall = WALL_START + self.now / 1_000;
        Now {
            mono: self.now,
            wall: wall.saturating_add_signed(self.skew_ms[i]),
        }
    }

    fn schedule(&mut self, at: u64, happening: Happening) {
        self.serial += 1;
        self.happenings.insert(self.serial, happening);
        self.heap.push(Reverse((at, self.serial)));
    }

    /// With `CASTOR_TRACE` set, a failing run tells its story in milliseconds.
    fn trace(&self, what: &str) {
        if std::env::var_os("CASTOR_TRACE").is_some() {
            eprintln!("{:>10} {what}", self.now / MS - 3_600_000);
        }
    }

    // ---- nodes --------------------------------------------------------------------------------

    pub fn start(&mut self, i: usize) {
        self.trace(&format!("start {i}"));
        assert!(self.nodes[i].is_none(), "node {i} runs already");
        self.lives += 1;
        let mut nonce = [0; 16];
        self.random.fill(&mut nonce);
        let member = Member {
            node: Self::name(i),
            incarnation: Incarnation(nonce),
        };
        let mut config = Config::new(member.clone(), DIGEST_KEY);
        (self.tune)(&mut config);
        config.wire = self.wire[i];
        let store = Arc::new(Store::new(DIGEST_KEY));
        let stats = Arc::new(Stats::default());
        let mut engine_seed = [0; 32];
        self.random.fill(&mut engine_seed);
        let keys = TicketKeys {
            key_id: 1,
            check: [1; 32],
            tag: [2; 32],
        };
        let silent = self.nodes.len() - 1;
        let engine = Engine::new(
            config,
            keys,
            Arc::clone(&store),
            Arc::clone(&stats),
            &engine_seed,
            silent,
            self.clock(i),
        );
        let life = self.lives;
        let node = Node {
            engine,
            store,
            stats,
            member,
            events: Vec::new(),
            life,
            wire: self.wire[i],
            wake: u64::MAX,
        };
        self.nodes[i] = Some(node);
        self.input(i, Input::Tick);
        for other in 0..self.nodes.len() {
            self.relink(i, other);
            self.relink(other, i);
        }
        self.regossip(50 * MS);
    }

    /// Memory and all messages on their way from it are not lost: only the node is.
    pub fn crash(&mut self, i: usize) {
        self.trace(&format!("crash {i}"));
        if self.nodes[i].take().is_some() {
            for other in 0..self.nodes.len() {
                let after = 100 * MS + self.below(900 * MS);
                if let Some(node) = &self.nodes[other] {
                    let life = node.life;
                    self.schedule(
                        self.now + after,
                        Happening::Link {
                            at: other,
                            to: i,
                            up: false,
                            life,
                        },
                    );
                }
            }
            self.regossip(1_500 * MS);
        }
    }

    /// Seeds that have never answered since the node started.
    fn count_seeds(&mut self, at: usize) {
        let Some(life) = self.nodes[at].as_ref().map(|node| node.life) else {
            return;
        };
        let met = (0..self.nodes.len())
            .filter(|to| self.up.contains(&(at, *to, life)))
            .count();
        self.input(at, Input::SilentSeeds(self.nodes.len() - 1 - met));
    }

    fn linked(&self, a: usize, b: usize) -> bool {
        !self.cut.contains(&(a, b))
    }

    /// What two running nodes agree on.
    fn spoken(&self, a: usize, b: usize) -> WireVersion {
        let speaks = |i: usize| self.node(i).wire;
        speaks(a).min(speaks(b))
    }

    fn relink(&mut self, at: usize, to: usize) {
        if at == to || self.nodes[to].is_none() || !self.linked(at, to) || !self.linked(to, at) {
            return;
        }
        if let Some(node) = &self.nodes[at] {
            let life = node.life;
            let after = self.below(200 * MS);
            self.schedule(
                self.now + after,
                Happening::Link {
                    at,
                    to,
                    up: true,
                    life,
                },
            );
        }
    }

    fn regossip(&mut self, after: u64) {
        for at in 0..self.nodes.len() {
            let jitter = self.below(200 * MS);
            self.schedule(self.now + after + jitter, Happening::Gossip { at });
        }
    }

    /// Stops a process for a while, as SIGSTOP does: its clock runs, it does not.
    pub fn freeze(&mut self, i: usize, micros: u64) {
        self.trace(&format!("freeze {i}"));
        self.frozen.insert(i, self.now + micros);
    }

    /// A link as one of its ends sees it goes down and comes up again.
    pub fn blink(&mut self, at: usize, to: usize, micros: u64) {
        let member = self.node(to).member.clone();
        self.input(at, Input::LinkDown(member.clone()));
        self.run_for(micros);
        self.input(at, Input::LinkUp(member));
    }

    pub fn cut(&mut self, a: usize, b: usize) {
        self.trace(&format!("cut {a} {b}"));
        self.cut.insert((a, b));
        self.cut.insert((b, a));
        for (at, to) in [(a, b), (b, a)] {
            if let Some(node) = &self.nodes[at] {
                let life = node.life;
                let after = 1_000 * MS + self.below(500 * MS);
                self.schedule(
                    self.now + after,
                    Happening::Link {
                        at,
                        to,
                        up: false,
                        life,
                    },
                );
            }
        }
        self.regossip(1_500 * MS);
    }

    pub fn heal(&mut self) {
        self.trace("heal");
        self.cut.clear();
        for a in 0..self.nodes.len() {
            for b in 0..self.nodes.len() {
                self.relink(a, b);
            }
        }
        self.regossip(500 * MS);
    }

    // ---- running ------------------------------------------------------------------------------

    pub fn input(&mut self, i: usize, input: Input) {
        let clock = self.clock(i);
        let Some(node) = self.nodes[i].as_mut() else {
            return;
        };
        node.engine.handle(clock, input);
        let mut mail = Vec::new();
        while let Some(output) = node.engine.poll() {
            match output {
                Output::Send(to, message) => {
                    if let PeerMessage::Subscribe { nonce, .. } = &message {
                        self.subscriptions.push(*nonce);
                    }
                    mail.push((to, message));
                }
                Output::Reply(number, reply) => {
                    self.replies.insert(number, reply);
                }
                Output::Event(event) => {
                    if std::env::var_os("CASTOR_TRACE").is_some() {
                        eprintln!("{:>10} node {i}: {event:?}", self.now / MS - 3_600_000);
                    }
                    node.events.push(event);
                }
            }
        }
        let wake = node.engine.next_wake().unwrap_or(u64::MAX).max(self.now);
        let (life, sooner) = (node.life, wake < node.wake);
        if sooner {
            node.wake = wake;
            self.schedule(wake, Happening::Wake { node: i, life });
        }
        for (to, message) in mail {
            self.post(i, &to, message);
        }
    }

    fn post(&mut self, from: usize, to: &Member, message: PeerMessage) {
        let is_there = |node: &Option<Node>| node.as_ref().is_some_and(|n| n.member == *to);
        let Some(index) = self.nodes.iter().position(is_there) else {
            return;
        };
        if !self.linked(from, index) || self.below(1_000) < self.weather.loss {
            return;
        }
        let (newest, spoken) = (message.since(), self.spoken(from, index));
        assert!(
            newest <= spoken,
            "{newest} sent to a peer that speaks {spoken}"
        );
        let bytes = codec::encode(&vec![message]);
        assert!(!bytes.is_empty());
        let copies = 1 + u64::from(self.below(1_000) < self.weather.doubled);
        let life = self.nodes[index].as_ref().unwrap().life;
        let from = self.nodes[from].as_ref().unwrap().member.clone();
        for _ in 0..copies {
            let (low, high) = self.weather.delay;
            let at = self.now + low + self.below(high - low + 1);
            let (from, bytes) = (from.clone(), bytes.clone());
            self.schedule(
                at,
                Happening::Deliver {
                    from,
                    to: index,
                    bytes,
                    life,
                },
            );
        }
    }

    /// One event; false when nothing is left to happen.
    pub fn step(&mut self) -> bool {
        let Some(Reverse((at, serial))) = self.heap.pop() else {
            return false;
        };
        self.now = self.now.max(at);
        let lives: Vec<Option<u64>> = self
            .nodes
            .iter()
            .map(|n| n.as_ref().map(|n| n.life))
            .collect();
        let happening = self.happenings.remove(&serial);
        let target = match &happening {
            Some(Happening::Wake { node, .. }) => Some(*node),
            Some(Happening::Deliver { to, .. }) => Some(*to),
            Some(Happening::Link { at, .. } | Happening::Gossip { at }) => Some(*at),
            None => None,
        };
        let until = target.and_then(|node| self.frozen.get(&node)).copied();
        let happening = match (until.filter(|until| *until > self.now), happening) {
            (Some(until), Some(later)) => {
                self.schedule(until, later);
                return true;
            }
            (_, happening) => happening,
        };
        match happening {
            Some(Happening::Wake { node, life }) if lives[node] == Some(life) => {
                self.nodes[node].as_mut().unwrap().wake = u64::MAX;
                self.input(node, Input::Tick);
            }
            Some(Happening::Deliver {
                from,
                to,
                bytes,
                life,
            }) if lives[to] == Some(life) => {
                self.deliver(&from, to, &bytes);
            }
            Some(Happening::Link { at, to, up, life }) if lives[at] == Some(life) => {
                self.change_link(at, to, up);
            }
            Some(Happening::Gossip { at }) if lives[at].is_some() => self.gossip(at),
            _ => {}
        }
        true
    }

    fn deliver(&mut self, from: &Member, to: usize, bytes: &[u8]) {
        for message in codec::decode::<Vec<PeerMessage>>(bytes).expect("what was encoded decodes") {
            assert!(
                message.check(),
                "an engine sends only messages within the limits"
            );
            self.input(to, Input::Message(from.clone(), message));
        }
    }

    fn change_link(&mut self, at: usize, to: usize, up: bool) {
        let member = self.nodes[to].as_ref().map(|node| node.member.clone());
        match member {
            Some(member) if up && self.linked(at, to) => {
                let life = self.nodes[at].as_ref().unwrap().life;
                self.up.insert((at, to, life));
                self.input(at, Input::LinkUp(member.clone()));
                let spoken = self.spoken(at, to);
                self.input(at, Input::Speaks(member, spoken));
                self.count_seeds(at);
            }
            Some(member) if !up && !self.linked(at, to) => self.input(at, Input::LinkDown(member)),
            None if !up => {
                let known = self.nodes[at].as_ref().unwrap().engine.status();
                let gone = known
                    .peers
                    .into_iter()
                    .find(|peer| peer.node == Self::name(to));
                if let Some(member) = gone.and_then(|peer| peer.member) {
                    self.input(at, Input::LinkDown(member));
                }
            }
            _ => {}
        }
    }

    /// What a node hears of the others: alive when some path of links leads there.
    fn gossip(&mut self, at: usize) {
        let mut reached = BTreeSet::from([at]);
        let mut fresh = vec![at];
        while let Some(a) = fresh.pop() {
            for b in 0..self.nodes.len() {
                if self.nodes[b].is_some() && self.linked(a, b) && reached.insert(b) {
                    fresh.push(b);
                }
            }
        }
        let members = reached
            .into_iter()
            .filter(|i| *i != at)
            .map(|i| GossipMember {
                member: self.nodes[i].as_ref().unwrap().member.clone(),
                alive: true,
            })
            .collect();
        self.input(at, Input::Gossip(members));
    }

    pub fn run_for(&mut self, micros: u64) {
        let end = self.now + micros;
        while self.heap.peek().is_some_and(|Reverse((at, _))| *at <= end) {
            self.step();
        }
        self.now = end;
    }

    pub fn until(&mut self, what: &str, done: impl FnMut(&Self) -> bool) {
        self.until_within(120_000 * MS, what, done);
    }

    pub fn until_within(&mut self, micros: u64, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let end = self.now + micros;
        while !done(self) {
            if self.now >= end {
                let difference = self.difference();
                panic!("seed {}: not in time: {what}\n{difference}", self.seed);
            }
            assert!(
                self.step(),
                "seed {}: nothing happens any more: {what}",
                self.seed
            );
        }
    }
}
