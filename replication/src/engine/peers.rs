//! The other nodes as this one knows them: links, gossip, heartbeats, phases.
//!
//! Gossip's "live" may come from a third node; only an own link counts for a view (rule 2). A peer
//! that has not answered in time is suspect until it says something again, so that a dead node
//! costs one time-out, not one per ticket.

use std::collections::{BTreeMap, VecDeque};

use castor_proto::ids::{Member, NodeName, WallMs};
use castor_proto::limits::MEMBERS_MAX;
use castor_proto::message::Phase;
use castor_proto::version::WireVersion;

use super::config::{MS, Micros};
use super::lies::Lies;
use super::stream::{Cursor, Gap};

/// Longest round trip that is learnt from.
const RTT_MAX: Micros = 1_000 * MS;

/// What gossip believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gossip {
    /// Gossip has not met this incarnation.
    Unmet,
    Alive,
    Dead,
}

impl Inbound {
    /// Everything up to `seq` is joined.
    pub(super) fn reach(&mut self, seq: u64, own: WallMs) {
        if seq > self.applied {
            self.applied = seq;
            self.applied_at = own;
        }
    }
}

/// This node's place in the peer's stream.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Inbound {
    /// Everything of this incarnation's stream up to here is joined.
    pub(super) applied: u64,
    /// Own time when that was reached; 0 before the first.
    pub(super) applied_at: WallMs,
    /// The question whose answer is awaited; 0 for none.
    pub(super) nonce: u64,
    /// The stream has started over the present link.
    pub(super) started: bool,
    /// First sequence after the subscription (s_o of rule 20).
    pub(super) start: u64,
    /// The origin's head when the stream started: what comes later was made later.
    pub(super) past: u64,
    /// Highest sequence that the origin is known to have.
    pub(super) head: u64,
    /// When the subscription was last asked for.
    pub(super) asked_at: Micros,
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) member: Member,
    pub(super) link: bool,
    pub(super) gossip: Gossip,
    pub(super) phase: Option<Phase>,
    /// When it said so, on its own monotonic clock.
    pub(super) told_at: u64,
    /// What it has answered over the present link, to the latest of this node's heartbeats. Not when it
    /// was so: it counts only for filling, where an old word costs no more than a comparison.
    pub(super) answered: Option<Phase>,
    /// When the present link came up.
    pub(super) linked_at: Micros,
    /// It has not answered a question in time and has said nothing since.
    pub(super) suspect: bool,
    /// It has not acknowledged in time and has not caught up since.
    pub(super) lagging: bool,
    /// A repair with it has yet to run, or to run again.
    pub(super) repair_due: bool,
    /// Seen going backwards (rule 1): nothing it says counts.
    pub(super) fenced: bool,
    pub(super) lies: Lies,
    /// When it last said that this process's memory went back.
    pub(super) accused_at: Option<Micros>,
    /// The version agreed on for the link, once it was told.
    pub(super) wire: Option<WireVersion>,
    pub(super) srtt: Micros,
    pub(super) rttvar: Micros,
    pub(super) heard_at: Micros,
    /// When the latest heartbeat that it has answered was sent.
    pub(super) answered_at: Micros,
    /// When gossip declared it dead.
    pub(super) died_at: Micros,
    pub(super) out: Cursor,
    pub(super) inbound: Inbound,
}

impl Peer {
    fn new(member: Member, out: Cursor) -> Self {
        Self {
            member,
            link: false,
            gossip: Gossip::Unmet,
            phase: None,
            told_at: 0,
            answered: None,
            linked_at: 0,
            suspect: false,
            lagging: false,
            repair_due: false,
            fenced: false,
            lies: Lies::default(),
            accused_at: None,
            wire: None,
            srtt: 0,
            rttvar: 0,
            heard_at: 0,
            answered_at: 0,
            died_at: 0,
            out,
            inbound: Inbound::default(),
        }
    }

    /// Fit for a view (rule 2).
    pub(super) fn is_fit(&self) -> bool {
        self.link
            && !self.suspect
            && !self.fenced
            && !self.is_given_up()
            && self.phase == Some(Phase::Ready)
    }

    /// Gossip has declared it dead and it has not answered over the own link since. An answer is newer
    /// than gossip's word, which comes late after this process was stopped for a while.
    fn is_given_up(&self) -> bool {
        self.gossip == Gossip::Dead && self.answered_at < self.died_at
    }

    /// There, as people are told. A link lasts some seconds longer than a process that was killed, which
    /// gossip misses before; a process that has just come is linked before gossip has met it.
    pub(super) fn seems_there(&self) -> bool {
        self.gossip == Gossip::Alive || (self.link && !self.is_given_up())
    }

    /// In the set whose acknowledgement a logout waits for (rule 15).
    pub(super) fn is_owed(&self) -> bool {
        !self.fenced && (self.out.subscribed || self.gossip == Gossip::Alive)
    }

    /// This very incarnation is linked or believed alive.
    pub(super) fn is_present(&self) -> bool {
        self.link || self.gossip == Gossip::Alive
    }

    /// Neither the link nor gossip has it any more.
    pub(super) fn is_lost(&self) -> bool {
        !self.link && self.gossip == Gossip::Dead
    }

    /// Can be asked something now.
    pub(super) fn is_reachable(&self) -> bool {
        self.link && !self.fenced
    }

    /// Since when the oldest change is made that it is not known to have. Whoever has nothing may be
    /// filling itself, as its first heartbeat will tell.
    pub(super) fn behind_since(&self) -> Option<Micros> {
        let counts = |gap: &Gap| !gap.whole || self.phase.is_some();
        let gap = self.out.gap.filter(counts).map(|gap| gap.since);
        [self.out.lag_since, gap].into_iter().flatten().min()
    }

    /// Whether it has said that it serves.
    pub(super) fn serves(&self) -> bool {
        is_serving(self.phase)
    }

    /// Whether it has said or answered that it serves: its own heartbeat may be a while behind the link.
    pub(super) fn may_serve(&self) -> bool {
        is_serving(self.phase) || is_serving(self.answered)
    }

    /// Whether it serves is not known yet, and its answer over the present link is to be expected.
    pub(super) fn is_unclear(&self) -> bool {
        let silent = self.answered.is_none() && !self.serves();
        self.is_reachable() && !self.suspect && silent
    }

    /// What a stopped process says afterwards tells nothing of the way: more than a second is not learnt.
    pub(super) fn measure(&mut self, rtt: Micros) {
        if rtt > RTT_MAX {
            return;
        }
        if self.srtt == 0 {
            self.srtt = rtt.max(1);
            self.rttvar = rtt / 2;
        } else {
            let deviation = self.srtt.abs_diff(rtt);
            self.rttvar = (3 * self.rttvar + deviation) / 4;
            self.srtt = (7 * self.srtt + rtt) / 8;
        }
    }

    /// Three times an estimate of the 99th percentile of the round trip.
    pub(super) fn patience(&self) -> Micros {
        3 * (self.srtt + 4 * self.rttvar)
    }
}

fn is_serving(phase: Option<Phase>) -> bool {
    matches!(phase, Some(Phase::Ready | Phase::Draining))
}

#[derive(Default)]
pub(super) struct Peers {
    by_name: BTreeMap<NodeName, Peer>,
    /// Fenced incarnations that were forgotten: the last ones, as many as there may be members. Forgetting
    /// does not make a memory that went back any better (rule 1).
    fenced: VecDeque<Member>,
}

impl Peers {
    pub(super) fn get(&self, name: &NodeName) -> Option<&Peer> {
        self.by_name.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &NodeName) -> Option<&mut Peer> {
        self.by_name.get_mut(name)
    }

    /// The peer, if it is this incarnation that is known.
    pub(super) fn exact(&self, member: &Member) -> Option<&Peer> {
        self.by_name
            .get(&member.node)
            .filter(|peer| peer.member == *member)
    }

    pub(super) fn exact_mut(&mut self, member: &Member) -> Option<&mut Peer> {
        self.by_name
            .get_mut(&member.node)
            .filter(|peer| peer.member == *member)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.by_name.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.by_name.values_mut()
    }

    /// Makes room for a member; an older incarnation of the name gives way. `out` is where a new one
    /// stands in the stream.
    pub(super) fn admit(&mut self, member: &Member, out: Cursor) -> &mut Peer {
        let peer = self
            .by_name
            .entry(member.node.clone())
            .or_insert_with(|| Peer::new(member.clone(), out.clone()));
        if peer.member != *member {
            *peer = Peer::new(member.clone(), out);
        }
        peer.fenced |= self.fenced.contains(member);
        peer
    }

    pub(super) fn remove(&mut self, name: &NodeName) {
        let removed = self.by_name.remove(name);
        let Some(fenced) = removed.filter(|peer| peer.fenced) else {
            return;
        };
        if !self.fenced.contains(&fenced.member) {
            self.fenced.push_back(fenced.member);
        }
        if self.fenced.len() > MEMBERS_MAX {
            self.fenced.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use castor_proto::ids::Incarnation;

    use super::*;

    fn member(incarnation: u8) -> Member {
        Member {
            node: NodeName::parse("n1").unwrap(),
            incarnation: Incarnation([incarnation; 16]),
        }
    }

    #[test]
    fn who_was_fenced_is_fenced_when_met_again_and_its_next_incarnation_is_not() {
        let mut peers = Peers::default();
        peers.admit(&member(1), Cursor::default()).fenced = true;
        peers.remove(&member(1).node);
        assert!(peers.admit(&member(1), Cursor::default()).fenced);
        assert!(!peers.admit(&member(2), Cursor::default()).fenced);
        peers.remove(&member(2).node);
        assert!(!peers.admit(&member(2), Cursor::default()).fenced);
    }
}
