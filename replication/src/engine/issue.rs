//! Issuing single-use tickets: a view, then store before redirect (rules 2, 3 and 15).

use std::sync::Arc;

use castor_proto::delta::{Entry, ServiceKey, ServiceUse};
use castor_proto::ids::{Member, NodeName};
use castor_proto::limits;
use castor_proto::message::{PeerMessage, Refusal};
use castor_proto::ticket::{TicketBody, TicketKey};

use super::mutants::mutant;
use super::ops::Op;
use super::singles::Held;
use super::timers::Timer;
use super::{Denied, Engine, Issued, Lie, Micros, NewSingleUse, Reply, stats};

/// One ticket on its way out.
pub(super) struct IssueOp {
    command: u64,
    new: NewSingleUse,
    held: Held,
    /// Members that hold the body, this node included.
    holders: Vec<Member>,
    /// Members that have said no, or cannot say anything.
    refused: usize,
    attempt: u32,
}

impl Engine {
    pub(super) fn issue(&mut self, command: u64, new: NewSingleUse) {
        let view = self.choose_view();
        self.issue_with(command, new, view, 0);
    }

    /// Rule 2: this node first, then live, ready peers with a working link; an odd number.
    fn choose_view(&mut self) -> Vec<Member> {
        let mut others: Vec<Member> = self
            .peers
            .iter()
            .filter(|peer| peer.is_fit())
            .map(|peer| peer.member.clone())
            .collect();
        let wanted = self.config.view_size.min(others.len() + 1);
        let size = if wanted % 2 == 1 { wanted } else { wanted - 1 };
        let mut view = vec![self.config.me.clone()];
        while view.len() < size && !others.is_empty() {
            let at = self.random.u64() as usize % others.len();
            view.push(others.swap_remove(at));
        }
        view
    }

    fn issue_with(&mut self, command: u64, new: NewSingleUse, view: Vec<Member>, attempt: u32) {
        let held = match self.issued_body(&new, view) {
            Ok(held) => held,
            Err(denied) => return self.reply(command, Reply::Issued(Err(denied))),
        };
        // In the session's map before the redirect, and so before any logout's acknowledgement.
        self.remember_visit(&new, &held.body);
        self.hold(&held);
        let me = self.config.me.clone();
        let number = self.ops.number();
        let others: Vec<Member> = held
            .body
            .view
            .iter()
            .filter(|m| **m != me)
            .cloned()
            .collect();
        for member in &others {
            self.send(
                member,
                PeerMessage::Store {
                    rpc: number,
                    body: Arc::clone(&held.bytes),
                },
            );
        }
        let op = IssueOp {
            command,
            new,
            held,
            holders: vec![me],
            refused: 0,
            attempt,
        };
        if others.is_empty() {
            return self.issued(op);
        }
        let bound = self.patience(&others, self.config.store_timeout);
        self.ops.put(number, Op::Issue(op));
        self.timers
            .set(self.now.mono + bound, Timer::Op(number, attempt));
    }

    /// How long these members get to answer.
    pub(super) fn patience(&self, members: &[Member], (low, high): (Micros, Micros)) -> Micros {
        let slowest = members
            .iter()
            .filter_map(|m| self.peers.exact(m))
            .map(|peer| peer.patience())
            .max();
        slowest.unwrap_or(low).clamp(low, high)
    }

    fn issued_body(&mut self, new: &NewSingleUse, view: Vec<Member>) -> Result<Held, Denied> {
        if !self.in_service() {
            return Err(Denied::NotReady);
        }
        if self.singles.len() >= self.config.singles_max || self.is_heavy() {
            return Err(Denied::Full);
        }
        let hard_expiry = self.end_of_life(new.life_ms, &new.ancestors)?;
        let names: Vec<NodeName> = view.iter().map(|member| member.node.clone()).collect();
        let body = TicketBody {
            id: self.fresh_id(new.payload.kind(), &names),
            created: self.own(),
            hard_expiry,
            idle_ms: 0,
            ancestors: new.ancestors.clone(),
            view,
            key_id: self.keys.key_id,
            payload: new.payload.clone(),
        };
        let bytes: Arc<[u8]> = body.encode().into();
        if bytes.len() > limits::TICKET_BODY_MAX {
            return Err(Denied::TooLarge);
        }
        Held::decode(&bytes, Some(&body.key())).ok_or(Denied::TooLarge)
    }

    /// One small delta to everyone: the visited application and the last use.
    fn remember_visit(&mut self, new: &NewSingleUse, body: &TicketBody) {
        let Some(session) = body.ancestors.first() else {
            return;
        };
        let Some(root) = self.store.outline(session) else {
            return;
        };
        let mut entry = Entry::bottom(*session, root.kind, root.hard_expiry);
        entry.last_used = body.created.max(root.last_used);
        if let Some((registered, url)) = &new.service
            && url.len() <= limits::SERVICE_URL_MAX
        {
            let key = ServiceKey::new(*registered, url);
            let before = self.store.visited(session, key);
            let stamp = body.created.max(before + 1);
            let ticket = body.id.as_str().to_owned();
            entry.services = vec![(
                key,
                ServiceUse {
                    stamp,
                    ticket,
                    url: url.clone(),
                },
            )];
        }
        self.publish(entry);
    }

    // ---- the member's side --------------------------------------------------------------------

    pub(super) fn asked_to_store(&mut self, from: &Member, rpc: u64, bytes: &Arc<[u8]>) {
        let refused = match Held::decode(bytes, None) {
            None => Some(Refusal::UnknownBody),
            Some(held) if self.is_foreign(&held.body) => {
                self.lied(from, Lie::View);
                Some(Refusal::NotInView)
            }
            Some(held) => self.store_for(&held).err(),
        };
        self.send(from, PeerMessage::Stored { rpc, refused });
    }

    fn store_for(&mut self, held: &Held) -> Result<(), Refusal> {
        if !held.body.view.contains(&self.config.me) {
            return Err(Refusal::NotInView);
        }
        if self.singles.len() >= self.config.singles_max {
            return Err(Refusal::Unwilling);
        }
        // Rule 14.
        if self.ended_by_ancestor(&held.body.ancestors) && !mutant!(VotersIgnoreLogout) {
            return Err(Refusal::Destroyed);
        }
        if self.hold(held) {
            Ok(())
        } else {
            Err(Refusal::Expired)
        }
    }

    pub(super) fn ended_by_ancestor(&self, ancestors: &[TicketKey]) -> bool {
        // Rule 14: by predicate on the root, whoever knows of which child.
        !mutant!(CascadeByChildren) && ancestors.iter().any(|key| self.store.is_destroyed(key))
    }

    // ---- the issuer's side --------------------------------------------------------------------

    pub(super) fn stored(&mut self, from: &Member, rpc: u64, refused: Option<Refusal>) {
        let Some(Op::Issue(op)) = self.ops.get_mut(rpc) else {
            return;
        };
        if !op.held.body.view.contains(from) || op.holders.contains(from) {
            return;
        }
        match refused {
            None => op.holders.push(from.clone()),
            Some(_) => op.refused += 1,
        }
        let members = op.held.body.view.len();
        let enough = op.holders.len() > members / 2;
        let hopeless = members - op.refused <= members / 2;
        if !enough && !hopeless {
            return;
        }
        let Some(Op::Issue(op)) = self.ops.take(rpc) else {
            return;
        };
        if refused == Some(Refusal::Destroyed) {
            self.reply(op.command, Reply::Issued(Err(Denied::SessionEnded)));
        } else if enough {
            self.issued(op);
        } else {
            self.issue_again(op);
        }
    }

    pub(super) fn issue_timeout(&mut self, number: u64, op: IssueOp, stage: u32) {
        if stage != op.attempt {
            return self.ops.put(number, Op::Issue(op));
        }
        let silent: Vec<Member> = op
            .held
            .body
            .view
            .iter()
            .filter(|m| !op.holders.contains(m))
            .cloned()
            .collect();
        for member in &silent {
            self.suspect(member);
        }
        self.issue_again(op);
    }

    /// Rule 3: a new id whose view are those that answered, then this node alone. The same id is
    /// never used with another view.
    fn issue_again(&mut self, op: IssueOp) {
        stats::count(&self.stats.view_degraded);
        #[cfg(feature = "mutants")]
        if mutant!(SameIdOtherView) {
            super::mutants::reused_id(Some(op.held.body.id.clone())); // rule 3
        }
        let mut view = op.holders;
        if op.attempt > 0 {
            view.truncate(1);
        } else if view.len().is_multiple_of(2) {
            view.pop();
        }
        self.issue_with(op.command, op.new, view, op.attempt + 1);
    }

    fn issued(&mut self, op: IssueOp) {
        // A logout acknowledged while the members answered ends this ticket before it is used.
        let ended = self.ended_by_ancestor(&op.held.body.ancestors);
        let answer = if ended {
            Err(Denied::SessionEnded)
        } else {
            Ok(Issued { body: op.held.body })
        };
        self.reply(op.command, Reply::Issued(answer));
    }
}
