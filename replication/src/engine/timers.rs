//! What the engine waits for in time: a heap with lazy cancellation.
//!
//! A timer that fires for something that is no longer there does nothing, so nothing is ever
//! removed; the heap is bounded by the operations under way.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use castor_proto::ids::NodeName;

use super::config::Micros;

/// Why the engine wakes up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A stage of an operation: its number and the stage it was set in.
    Op(u64, u32),
    /// Heartbeats and clock.
    Housekeeping,
    /// Digest rounds.
    Round,
    /// Tickets past their end.
    Expiry,
    /// Unacknowledged deltas of this peer.
    Resend(NodeName, u64),
    /// Deltas that nobody waits for are due.
    Pace,
    /// The node's own filling.
    Bootstrap,
    /// The node's own drain.
    Drain,
}

#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Micros, Timer)>>,
}

impl Timers {
    pub(super) fn set(&mut self, at: Micros, timer: Timer) {
        self.heap.push(Reverse((at, timer)));
    }

    pub(super) fn next(&self) -> Option<Micros> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    pub(super) fn due(&mut self, now: Micros) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, timer))| timer)
    }
}
