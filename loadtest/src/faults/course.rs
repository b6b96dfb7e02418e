//! The course of a run with faults, second by second: what the record draws over time.
//!
//! Promises: adds nothing to a request but an addition under a lock that is there anyway.
//! Does not: judge; steps do.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;
use crate::histogram::Latencies;
use crate::history::Phase;
use crate::run::rates::{PerSecond, SECONDS_MAX};
use crate::run::{Mark, Plot, Run, Style};

/// What happened when.
pub struct Course {
    began: Instant,
    lasted: OnceLock<Duration>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    pairs: PerSecond,
    failed: PerSecond,
    sign_ins: PerSecond,
    /// Slowest pair of each second, in milliseconds.
    slowest: Vec<f64>,
    calm: Latencies,
    faulty: Latencies,
    marks: Vec<Mark>,
    open: usize,
}

impl std::fmt::Debug for Course {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Course").finish_non_exhaustive()
    }
}

impl Default for Course {
    fn default() -> Self {
        Self {
            began: clock::monotonic(),
            lasted: OnceLock::new(),
            inner: Mutex::default(),
        }
    }
}

impl Course {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seconds since the load began.
    fn now(&self) -> f64 {
        clock::monotonic().duration_since(self.began).as_secs_f64()
    }

    /// A pair has ended; `took` counts from when it was due.
    pub(super) fn pair(&self, right: bool, took: Duration) {
        let after = clock::monotonic().duration_since(self.began);
        let second = usize::try_from(after.as_secs()).unwrap_or(SECONDS_MAX);
        let mut inner = self.inner();
        match right {
            true => inner.pairs.hit(after),
            false => inner.failed.hit(after),
        }
        match inner.open {
            0 => inner.calm.record(took),
            _ => inner.faulty.record(took),
        }
        if second < SECONDS_MAX {
            if inner.slowest.len() <= second {
                inner.slowest.resize(second + 1, 0.0);
            }
            if let Some(slowest) = inner.slowest.get_mut(second) {
                *slowest = slowest.max(took.as_secs_f64() * 1000.0);
            }
        }
    }

    /// Somebody has signed in.
    pub(super) fn sign_in(&self) {
        let after = clock::monotonic().duration_since(self.began);
        self.inner().sign_ins.hit(after);
    }

    /// A fault begins or ends.
    pub fn mark(&self, what: &str, phase: Phase) {
        let now = self.now();
        let mut inner = self.inner();
        match phase {
            Phase::Begin => {
                inner.open += 1;
                inner.marks.push(Mark::at(now, what));
            }
            Phase::End => {
                inner.open = inner.open.saturating_sub(1);
                let mut latest = inner.marks.iter_mut().rev();
                let begun = latest.find(|mark| mark.text == what && mark.until.is_none());
                if let Some(mark) = begun {
                    mark.until = Some(now);
                }
            }
        }
    }

    /// Puts it into the record; `lasted_s` becomes the time of the load.
    pub fn fill(&self, run: &mut Run) {
        let lasted = self.lasted();
        let inner = self.inner();
        run.lasted_s = lasted.as_secs_f64();
        run.latency("pair, no fault on", &inner.calm)
            .latency("pair, during a fault", &inner.faulty)
            .sampled_in("pairs", "right", "1/s", inner.pairs.points(lasted))
            .sampled_in("pairs", "not right", "1/s", inner.failed.points(lasted));
        let slowest = inner.slowest.iter().zip(0_u32..);
        let slowest = slowest.map(|(ms, second)| (f64::from(second) + 0.5, *ms));
        run.sampled("slowest pair", "ms", slowest.collect())
            .sampled("sign-ins", "1/s", inner.sign_ins.points(lasted));
        run.marks.extend(inner.marks.iter().cloned());
    }

    /// As a plot: pairs a second, with the faults.
    pub fn plot(&self, title: &str) -> Plot {
        let lasted = self.lasted();
        let inner = self.inner();
        let mut plot = Plot::new(title, "s", "pairs/s");
        plot.line("right", Style::Line, inner.pairs.points(lasted))
            .line("not right", Style::Line, inner.failed.points(lasted));
        plot.marks = inner.marks.clone();
        plot
    }

    /// The load has ended.
    pub(super) fn end(&self) {
        self.lasted();
    }

    /// How long the load has run; when it has ended, or this was asked for, it stays so.
    fn lasted(&self) -> Duration {
        let now = || clock::monotonic().duration_since(self.began);
        *self.lasted.get_or_init(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::run::Kind;

    #[test]
    fn a_fault_is_a_stretch_and_what_it_slows_is_told_apart() {
        let course = Course::default();
        course.pair(true, Duration::from_millis(3));
        course.mark("kill -9 n1", Phase::Begin);
        course.pair(false, Duration::from_millis(900));
        course.sign_in();
        course.mark("kill -9 n1", Phase::End);
        let mut run = Run::new(Kind::Faults, "t", Environment::unknown());
        course.fill(&mut run);
        let [mark] = run.marks.as_slice() else {
            panic!("{:?}", run.marks);
        };
        assert!(mark.until.is_some_and(|until| until >= mark.x));
        let counts: Vec<u64> = run.latencies.iter().map(|one| one.count).collect();
        assert_eq!(counts, [1, 1]);
        assert_eq!(run.series.len(), 4);
    }
}
