//! What one node's engine says to another's.
//!
//! Messages travel many to a sealed, signed envelope; the sender and its incarnation come from the
//! envelope, so no message repeats them. `rpc` pairs an answer with its question; an answer whose
//! question is no longer waited for is ignored.

use std::sync::Arc;

use crate::codec::{SchemaRead, SchemaWrite};
use crate::delta::{Entry, ServiceKey, ServiceUse};
use crate::failures::{self, Counter};
use crate::ids::{Ballot, ClaimId, Member, WallMs};
use crate::limits;
use crate::rounds::{Asked, Standing, Told};
use crate::ticket::{TicketKey, TicketKind};
use crate::version::WireVersion;

/// Where a node stands in its own life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub enum Phase {
    /// Filling itself, and it holds nothing yet.
    Empty,
    /// Filling itself, and it holds something.
    Bootstrapping,
    /// Serves requests.
    Ready,
    /// Finishes what it has begun and takes no new sign-ins.
    Draining,
}

/// Why a member takes no part in a claim or a store (rule 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub enum Refusal {
    /// Its own name and incarnation are not in the view.
    NotInView,
    /// Past expiry and tolerance on its clock.
    Expired,
    /// The ticket or one of its ancestors is destroyed.
    Destroyed,
    /// It has neither the body nor got one in the message.
    UnknownBody,
    /// The issuer has already promised a fallback ballot (rule 6).
    Preempted,
    /// It no longer takes new tickets: draining, full or fenced.
    Unwilling,
}

/// An acceptor's answer to a question about a ticket.
#[derive(Debug, Clone, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum Vote {
    /// Answer to `Open`: the issuer's one value for ballot 0, and whether it accepted that itself.
    Value {
        /// The value of ballot 0.
        claim: ClaimId,
        /// Whether the issuer's own acceptance counts.
        accepted: bool,
    },
    /// Answer to `Prepare`: promised this ballot, with the accepted value of the highest ballot so
    /// far. The ballot tells it from the answer to an earlier attempt.
    Promise(Ballot, Option<(Ballot, ClaimId)>),
    /// Answer to `Accept`: accepted at this ballot.
    Accepted(Ballot),
    /// A higher ballot is promised.
    Outbid(Ballot),
    /// The claim is decided: nothing else is ever said. With the time since this node learnt of it,
    /// in milliseconds.
    Decided(ClaimId, u64),
    /// No part is taken.
    Refused(Refusal),
}

/// A question to an acceptor (rule 6).
#[derive(Debug, Clone, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum Ask {
    /// To the issuer: take this claim for ballot 0.
    Open(ClaimId),
    /// Promise this ballot.
    Prepare(Ballot),
    /// Accept this claim at this ballot.
    Accept(Ballot, ClaimId),
}

/// Keys and state digests of one bucket: shard, bucket, pairs.
pub type BucketPairs = (u8, u32, Vec<(TicketKey, u128)>);

/// One level of a comparison of states (rule 19).
#[derive(Debug, Clone, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum Compare {
    /// Digest of each of the 256 shards over the buckets from the given one on.
    Shards(u32, Vec<u128>),
    /// Digests of the expiry buckets of some shards.
    Buckets(Vec<(u8, Vec<(u32, u128)>)>),
    /// Keys and state digests in some buckets.
    Entries(Vec<BucketPairs>),
}

/// What one engine says to another.
#[derive(Clone, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub enum PeerMessage {
    /// Heartbeat of a link: measures round trip and clock offset, and tells the phase.
    Ping {
        /// Sender's monotonic clock, microseconds; echoed. Greater in each heartbeat than in those before,
        /// so that it tells which of two phases is the later one.
        sent: u64,
        /// Where the sender stands.
        phase: Phase,
    },
    /// Answer to `Ping`.
    Pong {
        /// Echo of the question.
        sent: u64,
        /// Answerer's own clock, milliseconds.
        wall: WallMs,
        /// Where the answerer stood. Answers overtake each other, so it is not read any more.
        phase: Phase,
    },
    /// Receiver to origin: send me your stream from after `have` (rule 18).
    Subscribe {
        /// Ties the answer to this question.
        nonce: u64,
        /// Highest sequence applied of this origin incarnation; 0 for none.
        have: u64,
    },
    /// Origin to receiver: the stream goes on at `next`; what it passes over behind `have` is a gap to repair.
    StreamStart {
        /// Echo of the question.
        nonce: u64,
        /// Sequence of the next delta that will be sent.
        next: u64,
        /// Highest sequence so far.
        head: u64,
    },
    /// A run of the origin's deltas, `first` onwards without gaps.
    Deltas {
        /// Sequence of the first entry.
        first: u64,
        /// Highest sequence of the origin when it was sent.
        head: u64,
        /// The deltas.
        entries: Vec<Entry>,
    },
    /// Cumulative: everything up to `applied` is joined into the receiver's state.
    DeltasAck {
        /// Highest sequence up to which everything is applied.
        applied: u64,
        /// For each session destroyed by the acknowledged deltas, the applications the receiver
        /// knows of it (rule 15).
        services: Vec<(TicketKey, Vec<(ServiceKey, ServiceUse)>)>,
    },
    /// Hold this single-use ticket (rule 3).
    Store {
        /// Pairs the answer.
        rpc: u64,
        /// The encoded body.
        body: Arc<[u8]>,
    },
    /// Answer to `Store`.
    Stored {
        /// Pairs the answer.
        rpc: u64,
        /// Absent: held. Present: not held, and why.
        refused: Option<Refusal>,
    },
    /// A question of the per-ticket consensus, with the body for a member that lost or never had it.
    Ask {
        /// Pairs the answer.
        rpc: u64,
        /// Which ticket.
        key: TicketKey,
        /// The encoded body, when the asker has it.
        body: Option<Arc<[u8]>>,
        /// The question.
        ask: Ask,
    },
    /// Answer to `Ask`.
    Answer {
        /// Pairs the answer.
        rpc: u64,
        /// The vote.
        vote: Vote,
    },
    /// A fact (rule 9): this claim consumed the ticket.
    Decided {
        /// Which ticket.
        key: TicketKey,
        /// Its kind.
        kind: TicketKind,
        /// Its end.
        hard_expiry: WallMs,
        /// The claim.
        claim: ClaimId,
    },
    /// Tell me all you know of this ticket.
    Find {
        /// Pairs the answer.
        rpc: u64,
        /// Which ticket.
        key: TicketKey,
    },
    /// Answer to `Find`; absent when unknown.
    Found {
        /// Pairs the answer.
        rpc: u64,
        /// What the answerer knows.
        entry: Option<Entry>,
    },
    /// Send a part of a shard (rule 20), if everything in `vector` is applied at your side.
    ShardRequest {
        /// Pairs the answer.
        rpc: u64,
        /// 0 to 255.
        shard: u8,
        /// Go on after this key.
        after: Option<TicketKey>,
        /// Stream positions that must be in the answer.
        vector: Vec<(Member, u64)>,
    },
    /// Answer to `ShardRequest`.
    ShardPart {
        /// Pairs the answer.
        rpc: u64,
        /// The entries, by rising key; absent when the vector is not reached yet.
        entries: Option<Vec<Entry>>,
        /// Whether the shard goes on after the last of them.
        more: bool,
    },
    /// Compare states at one level (rule 19); the answer is the answerer's own at that level, for
    /// the named shards or buckets.
    CompareRequest {
        /// Pairs the answer.
        rpc: u64,
        /// What the asker has.
        mine: Compare,
    },
    /// Answer to `CompareRequest`.
    CompareReply {
        /// Pairs the answer.
        rpc: u64,
        /// What the answerer has where it differs.
        theirs: Compare,
    },
    /// Send these entries.
    EntriesRequest {
        /// Pairs the answer.
        rpc: u64,
        /// Which.
        keys: Vec<TicketKey>,
    },
    /// Entries asked for, or given because the receiver lacks them.
    Entries {
        /// Of the `EntriesRequest` that this answers; otherwise pairs the `EntriesTaken`.
        rpc: u64,
        /// The entries.
        entries: Vec<Entry>,
        /// How many of the keys asked for, from the first, are answered for; some may be forgotten.
        covered: u64,
    },
    /// Given entries are joined.
    EntriesTaken {
        /// Pairs the answer.
        rpc: u64,
    },
    /// The receiver's incarnation was seen going backwards and is ignored: it must exit (rule 1).
    Fenced,
    /// A step of a digest round (rule 19). Since wire version 2.
    RoundRequest {
        /// Pairs the answer.
        rpc: u64,
        /// Whose digests are wanted.
        asked: Asked,
    },
    /// Answer to `RoundRequest`. Since wire version 2.
    RoundReply {
        /// Pairs the answer.
        rpc: u64,
        /// Where the answerer's streams stood when it told this.
        standing: Standing,
        /// The answerer's digests.
        told: Told,
    },
    /// Counters of failed sign-ins, its own or others' (rule 25). Nobody answers. Since wire version 2.
    Failures {
        /// As the sender holds them.
        counters: Vec<Counter>,
    },
}

/// Which of a link's three ordered lanes a message travels on: claims never queue behind bulk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, SchemaRead, SchemaWrite)]
pub enum Lane {
    /// Questions a request is waiting for.
    Fast,
    /// The stream of deltas and its acknowledgements.
    Stream,
    /// Bootstrap and repair.
    Bulk,
}

/// Streams over which the fast lane is spread from wire version 2 on.
pub const FAST_PARTS: usize = 16;

impl Lane {
    /// Every lane, in wire order.
    pub const ALL: [Self; 3] = [Self::Fast, Self::Stream, Self::Bulk];

    /// How many streams carry this lane on a link of this version. A lost packet keeps back what comes
    /// after it on the same stream, so questions that have nothing to do with each other are spread.
    pub fn parts(self, wire: WireVersion) -> usize {
        match self {
            Self::Fast if wire >= WireVersion::V2 => FAST_PARTS,
            Self::Fast | Self::Stream | Self::Bulk => 1,
        }
    }
}

impl PeerMessage {
    /// The oldest wire version that has this message. It must not be sent on a link that speaks an
    /// older one, and is refused there.
    pub fn since(&self) -> WireVersion {
        match self {
            Self::RoundRequest { .. } | Self::RoundReply { .. } | Self::Failures { .. } => {
                WireVersion::V2
            }
            _ => WireVersion::V1,
        }
    }

    /// The lane this message travels on.
    pub fn lane(&self) -> Lane {
        match self {
            Self::Ping { .. }
            | Self::Pong { .. }
            | Self::Store { .. }
            | Self::Stored { .. }
            | Self::Ask { .. }
            | Self::Answer { .. }
            | Self::Decided { .. }
            | Self::Find { .. }
            | Self::Found { .. }
            | Self::Fenced => Lane::Fast,
            Self::Subscribe { .. }
            | Self::StreamStart { .. }
            | Self::Deltas { .. }
            | Self::DeltasAck { .. } => Lane::Stream,
            Self::ShardRequest { .. }
            | Self::ShardPart { .. }
            | Self::CompareRequest { .. }
            | Self::CompareReply { .. }
            | Self::EntriesRequest { .. }
            | Self::Entries { .. }
            | Self::EntriesTaken { .. }
            | Self::RoundRequest { .. }
            | Self::RoundReply { .. }
            | Self::Failures { .. } => Lane::Bulk,
        }
    }

    /// Whether a decoded message keeps the limits that a decoder can check alone.
    pub fn check(&self) -> bool {
        let seq = |number: &u64| *number <= limits::SEQUENCE_MAX;
        let wall = |moment: &WallMs| *moment <= limits::WALL_MAX;
        match self {
            Self::Ping { sent, .. } => seq(sent),
            Self::Pong {
                sent, wall: own, ..
            } => seq(sent) && wall(own),
            Self::Subscribe { have, .. } => seq(have),
            Self::StreamStart { next, head, .. } => seq(next) && seq(head),
            Self::Deltas {
                first,
                head,
                entries,
            } => *first > 0 && seq(first) && seq(head) && check_entries(entries),
            Self::DeltasAck { applied, services } => seq(applied) && check_visited(services),
            Self::Entries { entries, .. }
            | Self::ShardPart {
                entries: Some(entries),
                ..
            } => check_entries(entries),
            Self::Found {
                entry: Some(entry), ..
            } => entry.check(),
            Self::Store { body, .. } => body.len() <= limits::TICKET_BODY_MAX,
            Self::Ask { body, ask, .. } => {
                let fits = |body: &Arc<[u8]>| body.len() <= limits::TICKET_BODY_MAX;
                body.as_ref().is_none_or(fits) && ask.check()
            }
            Self::Answer { vote, .. } => vote.check(),
            Self::Decided { hard_expiry, .. } => wall(hard_expiry),
            Self::EntriesRequest { keys, .. } => keys.len() <= limits::BATCH_DELTAS_MAX,
            Self::ShardRequest { vector, .. } => {
                let fits = |(member, at): &(Member, u64)| member.node.check() && seq(at);
                vector.len() <= limits::MEMBERS_MAX && vector.iter().all(fits)
            }
            Self::CompareRequest { mine: compare, .. }
            | Self::CompareReply {
                theirs: compare, ..
            } => compare.check(),
            Self::RoundRequest { asked, .. } => asked.check(),
            Self::RoundReply { standing, told, .. } => standing.check() && told.check(),
            Self::Failures { counters } => failures::check(counters),
            Self::Stored { .. }
            | Self::Find { .. }
            | Self::Found { entry: None, .. }
            | Self::ShardPart { entries: None, .. }
            | Self::EntriesTaken { .. }
            | Self::Fenced => true,
        }
    }
}

impl std::fmt::Debug for PeerMessage {
    /// The lane only: bodies hold credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PeerMessage({:?}, digest ", self.lane())?;
        let digest = blake3::hash(&crate::codec::encode(self));
        digest
            .as_bytes()
            .iter()
            .take(4)
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

fn check_entries(entries: &[Entry]) -> bool {
    entries.len() <= limits::BATCH_DELTAS_MAX && entries.iter().all(Entry::check)
}

fn check_visited(visited: &[(TicketKey, Vec<(ServiceKey, ServiceUse)>)]) -> bool {
    let fits = |(_, service): &(ServiceKey, ServiceUse)| {
        service.stamp <= limits::WALL_MAX
            && service.url.len() <= limits::SERVICE_URL_MAX
            && service.ticket.len() <= crate::ticket::TicketId::MAX
    };
    visited.len() <= limits::BATCH_DELTAS_MAX
        && visited
            .iter()
            .all(|(_, list)| list.len() <= limits::SERVICES_MAX && list.iter().all(fits))
}

impl Ask {
    fn check(&self) -> bool {
        match self {
            Self::Open(_) => true,
            Self::Prepare(ballot) | Self::Accept(ballot, _) => ballot.round <= limits::ROUND_MAX,
        }
    }
}

impl Vote {
    fn check(&self) -> bool {
        let low = |ballot: &Ballot| ballot.round <= limits::ROUND_MAX;
        match self {
            Self::Promise(ballot, reported) => {
                low(ballot) && reported.as_ref().is_none_or(|(ballot, _)| low(ballot))
            }
            Self::Accepted(ballot) | Self::Outbid(ballot) => low(ballot),
            Self::Value { .. } | Self::Decided(..) | Self::Refused(_) => true,
        }
    }
}

impl Compare {
    fn check(&self) -> bool {
        match self {
            Self::Shards(_, shards) => shards.len() == 256,
            Self::Buckets(shards) => shards.len() <= 256,
            Self::Entries(buckets) => buckets.len() <= limits::COMPARE_BUCKETS_MAX,
        }
    }
}
