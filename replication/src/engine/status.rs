//! What the engine says of itself.

use castor_proto::ids::NodeName;
use castor_proto::message::Phase;

use super::peers::Gossip;
use super::{Engine, PeerStatus, Status};

impl Engine {
    /// Names of all peers, alive or not.
    pub fn known_nodes(&self) -> Vec<NodeName> {
        self.peers
            .iter()
            .map(|peer| peer.member.node.clone())
            .collect()
    }

    /// Highest sequence of this node's own stream; 0 for none.
    pub fn stream_head(&self) -> u64 {
        self.stream.head()
    }

    /// Everything about this node and its peers.
    pub fn status(&self) -> Status {
        let head = self.stream.head();
        let mono = self.now.mono;
        let peers = self.peers.iter().map(|peer| PeerStatus {
            node: peer.member.node.clone(),
            member: Some(peer.member.clone()),
            link: peer.link,
            alive: match peer.gossip {
                Gossip::Unmet => None,
                Gossip::Alive => Some(true),
                Gossip::Dead => Some(false),
            },
            there: peer.seems_there(),
            phase: peer.phase,
            // A node that fills itself gets the past from others; its series starts when it is ready.
            lag: peer
                .behind_since()
                .filter(|_| !is_filling(peer.phase))
                .map_or(0, |since| mono.saturating_sub(since)),
            backlog: if is_filling(peer.phase) {
                0
            } else {
                head.saturating_sub(peer.out.acked)
            },
            acked: peer.out.acked,
            acked_at: peer.out.acked_at,
            applied: peer.inbound.applied,
            applied_at: peer.inbound.applied_at,
            head: peer.inbound.head.max(peer.inbound.applied),
            clock_offset_ms: self.clock.offset(&peer.member.node),
            wire: peer.link.then_some(peer.wire.unwrap_or(self.config.wire)),
            rtt: (peer.srtt > 0).then_some(peer.srtt),
        });
        Status {
            me: self.config.me.clone(),
            phase: self.phase,
            wire: self.config.wire,
            clock_ok: self.clock_is_sound(),
            clock_offset_ms: -self.clock.median(),
            head,
            head_at: self.stream.head_at(),
            peers: peers.collect(),
            bootstrap: self.fill.status(mono),
            singles: self.singles.len(),
            operations: self.ops.len(),
            fenced: self.fenced,
        }
    }
}

/// Whether a peer that says this fetches the past from others.
pub(super) fn is_filling(phase: Option<Phase>) -> bool {
    matches!(phase, Some(Phase::Empty | Phase::Bootstrapping))
}
