//! The replication engine: rules 1 to 21 as one state machine without input and output.
//!
//! Calling order: [`Engine::handle`] with the time and one input, then [`Engine::poll`] until it is
//! empty, then wait until [`Engine::next_wake`] or the next input. Time, randomness and messages
//! are arguments; the same seed and inputs give the same outputs. Request handlers read
//! [`Store`] directly and never wait for the engine to do so.

mod acks;
mod apply;
mod claim;
mod clock;
mod compare;
mod config;
mod digests;
mod donate;
mod drain;
mod expiry;
mod failures;
mod fill;
mod find;
mod input;
mod issue;
mod lies;
mod links;
mod lists;
mod logout;
mod mutants;
mod ops;
mod output;
mod packed_id;
mod peers;
mod people;
#[cfg(all(test, feature = "shuttle"))]
mod races;
mod random;
mod record;
mod rounds;
mod shared;
mod singles;
mod standing;
mod stats;
mod status;
mod store;
mod stream;
mod timers;
mod told;
mod urls;

use std::collections::VecDeque;
use std::sync::Arc;

use castor_proto::ids::{Member, WallMs};
use castor_proto::message::{PeerMessage, Phase};

pub use config::{Config, MS, Micros};
pub use failures::{Failures, Tally, WALK_EVERY};
pub use input::{Command, GossipMember, Input, NewReusable, NewSingleUse, Now, TicketKeys};
pub use lies::Lie;
#[cfg(feature = "mutants")]
pub use mutants::Mutant;
pub use output::{
    BootstrapStatus, ClaimOutcome, Created, Denied, Destroyed, Event, Issued, Output, PeerStatus,
    Removal, Reply, Status,
};
pub use standing::{Stand, Standing};
pub use stats::Stats;
pub use store::{Gauges, Liveness, Store, Ticket};

use mutants::mutant;
use timers::Timer;

/// A silence this long between two inputs means that the whole process was stopped: a running driver
/// gives an input at least every quarter of a second.
pub const PAUSE: Micros = 1_500 * MS;

/// One node's replication.
pub struct Engine {
    config: Config,
    now: Now,
    clock: clock::Clock,
    store: Arc<Store>,
    stats: Arc<Stats>,
    random: random::Random,
    keys: TicketKeys,
    sequence: u64,
    phase: Phase,
    /// This incarnation must exit (rule 1).
    fenced: bool,
    peers: peers::Peers,
    stream: stream::Stream,
    singles: singles::Singles,
    digests: digests::Digests,
    entry_expiry: expiry::ExpiryIndex,
    single_expiry: expiry::ExpiryIndex,
    ops: ops::Ops,
    timers: timers::Timers,
    /// The latest [`Timer::Pace`].
    paced_until: Micros,
    fill: fill::Fill,
    drain: drain::Drain,
    duties: logout::Duties,
    rounds: rounds::Rounds,
    walks: failures::Walks,
    /// Nothing has happened since then that explains a difference.
    quiet_since: Micros,
    /// Stamp of the latest heartbeat.
    pinged_at: Micros,
    /// Earliest moment of the next comparison around a cut link.
    next_detour: Micros,
    outputs: VecDeque<Output>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({:?}, {:?})", self.config.me, self.phase)
    }
}

impl Engine {
    /// A node that has just started and knows nothing.
    ///
    /// `seed` must be fresh for every process start; `silent_seeds` is how many configured seeds
    /// have yet to answer.
    pub fn new(
        config: Config,
        keys: TicketKeys,
        store: Arc<Store>,
        stats: Arc<Stats>,
        seed: &[u8; 32],
        silent_seeds: usize,
        now: Now,
    ) -> Self {
        #[cfg(feature = "mutants")]
        let config = config.with_kept_identity();
        let mut random = random::Random::new(seed);
        let clock = clock::Clock::new(now, config.tolerance_ms);
        store.set_clock_base(clock.base());
        let mut timers = timers::Timers::default();
        timers.set(now.mono, Timer::Housekeeping);
        timers.set(now.mono, Timer::Expiry);
        timers.set(now.mono, Timer::Bootstrap);
        timers.set(now.mono, Timer::Round);
        let digests = digests::Digests::new(clock.own(now));
        let ops = ops::Ops::new(random.u64() >> 1);
        Self {
            stream: stream::Stream::new(config.ring_max),
            fill: fill::Fill::new(now.mono, silent_seeds),
            config,
            now,
            clock,
            store,
            stats,
            random,
            keys,
            sequence: 0,
            phase: Phase::Empty,
            fenced: false,
            peers: peers::Peers::default(),
            singles: singles::Singles::default(),
            digests,
            entry_expiry: expiry::ExpiryIndex::default(),
            single_expiry: expiry::ExpiryIndex::default(),
            ops,
            timers,
            paced_until: 0,
            drain: drain::Drain::default(),
            duties: logout::Duties::default(),
            rounds: rounds::Rounds::default(),
            walks: failures::Walks::default(),
            quiet_since: now.mono,
            pinged_at: 0,
            next_detour: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Takes one input in.
    pub fn handle(&mut self, now: Now, input: Input) {
        #[cfg(feature = "mutants")]
        mutants::enter(self.config.mutant);
        let silence = now.mono.saturating_sub(self.now.mono);
        self.now = now;
        if silence >= PAUSE {
            stats::count(&self.stats.pauses);
            self.event(Event::Paused { silence });
            self.fill_after_pause();
        }
        match input {
            Input::Command(number, command) => self.command(number, command),
            Input::Message(from, message) => self.message(&from, message),
            Input::LinkUp(member) => self.link_up(&member),
            Input::Lied(member, reason) => self.fence(&member, Lie::Envelope(reason)),
            Input::Speaks(member, wire) => self.link_speaks(&member, wire),
            Input::LinkDown(member) => self.link_down(&member),
            Input::Gossip(members) => self.gossip(&members),
            Input::Removed(member) => self.removed_elsewhere(member),
            Input::SilentSeeds(count) => self.fill_seeds(count),
            Input::Keys(keys) => self.keys = keys,
            Input::Tick => {}
        }
        while let Some(timer) = self.timers.due(now.mono) {
            self.fire(timer);
        }
    }

    /// The next thing to do, if any. What has gathered for the peers comes when there is nothing else.
    pub fn poll(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            self.pump();
        }
        self.poll_early()
    }

    /// The next thing to do, if any, while more inputs are to be taken in first: what gathers for the peers
    /// goes on gathering.
    pub fn poll_early(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Engine::handle`] with [`Input::Tick`] if nothing else comes.
    pub fn next_wake(&self) -> Option<Micros> {
        self.timers.next()
    }

    /// How many single-use tickets are being issued and consumed here; none while a session or a logout
    /// waits for acknowledgements, whose answer is to be hurried, nor while this node leaves.
    pub fn tickets_under_way(&self) -> usize {
        if self.stream.is_awaited(0) || self.is_draining() {
            return 0;
        }
        self.ops.tickets()
    }

    /// Time of the latest input, monotonic.
    pub fn turned(&self) -> Micros {
        self.now.mono
    }

    /// Whether requests that were begun elsewhere may be finished here: as [`Engine::is_ready`], or draining.
    pub fn is_serving(&self) -> bool {
        self.in_service() && self.clock_is_sound()
    }

    /// Where this node stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether requests may be served (promises, "ready"): filled, not draining, clock in bounds.
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready && !self.fenced && self.clock_is_sound()
    }

    fn command(&mut self, number: u64, command: Command) {
        // Failures must count when there are many of them: they hold nothing back here.
        let asks_for_work = !matches!(
            command,
            Command::Status
                | Command::Drain
                | Command::Resume
                | Command::Remove(_)
                | Command::Failed(_)
                | Command::Forgive(_)
        );
        let crowded = self.ops.len() >= self.config.ops_max && !mutant!(OpsUnbounded);
        if asks_for_work && crowded {
            stats::count(&self.stats.busy);
            return self.reply(number, Reply::Busy);
        }
        match command {
            Command::Create(new) => self.create(number, *new),
            Command::Issue(new) => self.issue(number, *new),
            Command::Claim {
                key,
                hints,
                unresolved_hint,
                claim,
            } => {
                self.claim(number, key, hints, unresolved_hint, claim);
            }
            Command::Destroy {
                key,
                kind,
                hard_expiry,
                reason,
            } => {
                self.destroy(number, key, kind, hard_expiry, reason);
            }
            Command::Find { key, everyone } => self.find(number, key, everyone),
            Command::Told { key, services } => self.told(number, key, services),
            Command::Adopt { key, services } => self.adopt(number, key, services),
            Command::Failed(keys) => {
                self.failed(&keys);
                self.reply(number, Reply::Done);
            }
            Command::Forgive(keys) => {
                self.forgive(&keys);
                self.reply(number, Reply::Done);
            }
            Command::Drain => self.start_drain(number),
            Command::Resume => self.resume(number),
            Command::Remove(node) => {
                let removal = self.remove_member(&node);
                self.reply(number, Reply::Removal(removal));
            }
            Command::Status => {
                let status = Box::new(self.status());
                self.reply(number, Reply::Status(status));
            }
        }
    }

    fn message(&mut self, from: &Member, message: PeerMessage) {
        if *from == self.config.me || self.fenced {
            return;
        }
        // An earlier incarnation's last words arrive after its successor was met.
        let current = self.peers.get(&from.node);
        if current.is_some_and(|peer| peer.member != *from && peer.is_present()) {
            return self.lied(from, Lie::Stale);
        }
        let fresh = self.fresh_peer();
        let mono = self.now.mono;
        let peer = self.peers.admit(from, fresh);
        if peer.fenced {
            return;
        }
        peer.heard_at = mono;
        peer.suspect = false;
        self.dispatch(from, message);
    }

    fn dispatch(&mut self, from: &Member, message: PeerMessage) {
        match message {
            PeerMessage::Ping { sent, phase } => self.pinged(from, sent, phase),
            PeerMessage::Pong { sent, wall, phase } => self.ponged(from, sent, wall, phase),
            PeerMessage::Subscribe { nonce, have } => self.subscribed(from, nonce, have),
            PeerMessage::StreamStart { nonce, next, head } => {
                self.stream_started(from, nonce, next, head);
            }
            PeerMessage::Deltas {
                first,
                head,
                entries,
            } => self.deltas(from, first, head, entries),
            PeerMessage::DeltasAck { applied, services } => self.acked(from, applied, services),
            PeerMessage::Store { rpc, body } => self.asked_to_store(from, rpc, &body),
            PeerMessage::Stored { rpc, refused } => self.stored(from, rpc, refused),
            PeerMessage::Ask {
                rpc,
                key,
                body,
                ask,
            } => self.asked(from, rpc, key, body, &ask),
            PeerMessage::Answer { rpc, vote } => self.answered(from, rpc, vote),
            PeerMessage::Decided {
                key,
                kind,
                hard_expiry,
                claim,
            } => {
                let own = self.own();
                self.learn_decided(key, kind, hard_expiry, claim, own);
            }
            PeerMessage::Find { rpc, key } => self.asked_to_find(from, rpc, &key),
            PeerMessage::Found { rpc, entry } => self.found(from, rpc, entry),
            PeerMessage::ShardRequest {
                rpc,
                shard,
                after,
                vector,
            } => {
                self.asked_for_shard(from, rpc, shard, after, &vector);
            }
            PeerMessage::ShardPart { rpc, entries, more } => {
                self.shard_part(from, rpc, entries, more);
            }
            PeerMessage::CompareRequest { rpc, mine } => self.asked_to_compare(from, rpc, mine),
            PeerMessage::CompareReply { rpc, theirs } => self.compared(from, rpc, theirs),
            PeerMessage::EntriesRequest { rpc, keys } => self.asked_for_entries(from, rpc, &keys),
            PeerMessage::Entries {
                rpc,
                entries,
                covered,
            } => self.entries(from, rpc, &entries, covered),
            PeerMessage::EntriesTaken { rpc } => self.entries_taken(from, rpc),
            PeerMessage::Fenced => self.accused(from, Lie::Accuses),
            PeerMessage::RoundRequest { rpc, asked } => self.asked_for_round(from, rpc, &asked),
            PeerMessage::RoundReply {
                rpc,
                standing,
                told,
            } => self.told_in_round(from, rpc, standing, told),
            PeerMessage::Failures { counters } => self.learn_failures(&counters),
        }
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Op(op, stage) => self.op_timeout(op, stage),
            Timer::Housekeeping => self.housekeeping(),
            Timer::Round => self.round(),
            Timer::Expiry => self.expire(),
            Timer::Resend(node, seq) => self.resend(&node, seq),
            // What is due leaves when the outputs are asked for.
            Timer::Pace => {}
            Timer::Bootstrap => self.fill_step(),
            Timer::Drain => self.drain_step(),
        }
    }

    fn housekeeping(&mut self) {
        self.ping_all();
        self.watch_clock();
        self.repair_around_a_cut();
        self.watch_quiet();
        self.watch_failures();
        let again = self.now.mono + self.config.ping_interval;
        self.timers.set(again, Timer::Housekeeping);
    }

    fn expire(&mut self) {
        self.forget_expired();
        let pause = if self.expiry_is_due() {
            MS
        } else {
            self.config.ping_interval
        };
        self.timers.set(self.now.mono + pause, Timer::Expiry);
    }

    /// Own time (rule 10).
    fn own(&self) -> WallMs {
        self.clock.own(self.now)
    }

    fn reply(&mut self, number: u64, reply: Reply) {
        self.outputs.push_back(Output::Reply(number, reply));
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn send(&mut self, to: &Member, message: PeerMessage) {
        self.outputs.push_back(Output::Send(to.clone(), message));
    }

    fn set_phase(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            self.event(Event::Phase(phase));
            self.ping_all();
        }
    }
}
