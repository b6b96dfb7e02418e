//! Measurements on a healthy cluster: every answer is judged while it is measured.
//!
//! Promises: a bench fails when one answer was wrong. Does not: disturb the cluster.

pub mod ceiling;
pub mod constant;
pub mod demo;
pub mod folder;
pub mod growth;
pub mod hashing;
pub mod load;
pub mod pairs;
pub mod race;
pub mod resend;
pub mod saturate;
pub mod stand_in;
pub mod usage;

use std::time::Instant;

use serde::Serialize;

use usage::Group;

use crate::clock;
use crate::environment::Environment;
use crate::judge::Tally;
use crate::lab::Lab;
use crate::report::{closing, words};
use crate::run::{Ended, Kind, RATIO, Run, Verdict};
use crate::stop::Stop;

/// What a bench of one cluster needs.
pub struct Bed {
    /// The cluster, and what ends the run.
    pub lab: Lab,
    /// Whose processor time is counted.
    pub groups: Vec<Group>,
    /// Where and how.
    pub environment: Environment,
}

/// Notes how long a run took that began at `began`, and how it ended.
pub(crate) fn ended(run: &mut Run, began: Instant, stop: &Stop) {
    run.lasted_s = clock::monotonic().duration_since(began).as_secs_f64();
    run.ended = stop.ended();
}

/// What a bench measured, put into the record of its run.
pub trait Details: Serialize + std::fmt::Display {
    /// One line for people.
    fn title(&self) -> String;
    /// Adds figures, latencies, tables and series.
    fn fill(&self, run: &mut Run);
}

/// What a bench hands back.
#[derive(Debug, Serialize)]
pub struct Outcome<D> {
    /// Name of the bench.
    pub bench: &'static str,
    /// Whether every answer was right and all was done, unless it was interrupted.
    pub passed: bool,
    /// How it ended.
    pub ended: Ended,
    /// Judged answers.
    pub tally: Tally,
    /// Seconds of measurement.
    pub seconds: f64,
    /// What this bench measured.
    pub details: D,
    /// Where and how.
    pub environment: Environment,
}

impl<D: Details> Outcome<D> {
    /// The record of the run.
    pub fn record(&self) -> Run {
        let mut run = Run::new(Kind::Bench, self.details.title(), self.environment.clone());
        run.lasted_s = self.seconds;
        run.ended = self.ended;
        run.verdict = Verdict::from(&self.tally);
        self.details.fill(&mut run);
        if !self.passed && run.verdict.passed() {
            run.failed("less was done than was asked for");
        }
        run.must_be_judged();
        run
    }

    /// Prints the result, of which `record` is the record: JSON, or text for people.
    ///
    /// # Errors
    /// When the details cannot be written as JSON, which no detail type here causes.
    pub fn print(&self, record: &Run, json: bool) -> anyhow::Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        print!("{}", self.details);
        println!(
            "  answers   {} right; wrong: {}",
            self.tally.right,
            self.tally.sins_text()
        );
        for example in &self.tally.examples {
            println!("    {example}");
        }
        if let Some(why) = words::too_few(record) {
            println!("  {why}");
        }
        for failure in &record.verdict.failures {
            println!("  {failure}");
        }
        print!("{}", closing(record));
        Ok(())
    }
}

/// `count` per second, rounded for people.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        (count as f64 / seconds * 10.0).round() / 10.0
    } else {
        0.0
    }
}

/// What a number should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

/// A figure with its ratio to what it was compared with, measured in the same run. One that could not be
/// measured is left to [`want`].
pub(crate) fn compare(run: &mut Run, (name, unit): (&str, &str), value: f64, ratio: f64) {
    if value.is_finite() && ratio.is_finite() {
        let remark = format!("{RATIO}{ratio:.3}");
        run.figure_with(name, (value * 10.0).round() / 10.0, unit, &remark);
    }
}

/// Says so when a number is not what it should be. The run does not fail: it is the machine's
/// figure, and was measured. What could not be measured fails a run that was not interrupted.
pub(crate) fn want(run: &mut Run, name: &str, value: f64, wanted: Wanted) {
    let short = match wanted {
        Wanted::AtLeast(least) if value < least => format!("at least {least}"),
        Wanted::AtMost(most) if value > most => format!("at most {most}"),
        _ if value.is_finite() => return,
        _ => {
            let what = format!("{name} could not be measured");
            match run.ended {
                Ended::Whole => run.failed(what),
                Ended::Interrupted => run.note(what),
            };
            return;
        }
    };
    run.short(format!("{name} is {value:.3}, wanted is {short}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(value: f64, wanted: Wanted) -> Run {
        let mut run = Run::new(Kind::Bench, "a", Environment::unknown());
        compare(&mut run, ("p99", "ms"), value, value);
        want(&mut run, "p99", value, wanted);
        run
    }

    #[test]
    fn what_could_not_be_measured_is_not_fast() {
        let nothing = wanted(f64::NAN, Wanted::AtMost(10.0));
        assert_eq!(nothing.verdict.failures, ["p99 could not be measured"]);
        assert!(nothing.figures.is_empty());
        let slow = wanted(11.0, Wanted::AtMost(10.0));
        assert!(slow.notes.len() == 1 && slow.verdict.failures.is_empty());
        let fast = wanted(9.0, Wanted::AtMost(10.0));
        assert!(fast.notes.is_empty() && fast.figures.len() == 1);
    }

    #[test]
    fn a_run_without_a_judged_answer_has_not_passed() {
        let mut run = Run::new(Kind::Bench, "a", Environment::unknown());
        assert!(run.verdict.passed());
        run.must_be_judged();
        assert!(!run.verdict.passed());
    }
}
