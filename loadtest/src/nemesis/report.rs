//! What came out of the runs, for people and as JSON.
//!
//! Promises: the last line counts operations, double validations, false refusals, lost sessions.
//! Does not: judge.

use serde::Serialize;

use crate::check::Verdict;
use crate::check::verdict::Rule;
use crate::environment::Environment;
use crate::faults::races::Ended;
use crate::histogram::Percentiles;

/// One nemesis.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Its name.
    pub nemesis: &'static str,
    /// Nodes of the cluster.
    pub nodes: usize,
    /// Whether all went well.
    pub passed: bool,
    /// What went wrong.
    pub failures: Vec<String>,
    /// Answers to the load while it was on, right and wrong ones.
    pub answers: u64,
    /// What was wrong with them.
    pub clients: String,
    /// What was wrong with answers after it.
    pub clients_after: String,
    /// How long a ticket and its validation took together while it was on.
    pub pair_time: Percentiles,
    /// Acknowledged sessions lost though a node lived.
    pub lost: u64,
    /// Right answers to them.
    pub right: u64,
    /// Longest time in which a connected group of nodes had none that was ready, in milliseconds.
    pub not_ready_ms: u64,
    /// From the end of the fault until the cluster was one again, in milliseconds.
    pub converged_ms: Option<u64>,
    /// How the races ended, when there were any.
    pub races: Option<Ended>,
    /// The history's judgement.
    pub verdict: Option<Verdict>,
}

/// All.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether all passed.
    pub passed: bool,
    /// The runs.
    pub outcomes: Vec<Outcome>,
    /// Where and how.
    pub environment: Environment,
}

impl Outcome {
    /// One line, and what went wrong below it.
    pub fn text(&self) -> String {
        let verdict = self.verdict.as_ref();
        let count = |of: fn(&Verdict) -> u64| verdict.map_or(0, of);
        let converged = self
            .converged_ms
            .map_or("-".to_owned(), |ms| ms.to_string());
        let mut text = format!(
            "{:16} {} nodes: {:>6} operations, {} unknown, {} validated twice, {} refused, {} lost; \
             not ready {} ms, one cluster after {converged} ms; load: {} right; in the fault {} answers, \
             wrong: {}, pairs p50 {:.0} p99 {:.0} max {:.0} ms; after it wrong: {}{}\n",
            self.nemesis,
            self.nodes,
            count(Verdict::operations),
            count(|verdict| verdict.unknown),
            count(|verdict| verdict.broken_times(Rule::S1)),
            count(Verdict::refused),
            self.lost,
            self.not_ready_ms,
            self.right,
            self.answers,
            self.clients,
            self.pair_time.p50_ms,
            self.pair_time.p99_ms,
            self.pair_time.max_ms,
            self.clients_after,
            if self.passed { "" } else { "  FAILED" },
        );
        if let Some(races) = &self.races {
            text.push_str(&format!(
                "    races: {} won, {} won twice, {} refused at both nodes, {} undecided, {} not begun; \
                 {} of {} without excuse\n",
                races.won,
                races.twice,
                races.refused,
                races.undecided,
                races.not_begun,
                races.unexcused,
                races.due,
            ));
        }
        for failure in &self.failures {
            text.push_str(&format!("    {failure}\n"));
        }
        text
    }
}

impl Report {
    /// The last line.
    pub fn last_line(&self) -> String {
        let sum = |of: fn(&Verdict) -> u64| -> u64 {
            let verdicts = self
                .outcomes
                .iter()
                .filter_map(|outcome| outcome.verdict.as_ref());
            verdicts.map(of).sum()
        };
        let failed = self
            .outcomes
            .iter()
            .filter(|outcome| !outcome.passed)
            .count();
        format!(
            "{} nemeses, {failed} failed: {} operations, {} double validations, {} false refusals, \
             {} lost sessions",
            self.outcomes.len(),
            sum(Verdict::operations),
            sum(|verdict| verdict.broken_times(Rule::S1)),
            sum(Verdict::refused),
            self.outcomes
                .iter()
                .map(|outcome| outcome.lost)
                .sum::<u64>(),
        )
    }
}
