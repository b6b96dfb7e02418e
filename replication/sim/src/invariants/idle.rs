//! Nobody is sent away as idle who was served within the limit by a node that can be asked; and idling
//! ends nothing for good.

use castor_replication::engine::{Liveness, Reply};

use super::{Invariant, Verdict};
use crate::ledger::{Ledger, Seems, Use, What};
use crate::workload::Answer;
use crate::world::{MS, Node, World};

/// Clocks differ by so much in a run in which none is wrong, milliseconds.
const CLOCKS_MS: u64 = 500;

/// Time in which links are up and heartbeats have told who is there.
const CONNECTED: u64 = 3_000 * MS;

pub(super) struct Idle;

impl Invariant for Idle {
    fn name(&self) -> &'static str {
        "idle"
    }

    fn answered(&mut self, world: &World, ledger: &Ledger, answer: &Answer) -> Verdict {
        let (What::LookUp(no, seemed), Reply::Found { complete, .. }) =
            (&answer.asked.what, &answer.reply)
        else {
            return Ok(());
        };
        let asked = &answer.asked;
        let (Some(session), Some(node)) = (
            ledger.sessions.get(*no),
            world.nodes[asked.node]
                .as_ref()
                .filter(|n| n.life == asked.life),
        ) else {
            return Ok(());
        };
        let own = node.store.own_time(world.mono(asked.node));
        let idle = session.body.idle_ms;
        let refused = match node.store.find(&session.key) {
            // Found with one of the others; now all are asked before it is refused.
            Some(_) if *seemed == Seems::Unknown => false,
            Some(ticket) => ticket.liveness(own) == Liveness::Idle,
            // Unknown, and somebody has not answered: an honest 503.
            None => {
                let ended =
                    node.store.is_destroyed(&session.key) || session.body.hard_expiry <= own;
                *complete && !ended
            }
        };
        let exempt = idle == 0 || !asked.ready || ledger.clocks_doubtful || ledger.end_asked(*no);
        if !refused || exempt {
            return Ok(());
        }
        let limit = (idle.saturating_sub(CLOCKS_MS)) * MS;
        // Whoever is served while the others are being asked is not known to them yet.
        let recent =
            |at: &&Use| at.answered <= asked.at && world.now.saturating_sub(at.asked) < limit;
        let reachable = |at: &&Use| {
            let there = world.nodes[at.node]
                .as_ref()
                .is_some_and(|n| n.life == at.life);
            let near =
                at.node == asked.node || world.quiet_between(at.node, asked.node) > CONNECTED;
            there && near && world.is_ready(at.node)
        };
        match session.uses.iter().filter(recent).find(reachable) {
            Some(at) => Err(format!(
                "session {no} was refused as idle by node {}, and node {} had served it {} ms before; its limit is {idle} ms",
                asked.node,
                at.node,
                (world.now - at.asked) / MS
            )),
            None => Ok(()),
        }
    }
    /// Whatever has idled away was ended by nobody.
    fn looks(&mut self, world: &World, ledger: &Ledger) -> Verdict {
        for (no, session) in ledger.sessions.iter().enumerate() {
            if session.end_asked.is_some() {
                continue;
            }
            let ended = |(_, node): &(usize, &Node)| node.store.is_destroyed(&session.key);
            if let Some((i, _)) = world.running().find(ended) {
                return Err(format!(
                    "session {no} has ended on node {i}, and nobody ended it"
                ));
            }
        }
        Ok(())
    }
}
