//! What follows from what: a ticket is used, raced for or sent again; a session is used just before and
//! just after its idle limit; after a sign-out everything is tried that must not work.

use super::{Step, Workload};
use crate::world::{MS, World};

impl Workload {
    /// A ticket was given: who uses it, and how.
    pub(super) fn after_issue(&mut self, world: &World, ticket: usize) {
        let session = self.ledger.tickets.get(ticket).map_or(0, |t| t.session);
        let first = world.now + self.random.between(100, 30_000);
        if self.contention && !self.random.once_in(4) {
            return self.contend(world, ticket, first);
        }
        match self.random.below(100) {
            // Once.
            0..45 => {
                let node = self.any(world);
                self.claim_at(first, ticket, node, 1);
            }
            // Several requests race for it with different claims.
            45..70 => {
                let spread = self.random.pick(&[1, 300, 3_000, 40_000]).unwrap_or(1);
                for claim in 1..=self.random.between(2, 4) as u8 {
                    let node = self.any(world);
                    let at = first + self.random.below(spread);
                    self.claim_at(at, ticket, node, claim);
                }
            }
            // A proxy sends one request to several nodes, and somebody else comes as well.
            70..85 => {
                for _ in 0..self.random.between(2, 3) {
                    let node = self.any(world);
                    let at = first + self.random.below(2_500 * MS);
                    self.claim_at(at, ticket, node, 1);
                }
                let (node, at) = (self.any(world), first + self.random.below(3_000 * MS));
                self.claim_at(at, ticket, node, 2);
            }
            // One node is asked twice for it at once.
            85..92 => {
                let node = self.any(world);
                let claim = self.random.pick(&[1, 2]).unwrap_or(1);
                self.claim_at(first, ticket, node, 1);
                let second = first + self.random.below(2_000);
                self.claim_at(second, ticket, node, claim);
            }
            // Shortly before its end, and after.
            _ => {
                for claim in 1..4 {
                    let node = self.any(world);
                    let at = world.now + self.random.between(200, 13_000) * MS;
                    self.claim_at(at, ticket, node, claim);
                }
            }
        }
        self.idle_pair(world, session);
    }

    /// Every node is asked, for two claims: attempts outbid each other, ballot after ballot.
    fn duel(&mut self, world: &World, ticket: usize, first: u64) {
        let spread = self.random.pick(&[1, 40, 400]).unwrap_or(40) * MS;
        for node in 0..world.size() {
            let claim = 1 + self.random.below(2) as u8;
            let at = first + self.random.below(spread);
            self.claim_at(at, ticket, node, claim);
            let again = at + self.random.below(2_000 * MS);
            self.claim_at(again, ticket, node, claim);
        }
    }

    /// One claim, and a little later another one that a proxy sends to several nodes at once.
    fn contend(&mut self, world: &World, ticket: usize, first: u64) {
        if self.random.once_in(2) {
            return self.duel(world, ticket, first);
        }
        let node = self.any(world);
        self.claim_at(first, ticket, node, 1);
        let second = first + self.random.below(80 * MS);
        for _ in 0..self.random.between(2, 3) {
            let (node, late) = (self.any(world), self.random.below(10 * MS));
            self.claim_at(second + late, ticket, node, 2);
        }
        let (node, third) = (self.any(world), second + self.random.below(200 * MS));
        self.claim_at(third, ticket, node, 3);
    }

    fn claim_at(&mut self, at: u64, ticket: usize, node: usize, claim: u8) {
        let step = Step::Claim {
            ticket,
            node,
            claim,
        };
        self.later(at, step);
    }

    /// A session with a short idle limit is used just before that, and somewhere else just after.
    pub(super) fn idle_pair(&mut self, world: &World, session: usize) {
        let idle_ms = self
            .ledger
            .sessions
            .get(session)
            .map_or(0, |s| s.body.idle_ms);
        // Fewer uses follow from each than one, or they would never end.
        if !(1..60_000).contains(&idle_ms) || self.random.below(10) >= 4 {
            return;
        }
        let limit = world.now + idle_ms * MS;
        if self.random.once_in(2) {
            // At the limit on two nodes at once, one of which may not have heard of the other.
            let (first, second) = (self.any(world), self.any(world));
            let at = (limit + self.random.below(300 * MS)).saturating_sub(150 * MS);
            let most = self.random.pick(&[6, 60]).unwrap_or(6) * MS;
            let soon = at + self.random.between(100, most);
            let use_at = |node| Step::Use { session, node };
            self.later(at, use_at(first));
            return self.later(soon, use_at(second));
        }
        let before = limit.saturating_sub(self.random.between(5, 700) * MS);
        let after = limit + self.random.between(1, 700) * MS;
        for at in [before, after] {
            let node = self.any(world);
            self.later(at, Step::Use { session, node });
        }
    }

    /// Somebody has signed out: what was given in that session must not work any more.
    pub(super) fn after_end(&mut self, world: &World, session: usize) {
        let hangs_on_it = |ticket: &crate::ledger::Ticket| {
            let owner = self.ledger.sessions.get(ticket.session);
            ticket.session == session || owner.is_some_and(|owner| owner.parent == Some(session))
        };
        let recent = self.ledger.tickets.iter().enumerate().rev().take(40);
        let tickets: Vec<usize> = recent
            .filter(|(_, ticket)| hangs_on_it(ticket) && ticket.valid.is_empty())
            .map(|(no, _)| no)
            .take(3)
            .collect();
        for node in 0..world.size() {
            let soon = world.now + 1 + self.random.below(3_000);
            for ticket in &tickets {
                let claim = 10 + self.random.below(3) as u8;
                self.claim_at(soon, *ticket, node, claim);
            }
            self.later(soon, Step::Use { session, node });
            let later = world.now + self.random.between(10, 20_000) * MS;
            self.later(later, Step::Use { session, node });
        }
        if self.random.once_in(4) {
            // The person presses the button again, somewhere else.
            let node = self.any(world);
            let at = world.now + self.random.below(2_000 * MS);
            self.later(at, Step::End { session, node });
        }
    }

    /// Uses and sign-outs of one session at the same moment on different nodes.
    pub(super) fn crossfire(&mut self, world: &World, session: usize) {
        for _ in 0..self.random.between(1, 3) {
            let (node, at) = (self.any(world), world.now + self.random.below(3_000));
            self.later(at, Step::Use { session, node });
        }
        let (node, at) = (self.any(world), world.now + self.random.below(3_000));
        self.later(at, Step::End { session, node });
    }
}
