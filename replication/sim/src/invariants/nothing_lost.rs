//! An acknowledged session survives while one process that held it then lives. It is on every node in the
//! end, on a node that says it is ready, and nobody is sent away who can be served.

use castor_proto::message::Phase;
use castor_replication::engine::{ClaimOutcome, Denied, Event, Reply};

use super::{Invariant, Verdict};
use crate::ledger::{Ledger, Session, SessionNo, What};
use crate::workload::Answer;
use crate::world::{MS, World};

/// After this long without any disturbance two nodes know the same.
const SETTLED: u64 = 10_000 * MS;

/// What was acknowledged before this is no longer on its way anywhere.
const ON_ITS_WAY: u64 = 500 * MS;

pub(super) struct NothingLost;

impl Invariant for NothingLost {
    fn name(&self) -> &'static str {
        "nothing_lost"
    }

    fn answered(&mut self, world: &World, ledger: &Ledger, answer: &Answer) -> Verdict {
        let asked = &answer.asked;
        let (no, what) = match (&asked.what, &answer.reply) {
            (What::Issue(no), Reply::Issued(Err(Denied::SessionEnded))) => (*no, "a new ticket"),
            (What::Claim(no, _), Reply::Claimed(ClaimOutcome::Destroyed)) => {
                let session = ledger.tickets.get(*no).map(|ticket| ticket.session);
                (session.unwrap_or(usize::MAX), "a ticket")
            }
            (What::LookUp(no, _), Reply::Found { complete: true, .. })
                if is_gone(world, ledger, answer) =>
            {
                (*no, "a use")
            }
            _ => return Ok(()),
        };
        if asked.ready && must_be_there(world, ledger, no, asked.node) {
            return Err(format!(
                "{what} of session {no} was refused as ended by node {}",
                asked.node
            ));
        }
        Ok(())
    }

    /// Ready: then everything is there that others who are ready held, up to what is on its way.
    fn reported(&mut self, world: &World, ledger: &Ledger, i: usize, event: &Event) -> Verdict {
        let (Event::Phase(Phase::Ready), Some(node)) = (event, world.nodes[i].as_ref()) else {
            return Ok(());
        };
        let age = world.now - node.started;
        for (no, session) in ledger.sessions.iter().enumerate() {
            let holder = world.running().find(|(h, other)| {
                *h != i
                    && session.holders.contains(&other.life)
                    && world.is_ready(*h)
                    && world.quiet_between(i, *h) >= age
            });
            let due = judged(ledger, no) && session.at + ON_ITS_WAY < world.now;
            if let Some((h, _)) = holder.filter(|_| due)
                && !node.store.has_body(&session.key)
            {
                return Err(format!(
                    "node {i} is ready without session {no}, which node {h} holds"
                ));
            }
        }
        Ok(())
    }

    fn healed(&mut self, world: &World, ledger: &Ledger) -> Verdict {
        for (no, session) in ledger.sessions.iter().enumerate() {
            if !judged(ledger, no) || !ledger.survives(session, world) {
                continue;
            }
            for (i, node) in world.running() {
                match node.store.find(&session.key) {
                    Some(ticket) if ticket.destroyed.is_none() || ledger.end_asked(no) => {}
                    Some(_) => {
                        return Err(format!(
                            "session {no} has ended on node {i}, and nobody ended it"
                        ));
                    }
                    None => return Err(format!("session {no} is lost on node {i}")),
                }
            }
        }
        Ok(())
    }
}

/// Neither short-lived nor touched by a wrong clock.
fn judged(ledger: &Ledger, no: SessionNo) -> bool {
    let session = ledger.sessions.get(no);
    session
        .is_some_and(|session| session.lasts && !session.clock_doubtful && !ledger.clocks_doubtful)
}

fn is_gone(world: &World, ledger: &Ledger, answer: &Answer) -> bool {
    let What::LookUp(no, _) = answer.asked.what else {
        return false;
    };
    let node = world.nodes[answer.asked.node].as_ref();
    match (node, ledger.sessions.get(no)) {
        (Some(node), Some(session)) => {
            node.life == answer.asked.life && !node.store.has_body(&session.key)
        }
        _ => false,
    }
}

fn must_be_there(world: &World, ledger: &Ledger, no: SessionNo, node: usize) -> bool {
    let settled = |session: &Session| {
        world.running().any(|(h, other)| {
            session.holders.contains(&other.life)
                && (h == node || world.quiet_between(node, h) >= SETTLED)
        })
    };
    let session = ledger.sessions.get(no);
    // What hangs on another is of no use without it.
    let root = session.and_then(|session| session.parent);
    root.is_none_or(|root| must_be_there(world, ledger, root, node))
        && judged(ledger, no)
        && !ledger.end_asked(no)
        && world.now.saturating_sub(session.map_or(0, |s| s.at)) > SETTLED
        && session.is_some_and(settled)
}
