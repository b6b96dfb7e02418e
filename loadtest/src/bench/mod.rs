//! Measurements on a healthy cluster: every answer is judged while it is measured.
//!
//! Promises: a bench fails when one answer was wrong. Does not: disturb the cluster.

pub mod ceiling;
pub mod constant;
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

/// What a bench hands back.
#[derive(Debug, Serialize)]
pub struct Outcome<D> {
    /// Name of the bench.
    pub bench: &'static str,
    /// Whether every answer was right.
    pub passed: bool,
    /// Judged answers.
    pub tally: Tally,
    /// Seconds of measurement.
    pub seconds: f64,
    /// What this bench measured.
    pub details: D,
    /// Where and how.
    pub environment: Environment,
}

impl<D: Serialize + std::fmt::Display> Outcome<D> {
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
