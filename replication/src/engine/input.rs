//! Everything that may enter the engine. Time comes with every call; nothing else does.

use castor_proto::delta::{DestroyReason, ServiceKey, ServiceUse};
use castor_proto::failures::FailureKey;
use castor_proto::ids::{ClaimId, Member, NodeName, WallMs};
use castor_proto::message::PeerMessage;
use castor_proto::ticket::{Payload, TicketId, TicketKey, TicketKind};
use castor_proto::version::WireVersion;

use super::config::Micros;

/// The time of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic microseconds since some moment before the process start.
    pub mono: Micros,
    /// The operating system's wall clock, which may step.
    pub wall: WallMs,
}

/// Keys for ids made from now on.
#[derive(Clone)]
pub struct TicketKeys {
    /// Key-ring id of the cluster key.
    pub key_id: u32,
    /// Key of an id's check characters.
    pub check: [u8; 32],
    /// Key of an id's node tags.
    pub tag: [u8; 32],
}

impl std::fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TicketKeys({})", self.key_id)
    }
}

/// A reusable ticket to create: a session or a proxy-granting ticket.
#[derive(Debug, Clone)]
pub struct NewReusable {
    /// The id, when it is derived from a claim (rule 12); otherwise a fresh one is made.
    pub id: Option<TicketId>,
    /// Life, in milliseconds; no longer than the root's.
    pub life_ms: u64,
    /// Longest pause between uses, in milliseconds; 0 for none.
    pub idle_ms: u64,
    /// Root first; empty for a session.
    pub ancestors: Vec<TicketKey>,
    /// What the ticket says.
    pub payload: Payload,
    /// Key-ring id behind derived ids, when it is not the current one.
    pub key_id: Option<u32>,
}

/// A single-use ticket to issue.
#[derive(Debug, Clone)]
pub struct NewSingleUse {
    /// Root session first, then every ancestor.
    pub ancestors: Vec<TicketKey>,
    /// Life, in milliseconds; no longer than the root's.
    pub life_ms: u64,
    /// What the ticket says.
    pub payload: Payload,
    /// The application to remember in the session: registered service and URL.
    pub service: Option<(i64, String)>,
}

/// What a request wants of the engine.
#[derive(Debug, Clone)]
pub enum Command {
    /// Create a reusable ticket and wait until the others hold it (rule 16).
    Create(Box<NewReusable>),
    /// Issue a single-use ticket (rules 2 and 3).
    Issue(Box<NewSingleUse>),
    /// Consume a single-use ticket (rules 4 to 8).
    Claim {
        /// Which ticket.
        key: TicketKey,
        /// Nodes named by the id's tags, as far as they could be resolved.
        hints: Vec<NodeName>,
        /// Whether some tag named no known node.
        unresolved_hint: bool,
        /// The request behind it.
        claim: ClaimId,
    },
    /// End a ticket and wait until the others know (rule 15).
    Destroy {
        /// Which ticket.
        key: TicketKey,
        /// Its kind.
        kind: TicketKind,
        /// Its end, for a tombstone that precedes the body.
        hard_expiry: WallMs,
        /// Why.
        reason: DestroyReason,
    },
    /// Ask the others what they know of a reusable ticket.
    Find {
        /// Which ticket.
        key: TicketKey,
        /// Wait for everyone's answer (last use), or only for the first body.
        everyone: bool,
    },
    /// These applications have been told of a session's end (rule 15b).
    Told {
        /// The session.
        key: TicketKey,
        /// Application and the stamp of the use it was told of.
        services: Vec<(ServiceKey, WallMs)>,
    },
    /// These applications belong to this session, too: it took the place of the one they were
    /// visited in.
    Adopt {
        /// The session.
        key: TicketKey,
        /// The applications.
        services: Vec<(ServiceKey, ServiceUse)>,
    },
    /// A sign-in failed (rule 25), and counts against these keys.
    Failed(Vec<FailureKey>),
    /// What counts against these keys does not any more.
    Forgive(Vec<FailureKey>),
    /// Leave service (rule 21).
    Drain,
    /// Return to service.
    Resume,
    /// An operator says that a node is gone for good.
    Remove(NodeName),
    /// Report on everything.
    Status,
}

/// A member as gossip sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GossipMember {
    /// Name and highest known incarnation.
    pub member: Member,
    /// Whether the failure detector believes it alive.
    pub alive: bool,
}

/// Everything that may enter.
#[derive(Debug)]
pub enum Input {
    /// From this node's own requests; the answer carries the same number.
    Command(u64, Command),
    /// From a peer, authenticated as this member.
    Message(Member, PeerMessage),
    /// The link to this member answers hellos.
    LinkUp(Member),
    /// The wire version agreed on for the link that has just come up.
    Speaks(Member, WireVersion),
    /// The link to this member is gone.
    LinkDown(Member),
    /// So many envelopes of this member were refused for this reason that it must be fenced.
    Lied(Member, &'static str),
    /// Gossip's whole picture, own node left out.
    Gossip(Vec<GossipMember>),
    /// Another node says that its operator has removed this member.
    Removed(Member),
    /// How many configured seeds have never answered yet.
    SilentSeeds(usize),
    /// New ids use these keys.
    Keys(TicketKeys),
    /// Time has passed.
    Tick,
}
