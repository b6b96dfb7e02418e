//! What requests do, and what must be true of all they were told.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use castor_proto::delta::{DestroyReason, Entry};
use castor_proto::ids::ClaimId;
use castor_proto::ticket::{Payload, Principal, St, Tgt, TicketId};
use castor_replication::driver::{LookUp, Readiness};
use castor_replication::engine::{ClaimOutcome, NewReusable, NewSingleUse};

use crate::chance;
use crate::node::{NODES, Node, pause};
use crate::trace::event;

/// Tickets remembered for claims and replays.
const TICKETS_KEPT: usize = 64;

/// What all requests of a run were told.
#[derive(Default)]
pub struct Ledger {
    /// Sessions that were acknowledged, each with the node that did.
    sessions: BTreeMap<TicketId, usize>,
    /// Sessions whose end was asked for: they may be there or not, but must be the same everywhere.
    ended: BTreeSet<TicketId>,
    /// Of those, the ones whose end was acknowledged by everybody who is owed it.
    gone: BTreeSet<TicketId>,
    tickets: Vec<TicketId>,
    /// Claims answered as valid.
    valid: BTreeMap<TicketId, ClaimId>,
    /// The nodes in service, by index.
    pub nodes: [Option<Rc<Node>>; NODES],
    /// Load goes on.
    pub open: bool,
    pub operations: u64,
    pub valid_claims: u64,
    pub refused: u64,
    pub violations: Vec<String>,
}

pub type Book = Rc<RefCell<Ledger>>;

impl Ledger {
    fn violation(&mut self, text: String) {
        event(&format!("VIOLATION {text}"));
        self.violations.push(text);
    }

    fn claimed(&mut self, id: &TicketId, claim: ClaimId, valid: bool) {
        if !valid {
            self.refused += 1;
            return;
        }
        self.valid_claims += 1;
        match self.valid.insert(id.clone(), claim) {
            Some(earlier) if earlier != claim => {
                self.violation(format!("{id:?} was validated twice"));
            }
            _ => {}
        }
    }

    fn any_session(&self) -> Option<TicketId> {
        let index = chance::below(self.sessions.len() as u64);
        self.sessions.keys().nth(index as usize).cloned()
    }

    /// A ticket of the last few, or now and then an old one.
    fn any_ticket(&self) -> Option<TicketId> {
        let all = self.tickets.len() as u64;
        let newest = if chance::below(10) == 0 {
            all
        } else {
            all.min(4)
        };
        let back = chance::below(newest) + 1;
        self.tickets.get((all - back.min(all)) as usize).cloned()
    }
}

/// Sends requests to a node until the load ends.
pub async fn load(index: usize, node: Rc<Node>, book: Book) {
    loop {
        pause(5 + chance::below(50)).await;
        if !book.borrow().open {
            return;
        }
        if node.handle.readiness() != Readiness::Ready {
            continue;
        }
        let what = chance::below(100);
        book.borrow_mut().operations += 1;
        match what {
            0..20 => sign_in(index, &node, &book).await,
            20..55 => issue(index, &node, &book).await,
            55..90 => claim(index, &node, &book).await,
            90..97 => look_up(index, &node, &book).await,
            _ => sign_out(index, &node, &book).await,
        }
    }
}

async fn sign_in(index: usize, node: &Node, book: &Book) {
    let payload = Payload::Tgt(Tgt {
        principal: Principal::default(),
        authenticated_at: 0,
        handler: "sim".into(),
        remember_me: false,
        client_address: "192.0.2.1".into(),
    });
    let new = NewReusable {
        id: None,
        life_ms: 28_800_000,
        idle_ms: 7_200_000,
        ancestors: Vec::new(),
        payload,
        key_id: None,
    };
    match node.handle.create(new).await {
        Ok(created) => {
            let (id, acked) = (created.body.id.clone(), created.acked);
            event(&format!("n{index} session {id:?} acked {acked}"));
            // With nobody else to hold it, it dies with its node: nothing was promised beyond that.
            if acked > 0 {
                book.borrow_mut().sessions.insert(id, index);
            }
        }
        Err(error) => event(&format!("n{index} no session: {error}")),
    }
}

async fn issue(index: usize, node: &Node, book: &Book) {
    let Some(session) = book.borrow().any_session() else {
        return;
    };
    let service = "https://app.example.org/".to_owned();
    let new = NewSingleUse {
        ancestors: vec![session.key()],
        life_ms: 10_000,
        payload: Payload::St(St {
            service: service.clone(),
            registered_service: 1,
            from_new_login: false,
        }),
        service: Some((1, service)),
    };
    match node.handle.issue(new).await {
        Ok(issued) => {
            event(&format!("n{index} ticket {:?}", issued.body.id));
            let mut book = book.borrow_mut();
            if book.gone.contains(&session) {
                book.violation(format!("{session:?} is ended and got a ticket at n{index}"));
            }
            if book.tickets.len() >= TICKETS_KEPT {
                book.tickets.remove(0);
            }
            book.tickets.push(issued.body.id.clone());
        }
        Err(error) => event(&format!("n{index} no ticket: {error}")),
    }
}

async fn claim(index: usize, node: &Node, book: &Book) {
    let Some(id) = book.borrow().any_ticket() else {
        return;
    };
    let mut bytes = [0; 16];
    chance::fill(&mut bytes);
    let claim = ClaimId(bytes);
    let outcome = node.handle.claim(&id, claim).await;
    let word = match &outcome {
        ClaimOutcome::Won(_) => "won",
        ClaimOutcome::Replayed(_) => "replayed",
        ClaimOutcome::Lost => "lost",
        ClaimOutcome::NoQuorum => "no quorum",
        ClaimOutcome::Destroyed => "destroyed",
        ClaimOutcome::Expired => "expired",
        ClaimOutcome::Unknown => "unknown",
    };
    event(&format!("n{index} claim {id:?} {word}"));
    let valid = matches!(outcome, ClaimOutcome::Won(_) | ClaimOutcome::Replayed(_));
    book.borrow_mut().claimed(&id, claim, valid);
}

async fn look_up(index: usize, node: &Node, book: &Book) {
    let Some(session) = book.borrow().any_session() else {
        return;
    };
    let gone = book.borrow().gone.contains(&session);
    let found = node.handle.look_up(&session).await;
    let live = matches!(found, LookUp::Live(_));
    event(&format!("n{index} look-up {session:?} live {live}"));
    if live && gone {
        book.borrow_mut()
            .violation(format!("{session:?} is ended and lives at n{index}"));
    }
}

async fn sign_out(index: usize, node: &Node, book: &Book) {
    let Some(session) = book.borrow().any_session() else {
        return;
    };
    book.borrow_mut().ended.insert(session.clone());
    match node.handle.destroy(&session, DestroyReason::Logout).await {
        Ok(done) => {
            event(&format!(
                "n{index} ended {session:?} missing {}",
                done.missing
            ));
            // A side that was cut off learns of it when it is back: then it is no violation.
            if done.missing == 0 && done.acked == NODES - 1 {
                book.borrow_mut().gone.insert(session);
            }
        }
        Err(error) => event(&format!("n{index} not ended: {error}")),
    }
}

/// What must hold when everything has healed: nothing lost, nothing back, everybody the same.
pub fn judge(book: &Book) {
    let mut book = book.borrow_mut();
    let nodes = book.nodes.clone();
    let mut states: Vec<Vec<Entry>> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let Some(node) = node else {
            book.violation(format!("n{index} does not run"));
            continue;
        };
        let readiness = node.handle.readiness();
        if readiness != Readiness::Ready {
            book.violation(format!("n{index} is {readiness:?}: {:?}", node.company()));
        }
        let mut state = Vec::new();
        node.handle.store().visit_all(&mut |entry| {
            state.push(entry);
            true
        });
        state.sort_by_key(|entry| entry.key);
        states.push(state);
        let kept = book.sessions.clone();
        for (id, by) in &kept {
            let found = node.handle.find(id);
            let live = found.is_some_and(|ticket| ticket.destroyed.is_none());
            if !live && !book.ended.contains(id) {
                book.violation(format!(
                    "{id:?}, acknowledged by n{by}, is lost at n{index}"
                ));
            }
            if live && book.gone.contains(id) {
                book.violation(format!("{id:?} is ended and lives at n{index}"));
            }
        }
    }
    for (index, pair) in states.windows(2).enumerate() {
        if pair[0] != pair[1] {
            let sizes = (pair[0].len(), pair[1].len());
            book.violation(format!("n{index} and n{} differ: {sizes:?}", index + 1));
        }
    }
    for node in &mut book.nodes {
        *node = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_claims_of_one_ticket_answered_as_valid_are_noticed() {
        let id = format!("ST-1-{}-abcd", "x".repeat(35));
        let id = TicketId::parse(&id).expect("an id");
        let mut ledger = Ledger::default();
        for (claim, violations) in [(1, 0), (1, 0), (2, 1)] {
            ledger.claimed(&id, ClaimId([claim; 16]), true);
            assert_eq!(ledger.violations.len(), violations);
        }
        ledger.claimed(&id, ClaimId([3; 16]), false);
        assert_eq!((ledger.violations.len(), ledger.refused), (1, 1));
    }

    #[test]
    fn a_node_that_does_not_run_at_the_end_is_noticed() {
        let book = Book::default();
        judge(&book);
        assert_eq!(book.borrow().violations.len(), NODES);
    }
}
