//! The newest events in memory, whatever the output: for operators who ask a node what has just happened.
//!
//! Only the audit thread writes here, after the event went to the output, so that recording stays as cheap
//! as it was. What is here is this node's own and is gone with the process.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Events that are kept; the oldest makes room. Each is a few hundred bytes, 10 KiB at most.
pub const KEPT_MAX: usize = 1_000;

/// An event as it was recorded.
#[derive(Debug)]
pub struct Kept {
    /// When it happened.
    pub when: jiff::Timestamp,
    /// The JSON of the record, ticket ids masked.
    pub json: String,
}

/// The newest events; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent(Arc<Mutex<VecDeque<Arc<Kept>>>>);

impl Recent {
    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<Kept>>> {
        // Events are moved in and out whole, so a panic elsewhere leaves none half there.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keep(&self, json: String, when: jiff::Timestamp) {
        let mut kept = self.kept();
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(Arc::new(Kept { when, json }));
    }

    pub(super) fn newest_first(&self) -> Vec<Arc<Kept>> {
        self.kept().iter().rev().cloned().collect()
    }
}
