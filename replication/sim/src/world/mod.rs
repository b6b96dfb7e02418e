//! A cluster in one thread: one heap of events, one seed, one clock per node.
//!
//! Delivery may be late, doubled, reordered or lost; links may be cut, one way or both; nodes crash
//! with their memory and start again as new incarnations, are stopped for a while, and have clocks of
//! their own. Every message is really encoded. The same seed replays the same run.

mod ask;
mod faults;
mod network;
mod node;
mod query;
mod story;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use castor_proto::ids::{Member, NodeName};
use castor_proto::message::PeerMessage;
use castor_proto::version::{self, WireVersion};
use castor_replication::engine::{Command, Config, Input, Now, Reply};

use crate::random::Random;

pub use ask::is_valid;
pub use network::{CALM, STORM, Weather};
pub use node::Node;
pub use story::Story;

/// Key of state digests in every world.
pub const DIGEST_KEY: [u8; 32] = [9; 32];
/// One millisecond in microseconds, the unit of a world's time.
pub const MS: u64 = 1_000;
/// A world's time begins here, so that nothing has to happen before zero.
pub const BEGINNING: u64 = 3_600_000_000;
/// Wall clock at time zero.
const WALL_START: u64 = 1_800_000_000_000;

/// One process start: no two have the same number.
pub type Life = u64;

/// What is on the heap.
enum Happening {
    Deliver {
        from: (Life, Member),
        to: usize,
        bytes: Vec<u8>,
        life: Life,
    },
    Wake {
        node: usize,
        life: Life,
        /// When it was meant to be; an earlier one makes it void.
        at: u64,
    },
    Link {
        at: usize,
        to: usize,
        change: Change,
        life: Life,
    },
    Gossip {
        at: usize,
        /// It has given everybody up.
        alone: bool,
    },
    /// A request to a process that was stopped.
    Ask {
        node: usize,
        life: Life,
        number: u64,
        command: Command,
    },
}

/// What becomes of a link as one of its ends sees it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Up,
    /// Down, if the way is still closed then.
    Down,
    /// Down, whatever the way, if the other end is still that process.
    Break(Life),
}

struct Scheduled {
    at: u64,
    serial: u64,
    happening: Happening,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}

/// What was delivered, for whoever keeps books of his own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// `peer` has told `origin` that it has everything up to here.
    Acknowledged { origin: Life, peer: Life, upto: u64 },
    /// `peer` has asked for the stream of `origin`, and said what it has.
    Subscribed { origin: Life, peer: Life, have: u64 },
    /// `origin` has answered a subscription of `peer`: its stream begins here. Without a place, it has
    /// passed over what it does not keep any more.
    Started {
        origin: Life,
        peer: Life,
        next: Option<u64>,
    },
    /// `peer` has answered a step of a comparison that `origin` makes.
    Compared { origin: Life, peer: Life },
}

type Tune = Box<dyn Fn(&mut Config) + Send>;

/// Nodes, network and time.
pub struct World {
    /// By number; `None` for one that does not run.
    pub nodes: Vec<Option<Node>>,
    /// Microseconds.
    pub now: u64,
    /// How all ways misbehave.
    pub weather: Weather,
    /// Ways that are worse than the weather.
    pub rough: BTreeMap<(usize, usize), Weather>,
    /// How messages that carry votes on single-use tickets misbehave, where that differs from all others.
    pub votes: Option<Weather>,
    /// How messages of the bulk lane, for filling and comparing, travel, where that differs.
    pub bulk: Option<Weather>,
    /// How messages of the stream lane travel, where that differs.
    pub stream: Option<Weather>,
    /// Wall clock of each node's machine minus the true time, milliseconds.
    pub skew_ms: Vec<i64>,
    /// How much faster each node's clock runs, millionths.
    pub drift_ppm: Vec<i64>,
    /// The newest wire version each node speaks from its next start on.
    pub wire: Vec<WireVersion>,
    /// Answers that nobody has fetched.
    pub replies: BTreeMap<u64, Reply>,
    /// Questions of subscriptions, in the order in which they were asked, while `watched`.
    pub subscriptions: Vec<u64>,
    /// What was delivered, while `watched`.
    pub seen: Vec<Seen>,
    /// Whether `seen` is kept.
    pub watched: bool,
    /// What is told of the run.
    pub story: Story,
    tune: Tune,
    heap: BinaryHeap<Reverse<Scheduled>>,
    serial: u64,
    lives: Life,
    /// All process starts so far.
    known: BTreeMap<Member, Life>,
    seed: u64,
    random: Random,
    cut: BTreeSet<(usize, usize)>,
    /// Links that have answered a hello, with the life of the node that dialled.
    up: BTreeSet<(usize, usize, Life)>,
    next_command: u64,
    /// Stopped processes: since when and until when. Whatever would happen to them waits.
    frozen: BTreeMap<usize, (u64, u64)>,
    /// When the way between two nodes was last disturbed.
    disturbed: Vec<Vec<u64>>,
}

impl World {
    /// A cluster with default limits that has started and is ready.
    pub fn new(size: usize, seed: u64) -> Self {
        Self::with(size, seed, |_| {})
    }

    /// A cluster that has started and is ready.
    pub fn with(size: usize, seed: u64, tune: impl Fn(&mut Config) + Send + 'static) -> Self {
        let mut world = Self::empty(size, seed, tune);
        (0..size).for_each(|i| world.start(i));
        world.until("every node is ready", |w| (0..size).all(|i| w.is_ready(i)));
        world.run_for(600 * MS);
        world
    }

    /// Nothing runs yet.
    pub fn empty(size: usize, seed: u64, tune: impl Fn(&mut Config) + Send + 'static) -> Self {
        Self {
            nodes: (0..size).map(|_| None).collect(),
            now: BEGINNING,
            weather: CALM,
            rough: BTreeMap::new(),
            votes: None,
            bulk: None,
            stream: None,
            skew_ms: vec![0; size],
            drift_ppm: vec![0; size],
            wire: vec![version::CURRENT; size],
            replies: BTreeMap::new(),
            subscriptions: Vec::new(),
            seen: Vec::new(),
            watched: false,
            story: Story::default(),
            tune: Box::new(tune),
            heap: BinaryHeap::new(),
            serial: 0,
            lives: 0,
            known: BTreeMap::new(),
            seed,
            random: Random::new(seed, "world"),
            cut: BTreeSet::new(),
            up: BTreeSet::new(),
            next_command: 0,
            frozen: BTreeMap::new(),
            disturbed: vec![vec![0; size]; size],
        }
    }

    /// How many nodes there are, running or not.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// A number that the seed decides.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    /// A node's name.
    pub fn name(i: usize) -> NodeName {
        #[expect(clippy::unwrap_used, reason = "a number makes a name")]
        NodeName::parse(&format!("node-{i}")).unwrap()
    }

    fn schedule(&mut self, at: u64, happening: Happening) {
        self.serial += 1;
        self.heap.push(Reverse(Scheduled {
            at,
            serial: self.serial,
            happening,
        }));
    }

    // ---- time ---------------------------------------------------------------------------------

    /// A node's two clocks at this moment.
    pub fn clock(&self, i: usize) -> Now {
        let wall = WALL_START + self.now / 1_000;
        Now {
            mono: self.mono(i),
            wall: wall.saturating_add_signed(self.skew_ms[i]),
        }
    }

    /// The true time at this moment, milliseconds.
    pub fn true_time(&self) -> u64 {
        WALL_START + self.now / 1_000
    }

    /// A node's monotonic clock at this moment.
    pub fn mono(&self, i: usize) -> u64 {
        let elapsed = self.now.saturating_sub(BEGINNING) as i64;
        self.now
            .saturating_add_signed(elapsed * self.drift_ppm[i] / 1_000_000)
    }

    /// The first moment of the world at which a node's clock shows this.
    fn when_mono(&self, i: usize, mono: u64) -> u64 {
        let left = mono.saturating_sub(self.mono(i));
        let ppm = self.drift_ppm[i];
        self.now + left.saturating_add_signed(-(left as i64) * ppm / (1_000_000 + ppm)) + 1
    }

    // ---- running ------------------------------------------------------------------------------

    /// Gives a node one input and carries out what it wants done.
    pub fn input(&mut self, i: usize, input: Input) {
        let clock = self.clock(i);
        let Some(node) = self.nodes[i].as_mut() else {
            return;
        };
        node.take(clock, input);
        let mail = std::mem::take(&mut node.mail);
        for (number, reply) in node.answers.drain(..) {
            self.story
                .line(self.now, || format!("node {i} answers {number}: {reply:?}"));
            self.story
                .note(&[number, i as u64], || format!("{reply:?}"));
            self.replies.insert(number, reply);
        }
        let life = node.life;
        while node.told < node.events.len() {
            let event = &node.events[node.told];
            node.told += 1;
            self.story.line(self.now, || format!("node {i}: {event:?}"));
        }
        let wanted = node.engine.next_wake();
        self.wake_at(i, life, wanted);
        for (to, message) in mail {
            if let (true, PeerMessage::Subscribe { nonce, .. }) = (self.watched, &message) {
                self.subscriptions.push(*nonce);
            }
            self.post(i, &to, message);
        }
    }

    fn wake_at(&mut self, i: usize, life: Life, wanted: Option<u64>) {
        let at = wanted.map_or(u64::MAX, |mono| {
            if self.drift_ppm[i] == 0 {
                mono.max(self.now)
            } else if mono <= self.mono(i) {
                self.now
            } else {
                self.when_mono(i, mono)
            }
        });
        if let Some(node) = self.nodes[i].as_mut()
            && at < node.wake
        {
            node.wake = at;
            self.schedule(at, Happening::Wake { node: i, life, at });
        }
    }

    /// When something happens next.
    pub fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse(next)| next.at)
    }

    /// One event; false when nothing is left to happen.
    pub fn step(&mut self) -> bool {
        let Some(Reverse(next)) = self.heap.pop() else {
            return false;
        };
        self.now = self.now.max(next.at);
        let target = match &next.happening {
            Happening::Wake { node, .. } | Happening::Ask { node, .. } => *node,
            Happening::Deliver { to, .. } => *to,
            Happening::Link { at, .. } | Happening::Gossip { at, .. } => *at,
        };
        match self.frozen.get(&target) {
            Some((_, until)) if *until > self.now => self.schedule(*until, next.happening),
            _ => self.happen(next.happening),
        }
        true
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Wake { node, life, at } if self.lives_at(node, life) => {
                match self.nodes[node].as_mut() {
                    Some(node) if node.wake == at => node.wake = u64::MAX,
                    _ => return,
                }
                self.story.note(&[self.now, node as u64], || "wake".into());
                self.input(node, Input::Tick);
            }
            Happening::Deliver {
                from,
                to,
                bytes,
                life,
            } if self.lives_at(to, life) => self.deliver(&from, to, &bytes),
            Happening::Link {
                at,
                to,
                change,
                life,
            } if self.lives_at(at, life) => self.change_link(at, to, change),
            Happening::Gossip { at, alone } if self.nodes[at].is_some() => self.gossip(at, alone),
            Happening::Ask {
                node,
                life,
                number,
                command,
            } if self.lives_at(node, life) => self.input(node, Input::Command(number, command)),
            _ => {}
        }
    }

    fn lives_at(&self, i: usize, life: Life) -> bool {
        self.nodes[i].as_ref().is_some_and(|node| node.life == life)
    }

    /// Lets time pass.
    pub fn run_for(&mut self, micros: u64) {
        let end = self.now + micros;
        while self.next_at().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = end;
    }

    /// Lets time pass until something is so, at most two minutes.
    ///
    /// # Panics
    /// When it does not come to be: a test has failed.
    pub fn until(&mut self, what: &str, done: impl FnMut(&Self) -> bool) {
        self.until_within(120_000 * MS, what, done);
    }

    /// Lets time pass until something is so, at most this many microseconds.
    ///
    /// # Panics
    /// When it does not come to be: a test has failed.
    #[expect(clippy::panic, reason = "a test fails by panicking")]
    pub fn until_within(&mut self, micros: u64, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let end = self.now + micros;
        while !done(self) {
            if self.now >= end || !self.step() {
                let difference = self.difference();
                let seed = self.seed;
                panic!("seed {seed}: not in time: {what}\n{difference}");
            }
        }
    }
}
