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

    fn delivered(&mut self, world: &World, seen: Seen) {
        match seen {
            Seen::Acknowledged { origin, peer, upto } => {
                if let Some(has) = self.has.get_mut(&(origin, peer)) {
                    *has = upto.max(*has);
                }
            }
            Seen::Subscribed { origin, peer, have } => {
                let Some((_, node)) = world.running().find(|(_, node)| node.life == origin) else {
                    return;
                };
                // Words of a process that it does not know yet are not heard.
                let heard = node.engine.status().peers.into_iter().any(|known| {
                    known.member.and_then(|member| world.life_of(&member)) == Some(peer)
                });
                if !heard {
                    return;
                }
                let head = node.engine.stream_head();
                // From the ring, or, with a repair instead, from now on.
                let rest = have + self.ring_max >= head;
                self.has
                    .insert((origin, peer), if rest { have } else { head });
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
