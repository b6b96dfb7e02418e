//! Digests of shards and of their expiry buckets, kept up to date with every join (rule 19).
//!
//! A digest is the XOR of the digests of full states, so it changes in place and does not depend on
//! order. Buckets are five minutes of hard expiry. What has ended is forgotten by each node at its own
//! moment, so the first bucket that is compared counts from an [`Edge`] on, to two seconds: the slots of
//! the buckets that end soon are kept for that. Two nodes never have quite the same edge. A digest
//! that a peer tells is therefore right when it fits any edge that the peer may have.

use std::collections::{BTreeMap, BTreeSet};

use castor_proto::ids::WallMs;

/// Length of a bucket, milliseconds.
const BUCKET_MS: u64 = 300_000;

/// Length of a slot, milliseconds: the tolerance between clocks, and a divisor of a bucket.
const SLOT_MS: u64 = 2_000;

/// Slots in a bucket.
const SLOTS: u32 = (BUCKET_MS / SLOT_MS) as u32;

/// Buckets from the present one on whose slots are kept. Counting all shards anew takes 256 s, less than
/// a bucket, so the second one is there when it is needed.
const NEAR: u32 = 2;

/// The bucket of a hard expiry.
pub(super) fn bucket_of(hard_expiry: WallMs) -> u32 {
    u32::try_from(hard_expiry / BUCKET_MS).unwrap_or(u32::MAX)
}

fn slot_of(hard_expiry: WallMs) -> u32 {
    u32::try_from(hard_expiry / SLOT_MS).unwrap_or(u32::MAX)
}

/// What ends before this slot does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edge(u32);

impl Edge {
    /// Everything counts.
    pub(super) const NONE: Self = Self(0);

    /// What has ended at this moment does not count, to a slot.
    pub(super) fn at(moment: WallMs) -> Self {
        Self(slot_of(moment))
    }

    /// Nor does what ends a little later.
    pub(super) fn after(moment: WallMs) -> Self {
        Self(slot_of(moment).saturating_add(1))
    }

    /// Nor does what is in an earlier bucket than this.
    pub(super) fn from(self, bucket: u32) -> Self {
        Self(self.0.max(bucket.saturating_mul(SLOTS)))
    }

    /// The first bucket of which something counts.
    pub(super) fn bucket(self) -> u32 {
        self.0 / SLOTS
    }

    /// Whether a ticket with this end does not count.
    pub(super) fn leaves_out(self, hard_expiry: WallMs) -> bool {
        slot_of(hard_expiry) < self.0
    }
}

/// The edges that a peer may have, the likeliest first.
pub(super) struct Edges(Vec<Edge>);

impl Edges {
    /// Between these two moments of its clock, and not before a bucket.
    pub(super) fn between(earliest: WallMs, latest: WallMs, bucket: u32) -> Self {
        let slots = slot_of(earliest)..=slot_of(latest);
        let mut edges: Vec<Edge> = slots.rev().map(|slot| Edge(slot).from(bucket)).collect();
        edges.dedup();
        Self(edges)
    }

    fn fit(&self, holds: impl Fn(Edge) -> bool) -> bool {
        self.0.iter().any(|edge| holds(*edge))
    }
}

#[derive(Default, Clone)]
struct Shard {
    /// Of all buckets.
    total: u128,
    /// Bucket to (digest, entries).
    buckets: BTreeMap<u32, (u128, u64)>,
    /// Slot to digest, of the buckets before `near`.
    slots: BTreeMap<u32, u128>,
    near: u32,
}

impl Shard {
    fn new(own: WallMs) -> Self {
        Self {
            near: bucket_of(own).saturating_add(NEAR),
            ..Self::default()
        }
    }

    fn flip(&mut self, hard_expiry: WallMs, digest: u128, entries: i64) {
        let bucket = bucket_of(hard_expiry);
        self.total ^= digest;
        let held = self.buckets.entry(bucket).or_default();
        held.0 ^= digest;
        held.1 = held.1.saturating_add_signed(entries);
        if held.1 == 0 && held.0 == 0 {
            self.buckets.remove(&bucket);
        }
        if bucket < self.near {
            let slot = self.slots.entry(slot_of(hard_expiry)).or_default();
            *slot ^= digest;
            if *slot == 0 {
                self.slots.remove(&slot_of(hard_expiry));
            }
        }
    }

    /// What of the edge's own bucket does not count.
    fn ended(&self, edge: Edge) -> u128 {
        let first = edge.bucket().saturating_mul(SLOTS);
        let ended = self.slots.range(first..edge.0);
        ended.fold(0, |sum, (_, digest)| sum ^ digest)
    }

    fn from(&self, edge: Edge) -> u128 {
        // Few buckets are left out: those that have just ended.
        let before = self.buckets.range(..edge.bucket());
        let before = before.fold(0, |sum, (_, (digest, _))| sum ^ digest);
        self.total ^ before ^ self.ended(edge)
    }

    fn bucket(&self, bucket: u32, edge: Edge) -> u128 {
        let whole = self.buckets.get(&bucket).map_or(0, |(digest, _)| *digest);
        match bucket.cmp(&edge.bucket()) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => whole ^ self.ended(edge),
            std::cmp::Ordering::Greater => whole,
        }
    }
}

#[derive(Default)]
pub(super) struct Digests {
    shards: Vec<Shard>,
}

impl Digests {
    /// Of nothing, at this own time.
    pub(super) fn new(own: WallMs) -> Self {
        Self {
            shards: vec![Shard::new(own); 256],
        }
    }

    /// An entry came, changed or went: its digest is flipped in, its count moves by `entries`.
    pub(super) fn flip(&mut self, shard: u8, hard_expiry: WallMs, digest: u128, entries: i64) {
        if let Some(shard) = self.shards.get_mut(usize::from(shard)) {
            shard.flip(hard_expiry, digest, entries);
        }
    }

    /// One digest per shard.
    pub(super) fn shards(&self, edge: Edge) -> Vec<u128> {
        self.shards.iter().map(|shard| shard.from(edge)).collect()
    }

    /// The shards that differ from what a peer tells, whatever its edge.
    pub(super) fn differing_shards(&self, theirs: &[u128], edges: &Edges) -> Vec<u8> {
        let both = self.shards.iter().zip(theirs).zip(0..=255u8);
        let differ =
            both.filter(|((mine, theirs), _)| !edges.fit(|edge| mine.from(edge) == **theirs));
        differ.map(|(_, shard)| shard).collect()
    }

    /// The digests of one shard's buckets, from `first` on.
    pub(super) fn buckets(
        &self,
        shard: u8,
        first: u32,
        edge: Edge,
    ) -> impl Iterator<Item = (u32, u128)> {
        let shard = self.shards.get(usize::from(shard));
        let first = first.max(edge.bucket());
        let buckets = shard.into_iter().flat_map(move |shard| {
            let buckets = shard.buckets.range(first..);
            buckets.map(move |(bucket, _)| (*bucket, shard.bucket(*bucket, edge)))
        });
        buckets.filter(|(_, digest)| *digest != 0)
    }

    /// The buckets of a shard, in a range, that differ from what a peer tells, whatever its edge.
    pub(super) fn differing_buckets(
        &self,
        shard: u8,
        (first, last): (u32, u32),
        theirs: &[(u32, u128)],
        edges: &Edges,
    ) -> Vec<u32> {
        let Some(shard) = self.shards.get(usize::from(shard)) else {
            return Vec::new();
        };
        let theirs: BTreeMap<u32, u128> = theirs.iter().copied().collect();
        if first > last {
            return Vec::new();
        }
        let mine = shard.buckets.range(first..=last).map(|(bucket, _)| *bucket);
        let told = theirs.range(first..=last).map(|(bucket, _)| *bucket);
        let all: BTreeSet<u32> = mine.chain(told).collect();
        let differs = |bucket: &u32| {
            let theirs = theirs.get(bucket).copied().unwrap_or(0);
            !edges.fit(|edge| shard.bucket(*bucket, edge) == theirs)
        };
        all.into_iter().filter(differs).collect()
    }

    /// Counts one shard anew from what is held, (end, digest) by ticket. Whether it was right.
    pub(super) fn recount(
        &mut self,
        shard: u8,
        own: WallMs,
        held: impl Iterator<Item = (WallMs, u128)>,
    ) -> bool {
        let mut counted = Shard::new(own);
        for (end, digest) in held {
            counted.flip(end, digest, 1);
        }
        let Some(kept) = self.shards.get_mut(usize::from(shard)) else {
            return true;
        };
        let right = kept.total == counted.total && kept.buckets == counted.buckets;
        *kept = counted;
        right
    }
}
