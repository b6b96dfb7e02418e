//! What came out of the runs, for people, as JSON and as a record.
//!
//! Promises: the last line counts operations, double validations, false refusals, lost sessions.
//! Does not: judge.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::check::Verdict;
use crate::check::verdict::Rule;
use crate::environment::Environment;
use crate::faults::course::Course;
use crate::faults::races::Ended;
use crate::histogram::Percentiles;
use crate::report::number;
use crate::run::{self, Cell, Kind, Run, Table};

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
    /// How it went over time.
    #[serde(skip)]
    pub course: Option<Arc<Course>>,
}

/// All.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether all passed.
    pub passed: bool,
    /// How it ended.
    pub ended: run::Ended,
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
            .map_or(run::UNKNOWN.to_owned(), |ms| ms.to_string());
        let mut text = format!(
            "{:16} {} nodes: {:>6} operations, {} unknown, {} validated twice, {} refused, {} lost; \
             not ready {} ms, one cluster after {converged} ms; load: {} right; in the fault {} answers, \
             wrong: {}, pairs p50 {} p99 {} max {} ms; after it wrong: {}{}\n",
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
            number::value(self.pair_time.p50_ms.round()),
            number::value(self.pair_time.p99_ms.round()),
            number::value(self.pair_time.max_ms.round()),
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
    /// Nothing was run yet.
    pub fn new(environment: Environment) -> Self {
        Self {
            passed: true,
            ended: run::Ended::Whole,
            outcomes: Vec::new(),
            environment,
        }
    }

    /// Adds a nemesis.
    pub fn push(&mut self, outcome: Outcome) {
        self.passed &= outcome.passed;
        self.outcomes.push(outcome);
    }

    /// The record of the run.
    pub fn record(&self, lasted: Duration) -> Run {
        let title = "Faults on clusters in network namespaces";
        let mut run = Run::new(Kind::Faults, title, self.environment.clone());
        run.ended = self.ended;
        run.lasted_s = lasted.as_secs_f64();
        run.verdict = self.verdict();
        run.count("nemeses", self.outcomes.len() as u64)
            .count("operations", self.sum(Verdict::operations))
            .count("double_validations", self.sum(double))
            .count("false_refusals", self.sum(Verdict::refused))
            .count("lost_sessions", self.lost());
        run.tables.push(self.table());
        run.note(format!(
            "Judged are the histories, by the rules of castor-loadtest check: {} operations; of them \
             {} had no answer or 5xx, which faults may bring.",
            self.sum(Verdict::operations),
            self.sum(|verdict| verdict.unknown)
        ));
        for outcome in &self.outcomes {
            let pair = format!("{}, in the fault", outcome.nemesis);
            run.percentiles(&pair, &outcome.pair_time);
            if let Some(course) = &outcome.course {
                let title = format!("{}, {} nodes", outcome.nemesis, outcome.nodes);
                run.plots.push(course.plot(&title));
            }
        }
        run
    }

    /// Clients count what the fault let fail, the histories what must never be.
    fn verdict(&self) -> run::Verdict {
        let failed = self.outcomes.iter().flat_map(|outcome| {
            let says = outcome.failures.iter();
            says.map(|failure| format!("{}: {failure}", outcome.nemesis))
        });
        run::Verdict {
            judged: self.sum(|verdict| verdict.operations().saturating_sub(verdict.unknown)),
            wrong: self.sum(double) + self.lost(),
            forgiven: 0,
            kinds: vec![
                ("ticket validated twice".to_owned(), self.sum(double)),
                ("acknowledged session lost".to_owned(), self.lost()),
            ],
            examples: Vec::new(),
            failures: failed.collect(),
        }
    }

    fn table(&self) -> Table {
        let columns = [
            "fault",
            "nodes",
            "operations",
            "validated twice",
            "refused",
            "sessions lost",
            "not ready, ms",
            "one cluster after, ms",
            "answers in the fault",
            "wrong in the fault",
            "pair p99 in the fault, ms",
            "wrong after it",
            "",
        ];
        let mut table = Table::new("Faults", &columns);
        for outcome in &self.outcomes {
            let verdict = outcome.verdict.as_ref();
            let count = |of: fn(&Verdict) -> u64| Cell::from(verdict.map_or(0, of));
            table.row([
                outcome.nemesis.into(),
                outcome.nodes.into(),
                count(Verdict::operations),
                count(double),
                count(Verdict::refused),
                outcome.lost.into(),
                outcome.not_ready_ms.into(),
                outcome.converged_ms.into(),
                outcome.answers.into(),
                outcome.clients.as_str().into(),
                outcome.pair_time.p99_ms.into(),
                outcome.clients_after.as_str().into(),
                if outcome.passed { "passed" } else { "FAILED" }.into(),
            ]);
        }
        table
    }

    fn sum(&self, of: fn(&Verdict) -> u64) -> u64 {
        let outcomes = self.outcomes.iter();
        let verdicts = outcomes.filter_map(|outcome| outcome.verdict.as_ref());
        verdicts.map(of).sum()
    }

    fn lost(&self) -> u64 {
        self.outcomes.iter().map(|outcome| outcome.lost).sum()
    }

    /// The last line.
    pub fn last_line(&self) -> String {
        let failed = self
            .outcomes
            .iter()
            .filter(|outcome| !outcome.passed)
            .count();
        format!(
            "{} nemeses, {failed} failed: {} operations, {} double validations, {} false refusals, \
             {} lost sessions",
            self.outcomes.len(),
            self.sum(Verdict::operations),
            self.sum(double),
            self.sum(Verdict::refused),
            self.lost(),
        )
    }
}

fn double(verdict: &Verdict) -> u64 {
    verdict.broken_times(Rule::S1)
}
