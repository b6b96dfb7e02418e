//! When each request of a load is due.
//!
//! Promises: open loop: request `n` is due at start + n / rate, whether or not earlier ones were
//! answered; its latency counts from that moment, so a stalled server cannot hide behind requests
//! that were not sent. Closed loop (no rate): due when its worker is free.
//! Does not: send anything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock;
use crate::stop::Stop;

/// A shared schedule; workers take turns from it.
#[derive(Debug)]
pub struct Schedule {
    start: Instant,
    per_second: Option<f64>,
    limit: u64,
    next: AtomicU64,
    stopped: Stop,
    /// What ends the whole run.
    run: Stop,
}

/// One request that is now due.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Number of the request, from 0.
    pub index: u64,
    /// Moment from which its latency counts.
    pub due: Instant,
}

impl Schedule {
    /// `limit` requests; `per_second` of them each second, or as fast as the workers can.
    pub fn new(limit: u64, per_second: Option<f64>) -> Self {
        Self {
            start: clock::monotonic(),
            per_second,
            limit,
            next: AtomicU64::new(0),
            stopped: Stop::new(),
            run: Stop::new(),
        }
    }

    /// Ends with the run, too.
    pub fn until(mut self, run: &Stop) -> Self {
        self.run = run.clone();
        self
    }

    /// Waits for the next request that is due; `None` when there is no more.
    pub async fn turn(&self) -> Option<Turn> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        if index >= self.limit || self.is_stopped() {
            return None;
        }
        let Some(per_second) = self.per_second else {
            return Some(Turn {
                index,
                due: clock::monotonic(),
            });
        };
        let due = self.start + offset(index, per_second);
        tokio::select! {
            () = clock::sleep_until(due) => Some(Turn { index, due }),
            () = self.stopped.wait() => None,
            () = self.run.wait() => None,
        }
    }

    /// Ends the schedule: no further request becomes due.
    pub fn stop(&self) {
        self.stopped.set();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.is_set() || self.run.is_set()
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn offset(index: u64, per_second: f64) -> Duration {
    Duration::try_from_secs_f64(index as f64 / per_second).unwrap_or(Duration::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_a_constant_rate() {
        assert_eq!(offset(0, 50.0), Duration::ZERO);
        assert_eq!(offset(100, 50.0), Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_late_worker_still_measures_from_the_due_moment() {
        let schedule = Schedule::new(2, Some(1000.0));
        let first = schedule.turn().await.unwrap();
        let second = schedule.turn().await.unwrap();
        assert_eq!(second.due - first.due, Duration::from_millis(1));
        assert!(schedule.turn().await.is_none());
    }

    #[tokio::test]
    async fn stop_wakes_those_that_wait() {
        let schedule = Schedule::new(u64::MAX, Some(0.001));
        assert!(schedule.turn().await.is_some());
        let (turn, ()) = tokio::join!(schedule.turn(), async { schedule.stop() });
        assert!(turn.is_none());
    }

    #[tokio::test]
    async fn stop_ends_it() {
        let schedule = Schedule::new(u64::MAX, None);
        assert!(schedule.turn().await.is_some());
        schedule.stop();
        assert!(schedule.turn().await.is_none());
    }
}
