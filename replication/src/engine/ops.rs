//! Operations under way: what waits for answers, with one number for its messages and its timer.

use std::collections::BTreeMap;

use super::Engine;
use super::claim::ClaimOp;
use super::compare::CompareOp;
use super::fill::ShardOp;
use super::find::FindOp;
use super::issue::IssueOp;
use super::logout::AckOp;

pub(super) enum Op {
    Issue(IssueOp),
    Claim(Box<ClaimOp>),
    Ack(AckOp),
    Find(FindOp),
    Compare(CompareOp),
    Shard(ShardOp),
}

/// All operations, by number. Numbers start at random, so that an answer meant for an earlier
/// incarnation pairs with nothing.
pub(super) struct Ops {
    map: BTreeMap<u64, Op>,
    next: u64,
    /// How many of them issue or consume a single-use ticket.
    tickets: usize,
}

impl Op {
    fn is_ticket(&self) -> bool {
        matches!(self, Self::Issue(_) | Self::Claim(_))
    }
}

impl Ops {
    pub(super) fn new(first: u64) -> Self {
        Self {
            map: BTreeMap::new(),
            next: first.max(1),
            tickets: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn tickets(&self) -> usize {
        self.tickets
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn put(&mut self, number: u64, op: Op) {
        self.tickets += usize::from(op.is_ticket());
        let earlier = self.map.insert(number, op);
        self.tickets -= usize::from(earlier.is_some_and(|op| op.is_ticket()));
    }

    pub(super) fn take(&mut self, number: u64) -> Option<Op> {
        let op = self.map.remove(&number)?;
        self.tickets -= usize::from(op.is_ticket());
        Some(op)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Op> {
        self.map.get_mut(&number)
    }

    pub(super) fn numbers_of(&self, mut which: impl FnMut(&Op) -> bool) -> Vec<u64> {
        self.map
            .iter()
            .filter(|(_, op)| which(op))
            .map(|(number, _)| *number)
            .collect()
    }
}

impl Engine {
    pub(super) fn op_timeout(&mut self, number: u64, stage: u32) {
        match self.ops.take(number) {
            None => {}
            Some(Op::Issue(op)) => self.issue_timeout(number, op, stage),
            Some(Op::Claim(op)) => self.claim_timeout(number, op, stage),
            Some(Op::Ack(op)) => self.ack_timeout(number, op),
            Some(Op::Find(op)) => self.find_timeout(op),
            Some(Op::Compare(op)) => self.compare_timeout(&op),
            Some(Op::Shard(op)) => self.shard_timeout(number, op),
        }
    }
}
