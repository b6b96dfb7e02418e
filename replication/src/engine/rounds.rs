//! Digest rounds (rule 19): once a second this node asks one ready peer, chosen at random, for its
//! digests, and goes down to the tickets that differ.
//!
//! A difference is no fault while changes are on their way, so a ticket is looked at again two seconds
//! later. What still differs is repaired. It counts as a divergence when nothing explains it: both
//! states are what they were, each side has applied all that the other had applied before, the clocks
//! agree, and neither side has seen a break, a death or a repair for a while.
//!
//! Bounded: one look and one second look at a time, [`WALKS_PER_SECOND`] shards walked a second, at
//! most [`limits::DIGEST_KEYS_MAX`] suspected tickets for each peer. What had no room is found by a
//! later round, which begins at another shard.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use castor_proto::ids::Member;
use castor_proto::limits;
use castor_proto::message::{PeerMessage, Phase};
use castor_proto::rounds::{Asked, BucketFrom, BucketsTold, PairsTold, ShardFrom, Standing, Told};
use castor_proto::ticket::TicketKey;
use castor_proto::version::WireVersion;

use super::config::Micros;
use super::peers::Peer;
use super::timers::Timer;
use super::told::WALKS_MAX;
use super::{Engine, Event, MS, stats};

/// Time from one round to the next.
const INTERVAL: Micros = 1_000 * MS;

/// Time for one answer before the round is given up.
pub(super) const ANSWER_TIMEOUT: Micros = 3_000 * MS;

/// Time from a look to the second look.
const SECOND_LOOK: Micros = 2_000 * MS;

/// Shards whose tickets are walked in a second; asking for buckets counts as one.
const WALKS_PER_SECOND: usize = 32;

/// Shards whose buckets are asked for in one message.
const SHARDS_PER_STEP: usize = 64;

/// Rounds as this node asks them.
#[derive(Default)]
pub(super) struct Rounds {
    look: Option<Look>,
    second: Option<SecondLook>,
    suspected: BTreeMap<Member, Suspicion>,
    /// What may still be asked for in this second.
    left: usize,
    /// The shard whose kept digests are counted anew next.
    recount: u8,
}

/// A question on its way.
struct Awaited {
    rpc: u64,
    since: Micros,
}

/// One way down from the shards to the tickets.
struct Look {
    peer: Member,
    began: Micros,
    /// Absent while the second's work is done and the round waits for the next.
    awaited: Option<Awaited>,
    first: u32,
    shards: VecDeque<ShardFrom>,
    buckets: VecDeque<BucketFrom>,
    /// What the awaited answer is about.
    asked_shards: Vec<ShardFrom>,
    asked_buckets: Vec<BucketFrom>,
    /// Where the peer stood, the furthest of all answers.
    theirs: Vec<(Member, u64)>,
    suspects: Vec<Suspect>,
}

/// A ticket that differs, with its digest on both sides; 0 where it is absent.
struct Suspect {
    key: TicketKey,
    mine: u128,
    theirs: u128,
}

/// Tickets that differ, to be looked at again.
struct Suspicion {
    began: Micros,
    seen: Micros,
    mine: Vec<(Member, u64)>,
    theirs: Vec<(Member, u64)>,
    suspects: Vec<Suspect>,
}

struct SecondLook {
    peer: Member,
    awaited: Awaited,
    suspicion: Suspicion,
}

impl Rounds {
    pub(super) fn next_recount(&mut self) -> u8 {
        self.recount = self.recount.wrapping_add(1);
        self.recount
    }
}

impl Look {
    fn new(peer: Member, began: Micros, first: u32) -> Self {
        Self {
            peer,
            began,
            awaited: None,
            first,
            shards: VecDeque::new(),
            buckets: VecDeque::new(),
            asked_shards: Vec::new(),
            asked_buckets: Vec::new(),
            theirs: Vec::new(),
            suspects: Vec::new(),
        }
    }

    fn is_full(&self) -> bool {
        self.suspects.len() >= limits::DIGEST_KEYS_MAX
    }

    fn suspect(&mut self, key: TicketKey, mine: u128, theirs: u128) {
        if mine != theirs && !self.is_full() {
            self.suspects.push(Suspect { key, mine, theirs });
        }
    }

    /// The next parts of buckets to ask for: of as few shards as one answer walks, and as are left.
    fn take_buckets(&mut self, left: &mut usize) -> Vec<BucketFrom> {
        let most = WALKS_MAX.min(*left);
        let mut shards = BTreeSet::new();
        let mut taken = Vec::new();
        while taken.len() < limits::DIGEST_PARTS_MAX
            && let Some(part) = self.buckets.front()
            && (shards.contains(&part.shard) || shards.len() < most)
        {
            shards.insert(part.shard);
            taken.extend(self.buckets.pop_front());
        }
        *left -= shards.len();
        taken
    }

    /// Compares the tickets of a part of a bucket, as far as the peer told them.
    fn compare_pairs(&mut self, mine: Vec<(TicketKey, u128)>, told: &PairsTold) {
        let last = told.digests.last().map(|(key, _)| *key);
        let within = |key: &TicketKey| !told.more || last.is_some_and(|last| *key <= last);
        let mut mine: BTreeMap<TicketKey, u128> = mine.into_iter().collect();
        for (key, theirs) in &told.digests {
            let own = mine.remove(key).unwrap_or(0);
            self.suspect(*key, own, *theirs);
        }
        for (key, own) in mine.into_iter().filter(|(key, _)| within(key)) {
            self.suspect(key, own, 0);
        }
        if told.more && last.is_some() {
            let rest = BucketFrom {
                after: last,
                ..told.of
            };
            self.buckets.push_back(rest);
        }
    }
}

impl Engine {
    /// Once a second.
    pub(super) fn round(&mut self) {
        self.timers.set(self.now.mono + INTERVAL, Timer::Round);
        self.recount_a_shard();
        let late = self.now.mono.saturating_sub(ANSWER_TIMEOUT);
        let overdue = |awaited: &Awaited| awaited.since <= late;
        let rounds = &mut self.rounds;
        rounds.left = WALKS_PER_SECOND;
        rounds.second.take_if(|second| overdue(&second.awaited));
        let answers = |look: &Look| !look.awaited.as_ref().is_some_and(overdue);
        let peers = &self.peers;
        let reachable = |peer: &Member| peers.exact(peer).is_some_and(Peer::is_reachable);
        rounds.look = rounds
            .look
            .take()
            .filter(|look| answers(look) && reachable(&look.peer));
        rounds.suspected.retain(|peer, _| reachable(peer));
        if !self.fill.is_done() || self.fenced {
            return;
        }
        self.look_again();
        match self.rounds.look.take() {
            Some(look) if look.awaited.is_none() => self.look_on(look),
            Some(look) => self.rounds.look = Some(look),
            None => self.look_at_someone(),
        }
    }

    /// Begins a round with a ready peer of whom nothing is suspected yet.
    fn look_at_someone(&mut self) {
        let fit = |peer: &&Peer| {
            peer.is_reachable()
                && !peer.suspect
                && peer.inbound.started
                && peer.phase == Some(Phase::Ready)
                && peer.wire.unwrap_or(self.config.wire) >= WireVersion::V2
                && !self.rounds.suspected.contains_key(&peer.member)
        };
        let fit = self.peers.iter().filter(fit);
        let fit: Vec<Member> = fit.map(|peer| peer.member.clone()).collect();
        if fit.is_empty() {
            return;
        }
        let at = self.random.u64() as usize % fit.len();
        if let Some(peer) = fit.into_iter().nth(at) {
            let first = self.first_with(&peer);
            let look = Look::new(peer, self.now.mono, first);
            self.look_asks(look, Asked::Shards(first));
        }
    }

    fn look_asks(&mut self, mut look: Look, asked: Asked) {
        look.awaited = Some(self.ask_for_round(&look.peer, asked));
        self.rounds.look = Some(look);
    }

    fn ask_for_round(&mut self, peer: &Member, asked: Asked) -> Awaited {
        let rpc = self.ops.number();
        self.send(peer, PeerMessage::RoundRequest { rpc, asked });
        let since = self.now.mono;
        Awaited { rpc, since }
    }

    pub(super) fn told_in_round(
        &mut self,
        from: &Member,
        rpc: u64,
        standing: Standing,
        told: Told,
    ) {
        let pairs = |awaited: &Awaited| awaited.rpc == rpc;
        let second = |second: &mut SecondLook| second.peer == *from && pairs(&second.awaited);
        if let Some(second) = self.rounds.second.take_if(second) {
            if let Told::States(theirs) = told {
                self.looked_again(second, &standing, &theirs);
            }
            return;
        }
        let mine = |look: &mut Look| look.peer == *from && look.awaited.as_ref().is_some_and(pairs);
        let Some(mut look) = self.rounds.look.take_if(mine) else {
            return;
        };
        look.awaited = None;
        furthest(&mut look.theirs, standing.vector);
        // An answer that tells nothing of what was asked ends the round.
        let goes_on = match told {
            Told::Shards(first, theirs) => self.told_shards(&mut look, first, &theirs),
            Told::Buckets(told) => self.told_buckets(&mut look, told),
            Told::Pairs(told) => self.told_pairs(&mut look, told),
            Told::States(_) => false,
        };
        if goes_on {
            self.look_on(look);
        }
    }

    fn told_shards(&mut self, look: &mut Look, first: u32, theirs: &[u128]) -> bool {
        if first < look.first || !look.shards.is_empty() {
            return false;
        }
        look.first = first;
        let edges = self.edges_of(&look.peer, first);
        let mut shards = self.digests.differing_shards(theirs, &edges);
        // Work is bounded: each round begins elsewhere, so that none is passed over for ever.
        let turn = self.random.u64() as usize % shards.len().max(1);
        shards.rotate_left(turn);
        let from = |shard| ShardFrom {
            shard,
            bucket: first,
        };
        look.shards = shards.into_iter().map(from).collect();
        true
    }

    fn told_buckets(&self, look: &mut Look, told: Vec<BucketsTold>) -> bool {
        let mut asked = std::mem::take(&mut look.asked_shards);
        let before = asked.len();
        for part in told {
            let Some(at) = asked.iter().position(|of| *of == part.of) else {
                return false;
            };
            asked.swap_remove(at);
            let shard = part.of.shard;
            let last = part.digests.last().map(|(bucket, _)| *bucket);
            let end = if part.more { last } else { None };
            let range = (part.of.bucket, end.unwrap_or(u32::MAX));
            let edges = self.edges_of(&look.peer, look.first);
            let differ = self
                .digests
                .differing_buckets(shard, range, &part.digests, &edges);
            let after = None;
            let of = |bucket| BucketFrom {
                shard,
                bucket,
                after,
            };
            look.buckets.extend(differ.into_iter().map(of));
            if let Some(next) = last.filter(|_| part.more).and_then(|b| b.checked_add(1)) {
                let rest = ShardFrom {
                    shard,
                    bucket: next,
                };
                look.shards.push_back(rest);
            }
        }
        let progress = asked.len() < before;
        look.shards.extend(asked);
        progress
    }

    fn told_pairs(&self, look: &mut Look, told: Vec<PairsTold>) -> bool {
        let mut asked = std::mem::take(&mut look.asked_buckets);
        let before = asked.len();
        let parts: Vec<BucketFrom> = told.iter().map(|part| part.of).collect();
        let mut mine = self.pairs_in(&parts);
        for part in told {
            let Some(at) = asked.iter().position(|of| *of == part.of) else {
                return false;
            };
            asked.swap_remove(at);
            if let Some(at) = mine.iter().position(|(of, _)| *of == part.of) {
                let (_, own) = mine.swap_remove(at);
                look.compare_pairs(own, &part);
            }
        }
        let progress = asked.len() < before;
        look.buckets.extend(asked);
        progress
    }

    /// Goes on with the deepest level that has work left, as far as this second allows.
    fn look_on(&mut self, mut look: Look) {
        if look.is_full() || (look.buckets.is_empty() && look.shards.is_empty()) {
            return self.looked(look);
        }
        if self.rounds.left == 0 {
            self.rounds.look = Some(look);
            return;
        }
        if look.buckets.is_empty() {
            self.rounds.left -= 1;
            let count = look.shards.len().min(SHARDS_PER_STEP);
            look.asked_shards = look.shards.drain(..count).collect();
            let asked = Asked::Buckets(look.asked_shards.clone());
            return self.look_asks(look, asked);
        }
        look.asked_buckets = look.take_buckets(&mut self.rounds.left);
        let asked = Asked::Pairs(look.asked_buckets.clone());
        self.look_asks(look, asked);
    }

    fn looked(&mut self, look: Look) {
        stats::count(&self.stats.rounds);
        if look.suspects.is_empty() {
            return;
        }
        let suspicion = Suspicion {
            began: look.began,
            seen: self.now.mono,
            mine: self.standing().vector,
            theirs: look.theirs,
            suspects: look.suspects,
        };
        self.rounds.suspected.insert(look.peer, suspicion);
    }

    /// Looks again at the tickets of one peer that were seen to differ two seconds ago.
    fn look_again(&mut self) {
        if self.rounds.second.is_some() {
            return;
        }
        let due = self.now.mono.saturating_sub(SECOND_LOOK);
        let mut suspected = self.rounds.suspected.iter();
        let Some((peer, _)) = suspected.find(|(_, suspicion)| suspicion.seen <= due) else {
            return;
        };
        let peer = peer.clone();
        let Some(suspicion) = self.rounds.suspected.remove(&peer) else {
            return;
        };
        let keys = suspicion.suspects.iter().map(|suspect| suspect.key);
        let awaited = self.ask_for_round(&peer, Asked::States(keys.collect()));
        self.rounds.second = Some(SecondLook {
            peer,
            awaited,
            suspicion,
        });
    }

    fn looked_again(&mut self, second: SecondLook, standing: &Standing, theirs: &[u128]) {
        let (peer, suspicion) = (second.peer, second.suspicion);
        if theirs.len() != suspicion.suspects.len() {
            return;
        }
        let unexplained = self.is_unexplained(&peer, &suspicion, standing);
        let (mut wanted, mut give) = (Vec::new(), Vec::new());
        let mut diverged = Vec::new();
        for (suspect, theirs) in suspicion.suspects.iter().zip(theirs) {
            let mine = self.settled_digest(&suspect.key);
            if mine == *theirs || self.is_ending(&suspect.key, &peer) {
                continue;
            }
            if unexplained && (mine, *theirs) == (suspect.mine, suspect.theirs) {
                diverged.push(suspect.key);
            }
            if *theirs != 0 {
                wanted.push(suspect.key);
            }
            if mine != 0 {
                give.push(suspect.key);
            }
        }
        if let Some(first) = diverged.first() {
            self.event(Event::Diverged {
                peer: peer.clone(),
                entries: diverged.len() as u64,
                first: *first,
            });
            stats::add(&self.stats.diverged, diverged.len() as u64);
        }
        if !wanted.is_empty() || !give.is_empty() {
            self.repair_entries(&peer, wanted, give);
        }
    }

    /// Whether nothing explains what differed at the first look and still does.
    fn is_unexplained(&self, peer: &Member, first: &Suspicion, theirs: &Standing) -> bool {
        let age = self.now.mono.saturating_sub(first.began);
        let quiet = age.max(self.config.quiet);
        let both_quiet = self.quiet_for() >= quiet && theirs.quiet_ms >= quiet.div_ceil(MS);
        let offset = self.clock.offset(&peer.node);
        let same_clock = offset.is_some_and(|by| by.unsigned_abs() <= self.config.tolerance_ms);
        let mine = self.standing();
        let caught_up = |now: &Standing, then: &[(Member, u64)]| {
            let reached = |(origin, at): &(Member, u64)| now.of(origin) >= Some(*at);
            then.iter().all(reached)
        };
        both_quiet
            && same_clock
            && caught_up(&mine, &first.theirs)
            && caught_up(theirs, &first.mine)
    }
}

/// Keeps the furthest of two vectors, place by place.
fn furthest(vector: &mut Vec<(Member, u64)>, news: Vec<(Member, u64)>) {
    for (member, at) in news {
        match vector.iter_mut().find(|(known, _)| *known == member) {
            Some((_, known)) => *known = at.max(*known),
            None => vector.push((member, at)),
        }
    }
}
