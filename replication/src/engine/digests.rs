//! Digests of shards and of their expiry buckets, kept up to date with every join (rule 19).
//!
//! A digest is the XOR of the digests of full states, so it changes in place and does not depend on
//! order. Buckets are five minutes of hard expiry; those that end within the tolerance are left out
//! of every comparison, because two clocks may forget them at slightly different moments.

use std::collections::BTreeMap;

use castor_proto::ids::WallMs;

/// Length of a bucket, milliseconds.
const BUCKET_MS: u64 = 300_000;

/// The bucket of a hard expiry.
pub(super) fn bucket_of(hard_expiry: WallMs) -> u32 {
    u32::try_from(hard_expiry / BUCKET_MS).unwrap_or(u32::MAX)
}

/// First bucket that is compared at this own time.
pub(super) fn first_compared(now: WallMs, tolerance_ms: u64) -> u32 {
    bucket_of(now + tolerance_ms).saturating_add(1)
}

#[derive(Default, Clone)]
struct Shard {
    /// Of all buckets.
    total: u128,
    /// Bucket to (digest, entries).
    buckets: BTreeMap<u32, (u128, u64)>,
}

impl Shard {
    fn flip(&mut self, bucket: u32, digest: u128, entries: i64) {
        self.total ^= digest;
        let slot = self.buckets.entry(bucket).or_default();
        slot.0 ^= digest;
        slot.1 = slot.1.saturating_add_signed(entries);
        if slot.1 == 0 && slot.0 == 0 {
            self.buckets.remove(&bucket);
        }
    }
}

#[derive(Default)]
pub(super) struct Digests {
    shards: Vec<Shard>,
}

impl Digests {
    pub(super) fn new() -> Self {
        Self {
            shards: vec![Shard::default(); 256],
        }
    }

    /// An entry came, changed or went: its digest is flipped in, its count moves by `entries`.
    pub(super) fn flip(&mut self, shard: u8, hard_expiry: WallMs, digest: u128, entries: i64) {
        if let Some(shard) = self.shards.get_mut(usize::from(shard)) {
            shard.flip(bucket_of(hard_expiry), digest, entries);
        }
    }

    /// One digest per shard, over the buckets from `first` on.
    pub(super) fn shards(&self, first: u32) -> Vec<u128> {
        // Few buckets are left out: those that have just ended.
        let ended = |shard: &Shard| {
            let ended = shard.buckets.range(..first);
            ended.fold(0, |sum, (_, (digest, _))| sum ^ digest)
        };
        self.shards
            .iter()
            .map(|shard| shard.total ^ ended(shard))
            .collect()
    }

    /// The digests of one shard's buckets, from `first` on.
    pub(super) fn buckets(&self, shard: u8, first: u32) -> impl Iterator<Item = (u32, u128)> {
        let shard = self.shards.get(usize::from(shard));
        let buckets = shard
            .into_iter()
            .flat_map(move |s| s.buckets.range(first..));
        buckets.map(|(bucket, (digest, _))| (*bucket, *digest))
    }

    /// Counts one shard anew from what is held, (end, digest) by ticket. Whether it was right.
    pub(super) fn recount(
        &mut self,
        shard: u8,
        held: impl Iterator<Item = (WallMs, u128)>,
    ) -> bool {
        let mut counted = Shard::default();
        for (end, digest) in held {
            counted.flip(bucket_of(end), digest, 1);
        }
        let Some(kept) = self.shards.get_mut(usize::from(shard)) else {
            return true;
        };
        let right = kept.total == counted.total && kept.buckets == counted.buckets;
        *kept = counted;
        right
    }
}
