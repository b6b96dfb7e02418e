//! Tickets that were issued, to notice one that is issued twice.
//!
//! Promises: bounded: the last [`ISSUED_MAX`] tickets are known, as hashes. Does not: keep a ticket.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

/// Tickets remembered.
pub const ISSUED_MAX: usize = 1_000_000;

/// The last tickets.
pub struct Recent {
    hasher: RandomState,
    known: HashSet<u64>,
    order: VecDeque<u64>,
    most: usize,
}

impl Default for Recent {
    fn default() -> Self {
        Self::of(ISSUED_MAX)
    }
}

impl Recent {
    /// The last `most` tickets.
    pub fn of(most: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            known: HashSet::new(),
            order: VecDeque::new(),
            most,
        }
    }

    /// False when this ticket is among the last ones.
    pub fn is_new(&mut self, ticket: &str) -> bool {
        let hash = self.hasher.hash_one(ticket);
        if !self.known.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > self.most
            && let Some(first) = self.order.pop_front()
        {
            self.known.remove(&first);
        }
        true
    }
}

/// The same, shared by workers.
#[derive(Clone, Default)]
pub struct Issued(Arc<Mutex<Recent>>);

impl Issued {
    /// False when this ticket is among the last ones.
    pub fn is_new(&self, ticket: &str) -> bool {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.is_new(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_tickets_are_known_and_no_more_are_kept() {
        let mut recent = Recent::of(2);
        assert!(recent.is_new("ST-1") && recent.is_new("ST-2") && !recent.is_new("ST-1"));
        assert!(recent.is_new("ST-3") && !recent.is_new("ST-2"));
        assert!(recent.is_new("ST-1"), "the oldest is forgotten");
        assert!(recent.known.len() <= 2 && recent.order.len() <= 2);
    }
}
