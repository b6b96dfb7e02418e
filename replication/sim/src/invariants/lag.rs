//! The lag that a node tells of a peer is the age of the oldest change of its own that the peer has not
//! said to have, by the books of whoever sees all messages; and it ends when everything has healed.

use std::collections::BTreeMap;

use castor_proto::message::Phase;
use castor_replication::engine::PeerStatus;

use super::{Invariant, Verdict};
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::world::{Life, Node, Seen, World};

pub(super) struct Lag {
    ring_max: u64,
    /// By (origin, peer).
    books: BTreeMap<(Life, Life), Place>,
}

/// Where a peer stands in the stream of an origin.
#[derive(Default)]
struct Place {
    /// What it has said to have.
    has: u64,
    /// The stream has passed over changes that it lacked: how far back the lag reaches until they are
    /// repaired is the engine's to say.
    passed: bool,
    /// The oldest of these changes, while no answer of a comparison has come that might have closed the gap:
    /// until then the lag is no less than its age.
    owed: Option<u64>,
    /// Where the stream began the last time.
    began: u64,
    /// What came up to here was compared since, whatever the peer says to have of the stream.
    settled: u64,
}

impl Place {
    /// The stream goes on behind this. Whoever has nothing at all fills itself from others as well.
    fn pass_over(&mut self) {
        self.passed = true;
        if self.has > 0 {
            let oldest = self.has.max(self.settled) + 1;
            self.owed = Some(self.owed.unwrap_or(u64::MAX).min(oldest));
        }
    }
}

impl Lag {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            ring_max: plan.limits.ring_max as u64,
            books: BTreeMap::new(),
        }
    }

    /// What the lag must be, and the most it may be, by what the peer has said.
    fn expected(&self, world: &World, i: usize, node: &Node, place: &Place) -> Option<(u64, u64)> {
        let head = node.engine.stream_head();
        let age = |seq| Some(world.mono(i).saturating_sub(node.made_at(seq)?));
        if let Some(owed) = place.owed {
            return Some((age(owed)?, u64::MAX));
        }
        if place.has >= head {
            return Some((0, 0));
        }
        let oldest_kept = (head + 1).saturating_sub(self.ring_max);
        let age = age(place.has + 1)?;
        // Where the ring has dropped what it lacks, the beginning is kept, and may be that of older ones.
        let kept = place.has + 1 >= oldest_kept;
        Some((age, if kept { age } else { u64::MAX }))
    }

    fn judge(&mut self, world: &World, i: usize, node: &Node, peer: &PeerStatus) -> Verdict {
        let life = peer.member.as_ref().and_then(|peer| world.life_of(peer));
        let pair = life.map(|life| (node.life, life));
        let Some(place) = pair.and_then(|pair| self.books.get(&pair)) else {
            return Ok(());
        };
        let Some((least, most)) = self.expected(world, i, node, place) else {
            return Ok(());
        };
        // The engine's clock stands still between two inputs.
        let idle = world.mono(i).saturating_sub(node.handled);
        if peer.lag + idle < least || (peer.lag > most && !place.passed) {
            return Err(format!(
                "node {i} tells a lag of {} µs to {}, and it is {least} µs",
                peer.lag, peer.node
            ));
        }
        if peer.lag == 0
            && let Some(place) = pair.and_then(|pair| self.books.get_mut(&pair))
        {
            place.passed = false;
        }
        Ok(())
    }
}

/// Nothing is told of a node that fills itself.
fn serves(peer: &PeerStatus) -> bool {
    matches!(peer.phase, Some(Phase::Ready | Phase::Draining))
}

impl Invariant for Lag {
    fn name(&self) -> &'static str {
        "lag"
    }

    fn delivered(&mut self, _: &World, seen: Seen) {
        match seen {
            Seen::Acknowledged { origin, peer, upto } => {
                if let Some(place) = self.books.get_mut(&(origin, peer)) {
                    place.has = upto.max(place.has);
                }
            }
            // Whatever was passed over before: it says anew what it has.
            Seen::Subscribed { origin, peer, have } => {
                if let Some(place) = self.books.get_mut(&(origin, peer)) {
                    place.has = have;
                }
            }
            // What came before is sent again, or, where the ring has dropped it, repaired.
            Seen::Started { origin, peer, next } => {
                let place = self.books.entry((origin, peer)).or_default();
                let has = next.map(|next| next.saturating_sub(1));
                if has.is_none_or(|has| has > place.has) {
                    place.pass_over();
                }
                place.has = has.unwrap_or(place.has);
                place.began = has.unwrap_or(place.began);
            }
            Seen::Compared { origin, peer } => {
                if let Some(place) = self.books.get_mut(&(origin, peer)) {
                    place.owed = None;
                    place.settled = place.began;
                }
            }
        }
    }

    fn looks(&mut self, world: &World, _: &Ledger) -> Verdict {
        for (i, node) in world.running().filter(|(i, _)| !world.is_frozen(*i)) {
            for peer in node.engine.status().peers.iter().filter(|p| serves(p)) {
                self.judge(world, i, node, peer)?;
            }
        }
        Ok(())
    }

    /// Everything has been brought to everybody for long.
    fn healed(&mut self, world: &World, _: &Ledger) -> Verdict {
        for (i, node) in world.running() {
            let peers = node.engine.status().peers;
            if let Some(peer) = peers.iter().find(|peer| peer.lag > 0) {
                return Err(format!(
                    "node {i} tells a lag of {} µs to {} when everything has healed",
                    peer.lag, peer.node
                ));
            }
        }
        Ok(())
    }
}
