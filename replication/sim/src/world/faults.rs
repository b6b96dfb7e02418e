//! What can go wrong with a world: starts, crashes, stops, cuts.

use std::sync::Arc;

use castor_proto::ids::{Incarnation, Member};
use castor_replication::engine::{Config, Engine, Input, Stats, Store, TicketKeys};

use super::{Change, DIGEST_KEY, Happening, MS, Node, World};

/// A link that hears nothing for this long is given up, at the earliest.
const LINK_PATIENCE: u64 = 1_000 * MS;

/// A clock that is wrong by more than this when a process starts is wrong.
const CLOCK_RIGHT_MS: u64 = 200;

impl World {
    /// Starts a process with an empty memory and an incarnation of its own.
    ///
    /// # Panics
    /// When the node runs already.
    pub fn start(&mut self, i: usize) {
        let incarnation = Incarnation(self.random.fill());
        self.start_as(i, incarnation);
    }

    /// Starts a node under an incarnation, which may be one that has been: a process whose memory went
    /// back, as that of a machine restored from a snapshot.
    pub fn start_as(&mut self, i: usize, incarnation: Incarnation) {
        self.story.line(self.now, || format!("start {i}"));
        assert!(self.nodes[i].is_none(), "node {i} runs already");
        self.lives += 1;
        let member = Member {
            node: Self::name(i),
            incarnation,
        };
        let mut config = Config::new(member, DIGEST_KEY);
        (self.tune)(&mut config);
        config.wire = self.wire[i];
        let store = Arc::new(Store::new(DIGEST_KEY));
        let stats = Arc::new(Stats::default());
        let keys = TicketKeys {
            key_id: 1,
            check: [1; 32],
            tag: [2; 32],
        };
        let engine = Engine::new(
            config,
            keys,
            Arc::clone(&store),
            Arc::clone(&stats),
            &self.random.fill(),
            self.nodes.len() - 1,
            self.clock(i),
        );
        let mut node = Node::new(engine, store, stats, self.lives);
        node.started = self.now;
        node.wire = self.wire[i];
        self.known.insert(node.member.clone(), node.life);
        node.clock_right = self.skew_ms[i].unsigned_abs() <= CLOCK_RIGHT_MS;
        self.nodes[i] = Some(node);
        self.frozen.remove(&i);
        self.input(i, Input::Tick);
        for other in 0..self.nodes.len() {
            self.relink(i, other);
            self.relink(other, i);
        }
        self.regossip(50 * MS);
        self.disturb_node(i, self.now);
    }

    /// The process is gone with its memory; what it has sent still arrives.
    pub fn crash(&mut self, i: usize) {
        self.story.line(self.now, || format!("crash {i}"));
        if self.nodes[i].take().is_some() {
            for other in 0..self.nodes.len() {
                let after = 100 * MS + self.below(900 * MS);
                self.link_later(other, i, Change::Down, after);
            }
            self.regossip(1_500 * MS);
            self.disturb_node(i, self.now);
        }
    }

    /// Stops a process for a while, as SIGSTOP does: its clock runs, it does not.
    pub fn freeze(&mut self, i: usize, micros: u64) {
        self.story
            .line(self.now, || format!("stop {i} for {} ms", micros / MS));
        let until = self.now + micros;
        self.frozen.insert(i, (self.now, until));
        self.disturb_node(i, until);
    }

    /// Stops a process, and lets its links run out and gossip give it up if that takes long enough.
    /// When it goes on it finds everybody gone, and then they are found again.
    pub fn pause(&mut self, i: usize, micros: u64) {
        self.freeze(i, micros);
        for other in (0..self.nodes.len()).filter(|other| *other != i) {
            let (Some(here), Some(there)) = (&self.nodes[i], &self.nodes[other]) else {
                continue;
            };
            let (here, there) = (here.life, there.life);
            let after = LINK_PATIENCE + self.below(500 * MS);
            if after < micros {
                self.link_later(other, i, Change::Break(here), after);
                let notices = micros + self.below(100 * MS);
                self.link_later(i, other, Change::Break(there), notices);
                for (a, b) in [(i, other), (other, i)] {
                    let again = micros + 100 * MS + self.below(700 * MS);
                    self.link_later(a, b, Change::Up, again);
                }
            }
        }
        self.regossip(1_800 * MS);
        if micros > 2_000 * MS && self.below(2) == 0 {
            let at = self.now + micros + self.below(100 * MS);
            self.schedule(at, Happening::Gossip { at: i, alone: true });
        }
        self.regossip(micros + 900 * MS);
        self.disturb_node(i, self.now + micros + 1_000 * MS);
    }

    /// When the last stopped process goes on.
    pub fn frozen_until(&self) -> u64 {
        let ends = self.frozen.values().map(|(_, until)| *until);
        ends.max().unwrap_or(0)
    }

    /// A link as one of its ends sees it goes down and comes up again, at once.
    pub fn blink(&mut self, at: usize, to: usize, micros: u64) {
        let member = self.node(to).member.clone();
        self.input(at, Input::LinkDown(member.clone()));
        self.run_for(micros);
        self.input(at, Input::LinkUp(member));
    }

    /// The same, as time goes by.
    pub fn blink_later(&mut self, at: usize, to: usize, micros: u64) {
        if let Some(node) = &self.nodes[to] {
            let life = node.life;
            self.link_later(at, to, Change::Break(life), 0);
            self.link_later(at, to, Change::Up, micros);
        }
        self.disturb(at, to, self.now + micros);
    }

    /// Nothing passes between two nodes, either way.
    pub fn cut(&mut self, a: usize, b: usize) {
        self.story.line(self.now, || format!("cut {a} {b}"));
        self.cut.insert((a, b));
        self.cut.insert((b, a));
        for (at, to) in [(a, b), (b, a)] {
            let after = LINK_PATIENCE + self.below(500 * MS);
            self.link_later(at, to, Change::Down, after);
        }
        self.regossip(1_500 * MS);
        self.disturb(a, b, self.now);
    }

    /// Nothing passes from `a` to `b`. Who hears nothing notices soon; who is not heard may never.
    pub fn cut_one_way(&mut self, a: usize, b: usize) {
        self.story.line(self.now, || format!("cut {a} to {b}"));
        self.cut.insert((a, b));
        let after = LINK_PATIENCE + self.below(500 * MS);
        self.link_later(b, a, Change::Down, after);
        if self.below(4) > 0 {
            let after = LINK_PATIENCE + self.below(1_500 * MS);
            self.link_later(a, b, Change::Down, after);
        }
        self.regossip(1_500 * MS);
        self.disturb(a, b, self.now);
    }

    /// Everything passes between two nodes again.
    pub fn mend(&mut self, a: usize, b: usize) {
        self.story.line(self.now, || format!("mend {a} {b}"));
        self.cut.remove(&(a, b));
        self.cut.remove(&(b, a));
        self.relink(a, b);
        self.relink(b, a);
        self.regossip(500 * MS);
        self.disturb(a, b, self.now);
    }

    /// Everything passes everywhere again.
    pub fn heal(&mut self) {
        self.story.line(self.now, || "heal".into());
        let was: Vec<_> = std::mem::take(&mut self.cut).into_iter().collect();
        for (a, b) in was {
            self.disturb(a, b, self.now);
        }
        for a in 0..self.nodes.len() {
            for b in 0..self.nodes.len() {
                self.relink(a, b);
            }
        }
        self.regossip(500 * MS);
    }

    // ---- since when it is quiet ---------------------------------------------------------------

    fn disturb(&mut self, a: usize, b: usize, until: u64) {
        for (a, b) in [(a, b), (b, a)] {
            let last = &mut self.disturbed[a][b];
            *last = (*last).max(until);
        }
    }

    fn disturb_node(&mut self, i: usize, until: u64) {
        for other in 0..self.nodes.len() {
            self.disturb(i, other, until);
        }
    }

    /// Says that the way between two nodes was disturbed up to now.
    pub fn disturb_pair(&mut self, a: usize, b: usize) {
        self.disturb(a, b, self.now);
    }

    /// Says that everything was disturbed, as by a storm, up to now.
    pub fn disturb_all(&mut self) {
        for i in 0..self.nodes.len() {
            self.disturb_node(i, self.now);
        }
    }

    /// How long nothing has disturbed two nodes and the way between them; 0 while something does.
    pub fn quiet_between(&self, a: usize, b: usize) -> u64 {
        let rough = self.weather.loss > 0
            || self.rough.contains_key(&(a, b))
            || self.rough.contains_key(&(b, a));
        let runs = self.nodes[a].is_some() && self.nodes[b].is_some();
        if rough || !runs || !self.passes(a, b) {
            return 0;
        }
        self.now.saturating_sub(self.disturbed[a][b])
    }
}
