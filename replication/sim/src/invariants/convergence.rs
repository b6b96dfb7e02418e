//! When all faults have ended, every node is ready and holds the same, within the time for healing; and
//! the digests that are kept up to date are those of what is held.

use castor_proto::delta::Entry;

use super::{Invariant, Verdict};
use crate::ledger::Ledger;
use crate::world::World;

/// Entries that end within this time are forgotten by each node in its own moment, milliseconds.
const ENDS_MS: u64 = 10_000;

/// The same where a clock is wrong.
const ENDS_DOUBTFULLY_MS: u64 = 1_000_000;

pub(super) struct Convergence;

/// Whether all nodes are ready and agree on what lasts.
pub(crate) fn has_healed(world: &World, ledger: &Ledger) -> bool {
    let wall = world.true_time();
    let ends = if ledger.clocks_doubtful {
        ENDS_DOUBTFULLY_MS
    } else {
        ENDS_MS
    };
    let lasting = |entry: &Entry| {
        let session = ledger.sessions.iter().find(|s| s.key == entry.key);
        entry.hard_expiry > wall + ends && session.is_none_or(|session| !session.idles)
    };
    world.running().count() == world.size()
        && world.running().all(|(_, node)| node.engine.is_ready())
        && world.agree(lasting)
}

impl Invariant for Convergence {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn healed(&mut self, world: &World, ledger: &Ledger) -> Verdict {
        for (i, node) in world.running() {
            if !node.engine.is_ready() {
                let phase = node.engine.phase();
                return Err(format!(
                    "node {i} is not ready when everything has healed: {phase:?}"
                ));
            }
            if !node.engine.digests_are_true() {
                return Err(format!(
                    "the digests of node {i} are not those of what it holds"
                ));
            }
        }
        if !has_healed(world, ledger) {
            return Err(format!("the nodes do not agree: {}", world.difference()));
        }
        Ok(())
    }
}
