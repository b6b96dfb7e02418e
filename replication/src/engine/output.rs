//! Everything that leaves the engine: the driver's whole to-do list.

use std::sync::Arc;

use castor_proto::delta::{Entry, ServiceKey, ServiceUse};
use castor_proto::ids::{Member, NodeName, WallMs};
use castor_proto::message::{PeerMessage, Phase};
use castor_proto::ticket::{TicketBody, TicketId, TicketKey};
use castor_proto::version::WireVersion;

use super::Lie;

use super::config::Micros;

/// A session or proxy-granting ticket was created.
#[derive(Debug, Clone)]
pub struct Created {
    /// The ticket.
    pub body: Arc<TicketBody>,
    /// Peers that hold it.
    pub acked: usize,
    /// Peers that should hold it and have not said so in time; they get it when they answer again.
    pub missing: usize,
}

/// A single-use ticket was issued.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The ticket.
    pub body: Arc<TicketBody>,
}

/// Why nothing was created or issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// This node is not ready, or is fenced.
    #[error("this node is not in service")]
    NotReady,
    /// A limit is reached; what is there is kept.
    #[error("the ticket limit is reached")]
    Full,
    /// The session is unknown, destroyed or expired.
    #[error("the session has ended")]
    SessionEnded,
    /// The ticket would be larger than a ticket may be.
    #[error("the ticket would be too large")]
    TooLarge,
}

/// How a claim ended.
#[derive(Debug, Clone)]
pub enum ClaimOutcome {
    /// This request consumed the ticket.
    Won(Arc<TicketBody>),
    /// This request had consumed it already and is answered again (rule 4).
    Replayed(Arc<TicketBody>),
    /// Another request consumed it.
    Lost,
    /// It or its session is destroyed.
    Destroyed,
    /// Past its end.
    Expired,
    /// Nobody knows it.
    Unknown,
    /// It cannot be decided now: an honest 503.
    NoQuorum,
}

/// How a destruction ended.
#[derive(Debug, Clone, Default)]
pub struct Destroyed {
    /// Applications visited, as the union of what every acknowledging node knew.
    pub services: Vec<(ServiceKey, ServiceUse)>,
    /// Peers that know of it.
    pub acked: usize,
    /// Peers that have not said so in time.
    pub missing: usize,
    /// It was destroyed before.
    pub already: bool,
}

/// One peer as the engine sees it.
#[derive(Debug, Clone)]
pub struct PeerStatus {
    /// Name.
    pub node: NodeName,
    /// Incarnation of the link, or of gossip when there is no link.
    pub member: Option<Member>,
    /// The link works.
    pub link: bool,
    /// Gossip's opinion; absent when gossip has not met it.
    pub alive: Option<bool>,
    /// It is there: alive to gossip, or linked and not declared dead since it last answered.
    pub there: bool,
    /// What it says of itself.
    pub phase: Option<Phase>,
    /// Age of the oldest local delta it has not acknowledged, microseconds.
    pub lag: u64,
    /// Local deltas it has not acknowledged.
    pub backlog: u64,
    /// Highest sequence it has acknowledged.
    pub acked: u64,
    /// When that came, own time; 0 before the first.
    pub acked_at: WallMs,
    /// Highest of its own sequences that this node has applied.
    pub applied: u64,
    /// When that was applied, own time; 0 before the first.
    pub applied_at: WallMs,
    /// Highest of its own sequences that this node knows of.
    pub head: u64,
    /// Its clock minus ours, milliseconds.
    pub clock_offset_ms: Option<i64>,
    /// The wire version spoken with it; absent while it is not linked.
    pub wire: Option<WireVersion>,
    /// Smoothed round trip, microseconds.
    pub rtt: Option<u64>,
}

/// Progress of filling an empty node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BootstrapStatus {
    /// Shards received of 256.
    pub shards: usize,
    /// Entries received.
    pub entries: u64,
    /// Duration so far, or in all when finished, microseconds.
    pub elapsed: u64,
    /// Estimate of the time until all shards are there, microseconds; absent before the first one is, and
    /// afterwards.
    pub left: Option<u64>,
    /// Finished.
    pub done: bool,
}

/// Everything about one node.
#[derive(Debug, Clone)]
pub struct Status {
    /// This node.
    pub me: Member,
    /// Where it stands.
    pub phase: Phase,
    /// Newest wire version it speaks.
    pub wire: WireVersion,
    /// Its clock is within bounds.
    pub clock_ok: bool,
    /// Own offset against the median of all known clocks, milliseconds.
    pub clock_offset_ms: i64,
    /// Highest sequence of its own stream.
    pub head: u64,
    /// When that was made, own time; 0 before the first.
    pub head_at: WallMs,
    /// Its peers.
    pub peers: Vec<PeerStatus>,
    /// Progress of filling.
    pub bootstrap: BootstrapStatus,
    /// Single-use tickets held.
    pub singles: usize,
    /// Operations under way.
    pub operations: usize,
    /// It was told to exit (rule 1).
    pub fenced: bool,
}

/// An answer to a command.
#[derive(Debug)]
pub enum Reply {
    /// To `Create`.
    Created(Result<Created, Denied>),
    /// To `Issue`.
    Issued(Result<Issued, Denied>),
    /// To `Claim`.
    Claimed(ClaimOutcome),
    /// To `Destroy`.
    Destroyed(Destroyed),
    /// To `Find`: whether every node asked has answered; what was learnt is in the store.
    Found {
        /// Some node had it.
        known: bool,
        /// Every node asked has answered.
        complete: bool,
    },
    /// To `Status`.
    Status(Box<Status>),
    /// To `Remove`.
    Removal(Removal),
    /// To the rest.
    Done,
    /// Too many operations under way.
    Busy,
}

/// What became of the wish to remove a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// It is forgotten here, and the others are told.
    Done(Member),
    /// It is there, or a link to it is, as for some seconds after a process has died.
    There,
    /// It is this node itself.
    Own,
    /// No such node is known.
    Unknown,
}

/// What happened, for logs and for the node's other rooms.
#[derive(Debug, Clone)]
pub enum Event {
    /// The process had stood still for this long, in microseconds: it meets the others again before it
    /// serves.
    Paused {
        /// Between two inputs.
        silence: Micros,
    },
    /// The node's own phase changed.
    Phase(Phase),
    /// Filling goes on; once a second.
    Filling(BootstrapStatus),
    /// Filling has finished.
    Bootstrapped(BootstrapStatus),
    /// The drain has finished: the process may exit.
    Drained,
    /// This incarnation was fenced: the process must exit (rule 1).
    Fenced,
    /// A node is forgotten because an operator has removed it.
    Removed {
        /// The node.
        member: Member,
        /// The operator did so on this node, which is to tell the others.
        here: bool,
    },
    /// Two different claims of one ticket were reported decided. Must never happen.
    DecidedConflict(TicketKey),
    /// This node is to tell these applications of a session's end, because the node that took the
    /// logout is gone (rule 15b).
    LogoutDuty {
        /// The session's state.
        entry: Box<Entry>,
    },
    /// A logout or a session reached fewer peers than it should.
    Partial {
        /// Masked for the log.
        ticket: Option<TicketId>,
        /// How many peers are missing.
        missing: usize,
    },
    /// A wall-clock step was ignored or adopted.
    ClockStep {
        /// Milliseconds, positive when the wall clock ran ahead.
        by_ms: i64,
        /// The own clock follows it.
        adopted: bool,
    },
    /// A peer acknowledged deltas.
    Acknowledged {
        /// Who.
        peer: NodeName,
        /// Age of each of these deltas, microseconds.
        ages: Vec<Micros>,
    },
    /// A peer said what no sound node says; it was refused.
    Refused {
        /// Who.
        peer: Member,
        /// What.
        lie: Lie,
    },
    /// A peer is ignored from now on and told to exit.
    FencedPeer {
        /// Who.
        peer: Member,
        /// The lie that was one too many.
        lie: Lie,
    },
    /// Tickets differed from a peer's although nothing explains it (rule 19); they are being joined.
    Diverged {
        /// From whose.
        peer: Member,
        /// How many.
        entries: u64,
        /// One of them.
        first: TicketKey,
    },
    /// The kept digests of a shard were not those of what is held. Must never happen.
    DigestsMended {
        /// Which.
        shard: u8,
    },
    /// Repair with a peer ended.
    Repaired {
        /// With whom.
        peer: Member,
        /// Entries taken in.
        received: u64,
        /// Entries given.
        sent: u64,
    },
}

/// Everything that may leave.
#[derive(Debug)]
pub enum Output {
    /// Send to this member; may be lost, the engine repeats what matters.
    Send(Member, PeerMessage),
    /// Answer the command of this number.
    Reply(u64, Reply),
    /// Tell whoever cares.
    Event(Event),
}
