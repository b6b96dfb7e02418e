//! What the outside was promised, and what it knows: the books by which a run is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use castor_proto::ids::Member;
use castor_proto::ticket::{TicketBody, TicketKey};

use crate::world::{Life, World};

/// Index of a session in the books.
pub type SessionNo = usize;
/// Index of a ticket in the books.
pub type TicketNo = usize;

/// A use of a session that was acknowledged.
#[derive(Debug, Clone, Copy)]
pub struct Use {
    /// When it was asked for.
    pub asked: u64,
    /// When it was acknowledged.
    pub answered: u64,
    /// Where.
    pub node: usize,
    /// By which process.
    pub life: Life,
}

/// A session or proxy-granting ticket that somebody was given.
#[derive(Debug)]
pub struct Session {
    /// Which ticket.
    pub key: TicketKey,
    /// The body.
    pub body: Arc<TicketBody>,
    /// The session it hangs on, for a proxy-granting ticket.
    pub parent: Option<SessionNo>,
    /// When it was acknowledged.
    pub at: u64,
    /// It ends long after any run does.
    pub lasts: bool,
    /// It idles away within a run, and each node forgets it in its own moment.
    pub idles: bool,
    /// Peers that had not acknowledged it in time.
    pub missing: usize,
    /// Processes that held it when it was acknowledged.
    pub holders: Vec<Life>,
    /// The latest uses.
    pub uses: Vec<Use>,
    /// Some clock that is wrong had a part in it.
    pub clock_doubtful: bool,
    /// When its end was first asked for.
    pub end_asked: Option<u64>,
    /// When its end was first acknowledged.
    pub ended: Option<u64>,
    /// Processes that knew of its end when that was acknowledged.
    pub knew: BTreeSet<Life>,
    /// Everyone who ran then knew it.
    pub everyone_knew: bool,
}

/// A single-use ticket that somebody was given.
#[derive(Debug)]
pub struct Ticket {
    /// The body.
    pub body: Arc<TicketBody>,
    /// Its session.
    pub session: SessionNo,
    /// When it was given.
    pub at: u64,
    /// When each claim was first asked for.
    pub first_asked: BTreeMap<u8, u64>,
    /// Claims that were let in, with the moment of the first answer.
    pub valid: BTreeMap<u8, u64>,
}

/// A request under way.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Where.
    pub node: usize,
    /// Which process.
    pub life: Life,
    /// Whether it was ready and its clock right.
    pub ready: bool,
    /// When.
    pub at: u64,
    /// What.
    pub what: What,
}

/// What a session seems to be where it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seems {
    /// Not used for too long.
    Idle,
    /// Not there.
    Unknown,
}

/// What was asked for.
#[derive(Debug, Clone)]
pub enum What {
    /// A session, or a proxy-granting ticket below one.
    Create(Option<SessionNo>),
    /// A ticket of a session.
    Issue(SessionNo),
    /// To consume a ticket.
    Claim(TicketNo, u8),
    /// To end a session; with the peers that the node believed alive.
    End(SessionNo, Vec<Member>),
    /// What others know of a session that seems idle or unknown here, before it is refused.
    /// Asked of all when it seems idle, of whoever answers first when it is unknown.
    LookUp(SessionNo, Seems),
}

/// The books of one run.
#[derive(Default)]
pub struct Ledger {
    /// All sessions that were acknowledged.
    pub sessions: Vec<Session>,
    /// All tickets that were given.
    pub tickets: Vec<Ticket>,
    /// Requests under way.
    pub asked: BTreeMap<u64, Asked>,
    /// Requests so far.
    pub operations: u64,
    /// Requests that were answered with what was wanted.
    pub granted: u64,
    /// Some process started with a wrong clock: nothing that depends on time is judged in this run.
    pub clocks_doubtful: bool,
}

impl Ledger {
    /// Whether a process that held the session when it was acknowledged has lived ever since.
    pub fn survives(&self, session: &Session, world: &World) -> bool {
        session.holders.iter().any(|life| world.runs(*life))
    }

    /// Whether somebody has asked for the end of the session or of what it hangs on.
    pub fn end_asked(&self, no: SessionNo) -> bool {
        self.sessions.get(no).is_some_and(|session| {
            session.end_asked.is_some() || session.parent.is_some_and(|root| self.end_asked(root))
        })
    }
}
