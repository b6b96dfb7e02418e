//! Answering another node's digest round, and knowing how far a difference explains itself (rule 19).
//!
//! Every answer says where the own streams stand and for how long nothing has happened that explains
//! a difference: a break, a death, a repair, a peer that is not ready. Work per answer is bounded.

use std::collections::BTreeMap;

use castor_proto::ids::Member;
use castor_proto::limits;
use castor_proto::message::{PeerMessage, Phase};
use castor_proto::rounds::{Asked, BucketFrom, BucketsTold, PairsTold, ShardFrom, Standing, Told};
use castor_proto::ticket::TicketKey;

use super::config::Micros;
use super::digests::{Edge, Edges, bucket_of};
use super::peers::Peer;
use super::rounds::ANSWER_TIMEOUT;
use super::{Engine, Event, MS, stats};

/// Most shards of the store that are walked for one answer: about 4,000 tickets each of 1,000,000.
pub(super) const WALKS_MAX: usize = 8;

/// A ticket this near to its idle end is left out of second looks, milliseconds: two clocks forget it
/// at different moments.
const NEAR_IDLE_MS: u64 = 60_000;

impl Engine {
    /// Something has happened that explains differences for a while.
    pub(super) fn disturbed(&mut self) {
        self.quiet_since = self.now.mono;
    }

    /// Whether something is going on now that explains differences.
    fn is_disturbed(&self) -> bool {
        let settled = |peer: &Peer| {
            peer.is_reachable()
                && peer.inbound.started
                && !peer.suspect
                && !peer.lagging
                && peer.phase == Some(Phase::Ready)
        };
        self.phase != Phase::Ready
            || !self.clock_is_sound()
            || self
                .peers
                .iter()
                .any(|peer| peer.repair_due || (peer.is_present() && !settled(peer)))
            || self.compares()
    }

    pub(super) fn watch_quiet(&mut self) {
        if self.is_disturbed() {
            self.disturbed();
        }
    }

    /// For how long nothing has happened that explains a difference.
    pub(super) fn quiet_for(&self) -> Micros {
        if self.is_disturbed() {
            0
        } else {
            self.now.mono.saturating_sub(self.quiet_since)
        }
    }

    /// Where the own streams stand now.
    pub(super) fn standing(&self) -> Standing {
        let own = (self.config.me.clone(), self.stream.head());
        let present = self.peers.iter().filter(|peer| peer.is_present());
        let others = present.map(|peer| (peer.member.clone(), peer.inbound.applied));
        let all = std::iter::once(own).chain(others);
        Standing {
            vector: all.take(limits::MEMBERS_MAX).collect(),
            quiet_ms: self.quiet_for() / MS,
        }
    }

    /// What has ended does not count.
    pub(super) fn edge(&self) -> Edge {
        Edge::at(self.own())
    }

    /// The first bucket that is compared with a peer. When the two clocks differ by more than they
    /// should, the present one is not: each forgets it in its own time.
    pub(super) fn first_with(&self, peer: &Member) -> u32 {
        let (own, tolerance) = (self.own(), self.config.tolerance_ms);
        match self.clock.offset(&peer.node) {
            Some(by) if by.unsigned_abs() > tolerance => {
                let later = own.saturating_add_signed(by.max(0));
                bucket_of(later + tolerance).saturating_add(1)
            }
            _ => bucket_of(own),
        }
    }

    /// The edges that a peer may have had in an answer that has just come.
    pub(super) fn edges_of(&self, peer: &Member, first: u32) -> Edges {
        self.edges_around(self.clock.offset(&peer.node).unwrap_or(0), first)
    }

    /// The edges of a clock that differs from the own one by so many milliseconds.
    pub(super) fn edges_around(&self, offset: i64, first: u32) -> Edges {
        let now = self.own().saturating_add_signed(offset);
        let tolerance = self.config.tolerance_ms;
        let earliest = now.saturating_sub(tolerance + ANSWER_TIMEOUT / MS);
        Edges::between(earliest, now + tolerance, first)
    }

    pub(super) fn asked_for_round(&mut self, from: &Member, rpc: u64, asked: &Asked) {
        let told = match asked {
            Asked::Shards(first) => {
                let edge = self.edge().from(*first);
                Told::Shards(edge.bucket(), self.digests.shards(edge))
            }
            Asked::Buckets(parts) => Told::Buckets(self.tell_buckets(parts)),
            Asked::Pairs(parts) => Told::Pairs(self.tell_pairs(parts)),
            Asked::States(keys) => {
                let states = keys.iter().map(|key| self.settled_digest(key));
                Told::States(states.collect())
            }
        };
        let standing = self.standing();
        let reply = PeerMessage::RoundReply {
            rpc,
            standing,
            told,
        };
        self.send(from, reply);
    }

    fn tell_buckets(&self, parts: &[ShardFrom]) -> Vec<BucketsTold> {
        let mut room = limits::DIGEST_BUCKETS_MAX;
        let mut told = Vec::new();
        for of in parts {
            if room == 0 {
                break;
            }
            let mut digests: Vec<_> = self
                .digests
                .buckets(of.shard, of.bucket, self.edge())
                .take(room + 1)
                .collect();
            let more = digests.len() > room;
            digests.truncate(room);
            room -= digests.len();
            told.push(BucketsTold {
                of: *of,
                digests,
                more,
            });
        }
        told
    }

    fn tell_pairs(&self, parts: &[BucketFrom]) -> Vec<PairsTold> {
        let mut room = limits::DIGEST_PAIRS_MAX;
        let mut told = Vec::new();
        for (of, mut digests) in self.pairs_in(parts) {
            if room == 0 {
                break;
            }
            let more = digests.len() > room;
            digests.truncate(room);
            room -= digests.len();
            told.push(PairsTold { of, digests, more });
        }
        told
    }

    /// Keys and digests of some parts of buckets, of as many as a bounded walk finds; sorted.
    pub(super) fn pairs_in(
        &self,
        parts: &[BucketFrom],
    ) -> Vec<(BucketFrom, Vec<(TicketKey, u128)>)> {
        let mut by_shard: BTreeMap<u8, Vec<&BucketFrom>> = BTreeMap::new();
        for part in parts {
            if by_shard.len() < WALKS_MAX || by_shard.contains_key(&part.shard) {
                by_shard.entry(part.shard).or_default().push(part);
            }
        }
        let edge = self.edge();
        let mut all = Vec::new();
        for (shard, parts) in by_shard {
            let mut found: BTreeMap<u32, Vec<(TicketKey, u128)>> =
                parts.iter().map(|part| (part.bucket, Vec::new())).collect();
            for (key, end, digest) in self.store.shard_keys(shard) {
                if let Some(pairs) = found.get_mut(&bucket_of(end))
                    && !edge.leaves_out(end)
                {
                    pairs.push((key, digest));
                }
            }
            for part in parts {
                let pairs = found.get(&part.bucket).into_iter().flatten();
                let behind = |(key, _): &&(TicketKey, u128)| part.after.is_none_or(|at| *key > at);
                all.push((*part, pairs.filter(behind).copied().collect()));
            }
        }
        all
    }

    /// The digest of a ticket that no clock will end soon; 0 when there is none.
    pub(super) fn settled_digest(&self, key: &TicketKey) -> u128 {
        let own = self.own();
        let Some(entry) = self.store.outline(key) else {
            return 0;
        };
        let ends = Edge::after(own + self.config.tolerance_ms).leaves_out(entry.hard_expiry);
        let idles = self.has_idled_away(&entry, own + NEAR_IDLE_MS);
        if ends || idles { 0 } else { entry.digest }
    }

    /// Whether a peer may already call this ticket ended that this node holds.
    pub(super) fn is_ending(&self, key: &TicketKey, peer: &Member) -> bool {
        let apart = self.clock.offset(&peer.node).unwrap_or(0).unsigned_abs();
        let near = Edge::after(self.own() + apart + 3 * self.config.tolerance_ms);
        let held = self.store.outline(key);
        held.is_some_and(|entry| near.leaves_out(entry.hard_expiry))
    }

    /// Counts the kept digests of one shard anew, a shard a second: what they do not show no round
    /// would find.
    pub(super) fn recount_a_shard(&mut self) {
        let shard = self.rounds.next_recount();
        let held = self.store.shard_keys(shard);
        let held = held.into_iter().map(|(_, end, digest)| (end, digest));
        if !self.digests.recount(shard, self.own(), held) {
            stats::count(&self.stats.digests_mended);
            self.event(Event::DigestsMended { shard });
        }
    }
}
