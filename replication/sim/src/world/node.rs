//! One simulated process: the production engine, its store, and what it wants done.

use std::sync::Arc;

use castor_proto::ids::Member;
use castor_proto::message::PeerMessage;
use castor_proto::version::{self, WireVersion};
use castor_replication::engine::{Engine, Event, Input, Now, Output, Reply, Stats, Store};

use super::Life;

/// A process that runs.
pub struct Node {
    /// The production engine.
    pub engine: Engine,
    /// What request handlers read.
    pub store: Arc<Store>,
    /// Its counters.
    pub stats: Arc<Stats>,
    /// Name and incarnation.
    pub member: Member,
    /// What it has reported.
    pub events: Vec<Event>,
    /// Which process start.
    pub life: Life,
    /// When it started.
    pub started: u64,
    /// Its wall clock was right when it started, to a fifth of a second.
    pub clock_right: bool,
    /// For each change of its own stream: highest sequence after it, and when, on its own clock.
    pub made: Vec<(u64, u64)>,
    /// Its own clock at its latest input.
    pub handled: u64,
    /// The newest wire version that it speaks.
    pub wire: WireVersion,
    pub(super) mail: Vec<(Member, PeerMessage)>,
    pub(super) answers: Vec<(u64, Reply)>,
    pub(super) told: usize,
    pub(super) wake: u64,
}

impl Node {
    pub(super) fn new(engine: Engine, store: Arc<Store>, stats: Arc<Stats>, life: Life) -> Self {
        let member = engine.status().me;
        Self {
            engine,
            store,
            stats,
            member,
            events: Vec::new(),
            life,
            started: 0,
            clock_right: true,
            made: Vec::new(),
            handled: 0,
            wire: version::CURRENT,
            mail: Vec::new(),
            answers: Vec::new(),
            told: 0,
            wake: u64::MAX,
        }
    }

    pub(super) fn take(&mut self, clock: Now, input: Input) {
        self.handled = clock.mono;
        self.engine.handle(clock, input);
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Send(to, message) => self.mail.push((to, message)),
                Output::Reply(number, reply) => self.answers.push((number, reply)),
                Output::Event(event) => self.events.push(event),
            }
        }
        let head = self.engine.stream_head();
        if self.made.last().map_or(0, |(seq, _)| *seq) != head {
            self.made.push((head, clock.mono));
        }
    }

    /// When a change of its own stream was made, on its own clock.
    pub fn made_at(&self, seq: u64) -> Option<u64> {
        let at = self.made.partition_point(|(upto, _)| *upto < seq);
        self.made.get(at).map(|(_, mono)| *mono)
    }

    /// Forgets what it has reported, in a long run.
    pub fn forget_events(&mut self) -> Vec<Event> {
        self.told = 0;
        std::mem::take(&mut self.events)
    }
}
