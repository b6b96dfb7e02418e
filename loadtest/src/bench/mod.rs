//! Measurements on a healthy cluster: every answer is judged while it is measured.
//!
//! Promises: a bench fails when one answer was wrong. Does not: disturb the cluster.

pub mod ceiling;
pub mod constant;
pub mod demo;
pub mod growth;
pub mod hashing;
pub mod load;
pub mod pairs;
pub mod race;
pub mod resend;
pub mod saturate;
pub mod stand_in;
pub mod usage;

use serde::Serialize;

use crate::environment::Environment;
use crate::judge::Tally;
use crate::run::{Ended, Kind, Run, Verdict};

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
        run
    }

    /// Prints the result: JSON, or text for people.
    ///
    /// # Errors
    /// When the details cannot be written as JSON, which no detail type here causes.
    pub fn print(&self, json: bool) -> anyhow::Result<()> {
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
        println!("{}", if self.passed { "passed" } else { "FAILED" });
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

/// Before the ratio in the remark of a figure that was compared.
pub const RATIO: &str = "ratio ";

/// What a number should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

/// A figure with its ratio to what it was compared with, measured in the same run.
pub(crate) fn compare(run: &mut Run, (name, unit): (&str, &str), value: f64, ratio: f64) {
    let remark = format!("{RATIO}{ratio:.3}");
    run.figure_with(name, (value * 10.0).round() / 10.0, unit, &remark);
}

/// Says so when a number is not what it should be. The run does not fail: it is the machine's
/// figure, and was measured.
pub(crate) fn want(run: &mut Run, name: &str, value: f64, wanted: Wanted) {
    match wanted {
        Wanted::AtLeast(least) if value < least => {
            run.note(format!(
                "short: {name} is {value:.3}, wanted is at least {least}"
            ));
        }
        Wanted::AtMost(most) if value > most => {
            run.note(format!(
                "short: {name} is {value:.3}, wanted is at most {most}"
            ));
        }
        Wanted::AtLeast(_) | Wanted::AtMost(_) => {}
    }
}
