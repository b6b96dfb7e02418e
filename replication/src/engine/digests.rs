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

#[derive(Default)]
pub(super) struct Digests {
    /// Per shard: bucket to (digest, entries).
    shards: Vec<BTreeMap<u32, (u128, u64)>>,
}

impl Digests {
    pub(super) fn new() -> Self {
        Self {
            shards: vec![BTreeMap::new(); 256],
        }
    }

    /// An entry came, changed or went: its digest is flipped in, its count moves by `entries`.
    pub(super) fn flip(&mut self, shard: u8, hard_expiry: WallMs, digest: u128, entries: i64) {
        let Some(buckets) = self.shards.get_mut(usize::from(shard)) else {
            return;
        };
        let slot = buckets.entry(bucket_of(hard_expiry)).or_default();
        slot.0 ^= digest;
        slot.1 = slot.1.saturating_add_signed(entries);
        if slot.1 == 0 && slot.0 == 0 {
            buckets.remove(&bucket_of(hard_expiry));
        }
    }

    /// One digest per shard.
    pub(super) fn shards(&self, first: u32) -> Vec<u128> {
        self.shards
            .iter()
            .map(|buckets| {
                buckets
                    .range(first..)
                    .fold(0, |sum, (_, (digest, _))| sum ^ digest)
            })
            .collect()
    }

    /// The digests of one shard's buckets.
    pub(super) fn buckets(&self, shard: u8, first: u32) -> Vec<(u32, u128)> {
        self.shards
            .get(usize::from(shard))
            .map_or_else(Vec::new, |buckets| {
                buckets
                    .range(first..)
                    .map(|(bucket, (digest, _))| (*bucket, *digest))
                    .collect()
            })
    }
}
