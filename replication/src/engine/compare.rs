//! Comparing states with a peer and repairing what differs (rule 19).
//!
//! Shards, then buckets of the shards that differ, then keys and digests of the buckets that
//! differ, then entries, both ways. A comparison names exactly what is missing, so whatever is
//! missing is found; every message is bounded, and what did not fit is asked for next.

use std::collections::BTreeMap;

use castor_proto::delta::Entry;
use castor_proto::ids::Member;
use castor_proto::message::{Compare, PeerMessage};
use castor_proto::ticket::TicketKey;

use super::config::Micros;
use super::digests::{Edge, Edges, bucket_of};
use super::mutants::mutant;
use super::ops::Op;
use super::peers::{Gossip, Peer};
use super::timers::Timer;
use super::{Engine, Event, MS, stats};

/// Time for one answer before the comparison is given up.
const STEP_TIMEOUT: Micros = 3_000 * MS;

/// Pause between two comparisons around a cut link.
const DETOUR: Micros = 1_000 * MS;

/// Buckets after which no further shard is added to a message: 22 bytes each.
const BUCKETS_MAX: usize = 20_000;

/// Buckets whose keys are compared in one message.
const BUCKETS_PER_STEP: usize = 64;

/// Most pairs of key and digest in one message.
const PAIRS_PER_STEP: usize = 20_000;

/// Entries asked for in one message.
const ENTRIES_PER_STEP: usize = 512;

/// A comparison with one peer.
pub(super) struct CompareOp {
    peer: Member,
    first: u32,
    shards: Vec<u8>,
    asked_shards: Vec<u8>,
    buckets: Vec<(u8, u32)>,
    asked_buckets: Vec<(u8, u32)>,
    wanted: Vec<TicketKey>,
    asked: Vec<TicketKey>,
    give: Vec<TicketKey>,
    received: u64,
    sent: u64,
    /// The gap in the own stream that it closes.
    gap: Option<u64>,
    /// It leaves nothing out, however far the clocks are apart.
    whole: bool,
}

impl CompareOp {
    fn new(peer: &Member, first: u32) -> Self {
        Self {
            peer: peer.clone(),
            first,
            shards: Vec::new(),
            asked_shards: Vec::new(),
            buckets: Vec::new(),
            asked_buckets: Vec::new(),
            wanted: Vec::new(),
            asked: Vec::new(),
            give: Vec::new(),
            received: 0,
            sent: 0,
            gap: None,
            whole: false,
        }
    }
}

/// One shard's keys and digests by bucket.
type Sorted = BTreeMap<u32, Vec<(TicketKey, u128)>>;

type Pairs = Vec<castor_proto::message::BucketPairs>;

impl Engine {
    /// Repairs with every peer, now or as soon as it can be reached: after a broken stream, a death,
    /// or a logout that not everyone acknowledged.
    pub(super) fn repair_after_break(&mut self) {
        self.disturbed();
        let peers: Vec<Member> = self.peers.iter().map(|peer| peer.member.clone()).collect();
        for peer in peers {
            self.repair_with(&peer);
        }
    }

    /// While somebody who is alive cannot be reached from here, his stream does not come: a neighbour
    /// that has it is compared with instead, one a second.
    pub(super) fn repair_around_a_cut(&mut self) {
        let cut_off = |peer: &Peer| {
            peer.gossip == Gossip::Alive && !peer.fenced && !(peer.link && peer.inbound.started)
        };
        let due = self.now.mono >= self.next_detour && self.fill.is_done();
        if !due || !self.peers.iter().any(cut_off) {
            return;
        }
        self.next_detour = self.now.mono + DETOUR;
        let near: Vec<Member> = self
            .peers
            .iter()
            .filter(|peer| peer.is_reachable() && peer.inbound.started && peer.serves())
            .map(|peer| peer.member.clone())
            .collect();
        let at = self.random.u64() as usize % near.len().max(1);
        if let Some(peer) = near.get(at) {
            self.repair_with(&peer.clone());
        }
    }

    /// Repairs with this peer now, or as soon as it can be reached and serves. A repair that is under
    /// way may have passed what is missing already, so another one follows it. A peer that fills
    /// itself fetches everything at its own pace, and compares before it is ready (rule 20): to push it
    /// the same besides would be twice the work.
    pub(super) fn repair_with(&mut self, peer: &Member) {
        self.disturbed();
        if let Some(peer) = self.peers.exact_mut(peer) {
            peer.repair_due = true;
        }
        self.repair_if_due(peer);
    }

    pub(super) fn repair_if_due(&mut self, peer: &Member) {
        let due = |peer: &Peer| peer.repair_due && peer.is_reachable() && peer.serves();
        if self.fill.is_done() && self.peers.exact(peer).is_some_and(due) {
            self.compare_with(peer);
        }
    }

    /// Brings a peer what its place in the stream passes over. The peer compares as well, and says of
    /// nothing that it has it; only an own comparison tells this node that the gap is closed (rule 18).
    pub(super) fn repair_gap(&mut self, peer: &Member) {
        let lacks = |known: &Peer| known.out.gap.is_some() && known.serves();
        if self.peers.exact(peer).is_some_and(lacks) {
            self.repair_with(peer);
        }
    }

    /// A comparison that began when this gap was open has ended.
    fn close_gap(&mut self, peer: &Member, number: Option<u64>) {
        if let Some(peer) = self.peers.exact_mut(peer)
            && peer.out.gap.map(|gap| gap.number) == number
        {
            peer.out.gap = None;
        }
    }

    /// Starts a comparison, unless one with this peer is under way.
    pub(super) fn compare_with(&mut self, peer: &Member) {
        if mutant!(NothingCompared) {
            return self.fill_compared(peer); // rule 19
        }
        if self.is_comparing(peer) {
            return;
        }
        let gap = self.peers.exact_mut(peer).and_then(|peer| {
            peer.repair_due = false;
            peer.out.gap.map(|gap| gap.number)
        });
        // What a gap lacks, or a filling node, may be in any bucket. What one of two clocks that are apart
        // calls ended is then told in vain, and refused.
        let whole = gap.is_some() || !self.fill.is_done();
        let first = if whole {
            self.edge().bucket()
        } else {
            self.first_with(peer)
        };
        let mut op = CompareOp::new(peer, first);
        (op.gap, op.whole) = (gap, whole);
        let edge = self.edge().from(first);
        let mine = Compare::Shards(first, self.digests.shards(edge));
        self.compare_ask(op, mine);
    }

    /// Takes over and gives what a digest round found to differ; nothing when a comparison with this
    /// peer is under way, which finds it too.
    pub(super) fn repair_entries(
        &mut self,
        peer: &Member,
        wanted: Vec<TicketKey>,
        give: Vec<TicketKey>,
    ) {
        if !self.is_comparing(peer) {
            let mut op = CompareOp::new(peer, 0);
            op.wanted = wanted;
            op.give = give;
            self.compare_next(op);
        }
    }

    /// The edges that explain what a comparison finds to differ. Of a clock that is apart none does, where
    /// nothing may be left out: what it calls ended may be what it never had.
    fn edges_for(&self, op: &CompareOp) -> Edges {
        let apart = self.clock.offset(&op.peer.node).unwrap_or(0);
        let tolerance = self.config.tolerance_ms;
        if op.whole && apart.unsigned_abs() > tolerance {
            self.edges_around(0, op.first)
        } else {
            self.edges_around(apart, op.first)
        }
    }

    fn is_comparing(&self, peer: &Member) -> bool {
        let with = |op: &Op| matches!(op, Op::Compare(op) if op.peer == *peer);
        !self.ops.numbers_of(with).is_empty()
    }

    /// Whether some comparison is under way.
    pub(super) fn compares(&self) -> bool {
        let any = |op: &Op| matches!(op, Op::Compare(_));
        !self.ops.numbers_of(any).is_empty()
    }

    fn compare_ask(&mut self, op: CompareOp, mine: Compare) {
        let peer = op.peer.clone();
        let number = self.compare_wait(op);
        self.send(&peer, PeerMessage::CompareRequest { rpc: number, mine });
    }

    /// Sets the comparison aside under a number of its own for every step, so that an answer that
    /// comes twice or late cannot stand for the one that is awaited.
    fn compare_wait(&mut self, op: CompareOp) -> u64 {
        let number = self.ops.number();
        self.timers
            .set(self.now.mono + STEP_TIMEOUT, Timer::Op(number, 0));
        self.ops.put(number, Op::Compare(op));
        number
    }

    pub(super) fn compare_timeout(&mut self, op: &CompareOp) {
        self.repair_with(&op.peer);
    }

    pub(super) fn compared(&mut self, from: &Member, rpc: u64, theirs: Compare) {
        let Some(Op::Compare(op)) = self.ops.get_mut(rpc) else {
            return;
        };
        if op.peer != *from {
            return;
        }
        let Some(Op::Compare(mut op)) = self.ops.take(rpc) else {
            return;
        };
        match theirs {
            Compare::Shards(_, theirs) => {
                let edges = self.edges_for(&op);
                op.shards = self.digests.differing_shards(&theirs, &edges);
            }
            Compare::Buckets(theirs) => self.differing_buckets(&mut op, &theirs),
            Compare::Entries(theirs) => self.differing_entries(&mut op, theirs),
        }
        self.compare_next(op);
    }

    /// Goes on with the deepest level that has work left.
    fn compare_next(&mut self, mut op: CompareOp) {
        let peer = op.peer.clone();
        if !op.wanted.is_empty() {
            let at = op.wanted.len().saturating_sub(ENTRIES_PER_STEP);
            op.asked = op.wanted.split_off(at);
            let keys = op.asked.clone();
            let number = self.compare_wait(op);
            return self.send(&peer, PeerMessage::EntriesRequest { rpc: number, keys });
        }
        if !op.give.is_empty() {
            let (entries, covered) = self.some_entries(&op.give);
            op.give.drain(..covered);
            op.sent += entries.len() as u64;
            let rpc = self.compare_wait(op);
            let covered = covered as u64;
            return self.send(
                &peer,
                PeerMessage::Entries {
                    rpc,
                    entries,
                    covered,
                },
            );
        }
        if !op.buckets.is_empty() {
            let at = op.buckets.len().saturating_sub(BUCKETS_PER_STEP);
            op.asked_buckets = op.buckets.split_off(at);
            let mine = self.pairs_of(&op.asked_buckets, PAIRS_PER_STEP);
            // What did not fit is asked for later.
            let fits = mine.len();
            op.buckets.extend(op.asked_buckets.drain(fits..));
            return self.compare_ask(op, Compare::Entries(mine));
        }
        if !op.shards.is_empty() {
            let mut mine = Vec::new();
            let mut total = 0;
            while total < BUCKETS_MAX
                && let Some(shard) = op.shards.pop()
            {
                let edge = self.edge().from(op.first);
                let buckets: Vec<_> = self.digests.buckets(shard, op.first, edge).collect();
                total += buckets.len();
                mine.push((shard, buckets));
                op.asked_shards.push(shard);
            }
            return self.compare_ask(op, Compare::Buckets(mine));
        }
        let (received, sent) = (op.received, op.sent);
        self.close_gap(&peer, op.gap);
        if received + sent > 0 {
            self.event(Event::Repaired {
                peer: peer.clone(),
                received,
                sent,
            });
        }
        self.fill_compared(&peer);
        self.repair_if_due(&peer);
    }

    fn differing_buckets(&self, op: &mut CompareOp, theirs: &[(u8, Vec<(u32, u128)>)]) {
        let edges = self.edges_for(op);
        for (shard, theirs) in theirs {
            op.asked_shards.retain(|asked| asked != shard);
            let range = (op.first, u32::MAX);
            let differ = self
                .digests
                .differing_buckets(*shard, range, theirs, &edges);
            op.buckets
                .extend(differ.into_iter().map(|bucket| (*shard, bucket)));
        }
        // Shards that the peer's answer had no room for.
        op.shards.append(&mut op.asked_shards);
    }

    /// Keys and digests of some buckets, as many buckets as fit; at least one.
    fn pairs_of(&self, buckets: &[(u8, u32)], most: usize) -> Pairs {
        let mut pairs = Pairs::new();
        let mut total = 0;
        // Buckets come sorted by shard: each shard is walked once.
        let mut walked: Option<(u8, Sorted)> = None;
        let edge = self.edge();
        for (shard, bucket) in buckets {
            if walked.as_ref().is_none_or(|(known, _)| known != shard) {
                let mut sorted = Sorted::new();
                for (key, end, digest) in self.store.shard_keys(*shard) {
                    if edge.leaves_out(end) {
                        continue;
                    }
                    sorted
                        .entry(bucket_of(end))
                        .or_default()
                        .push((key, digest));
                }
                walked = Some((*shard, sorted));
            }
            let list = walked
                .as_mut()
                .and_then(|(_, sorted)| sorted.remove(bucket));
            let list = list.unwrap_or_default();
            total += list.len();
            if total > most && !pairs.is_empty() {
                break;
            }
            pairs.push((*shard, *bucket, list));
        }
        pairs
    }

    fn differing_entries(&self, op: &mut CompareOp, theirs: Pairs) {
        let named: Vec<(u8, u32)> = theirs.iter().map(|(s, b, _)| (*s, *b)).collect();
        op.asked_buckets.retain(|asked| !named.contains(asked));
        let all = self.pairs_of(&named, usize::MAX);
        for ((_, _, theirs), (_, _, mine)) in theirs.into_iter().zip(all) {
            let theirs: BTreeMap<TicketKey, u128> = theirs.into_iter().collect();
            let mine: BTreeMap<TicketKey, u128> = mine.into_iter().collect();
            let differs = |(key, digest): &(&TicketKey, &u128)| mine.get(*key) != Some(*digest);
            op.wanted
                .extend(theirs.iter().filter(differs).map(|(key, _)| *key));
            let lacks = |(key, digest): &(&TicketKey, &u128)| theirs.get(*key) != Some(*digest);
            op.give
                .extend(mine.iter().filter(lacks).map(|(key, _)| *key));
        }
        // Buckets that the peer's answer had no room for.
        op.buckets.append(&mut op.asked_buckets);
    }

    /// The entries of the first of some keys, as many as fit into a message, and how many keys that
    /// covers; at least one. What has been forgotten meanwhile is covered without an entry.
    fn some_entries(&self, keys: &[TicketKey]) -> (Vec<Entry>, usize) {
        let mut entries = Vec::new();
        let mut weight = 0;
        for (covered, key) in keys.iter().enumerate() {
            if weight > self.config.batch_bytes || entries.len() >= ENTRIES_PER_STEP {
                return (entries, covered);
            }
            if let Some(entry) = self.store.entry(key) {
                weight += entry.weight();
                entries.push(entry);
            }
        }
        (entries, keys.len())
    }

    /// Whether the digests that are kept up to date are those of what the store holds. Walks the
    /// whole store: for tests and for a suspicion.
    pub fn digests_are_true(&self) -> bool {
        (0..=255).all(|shard| {
            let mut counted: BTreeMap<u32, u128> = BTreeMap::new();
            for (_, end, digest) in self.store.shard_keys(shard) {
                *counted.entry(bucket_of(end)).or_default() ^= digest;
            }
            counted.retain(|_, digest| *digest != 0);
            let kept = self.digests.buckets(shard, 0, Edge::NONE);
            kept.eq(counted)
        })
    }

    // ---- the asked side -----------------------------------------------------------------------

    pub(super) fn asked_to_compare(&mut self, from: &Member, rpc: u64, mine: Compare) {
        let theirs = match mine {
            Compare::Shards(first, _) => {
                let edge = self.edge().from(first);
                Compare::Shards(first, self.digests.shards(edge))
            }
            Compare::Buckets(shards) => {
                let edge = self.edge();
                let mut own = Vec::new();
                let mut total = 0;
                for (shard, _) in shards {
                    if total >= BUCKETS_MAX {
                        break;
                    }
                    let buckets: Vec<_> = self.digests.buckets(shard, 0, edge).collect();
                    total += buckets.len();
                    own.push((shard, buckets));
                }
                Compare::Buckets(own)
            }
            Compare::Entries(buckets) => {
                let asked: Vec<_> = buckets
                    .iter()
                    .map(|(shard, bucket, _)| (*shard, *bucket))
                    .collect();
                Compare::Entries(self.pairs_of(&asked, PAIRS_PER_STEP))
            }
        };
        self.send(from, PeerMessage::CompareReply { rpc, theirs });
    }

    pub(super) fn asked_for_entries(&mut self, from: &Member, rpc: u64, keys: &[TicketKey]) {
        let (entries, covered) = self.some_entries(keys);
        let covered = covered as u64;
        self.send(
            from,
            PeerMessage::Entries {
                rpc,
                entries,
                covered,
            },
        );
    }

    pub(super) fn entries(&mut self, from: &Member, rpc: u64, entries: &[Entry], covered: u64) {
        for entry in entries {
            let joined = self.apply(entry);
            stats::add(&self.stats.repaired, u64::from(joined.changed));
            if joined.changed {
                self.disturbed();
            }
            if joined.newly_destroyed {
                self.remember_duty(entry.key, from);
            }
        }
        match self.ops.get_mut(rpc) {
            Some(Op::Compare(op)) if op.peer == *from && !op.asked.is_empty() => {
                let covered = usize::try_from(covered)
                    .unwrap_or(usize::MAX)
                    .min(op.asked.len());
                op.received += entries.len() as u64;
                op.asked.drain(..covered);
                let rest = std::mem::take(&mut op.asked);
                op.wanted.extend(rest);
                // An answer that covers nothing would be asked for without end.
                if covered > 0
                    && let Some(Op::Compare(op)) = self.ops.take(rpc)
                {
                    self.compare_next(op);
                }
            }
            _ => self.send(from, PeerMessage::EntriesTaken { rpc }),
        }
    }

    pub(super) fn entries_taken(&mut self, from: &Member, rpc: u64) {
        let gave = |op: &CompareOp| op.peer == *from && op.asked.is_empty();
        if matches!(self.ops.get_mut(rpc), Some(Op::Compare(op)) if gave(op))
            && let Some(Op::Compare(op)) = self.ops.take(rpc)
        {
            self.compare_next(op);
        }
    }
}
