//! The lag that a node tells of a peer is the age of the oldest change of its own that the peer has not
//! said to have, by the books of whoever sees all messages.

use std::collections::BTreeMap;

use castor_proto::message::Phase;
use castor_replication::engine::PeerStatus;

use super::{Invariant, Verdict};
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::world::{Life, Node, Seen, World};

pub(super) struct Lag {
    ring_max: u64,
    /// By (origin, peer): what the peer has said to have.
    has: BTreeMap<(Life, Life), u64>,
}

impl Lag {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            ring_max: plan.limits.ring_max as u64,
            has: BTreeMap::new(),
        }
    }

    /// What the lag must be, and the most it may be.
    fn expected(
        &self,
        world: &World,
        i: usize,
        node: &Node,
        peer: &PeerStatus,
    ) -> Option<(u64, u64)> {
        let life = world.life_of(peer.member.as_ref()?)?;
        let has = *self.has.get(&(node.life, life))?;
        let head = node.engine.stream_head();
        if has >= head {
            return Some((0, 0));
        }
        let oldest_kept = (head + 1).saturating_sub(self.ring_max);
        let age = world.mono(i).saturating_sub(node.made_at(has + 1)?);
        // Where the ring has dropped what it lacks, the beginning is kept, and may be that of older ones.
        let kept = has + 1 >= oldest_kept;
        Some((age, if kept { age } else { u64::MAX }))
    }
}

impl Invariant for Lag {
    fn name(&self) -> &'static str {
        "lag"
    }

    fn delivered(&mut self, _: &World, seen: Seen) {
        match seen {
            Seen::Acknowledged { origin, peer, upto } => {
                if let Some(has) = self.has.get_mut(&(origin, peer)) {
                    *has = upto.max(*has);
                }
            }
            // What came before is sent again, or, where the ring has dropped it, repaired.
            Seen::Started { origin, peer, next } => {
                self.has.insert((origin, peer), next.saturating_sub(1));
            }
        }
    }

    fn looks(&mut self, world: &World, _: &Ledger) -> Verdict {
        for (i, node) in world.running().filter(|(i, _)| !world.is_frozen(*i)) {
            for peer in node.engine.status().peers {
                let serves = matches!(peer.phase, Some(Phase::Ready | Phase::Draining));
                let Some((least, most)) = self.expected(world, i, node, &peer).filter(|_| serves)
                else {
                    continue;
                };
                // The engine's clock stands still between two inputs.
                let idle = world.mono(i).saturating_sub(node.handled);
                if peer.lag > most || peer.lag + idle < least {
                    return Err(format!(
                        "node {i} tells a lag of {} µs to {}, and it is {least} µs",
                        peer.lag, peer.node
                    ));
                }
            }
        }
        Ok(())
    }
}
