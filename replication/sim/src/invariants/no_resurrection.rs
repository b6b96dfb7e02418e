//! Logged out is logged out. When a logout is answered, the peers that are said to know do; whoever knew
//! then lets nothing of the session in any more, nor votes for it; and it never comes back.

use castor_proto::ids::Member;
use castor_proto::message::Phase;
use castor_replication::engine::{Destroyed, Event, Reply};

use super::{Invariant, Verdict};
use crate::ledger::{Ledger, Session, SessionNo, What};
use crate::workload::Answer;
use crate::world::{MS, Node, World, is_valid};

/// After this long without any disturbance two nodes know the same.
const CONNECTED: u64 = 10_000 * MS;

/// What ends within this time is forgotten by each node in its own moment, milliseconds.
const ENDS_MS: u64 = 10_000;

/// What was acknowledged before this is no longer on its way anywhere.
const ON_ITS_WAY: u64 = 500 * MS;

pub(super) struct NoResurrection;

impl Invariant for NoResurrection {
    fn name(&self) -> &'static str {
        "no_resurrection"
    }

    fn answered(&mut self, world: &World, ledger: &Ledger, answer: &Answer) -> Verdict {
        match (&answer.asked.what, &answer.reply) {
            (What::End(no, alive), Reply::Destroyed(done)) => {
                everyone_knows(world, ledger, answer, *no, alive, done)
            }
            (What::Claim(no, claim), Reply::Claimed(outcome)) if is_valid(outcome) => {
                let Some(ticket) = ledger.tickets.get(*no) else {
                    return Ok(());
                };
                let first = ticket.first_asked.get(claim).copied().unwrap_or(0);
                let view = &ticket.body.view;
                for session in ended_before(ledger, ticket.session, first) {
                    may_let_in(world, session, answer, view)
                        .map_err(|why| format!("ticket {no}, claim {claim}: {why}"))?;
                }
                Ok(())
            }
            (What::Issue(no), Reply::Issued(Ok(_))) => {
                for session in ended_before(ledger, *no, answer.asked.at) {
                    may_let_in(world, session, answer, &[])
                        .map_err(|why| format!("a new ticket of session {no}: {why}"))?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Ready: then no session is alive here whose end was acknowledged, and is known to others who are ready.
    fn reported(&mut self, world: &World, ledger: &Ledger, i: usize, event: &Event) -> Verdict {
        let (Event::Phase(Phase::Ready), Some(node)) = (event, world.nodes[i].as_ref()) else {
            return Ok(());
        };
        let age = world.now - node.started;
        for (no, session) in ledger.sessions.iter().enumerate() {
            let due = session.ended.is_some_and(|at| at + ON_ITS_WAY < world.now);
            if !due
                || !session.lasts
                || ledger.clocks_doubtful
                || !node.store.has_body(&session.key)
            {
                continue;
            }
            let knows = |(h, other): &(usize, &Node)| {
                session.knew.contains(&other.life)
                    && world.is_ready(*h)
                    && world.quiet_between(i, *h) >= age
            };
            if let Some((h, _)) = world.running().find(knows)
                && !node.store.is_destroyed(&session.key)
            {
                return Err(format!(
                    "node {i} is ready without the end of session {no}, which node {h} knew"
                ));
            }
        }
        Ok(())
    }

    fn healed(&mut self, world: &World, ledger: &Ledger) -> Verdict {
        for (no, session) in ledger.sessions.iter().enumerate() {
            let remembered = session.knew.iter().any(|life| world.runs(*life));
            let ends = session.body.hard_expiry < world.true_time() + ENDS_MS;
            if ends || !remembered || ledger.clocks_doubtful {
                continue;
            }
            for (i, node) in world.running() {
                if !node.store.is_destroyed(&session.key) {
                    return Err(format!("session {no} came back on node {i}"));
                }
            }
        }
        Ok(())
    }
}

/// The answer says that nobody is missing: then every peer that was believed alive all the time knows.
fn everyone_knows(
    world: &World,
    ledger: &Ledger,
    answer: &Answer,
    no: SessionNo,
    alive: &[Member],
    done: &Destroyed,
) -> Verdict {
    let asked = &answer.asked;
    let Some(session) = ledger.sessions.get(no).filter(|_| done.missing == 0) else {
        return Ok(());
    };
    let node = world.nodes[asked.node].as_ref();
    let Some(node) = node.filter(|node| node.life == asked.life) else {
        return Ok(());
    };
    let still = crate::workload::believed_alive(node);
    let ignorant = |peer: &Node| {
        alive.contains(&peer.member)
            && still.contains(&peer.member)
            && !peer.store.is_destroyed(&session.key)
    };
    let expires = session.body.hard_expiry < world.true_time() + 10_000;
    match world.running().find(|(_, peer)| ignorant(peer)) {
        Some((i, _)) if !expires && !ledger.clocks_doubtful => Err(format!(
            "the logout of session {no} was answered as known to all, and node {i} does not know"
        )),
        _ => Ok(()),
    }
}

/// The session and what it hangs on, as far as their end was acknowledged before `asked`.
fn ended_before(ledger: &Ledger, no: SessionNo, asked: u64) -> Vec<&Session> {
    let mut ended = Vec::new();
    let mut next = Some(no);
    while let Some(session) = next.and_then(|no| ledger.sessions.get(no)) {
        if session.ended.is_some_and(|at| at < asked) {
            ended.push(session);
        }
        next = session.parent;
    }
    ended
}

/// Somebody was let in whose request came after the end was acknowledged. That can be only where the
/// word has not come: neither to the node that answered, nor to a majority of the view.
fn may_let_in(world: &World, session: &Session, answer: &Answer, view: &[Member]) -> Verdict {
    let asked = &answer.asked;
    if session.knew.contains(&asked.life) {
        return Err(format!(
            "node {} knew that the session had ended",
            asked.node
        ));
    }
    let knew = |member: &&Member| {
        world
            .life_of(member)
            .is_some_and(|life| session.knew.contains(&life))
    };
    let knowing = view.iter().filter(knew).count();
    if !view.is_empty() && view.len() - knowing <= view.len() / 2 {
        return Err("a majority of its view knew that the session had ended".into());
    }
    let connected = |(i, node): (usize, &Node)| {
        session.knew.contains(&node.life) && world.quiet_between(asked.node, i) > CONNECTED
    };
    // Where nobody is who knew, nothing comes back all the same: whoever has started since got nothing of
    // the session but with its end.
    let later = world.nodes[asked.node].as_ref().filter(|node| {
        let since = session.ended.is_some_and(|ended| ended < node.started);
        node.life == asked.life && since
    });
    let told = later.is_some() || world.running().any(connected);
    if session.everyone_knew && told && asked.ready {
        return Err("every node knew that the session had ended".into());
    }
    Ok(())
}
