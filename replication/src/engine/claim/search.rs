//! Finding a ticket that is to be consumed, where this node does not hold it (rules 8 and 22).

use std::sync::Arc;

use castor_proto::ids::{Member, NodeName};
use castor_proto::message::PeerMessage;
use castor_proto::ticket::{TicketBody, TicketKey};

use super::{ClaimOp, Stage};
use crate::engine::config::Micros;
use crate::engine::mutants::mutant;
use crate::engine::ops::Op;
use crate::engine::{ClaimOutcome, Engine};

/// A search for a ticket's body.
pub(super) struct Search {
    /// Nodes that have yet to answer.
    waiting: Vec<Member>,
    /// Nodes that the id names.
    hints: Vec<NodeName>,
    /// How many nodes the id names, known ones or not.
    hinted: usize,
    /// How many of those have said that they do not have it.
    unknown: usize,
}

impl Search {
    fn waits_for(&self, name: &NodeName) -> bool {
        self.waiting.iter().any(|member| member.node == *name)
    }
}

impl Engine {
    /// Asks everybody who can be reached for the ticket.
    pub(super) fn claim_look_for(
        &mut self,
        number: u64,
        mut op: Box<ClaimOp>,
        hints: Vec<NodeName>,
        unresolved_hint: bool,
    ) {
        let me = &self.config.me.node;
        let hinted = hints.len() + usize::from(unresolved_hint);
        // This node is named and does not have it.
        let unknown = usize::from(hints.contains(me));
        let waiting = self.reachable();
        for member in &waiting {
            self.send(
                member,
                PeerMessage::Find {
                    rpc: number,
                    key: op.key,
                },
            );
        }
        let search = Search {
            waiting,
            hints,
            hinted,
            unknown,
        };
        let pause = self.patience(&search.waiting, self.config.find_timeout);
        op.search_until += pause;
        self.claim_search(number, op, search, pause);
    }

    /// Goes on searching, or ends the claim when it is clear that nobody will have the body. It was
    /// stored on a majority of the nodes that the id names; when a majority of them does not have
    /// it, it cannot be decided any more.
    fn claim_search(&mut self, number: u64, mut op: Box<ClaimOp>, search: Search, pause: Micros) {
        let named = search.hints.iter().any(|name| search.waits_for(name));
        if search.unknown * 2 > search.hinted {
            return self.claim_end(&op, ClaimOutcome::Unknown);
        }
        if search.waiting.is_empty() || (search.hinted > 0 && !named) {
            let outcome = if search.hinted == search.unknown {
                ClaimOutcome::Unknown
            } else {
                ClaimOutcome::NoQuorum
            };
            return self.claim_end(&op, outcome);
        }
        op.stage = Stage::Finding(search);
        self.claim_wait(number, op, pause);
    }

    pub(in crate::engine) fn claim_found(
        &mut self,
        number: u64,
        mut op: Box<ClaimOp>,
        from: &Member,
    ) {
        match &mut op.stage {
            Stage::Finding(search) => {
                search.waiting.retain(|member| member != from);
                search.unknown += usize::from(search.hints.contains(&from.node));
                if self.claim_body(&op.key).is_some() {
                    return self.claim_start(number, op);
                }
                let Stage::Finding(search) = std::mem::replace(&mut op.stage, Stage::Resting)
                else {
                    return;
                };
                // The bound runs from the first question; a new timer does not prolong it.
                let left = op.search_until.saturating_sub(self.now.mono);
                self.claim_search(number, op, search, left);
            }
            Stage::FindingRoot { waiting, otherwise } => {
                waiting.retain(|member| member != from);
                let all_in = waiting.is_empty();
                let otherwise = otherwise.clone();
                match self.claim_body(&op.key) {
                    Some(body) if self.missing_ancestor(&body).is_none() => {
                        self.claim_start(number, op);
                    }
                    _ if all_in => self.claim_end(&op, otherwise),
                    _ => self.ops.put(number, Op::Claim(op)),
                }
            }
            _ => self.ops.put(number, Op::Claim(op)),
        }
    }

    pub(super) fn claim_body(&self, key: &TicketKey) -> Option<Arc<TicketBody>> {
        if mutant!(ForgedView) {
            let mut body = TicketBody::clone(&self.singles.get(key)?.body.as_ref()?.body);
            body.view = vec![self.config.me.clone()]; // rule 2
            return Some(Arc::new(body));
        }
        Some(Arc::clone(&self.singles.get(key)?.body.as_ref()?.body))
    }

    /// What it means that none of `asked` has the session of a ticket. Whoever stored the ticket may be
    /// the only one that also has its session; it is not known to be gone before all of them were asked.
    pub(super) fn without_root(&self, body: &TicketBody, asked: &[Member]) -> ClaimOutcome {
        let heard = |node: &NodeName| {
            *node == self.config.me.node || asked.iter().any(|member| member.node == *node)
        };
        if body.view.iter().all(|member| heard(&member.node)) {
            ClaimOutcome::Unknown
        } else {
            ClaimOutcome::NoQuorum
        }
    }

    pub(super) fn missing_ancestor(&self, body: &TicketBody) -> Option<TicketKey> {
        let unknown = |key: &&TicketKey| !self.store.has_body(key) && !self.store.is_destroyed(key);
        body.ancestors.iter().find(unknown).copied()
    }
}
