//! Memory has bounds, and what has ended is forgotten: operations, single-use tickets and sessions stay
//! within their limits, the gauges say what is there, and nothing is left when everything is over.

use castor_proto::ticket::TicketKind;

use super::{Invariant, Verdict};
use crate::ledger::Ledger;
use crate::plan::{Limits, Plan};
use crate::world::{Node, World};

/// What ended this long ago is gone, milliseconds.
const FORGOTTEN_MS: u64 = 8_000;

pub(super) struct BoundedMemory {
    limits: Limits,
    size: usize,
}

impl BoundedMemory {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            limits: plan.limits,
            size: plan.size,
        }
    }

    /// Comparisons and shards under way come on top of what clients have asked for.
    fn own_operations(&self) -> usize {
        9 * self.size
    }

    fn within(&self, i: usize, node: &Node) -> Verdict {
        let status = node.engine.status();
        let most = self.limits.ops_max + self.own_operations();
        if status.operations > most {
            return Err(format!(
                "node {i} has {} operations under way",
                status.operations
            ));
        }
        if status.singles > self.limits.singles_max {
            return Err(format!(
                "node {i} holds {} single-use tickets",
                status.singles
            ));
        }
        // Each side of a cut may have filled up on its own.
        let gauges = node.store.gauges();
        let most = self.limits.entries_max.saturating_add(8) * self.size;
        for kind in [TicketKind::Tgt, TicketKind::Pgt] {
            let (live, held) = (gauges.tickets(kind), gauges.held(kind));
            let over = |count, most| usize::try_from(count).is_ok_and(|count| count > most);
            if over(live, most) || over(held, most.saturating_mul(2)) {
                return Err(format!(
                    "node {i} holds {live} live tickets of the kind {kind:?}, {held} with ended ones"
                ));
            }
        }
        Ok(())
    }
}

impl Invariant for BoundedMemory {
    fn name(&self) -> &'static str {
        "bounded_memory"
    }

    fn looks(&mut self, world: &World, _: &Ledger) -> Verdict {
        world
            .running()
            .try_for_each(|(i, node)| self.within(i, node))
    }

    fn healed(&mut self, world: &World, ledger: &Ledger) -> Verdict {
        for (i, node) in world.running() {
            self.within(i, node)?;
            let status = node.engine.status();
            // Nobody has asked for anything for longer than any operation may take.
            if status.operations > 2 * self.size {
                return Err(format!(
                    "node {i} has {} operations left",
                    status.operations
                ));
            }
            let own = node.store.own_time(world.mono(i));
            let (mut ended, mut live, mut entries) = (0, 0, 0);
            node.store.visit_all(&mut |entry| {
                entries += 1;
                ended += usize::from(entry.hard_expiry + FORGOTTEN_MS < own);
                live += i64::from(entry.body.is_some() && entry.destroyed.is_none());
                true
            });
            if ended > 0 && !ledger.clocks_doubtful {
                return Err(format!("node {i} keeps {ended} entries that have ended"));
            }
            let gauges = node.store.gauges();
            let counted = gauges.tickets(TicketKind::Tgt) + gauges.tickets(TicketKind::Pgt);
            if counted != live {
                return Err(format!(
                    "node {i} counts {counted} sessions and holds {live}"
                ));
            }
            if node.store.len() != entries {
                let len = node.store.len();
                return Err(format!("node {i} counts {len} entries and holds {entries}"));
            }
            let weight = node.store.recount_bytes();
            if gauges.bytes() < weight || (status.singles == 0 && gauges.bytes() != weight) {
                let bytes = gauges.bytes();
                return Err(format!("node {i} counts {bytes} bytes and holds {weight}"));
            }
        }
        Ok(())
    }
}
