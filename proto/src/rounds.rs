//! What two nodes say to each other in a digest round (rule 19), since wire version 2.
//!
//! A round goes down from shards to expiry buckets to pairs of key and digest, and looks at single
//! tickets a second time. The asker names what it wants to know and keeps its own digests to itself;
//! the answerer tells its own, and where its streams stood at that moment. Every level can be told in
//! parts, so no message has to be larger than its limit however much a bucket holds.

use crate::codec::{SchemaRead, SchemaWrite};
use crate::ids::Member;
use crate::limits;
use crate::ticket::TicketKey;

/// Where a node's streams stand.
#[derive(Debug, Clone, PartialEq, Eq, Default, SchemaRead, SchemaWrite)]
pub struct Standing {
    /// The node itself with the head of its own stream, then every other member that it has a link
    /// or gossip of, with how much of that member's stream it has applied.
    pub vector: Vec<(Member, u64)>,
    /// For how long nothing has happened to it that explains a difference, milliseconds.
    pub quiet_ms: u64,
}

impl Standing {
    /// How far this member's stream is applied; absent for one that is not named.
    pub fn of(&self, member: &Member) -> Option<u64> {
        let place = self.vector.iter().find(|(named, _)| named == member)?;
        Some(place.1)
    }

    pub(crate) fn check(&self) -> bool {
        let fits =
            |(member, at): &(Member, u64)| member.node.check() && *at <= limits::SEQUENCE_MAX;
        self.vector.len() <= limits::MEMBERS_MAX && self.vector.iter().all(fits)
    }
}

/// The buckets of a shard, from one on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct ShardFrom {
    /// Which shard.
    pub shard: u8,
    /// First bucket wanted.
    pub bucket: u32,
}

/// The tickets of a bucket, from one on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct BucketFrom {
    /// Which shard.
    pub shard: u8,
    /// Which bucket.
    pub bucket: u32,
    /// Go on after this key.
    pub after: Option<TicketKey>,
}

/// Whose digests are wanted.
#[derive(Debug, Clone, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum Asked {
    /// Of each of the 256 shards, over the buckets from this one on.
    Shards(u32),
    /// Of the buckets of these shards.
    Buckets(Vec<ShardFrom>),
    /// Of the tickets in these buckets.
    Pairs(Vec<BucketFrom>),
    /// Of these tickets.
    States(Vec<TicketKey>),
}

/// Digests by bucket, in rising order.
#[derive(Debug, Clone, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct BucketsTold {
    /// Of what.
    pub of: ShardFrom,
    /// The digests.
    pub digests: Vec<(u32, u128)>,
    /// The shard has buckets after the last of these.
    pub more: bool,
}

/// Digests by key, in rising order.
#[derive(Debug, Clone, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct PairsTold {
    /// Of what.
    pub of: BucketFrom,
    /// The digests.
    pub digests: Vec<(TicketKey, u128)>,
    /// The bucket has tickets after the last of these.
    pub more: bool,
}

/// The answerer's own digests. What it has no room for it leaves out, and is asked for next.
#[derive(Debug, Clone, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum Told {
    /// The first bucket counted, not below the one asked for, and the 256 shards.
    Shards(u32, Vec<u128>),
    /// Of some of the shards asked for.
    Buckets(Vec<BucketsTold>),
    /// Of some of the buckets asked for.
    Pairs(Vec<PairsTold>),
    /// Of the tickets asked for, in that order; 0 for one that it does not have, or that is so near
    /// its end that two clocks may differ about it.
    States(Vec<u128>),
}

impl Asked {
    pub(crate) fn check(&self) -> bool {
        match self {
            Self::Shards(_) => true,
            Self::Buckets(parts) => parts.len() <= limits::DIGEST_PARTS_MAX,
            Self::Pairs(parts) => parts.len() <= limits::DIGEST_PARTS_MAX,
            Self::States(keys) => keys.len() <= limits::DIGEST_KEYS_MAX,
        }
    }
}

impl Told {
    pub(crate) fn check(&self) -> bool {
        match self {
            Self::Shards(_, shards) => shards.len() == 256,
            Self::Buckets(parts) => {
                let told: usize = parts.iter().map(|part| part.digests.len()).sum();
                parts.len() <= limits::DIGEST_PARTS_MAX
                    && told <= limits::DIGEST_BUCKETS_MAX
                    && parts.iter().all(|part| is_rising(&part.digests))
            }
            Self::Pairs(parts) => {
                let told: usize = parts.iter().map(|part| part.digests.len()).sum();
                parts.len() <= limits::DIGEST_PARTS_MAX
                    && told <= limits::DIGEST_PAIRS_MAX
                    && parts.iter().all(|part| is_rising(&part.digests))
            }
            Self::States(digests) => digests.len() <= limits::DIGEST_KEYS_MAX,
        }
    }
}

fn is_rising<K: Ord>(digests: &[(K, u128)]) -> bool {
    digests.windows(2).all(|pair| match pair {
        [a, b] => a.0 < b.0,
        _ => true,
    })
}
