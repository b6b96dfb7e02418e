//! What all users of a run share: its clock, its end, and what they have seen.
//!
//! Promises: who waits is woken when the run ends; a run in which nothing is answered rightly any more
//! ends early and says so. Does not: hold a lock while it waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::counts::Counts;
use super::scenario::Scenario;
use super::seen::Seen;
use super::target::{Application, Target};
use crate::clock;

/// Wrong answers in a row, beyond as many as there are users, after which a run is given up.
const HOPELESS_MIN: u64 = 50;

/// Why a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Early {
    /// Somebody interrupted it.
    Interrupted,
    /// Nothing was answered rightly any more.
    Hopeless(String),
}

/// What all users share.
pub(super) struct World {
    /// Seed of all choices.
    pub(super) seed: u64,
    /// Share of used tickets that are tried again.
    pub(super) replay_share: f64,
    /// Whom they talk to.
    pub(super) target: Target,
    /// The applications they visit.
    pub(super) applications: Vec<Application>,
    /// Seconds of the population when it ends.
    ends_at: f64,
    /// Wrong answers in a row after which it is given up.
    hopeless: u64,
    start: Instant,
    scale: f64,
    stop: watch::Sender<Option<Early>>,
    seen: Mutex<Seen>,
    wrong_in_a_row: AtomicU64,
    replays: AtomicU64,
}

impl World {
    pub(super) fn new(plan: &super::run::Plan, target: Target) -> Self {
        let crowd = match &plan.scenario {
            Scenario::Population(population) => u64::from(population.users),
            Scenario::Day(_) => 0,
        };
        Self {
            ends_at: plan.scenario.minutes() * 60.0,
            hopeless: HOPELESS_MIN + crowd,
            applications: target.applications(plan.scenario.services()),
            seed: plan.seed,
            replay_share: plan.replay_share,
            target,
            start: clock::monotonic(),
            scale: plan.time_scale,
            stop: watch::Sender::new(None),
            seen: Mutex::default(),
            wrong_in_a_row: AtomicU64::new(0),
            replays: AtomicU64::new(0),
        }
    }

    /// The moment of `at` seconds of the population.
    pub(super) fn instant(&self, at: f64) -> Instant {
        let after = Duration::try_from_secs_f64(at / self.scale).unwrap_or(Duration::MAX / 4);
        self.start + after
    }

    /// The moment of `at` seconds, when a step is begun that was due then; how late it is, is noted.
    pub(super) fn due(&self, at: f64) -> Instant {
        let due = self.instant(at);
        let late = clock::monotonic().saturating_duration_since(due);
        self.note(|seen| seen.late.record(late));
        due
    }

    /// Counts what was just done.
    pub(super) fn count(&self, seen: &mut Seen, counts: Counts) {
        seen.happened(self.now(), self.ends_at, counts);
    }

    /// Seconds that the population has lived.
    pub(super) fn now(&self) -> f64 {
        clock::monotonic().duration_since(self.start).as_secs_f64() * self.scale
    }

    /// Seconds of the population when it ends.
    pub(super) fn ends_at(&self) -> f64 {
        self.ends_at
    }

    /// Waits until `at` seconds of the population; false when the run has ended.
    pub(super) async fn wait(&self, at: f64) -> bool {
        let mut stop = self.stop.subscribe();
        if stop.borrow().is_some() {
            return false;
        }
        tokio::select! {
            () = clock::sleep_until(self.instant(at)) => true,
            _ = stop.wait_for(Option::is_some) => false,
        }
    }

    /// Ends the run early; the first reason counts.
    pub(super) fn stop(&self, why: Early) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            if first {
                *stop = Some(why);
            }
            first
        });
    }

    /// Why the run ended early.
    pub(super) fn stopped(&self) -> Option<Early> {
        self.stop.borrow().clone()
    }

    /// Notes something.
    pub(super) fn note<T>(&self, what: impl FnOnce(&mut Seen) -> T) -> T {
        what(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes an answer; `what` says whether it was right.
    pub(super) fn judged(&self, what: impl FnOnce(&mut Seen) -> bool) -> bool {
        let right = self.note(what);
        if right {
            self.wrong_in_a_row.store(0, Ordering::Relaxed);
            return true;
        }
        let wrong = self.wrong_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        if wrong == self.hopeless {
            let last = self.note(|seen| seen.tally.examples.last().cloned());
            self.stop(Early::Hopeless(format!(
                "{wrong} answers in a row were wrong, such as: {}",
                last.unwrap_or_default()
            )));
        }
        false
    }

    /// The node whose turn it is to be asked.
    pub(super) fn next_door(&self) -> Option<&str> {
        let doors = &self.target.replay_at;
        let turn = self.replays.fetch_add(1, Ordering::Relaxed);
        let count = u64::try_from(doors.len()).ok().filter(|count| *count > 0)?;
        let door = usize::try_from(turn % count).ok()?;
        doors.get(door).map(String::as_str)
    }

    /// The end: whom they talked to, and what they have seen.
    pub(super) fn end(self) -> (Target, Seen) {
        let seen = self.seen.into_inner();
        (self.target, seen.unwrap_or_else(PoisonError::into_inner))
    }
}
