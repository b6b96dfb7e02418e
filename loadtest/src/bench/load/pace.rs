//! When each operation of a load is due, and which of them count.
//!
//! Promises: at a rate, operation `n` is due at start + n / rate; turns are handed out at most a
//! millisecond late (the timer's grain, which counts as latency) and never early; what no worker took
//! is known with the time that it waited. Does not: send anything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Plan;
use crate::clock;

/// Different waits that are told of operations which no worker took; there may be millions.
const WAITS_MAX: u64 = 10_000;

/// The schedule of one load; workers take turns from it.
#[derive(Debug)]
pub struct Pace {
    start: Instant,
    from: Instant,
    until: Instant,
    deadline: Instant,
    per_second: Option<f64>,
    next: AtomicU64,
}

/// An operation that is due now.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Number of the operation, from 0.
    pub index: u64,
    /// Moment from which its latency counts.
    pub due: Instant,
}

impl Pace {
    /// Begins now.
    pub fn new(plan: &Plan, patience: Duration) -> Self {
        let start = clock::monotonic();
        let from = start + plan.warm;
        let until = from + plan.time;
        Self {
            start,
            from,
            until,
            deadline: until + patience,
            per_second: plan.rate,
            next: AtomicU64::new(0),
        }
    }

    /// Waits for the next turn; `None` when the time is over.
    pub async fn turn(&self) -> Option<Turn> {
        let now = clock::monotonic();
        if now >= self.until {
            return None;
        }
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(per_second) = self.per_second else {
            return Some(Turn { index, due: now });
        };
        let due = self.start + offset(index, per_second);
        if due >= self.until {
            return None;
        }
        if due > now {
            clock::sleep_until(due).await;
        }
        Some(Turn { index, due })
    }

    /// Whether the latency of an operation that was due at `due` and ended at `end` counts: at a
    /// rate by when it was due, so that none is left out for having been late.
    pub fn counts(&self, due: Instant, end: Instant) -> bool {
        match self.per_second {
            Some(_) => due >= self.from,
            None => self.is_done(end),
        }
    }

    /// Whether an operation that ended at `end` was done within the measurement.
    pub fn is_done(&self, end: Instant) -> bool {
        end >= self.from && end < self.until
    }

    /// When answers are waited for no longer.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How long it was measured, when it ended at `now`.
    pub fn measured(&self, now: Instant) -> Duration {
        now.min(self.until).saturating_duration_since(self.from)
    }

    /// Of the operations that were due within the measurement, which ended at `now`, and that no worker took:
    /// how long they had waited then, and how many waited so long.
    pub fn unsent(&self, now: Instant) -> Vec<(Duration, u64)> {
        let end = now.min(self.until);
        let due_before = |moment: Instant| {
            let per_second = self.per_second.unwrap_or(0.0);
            let passed = moment.saturating_duration_since(self.start);
            ceiling(passed.as_secs_f64() * per_second)
        };
        let first = due_before(self.from).max(self.next.load(Ordering::Relaxed));
        let count = due_before(end).saturating_sub(first);
        let Some(per_second) = self.per_second.filter(|_| count > 0) else {
            return Vec::new();
        };
        let step = count.div_ceil(WAITS_MAX);
        let groups = (0..count.div_ceil(step)).map(|group| {
            let index = first + group * step;
            let due = self.start + offset(index, per_second);
            let waited = end.saturating_duration_since(due);
            (waited, step.min(first + count - index))
        });
        groups.collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn offset(index: u64, per_second: f64) -> Duration {
    Duration::try_from_secs_f64(index as f64 / per_second).unwrap_or(Duration::MAX / 4)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive count far below 2^52"
)]
fn ceiling(number: f64) -> u64 {
    number.ceil().clamp(0.0, 1e15) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::Operation;

    fn plan(rate: Option<f64>, warm: u64, time: u64) -> Plan {
        Plan {
            operation: Operation::Pair,
            connections: 1,
            rate,
            warm: Duration::from_millis(warm),
            time: Duration::from_millis(time),
            replay_every: 0,
            progress: None,
        }
    }

    #[tokio::test]
    async fn at_a_rate_a_late_worker_still_measures_from_the_due_moment() {
        let pace = Pace::new(&plan(Some(1000.0), 0, 60_000), Duration::ZERO);
        let first = pace.turn().await.unwrap();
        let second = pace.turn().await.unwrap();
        assert_eq!(second.due - first.due, Duration::from_millis(1));
        assert!(pace.counts(first.due, first.due));
    }

    #[tokio::test]
    async fn what_no_worker_took_is_counted() {
        let pace = Pace::new(&plan(Some(1000.0), 10, 20), Duration::ZERO);
        let early = pace.turn().await.unwrap();
        assert!(!pace.counts(early.due, early.due + Duration::from_secs(1)));
        clock::sleep_until(pace.until).await;
        assert!(pace.turn().await.is_none());
        let unsent = pace.unsent(clock::monotonic());
        assert_eq!(unsent.len(), 20, "those of the time before do not count");
        assert_eq!(unsent.first(), Some(&(Duration::from_millis(20), 1)));
        assert_eq!(pace.measured(clock::monotonic()), Duration::from_millis(20));
    }

    #[tokio::test]
    async fn a_million_that_no_worker_took_are_all_counted_in_few_groups() {
        let pace = Pace::new(&plan(Some(1e6), 0, 2_000), Duration::ZERO);
        let unsent = pace.unsent(pace.until);
        assert!(unsent.len() <= 10_000);
        assert_eq!(
            unsent.iter().map(|(_, count)| count).sum::<u64>(),
            2_000_000
        );
        assert!(pace.unsent(pace.start).is_empty());
    }
}
