//! A peer that says what no sound node says: refused, counted by reason, and fenced when it goes on.
//!
//! Peers are authenticated, so a lie is a fault of software or memory, or a process that should not
//! run any more. One is refused and nothing else happens; a peer that repeats it is ignored and told
//! to exit, as one that was seen going backwards (rule 1), because none of its votes can be trusted.
//!
//! To tell a sound node to exit is a lie as well, and this node cannot know from the inside whether its
//! memory went back. So one peer's word is not enough while there is another who could say the same.

use castor_proto::ids::Member;
use castor_proto::message::PeerMessage;
use castor_proto::ticket::TicketBody;

use super::config::Micros;
use super::mutants::mutant;
use super::{Engine, Event, MS, stats};

/// Lies within [`WINDOW`] that make a peer be fenced.
const LIES_MAX: u32 = 8;

/// How long a lie counts against a peer.
const WINDOW: Micros = 60_000 * MS;

/// A delta that is made now ended no longer ago than this, milliseconds: longer than any message is
/// under way on a link that lives.
const LONG_ENDED_MS: u64 = 60_000;

/// What a peer said that a sound one does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// It speaks though a later incarnation of its name is there.
    Stale,
    /// Its stream's sequence went backwards.
    Backwards,
    /// It sent more of its stream than it says there is.
    BeyondHead,
    /// It made a change of a ticket that had ended long ago.
    Expired,
    /// It wants a vote on a ticket whose view does not name this node.
    View,
    /// It has more of this node's stream than was ever made.
    Ahead,
    /// It tells this process to exit.
    Accuses,
    /// Its envelopes were refused again and again, for this reason.
    Envelope(&'static str),
}

impl Lie {
    /// The word under which it is counted.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Backwards => "backwards",
            Self::BeyondHead => "beyond_head",
            Self::Expired => "expired",
            Self::View => "view",
            Self::Ahead => "ahead",
            Self::Accuses => "accuses",
            Self::Envelope(reason) => reason,
        }
    }
}

/// Lies of one peer that still count.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Lies {
    first: Micros,
    count: u32,
}

impl Lies {
    /// One more; whether there are too many.
    fn add(&mut self, now: Micros) -> bool {
        if now.saturating_sub(self.first) > WINDOW {
            *self = Self {
                first: now,
                count: 0,
            };
        }
        self.count += 1;
        self.count >= LIES_MAX
    }
}

impl Engine {
    /// Counts a lie; fences who tells too many.
    pub(super) fn lied(&mut self, from: &Member, lie: Lie) {
        self.event(Event::Refused {
            peer: from.clone(),
            lie,
        });
        let now = self.now.mono;
        let Some(peer) = self.peers.exact_mut(from) else {
            return;
        };
        if peer.lies.add(now) {
            self.fence(from, lie);
        }
    }

    /// Ignores an incarnation from now on, and tells it to exit.
    pub(super) fn fence(&mut self, member: &Member, lie: Lie) {
        if mutant!(KeptIncarnation) {
            return; // rule 1
        }
        let Some(peer) = self.peers.exact_mut(member).filter(|peer| !peer.fenced) else {
            return;
        };
        peer.fenced = true;
        stats::count(&self.stats.peers_fenced);
        self.event(Event::FencedPeer {
            peer: member.clone(),
            lie,
        });
        self.send(member, PeerMessage::Fenced);
        self.release_waits(member);
    }

    /// A peer says that the memory of this process went back (rule 1). It exits when most of those who are
    /// there say so, and at least two if two are known; until then whoever says so is refused.
    pub(super) fn accused(&mut self, from: &Member, lie: Lie) {
        let now = self.now.mono;
        if let Some(peer) = self.peers.exact_mut(from) {
            peer.accused_at = Some(now);
        }
        let recent = |at: Micros| now.saturating_sub(at) <= WINDOW;
        let peers = || self.peers.iter();
        let accusers = peers().filter(|peer| peer.accused_at.is_some_and(recent));
        let there = peers().filter(|peer| peer.is_present());
        let most = (there.count() / 2 + 1).max(2).min(peers().count());
        if accusers.count() >= most {
            self.fence_self();
        } else {
            self.lied(from, lie);
        }
    }

    /// Whether this view was never meant for this node. One that names an earlier incarnation of it
    /// is honest: its issuer has yet to hear of the restart.
    pub(super) fn is_foreign(&self, body: &TicketBody) -> bool {
        let me = &self.config.me.node;
        !body.view.iter().any(|member| member.node == *me)
    }

    /// Whether a delta that its origin has just made is of a ticket that had ended long before.
    pub(super) fn is_long_ended(&self, from: &Member, hard_expiry: u64) -> bool {
        let offset = self.clock.offset(&from.node);
        let agree = offset.is_some_and(|by| by.unsigned_abs() <= self.config.tolerance_ms);
        self.clock.is_sound() && agree && hard_expiry + LONG_ENDED_MS < self.own()
    }
}
