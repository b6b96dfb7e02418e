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
use super::digests::{bucket_of, first_compared};
use super::peers::Peer;
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

    /// The first bucket that this node compares now.
    pub(super) fn first_told(&self) -> u32 {
        first_compared(self.own(), self.config.tolerance_ms)
    }

    pub(super) fn asked_for_round(&mut self, from: &Member, rpc: u64, asked: &Asked) {
        let told = match asked {
            Asked::Shards(first) => {
                let first = self.first_told().max(*first);
                Told::Shards(first, self.digests.shards(first))
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
                .buckets(of.shard, of.bucket)
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
        let mut all = Vec::new();
        for (shard, parts) in by_shard {
            let mut found: BTreeMap<u32, Vec<(TicketKey, u128)>> =
                parts.iter().map(|part| (part.bucket, Vec::new())).collect();
            for (key, end, digest) in self.store.shard_keys(shard) {
                if let Some(pairs) = found.get_mut(&bucket_of(end)) {
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
        let Some((entry, digest)) = self.store.entry_and_digest(key) else {
            return 0;
        };
        let ends = bucket_of(entry.hard_expiry) < self.first_told();
        let idles = self.has_idled_away(&entry, own + NEAR_IDLE_MS);
        if ends || idles { 0 } else { digest }
    }

    /// Counts the kept digests of one shard anew, a shard a second: what they do not show no round
    /// would find.
    pub(super) fn recount_a_shard(&mut self) {
        let shard = self.rounds.next_recount();
        let held = self.store.shard_keys(shard);
        let held = held.into_iter().map(|(_, end, digest)| (end, digest));
        if !self.digests.recount(shard, held) {
            stats::count(&self.stats.digests_mended);
            self.event(Event::DigestsMended { shard });
        }
    }
}
