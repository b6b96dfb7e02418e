//! Filling an empty node from its peers (rule 20), and knowing when there is nothing to fill from.
//!
//! Subscribe to everyone first; fetch shards from several peers, each holding at least what was
//! streamed before the subscription; then compare with each ready peer. Ready only after that.

use std::collections::{BTreeMap, VecDeque};

use castor_proto::delta::Entry;
use castor_proto::ids::Member;
use castor_proto::message::{PeerMessage, Phase};
use castor_proto::ticket::TicketKey;

use super::config::Micros;
use super::mutants::thin_fill;
use super::ops::Op;
use super::peers::{Gossip, Peer};
use super::timers::Timer;
use super::{BootstrapStatus, Engine, Event, MS, donate, stats};

/// How often filling looks around.
const STEP: Micros = 20 * MS;

/// Time for peers just met to say whether they serve, when all else is done.
const ANSWER_WAIT: Micros = 1_000 * MS;

/// Time between two words about progress.
const WORD: Micros = 1_000 * MS;

/// Time for peers to answer a subscription before filling goes on without them.
const SUBSCRIBE_WAIT: Micros = 1_000 * MS;

/// Parts of shards asked of one donor at once: so many that it makes the next ones while the last ones
/// are taken in here. With 4, the two took turns. At most 2 MiB, a quarter of its queue for one lane.
const PER_DONOR: usize = 8;

/// A donor that was asked has to send some part within this time.
const PART_TIMEOUT: Micros = 2_000 * MS;

enum Stage {
    /// Finding out who is there.
    Looking,
    /// Waiting for the streams to start.
    Subscribing { since: Micros },
    /// Fetching shards.
    Shards,
    /// Comparing with each of these; with those it is done.
    Comparing {
        left: Vec<Member>,
        met: Vec<Member>,
        /// Since when nothing was left but to hear whether others serve.
        settles: Option<Micros>,
    },
    /// Filled.
    Done,
}

/// A part of a shard that was asked for.
pub(super) struct ShardOp {
    donor: Member,
    shard: u8,
    after: Option<TicketKey>,
    asked_at: Micros,
}

/// How far the shards have come. It outlives the loss of every donor: what is complete was complete up
/// to `vector`, and what came later comes with the streams, as long as none of them has left something
/// out.
struct Shards {
    vector: Vec<(Member, u64)>,
    /// Neither here nor asked for.
    queue: VecDeque<(u8, Option<TicketKey>)>,
    done: usize,
    since: Micros,
    /// A stream has left something out since then.
    jumped: bool,
}

pub(super) struct Fill {
    started: Micros,
    /// Since when it waits for others: the start, the latest pause, or when the last donor was lost.
    since: Micros,
    finished: Option<Micros>,
    silent_seeds: usize,
    /// It had somebody to fill itself from, and has nobody any more.
    lost: bool,
    heard_gossip: bool,
    /// After a pause: it was filled before and the streams go on, so that a comparison is enough; but
    /// first with these, who were there when it was stopped, as soon as they are met again.
    again: Option<Vec<Member>>,
    stage: Stage,
    shards: Option<Shards>,
    entries: u64,
    /// When each donor last sent a part.
    fed: BTreeMap<Member, Micros>,
    /// When to say again how far it has come.
    next_word: Micros,
    /// Shards that this node is serving.
    pub(super) served: donate::Served,
}

impl Fill {
    pub(super) fn new(started: Micros, silent_seeds: usize) -> Self {
        Self {
            started,
            since: started,
            finished: None,
            silent_seeds,
            lost: false,
            heard_gossip: false,
            again: None,
            stage: Stage::Looking,
            shards: None,
            entries: 0,
            fed: BTreeMap::new(),
            next_word: started + WORD,
            served: donate::Served::default(),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    pub(super) fn status(&self, now: Micros) -> BootstrapStatus {
        let shards = match &self.stage {
            Stage::Looking | Stage::Subscribing { .. } | Stage::Shards => {
                self.shards.as_ref().map_or(0, |shards| shards.done)
            }
            Stage::Comparing { .. } | Stage::Done => 256,
        };
        let left = match (&self.stage, &self.shards) {
            (Stage::Shards, Some(Shards { done, since, .. })) if *done > 0 => {
                let so_far = now.saturating_sub(*since);
                Some(so_far * (256 - *done as u64) / *done as u64)
            }
            _ => None,
        };
        BootstrapStatus {
            shards,
            entries: self.entries,
            elapsed: self.finished.unwrap_or(now).saturating_sub(self.started),
            left,
            done: self.is_done(),
        }
    }
}

impl Engine {
    pub(super) fn fill_seeds(&mut self, silent: usize) {
        self.fill.silent_seeds = silent;
        self.fill_changed();
    }

    /// The process was stopped for a while, and the others went on: what it has missed must be here
    /// before it says of anything that it is unknown. Waiting begins anew, as nobody could answer.
    pub(super) fn fill_after_pause(&mut self) {
        let there = |peer: &&Peer| peer.is_present() && !peer.fenced;
        let there = self.peers.iter().filter(there);
        let mut before: Vec<Member> = there.map(|peer| peer.member.clone()).collect();
        for peer in self.peers.iter_mut() {
            peer.suspect = true;
        }
        match &self.fill.again {
            // Stopped again before everybody was met.
            Some(earlier) => before.extend(earlier.iter().cloned()),
            // It serves alone, and has missed nothing.
            None if self.fill.is_done() && before.is_empty() => return,
            None => {}
        }
        if self.fill.is_done() || self.fill.again.is_some() {
            self.fill.again = Some(before);
        }
        self.fill.since = self.now.mono;
        self.fill.finished = None;
        self.fill.stage = Stage::Looking;
        if !self.is_draining() && self.phase == Phase::Ready {
            self.set_phase(Phase::Bootstrapping);
        }
        self.timers.set(self.now.mono + STEP, Timer::Bootstrap);
    }

    pub(super) fn fill_heard_gossip(&mut self) {
        self.fill.heard_gossip = true;
        self.fill_changed();
    }

    /// Somebody who may be writing has not been subscribed to yet.
    fn lacks_a_stream(&self) -> bool {
        let unheard = |peer: &Peer| {
            (peer.link || peer.gossip == Gossip::Alive) && !(peer.link && peer.inbound.started)
        };
        self.fill.silent_seeds > 0 || !self.fill.heard_gossip || self.peers.iter().any(unheard)
    }

    /// Something about the peers changed: look at once.
    pub(super) fn fill_changed(&mut self) {
        if !self.fill.is_done() {
            self.fill_advance();
        }
    }

    pub(super) fn fill_step(&mut self) {
        if !self.fill.is_done() {
            self.fill_advance();
            self.fill_tells();
            self.timers.set(self.now.mono + STEP, Timer::Bootstrap);
        }
    }

    /// Says once a second how far filling has come.
    fn fill_tells(&mut self) {
        if !self.fill.is_done() && self.now.mono >= self.fill.next_word {
            self.fill.next_word = self.now.mono + WORD;
            let status = self.fill.status(self.now.mono);
            self.event(Event::Filling(status));
        }
    }

    /// Peers that hold everything and can be asked.
    fn donors(&self) -> Vec<Member> {
        let filled = Peer::may_serve;
        self.peers
            .iter()
            .filter(|p| p.is_reachable() && !p.suspect && filled(p) && self.met_again(p))
            .map(|peer| peer.member.clone())
            .collect()
    }

    /// After a pause what links and gossip said before is stale: only those count that have answered
    /// since.
    fn met_again(&self, peer: &Peer) -> bool {
        self.fill.again.is_none() || (peer.link && peer.answered_at >= self.fill.since)
    }

    /// Somebody who was there before the pause has not been met again. Links run out and gossip gives
    /// everybody up while a process is stopped; to take that for the truth would be to serve alone.
    fn misses_somebody(&self) -> bool {
        let missing = |member: &Member| {
            let known = self.peers.exact(member);
            known.is_some_and(|peer| !peer.fenced && !self.met_again(peer))
        };
        self.fill
            .again
            .as_ref()
            .is_some_and(|before| before.iter().any(missing))
    }

    fn has_waited(&self) -> bool {
        self.now.mono.saturating_sub(self.fill.since) >= self.config.bootstrap_wait
    }

    /// It had its time to be met again: its link stands, but nobody answers behind it. The streams and
    /// the next comparison bring what it has, should it come back.
    fn is_given_up(&self, peer: &Peer) -> bool {
        self.fill.again.is_some() && peer.suspect && self.has_waited()
    }

    fn fill_advance(&mut self) {
        match &self.fill.stage {
            Stage::Looking => self.fill_look(),
            Stage::Subscribing { since } => {
                let late = self.now.mono >= since + SUBSCRIBE_WAIT;
                if late || !self.lacks_a_stream() {
                    self.fill_fetch();
                }
            }
            Stage::Shards => {
                let done = self.fill.shards.as_ref().map_or(0, |shards| shards.done);
                let donors = self.donors();
                if done == 256 {
                    self.fill_compare(donors);
                } else if donors.is_empty() {
                    // They may be back in a moment, however long it has taken so far.
                    if self.fill.again.is_none() {
                        self.fill.since = self.now.mono;
                        self.fill.lost = true;
                    }
                    self.fill.stage = Stage::Looking;
                } else {
                    self.fill_ask(donors);
                }
            }
            Stage::Comparing { left, .. } => {
                for peer in left.clone() {
                    match self.peers.exact(&peer) {
                        Some(known) if self.is_given_up(known) => self.fill_compared(&peer),
                        Some(known) if known.is_reachable() => self.compare_with(&peer),
                        // It lives, and what it has is still missing here.
                        Some(known) if known.is_present() && !known.fenced => {
                            self.fill.stage = Stage::Looking;
                            return;
                        }
                        _ => self.fill_compared(&peer),
                    }
                }
                self.fill_settle();
            }
            Stage::Done => {}
        }
    }

    /// Rule 20.5: with somebody ready, fill from the ready; with nobody, take the union of what the
    /// others hold once every seed has answered, or after the wait.
    fn fill_look(&mut self) {
        if self.misses_somebody() && !self.has_waited() {
            return;
        }
        let donors = self.donors();
        if !donors.is_empty() && self.fill.again.is_some() {
            return self.fill_compare(donors);
        }
        if !donors.is_empty() {
            self.fill.lost = false;
            self.fill.stage = Stage::Subscribing {
                since: self.now.mono,
            };
            return self.fill_advance();
        }
        // Somebody who is there has said that he is full: nobody starts cold beside him.
        let full = Peer::may_serve;
        if self
            .peers
            .iter()
            .any(|p| p.is_present() && !p.fenced && full(p) && !self.is_given_up(p))
        {
            return;
        }
        let unclear = self.peers.iter().any(|p| p.link && p.phase.is_none());
        let nobody = self.fill.silent_seeds == 0 && !unclear && !self.fill.lost;
        if self.has_waited() || nobody {
            let holders: Vec<Member> = self
                .peers
                .iter()
                .filter(|p| p.is_reachable() && p.phase == Some(Phase::Bootstrapping))
                .map(|p| p.member.clone())
                .collect();
            self.fill_compare(holders);
        }
    }

    /// Begins with the shards, or goes on with them.
    fn fill_fetch(&mut self) {
        self.fill.stage = Stage::Shards;
        let goes_on = self
            .fill
            .shards
            .as_ref()
            .is_some_and(|shards| !shards.jumped);
        if !goes_on {
            let stale = |op: &Op| matches!(op, Op::Shard(_));
            for number in self.ops.numbers_of(stale) {
                self.ops.take(number);
            }
            let started = |p: &&Peer| p.is_reachable() && p.inbound.started;
            let started = self.peers.iter().filter(started);
            self.fill.shards = Some(Shards {
                vector: started
                    .map(|p| (p.member.clone(), p.inbound.start))
                    .collect(),
                queue: (0..=255).map(|shard| (shard, None)).collect(),
                done: 0,
                since: self.now.mono,
                jumped: false,
            });
        }
        self.fill_advance();
    }

    /// A stream has left something out: shards that are complete may lack it too.
    pub(super) fn fill_jumped(&mut self) {
        if let Some(shards) = &mut self.fill.shards {
            shards.jumped = true;
        }
    }

    /// Keeps every donor busy with some parts, the least busy first. What a lost donor was asked for is
    /// asked of another one.
    fn fill_ask(&mut self, donors: Vec<Member>) {
        let mut busy: Vec<(usize, Member)> = donors.into_iter().map(|donor| (0, donor)).collect();
        for number in self.ops.numbers_of(|op| matches!(op, Op::Shard(_))) {
            let Some(Op::Shard(op)) = self.ops.get_mut(number) else {
                continue;
            };
            if let Some((asked, _)) = busy.iter_mut().find(|(_, donor)| *donor == op.donor) {
                *asked += 1;
            } else if let Some(Op::Shard(op)) = self.ops.take(number)
                && let Some(shards) = &mut self.fill.shards
            {
                shards.queue.push_front((op.shard, op.after));
            }
        }
        while let Some((asked, donor)) = busy.iter_mut().min_by_key(|(asked, _)| *asked)
            && *asked < PER_DONOR
            && let Some(shards) = &mut self.fill.shards
            && let Some((shard, after)) = shards.queue.pop_front()
        {
            *asked += 1;
            self.fill_request(donor.clone(), shard, after);
        }
    }

    fn fill_request(&mut self, donor: Member, shard: u8, after: Option<TicketKey>) {
        let Some(Shards { vector, .. }) = &self.fill.shards else {
            return;
        };
        let vector = vector.clone();
        let number = self.ops.number();
        let request = PeerMessage::ShardRequest {
            rpc: number,
            shard,
            after,
            vector,
        };
        self.send(&donor, request);
        let op = ShardOp {
            donor,
            shard,
            after,
            asked_at: self.now.mono,
        };
        self.fill_wait(number, op, self.now.mono);
    }

    fn fill_wait(&mut self, number: u64, op: ShardOp, since: Micros) {
        self.ops.put(number, Op::Shard(op));
        self.timers.set(since + PART_TIMEOUT, Timer::Op(number, 0));
    }

    pub(super) fn shard_timeout(&mut self, number: u64, op: ShardOp) {
        let fed = self.fill.fed.get(&op.donor).copied().unwrap_or(0);
        let since = fed.max(op.asked_at);
        if self.now.mono < since + PART_TIMEOUT {
            // It sends what it was asked for earlier.
            return self.fill_wait(number, op, since);
        }
        self.suspect(&op.donor);
        if let Some(shards) = &mut self.fill.shards {
            shards.queue.push_front((op.shard, op.after));
        }
    }

    pub(super) fn shard_part(
        &mut self,
        from: &Member,
        rpc: u64,
        entries: Option<Vec<Entry>>,
        more: bool,
    ) {
        let Some(Op::Shard(op)) = self.ops.get_mut(rpc) else {
            return;
        };
        if op.donor != *from {
            return;
        }
        let Some(Op::Shard(op)) = self.ops.take(rpc) else {
            return;
        };
        let Some(entries) = entries else {
            // Not there yet: somebody else may be, or this donor a little later.
            if let Some(shards) = &mut self.fill.shards {
                shards.queue.push_back((op.shard, op.after));
            }
            return;
        };
        self.fill.fed.insert(from.clone(), self.now.mono);
        for entry in &entries {
            self.apply(entry);
        }
        self.fill.entries += entries.len() as u64;
        stats::add(&self.stats.bootstrap_entries, entries.len() as u64);
        if let Some(last) = entries.last().filter(|_| more) {
            self.fill_request(op.donor, op.shard, Some(last.key));
        } else if let Some(shards) = &mut self.fill.shards {
            shards.done += 1;
        }
        self.fill_advance();
    }

    // ---- the last step: nothing missing at any ready peer ------------------------------------

    fn fill_compare(&mut self, with: Vec<Member>) {
        if with.is_empty() || thin_fill() {
            return self.fill_finish();
        }
        self.fill.stage = Stage::Comparing {
            left: with,
            met: Vec::new(),
            settles: None,
        };
        self.fill_advance();
    }

    /// A comparison ended, or its peer is gone.
    pub(super) fn fill_compared(&mut self, peer: &Member) {
        let Stage::Comparing { left, met, .. } = &mut self.fill.stage else {
            return;
        };
        left.retain(|member| member != peer);
        met.push(peer.clone());
        self.fill_settle();
    }

    /// Whoever became ready meanwhile is compared with as well. Whoever is linked and has not said yet
    /// whether it serves may be the only one who has something, as behind a cut: its answer is awaited.
    fn fill_settle(&mut self) {
        let donors = self.donors();
        let unclear = self.peers.iter().any(Peer::is_unclear);
        let Stage::Comparing { left, met, settles } = &mut self.fill.stage else {
            return;
        };
        if left.is_empty() {
            left.extend(donors.into_iter().filter(|donor| !met.contains(donor)));
        }
        if left.is_empty() {
            let since = *settles.get_or_insert(self.now.mono);
            if !unclear || self.now.mono >= since + ANSWER_WAIT {
                self.fill_finish();
            }
        }
    }

    fn fill_finish(&mut self) {
        self.fill.stage = Stage::Done;
        self.fill.shards = None;
        self.fill.fed = BTreeMap::new();
        self.fill.again = None;
        self.fill.finished = Some(self.now.mono);
        let status = self.fill.status(self.now.mono);
        self.event(Event::Bootstrapped(status));
        if !self.is_draining() {
            self.set_phase(Phase::Ready);
        }
        // Whatever a stream left out while it was not yet clear that somebody held something.
        if !thin_fill() {
            self.repair_after_break();
        }
    }
}
