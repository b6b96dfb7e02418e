//! Links, heartbeats, gossip and the clock: who is there, and how far away.

use castor_proto::ids::{Member, NodeName, WallMs};
use castor_proto::message::{PeerMessage, Phase};
use castor_proto::version::WireVersion;

use super::mutants::mutant;
use super::peers::{Gossip, Peer};
use super::status::is_filling;
use super::stream::Cursor;
use super::{Engine, Event, GossipMember, MS, Removal, stats};

/// A link that has said nothing for this many heartbeats is suspect.
const SILENT_PINGS: u64 = 3;

impl Engine {
    pub(super) fn link_up(&mut self, member: &Member) {
        if *member == self.config.me {
            return;
        }
        let fresh = self.fresh_peer();
        let mono = self.now.mono;
        let old = self.peers.get(&member.node).map(|peer| peer.member.clone());
        if let Some(old) = old.filter(|old| old != member) {
            // First it is nobody's peer, so that nothing is left to it.
            self.peers.admit(member, fresh.clone());
            self.member_gone(&old);
        }
        let peer = self.peers.admit(member, fresh);
        peer.link = true;
        peer.linked_at = mono;
        peer.answered = None;
        peer.suspect = false;
        // Only our side may have broken: then it does not subscribe anew, and simply goes on.
        peer.out.subscribed = peer.out.ever;
        peer.out.next = peer.out.acked + 1;
        peer.heard_at = mono;
        peer.inbound.started = false;
        if mutant!(PlaceForgotten) {
            peer.inbound.applied = 0; // rule 18
        }
        self.disturbed();
        self.ping(member);
        self.subscribe(member);
        self.fill_changed();
    }

    pub(super) fn link_speaks(&mut self, member: &Member, wire: WireVersion) {
        if let Some(peer) = self.peers.exact_mut(member) {
            peer.wire = Some(wire);
        }
    }

    pub(super) fn link_down(&mut self, member: &Member) {
        let Some(peer) = self.peers.exact_mut(member) else {
            return;
        };
        if !peer.link {
            return;
        }
        peer.link = false;
        peer.out.subscribed = false;
        peer.out.in_flight = 0;
        peer.inbound.started = false;
        self.clock.forget(&member.node);
        self.duties_of(member);
        self.repair_after_break();
        self.fill_changed();
    }

    pub(super) fn gossip(&mut self, members: &[GossipMember]) {
        let fresh = self.fresh_peer();
        let mono = self.now.mono;
        let mut dead = Vec::new();
        for seen in members
            .iter()
            .filter(|seen| seen.member.node != self.config.me.node)
        {
            let known = self.peers.get(&seen.member.node);
            // A working link knows its incarnation better than gossip, which may be behind.
            if known.is_some_and(|peer| peer.link && peer.member != seen.member) {
                continue;
            }
            if known.is_none() && !seen.alive {
                continue;
            }
            let old = known
                .map(|peer| peer.member.clone())
                .filter(|old| *old != seen.member);
            let peer = self.peers.admit(&seen.member, fresh.clone());
            let before = peer.gossip;
            if !seen.alive && before != Gossip::Dead {
                peer.died_at = mono;
            }
            peer.gossip = if seen.alive {
                Gossip::Alive
            } else {
                Gossip::Dead
            };
            if before == Gossip::Alive && !seen.alive {
                dead.push(seen.member.clone());
            }
            dead.extend(old);
        }
        let absent: Vec<Member> = self
            .peers
            .iter()
            .filter(|peer| peer.gossip == Gossip::Alive)
            .filter(|peer| !members.iter().any(|seen| seen.member == peer.member))
            .map(|peer| peer.member.clone())
            .collect();
        for member in absent {
            if let Some(peer) = self.peers.exact_mut(&member) {
                peer.gossip = Gossip::Dead;
                peer.died_at = mono;
            }
            dead.push(member);
        }
        for member in dead {
            self.member_gone(&member);
        }
        self.fill_heard_gossip();
    }

    /// Where a peer that is met now stands in the stream: at its head, so that it lags by nothing.
    pub(super) fn fresh_peer(&self) -> Cursor {
        let head = self.stream.head();
        Cursor {
            next: head + 1,
            acked: head,
            start: head,
            resend: self.config.resend,
            ..Cursor::default()
        }
    }

    /// An incarnation will not be heard of again, as far as anyone knows.
    fn member_gone(&mut self, member: &Member) {
        self.release_waits(member);
        self.duties_of(member);
        self.repair_after_break();
    }

    /// Takes over what an incarnation has left behind, if it is gone (rule 15b): another one has its place, it was
    /// forgotten, or gossip and the link have both lost it. One that was only without a turn for a while goes
    /// on with what it does, and applications would be told by several nodes.
    fn duties_of(&mut self, member: &Member) {
        if self.peers.exact(member).is_none_or(Peer::is_lost) {
            self.take_over_duties(member);
        }
    }

    /// Heartbeats on every link; links that stay silent become suspect.
    pub(super) fn ping_all(&mut self) {
        let silent = self
            .now
            .mono
            .saturating_sub(SILENT_PINGS * self.config.ping_interval);
        let mut linked = Vec::new();
        for peer in self.peers.iter_mut().filter(|peer| peer.link) {
            peer.suspect |= peer.heard_at < silent;
            linked.push(peer.member.clone());
        }
        for member in linked {
            self.ping(&member);
            self.resubscribe(&member);
        }
        self.forget_peers();
    }

    /// Each heartbeat has a stamp of its own, later than all before: they overtake each other.
    fn ping(&mut self, to: &Member) {
        self.pinged_at = self.now.mono.max(self.pinged_at + 1);
        let ping = PeerMessage::Ping {
            sent: self.pinged_at,
            phase: self.phase_to_tell(),
        };
        self.send(to, ping);
    }

    pub(super) fn pinged(&mut self, from: &Member, sent: u64, phase: Phase) {
        let pong = PeerMessage::Pong {
            sent,
            wall: self.own(),
            phase: self.phase_to_tell(),
        };
        self.send(from, pong);
        self.phase_of(from, sent, phase);
    }

    pub(super) fn ponged(&mut self, from: &Member, sent: u64, wall: WallMs, phase: Phase) {
        let rtt = self.now.mono.saturating_sub(sent);
        let mut news = false;
        if let Some(peer) = self.peers.exact_mut(from) {
            peer.measure(rtt);
            if sent >= peer.answered_at.max(peer.linked_at) {
                news = peer.answered != Some(phase);
                peer.answered = Some(phase);
            }
            peer.answered_at = peer.answered_at.max(sent);
        }
        if rtt < 1_000 * MS {
            self.clock.measured(&from.node, wall, rtt, self.now);
        }
        if news {
            self.fill_changed();
        }
    }

    /// What a peer's heartbeat of this stamp says of it, unless a later one was here first. Answers
    /// have no stamp of their own, so that nothing tells which is the later one: only filling heeds them.
    fn phase_of(&mut self, from: &Member, sent: u64, phase: Phase) {
        let Some(peer) = self.peers.exact_mut(from) else {
            return;
        };
        if sent < peer.told_at {
            return;
        }
        peer.told_at = sent;
        if peer.phase != Some(phase) {
            peer.phase = Some(phase);
            peer.out
                .gap
                .take_if(|gap| gap.whole && is_filling(Some(phase)));
            self.fill_changed();
            self.repair_gap(from);
            self.repair_if_due(from);
        }
    }

    /// A node that cannot trust its clock keeps out of views by not calling itself ready.
    fn phase_to_tell(&self) -> Phase {
        match self.phase {
            Phase::Ready if !self.clock_is_sound() => Phase::Draining,
            Phase::Empty if !self.store.is_empty() => Phase::Bootstrapping,
            phase => phase,
        }
    }

    pub(super) fn clock_is_sound(&self) -> bool {
        // After the clock went back, members refuse what ended before something they forgot.
        self.clock.is_sound() && self.singles.forgotten() <= self.own() + self.config.tolerance_ms
    }

    pub(super) fn watch_clock(&mut self) {
        let Some(step) = self.clock.watch(self.now) else {
            return;
        };
        if step.adopted {
            self.store.set_clock_base(self.clock.base());
        } else {
            stats::count(&self.stats.clock_steps_ignored);
        }
        self.event(Event::ClockStep {
            by_ms: step.by_ms,
            adopted: step.adopted,
        });
    }

    /// A question went unanswered in time.
    pub(super) fn suspect(&mut self, member: &Member) {
        if let Some(peer) = self.peers.exact_mut(member) {
            peer.suspect = true;
        }
    }

    pub(super) fn fence_self(&mut self) {
        if !self.fenced && !mutant!(KeptIncarnation) {
            self.fenced = true;
            self.event(Event::Fenced);
        }
    }

    /// Peers that were neither linked nor alive for too long are forgotten, and their lag with them.
    fn forget_peers(&mut self) {
        let oldest = self.now.mono.saturating_sub(self.config.forget_after);
        let forgotten: Vec<NodeName> = self
            .peers
            .iter()
            .filter(|peer| !peer.link && peer.gossip != Gossip::Alive && peer.heard_at < oldest)
            .map(|peer| peer.member.node.clone())
            .collect();
        for name in forgotten {
            self.forget_peer(&name);
        }
    }

    fn forget_peer(&mut self, name: &NodeName) {
        let member = self.peers.get(name).map(|peer| peer.member.clone());
        self.peers.remove(name);
        self.clock.forget(name);
        if let Some(member) = member {
            self.duties_of(&member);
        }
    }

    /// Forgets a node before its time because an operator says that it is gone for good. Not one that
    /// is there: it would be met again at the next word, and its lag would be lost.
    pub(super) fn remove_member(&mut self, node: &NodeName) -> Removal {
        if *node == self.config.me.node {
            return Removal::Own;
        }
        let Some(peer) = self.peers.get(node) else {
            return Removal::Unknown;
        };
        if peer.is_present() {
            return Removal::There;
        }
        let member = peer.member.clone();
        self.forget_peer(node);
        self.event(Event::Removed {
            member: member.clone(),
            here: true,
        });
        Removal::Done(member)
    }

    /// Another node's operator says so of this incarnation. A later one is a member.
    pub(super) fn removed_elsewhere(&mut self, member: Member) {
        let gone = self.peers.exact(&member);
        if gone.is_some_and(|peer| !peer.is_present()) {
            self.forget_peer(&member.node);
            self.event(Event::Removed {
                member,
                here: false,
            });
        }
    }
}
