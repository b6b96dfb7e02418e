//! Answers: into the books, and what people do next because of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use castor_proto::ids::Member;
use castor_proto::ticket::TicketBody;
use castor_replication::engine::{Liveness, Reply};

use super::{Answer, Step, Workload};
use crate::ledger::{Asked, Seems, Session, Ticket, Use, What};
use crate::world::{Life, MS, Node, World, is_valid};

/// Uses remembered of a session.
const USES: usize = 8;

/// A session that lives at least this long, milliseconds, outlives any run, and the digests compare it.
const LASTS_MS: u64 = 7_000_000;

/// The peers that a node believes alive.
pub(crate) fn believed_alive(node: &Node) -> Vec<Member> {
    let peers = node.engine.status().peers.into_iter();
    peers
        .filter(|peer| peer.alive == Some(true))
        .filter_map(|peer| peer.member)
        .collect()
}

impl Workload {
    /// Takes the answers that have come and goes on because of them.
    pub fn collect(&mut self, world: &mut World) -> Vec<Answer> {
        let mut answers = Vec::new();
        for (number, reply) in std::mem::take(&mut world.replies) {
            let Some(asked) = self.ledger.asked.remove(&number) else {
                continue;
            };
            let no = self.enter(world, &asked, &reply);
            answers.push(Answer { asked, reply, no });
        }
        answers
    }

    fn enter(&mut self, world: &mut World, asked: &Asked, reply: &Reply) -> Option<usize> {
        match (&asked.what, reply) {
            (What::Create(parent), Reply::Created(Ok(created))) => {
                let session = self.created(world, asked, *parent, &created.body, created.missing);
                self.ledger.sessions.push(session);
                self.ledger.granted += 1;
                let no = self.ledger.sessions.len() - 1;
                self.after_sign_in(world, no);
                Some(no)
            }
            (What::Issue(session), Reply::Issued(Ok(issued))) => {
                self.ledger.granted += 1;
                Some(self.issued(world, asked, *session, &issued.body))
            }
            (What::Claim(ticket, claim), Reply::Claimed(outcome)) if is_valid(outcome) => {
                let valid = &mut self.ledger.tickets.get_mut(*ticket)?.valid;
                valid.entry(*claim).or_insert(world.now);
                self.ledger.granted += 1;
                self.after_claim(world, *ticket, *claim);
                None
            }
            (What::End(no, _), Reply::Destroyed(_)) => {
                self.ended(world, *no);
                self.ledger.granted += 1;
                self.after_end(world, *no);
                None
            }
            (What::LookUp(no, seemed), Reply::Found { .. }) => {
                self.looked_up(world, asked, *no, *seemed);
                None
            }
            _ => None,
        }
    }

    fn created(
        &self,
        world: &World,
        asked: &Asked,
        parent: Option<usize>,
        body: &Arc<TicketBody>,
        missing: usize,
    ) -> Session {
        let key = body.key();
        let root = parent.and_then(|root| self.ledger.sessions.get(root));
        let life_ms = body.hard_expiry.saturating_sub(body.created);
        let idles = body.idle_ms > 0 && body.idle_ms <= LASTS_MS;
        Session {
            key,
            body: Arc::clone(body),
            parent,
            at: world.now,
            lasts: life_ms > LASTS_MS && !idles && root.is_none_or(|root| root.lasts),
            idles,
            missing,
            holders: lives(world, |node| node.store.find(&key).is_some()),
            uses: vec![use_of(world, asked)],
            clock_doubtful: self.ledger.clocks_doubtful,
            end_asked: None,
            ended: None,
            knew: BTreeSet::new(),
            everyone_knew: false,
        }
    }

    fn issued(
        &mut self,
        world: &World,
        asked: &Asked,
        session: usize,
        body: &Arc<TicketBody>,
    ) -> usize {
        let ticket = Ticket {
            body: Arc::clone(body),
            session,
            at: world.now,
            first_asked: Default::default(),
            valid: Default::default(),
        };
        self.ledger.tickets.push(ticket);
        let no = self.ledger.tickets.len() - 1;
        if let Some(session) = self.ledger.sessions.get_mut(session) {
            session.uses.push(use_of(world, asked));
            let extra = session.uses.len().saturating_sub(USES);
            session.uses.drain(..extra);
        }
        self.after_issue(world, no);
        no
    }

    fn ended(&mut self, world: &World, no: usize) {
        let Some(session) = self.ledger.sessions.get_mut(no) else {
            return;
        };
        let key = session.key;
        if session.ended.is_none() {
            session.ended = Some(world.now);
            session.knew = lives(world, |node| node.store.is_destroyed(&key))
                .into_iter()
                .collect();
            session.everyone_knew = world
                .running()
                .all(|(_, node)| session.knew.contains(&node.life));
        }
    }

    /// The others have been asked; now the session is good, or refused.
    fn looked_up(&mut self, world: &mut World, asked: &Asked, no: usize, seemed: Seems) {
        let Some(process) = world.nodes[asked.node]
            .as_ref()
            .filter(|node| node.life == asked.life)
        else {
            return;
        };
        let Some(session) = self.ledger.sessions.get(no) else {
            return;
        };
        let own = process.store.own_time(world.mono(asked.node));
        let found = process.store.find(&session.key);
        match found.map(|ticket| ticket.liveness(own)) {
            Some(Liveness::Live) => self.issue(world, asked.node, no),
            Some(Liveness::Idle) if seemed == Seems::Unknown => {
                self.look_up(world, asked.node, no, Seems::Idle);
            }
            _ => {}
        }
    }

    fn after_claim(&mut self, world: &World, ticket: usize, claim: u8) {
        if self.random.once_in(3) {
            let (at, node) = (self.soon(world, 4_500), self.any(world));
            let again = Step::Claim {
                ticket,
                node,
                claim,
            };
            self.later(at, again);
        }
        if self.random.once_in(4) {
            let (at, node) = (self.soon(world, 8_000), self.any(world));
            let other = Step::Claim {
                ticket,
                node,
                claim: claim + 1,
            };
            self.later(at, other);
        }
    }

    pub(super) fn any(&mut self, world: &World) -> usize {
        self.random.below(world.size() as u64) as usize
    }

    pub(super) fn after_sign_in(&mut self, world: &World, no: usize) {
        let (at, node) = (world.now + self.random.below(20 * MS), self.any(world));
        self.later(at, Step::Use { session: no, node });
        self.idle_pair(world, no);
    }
}

fn use_of(world: &World, asked: &Asked) -> Use {
    Use {
        asked: asked.at,
        answered: world.now,
        node: asked.node,
        life: asked.life,
    }
}

fn lives(world: &World, holds: impl Fn(&Node) -> bool) -> Vec<Life> {
    world
        .lives(holds)
        .into_iter()
        .map(|(_, life)| life)
        .collect()
}
