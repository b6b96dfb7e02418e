//! The report of a fault run, as Markdown and JSON.
//!
//! Promises: every figure the verdict rests on is in it. Does not: judge; steps come judged.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

use super::load::Window;
use super::sessions::Checked;
use super::{Plan, SIGN_IN_BOUND};
use crate::environment::Environment;
use crate::judge::Sin;

/// How many of the answers may be missing or refused in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Allowed {
    /// None: nothing is broken.
    Nothing,
    /// At most [`MINORITY_PERCENT`]: less than half of the nodes do not answer.
    Minority,
    /// At most [`MAJORITY_PERCENT`]: half of the nodes or more were killed, and nothing can be
    /// decided until the others have noticed. Live tickets may be refused, too.
    Majority,
}

/// Most answers, in percent, that may be missing while a minority of the nodes is gone.
pub const MINORITY_PERCENT: u64 = 5;
/// Most answers, in percent, that may be missing or refused after a majority was killed.
pub const MAJORITY_PERCENT: u64 = 50;

impl Allowed {
    /// Percent of all answers.
    pub fn percent(self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Minority => MINORITY_PERCENT,
            Self::Majority => MAJORITY_PERCENT,
        }
    }
}

/// One step of a run.
#[derive(Debug, Serialize)]
pub struct Step {
    /// What was done.
    pub name: String,
    /// Milliseconds until a sign-in that began after the fault was acknowledged.
    pub sign_in_after_ms: Option<u64>,
    /// Milliseconds after the fault at which the last failing sign-in of the load began; 0 when
    /// none failed.
    pub sign_ins_failed_until_ms: u64,
    /// Milliseconds until the started node was ready.
    pub ready_after_ms: Option<u64>,
    /// What clients saw.
    pub seen: Window,
    /// Sessions checked at the end of the step.
    pub checked: Checked,
    /// Readiness probes of the nodes that were not touched.
    pub ready_probes: u64,
    /// Those that did not say 200.
    pub ready_failures: u64,
    /// What is forgiven in this step.
    pub allowed: Allowed,
    /// Whether untouched nodes had to be asked for their readiness.
    pub probed: bool,
    /// What went wrong, in words; empty when the step passed.
    pub failures: Vec<String>,
}

impl Step {
    /// A step with what is known at its end.
    pub fn new(name: impl Into<String>, seen: Window, checked: Checked) -> Self {
        Self {
            name: name.into(),
            sign_in_after_ms: None,
            sign_ins_failed_until_ms: 0,
            ready_after_ms: None,
            seen,
            checked,
            ready_probes: 0,
            ready_failures: 0,
            allowed: Allowed::Nothing,
            probed: false,
            failures: Vec::new(),
        }
    }

    /// Notes when sign-ins worked again after a loss at `since`; they must within
    /// [`SIGN_IN_BOUND`].
    pub fn sign_ins(&mut self, since: Instant, first: Option<Duration>) {
        self.sign_in_after_ms = first.map(millis);
        let last = self.seen.failed_sign_ins.iter().max();
        let until = last.map_or(Duration::ZERO, |at| at.saturating_duration_since(since));
        self.sign_ins_failed_until_ms = millis(until);
        if first.is_none_or(|time| time > SIGN_IN_BOUND) || until > SIGN_IN_BOUND {
            self.failures.push(format!(
                "new sign-ins did not work {SIGN_IN_BOUND:?} after the loss"
            ));
        }
    }

    /// Judges what every step is judged by.
    pub fn judge(mut self) -> Self {
        if !self.checked.all_alive() {
            self.failures.push(format!(
                "{} sessions lost, {} unsettled",
                self.checked.lost, self.checked.unsettled
            ));
        }
        let refused = self.seen.tally.count(Sin::Refused);
        if refused > 0 && self.allowed != Allowed::Majority {
            self.failures.push(format!(
                "{refused} live tickets refused though a majority lived"
            ));
        }
        let other = self.seen.tally.false_answers() - refused;
        if other > 0 {
            self.failures
                .push(format!("false answers: {}", self.seen.tally.sins_text()));
        }
        self.judge_amount();
        if self.probed && self.ready_probes == 0 {
            let says = "no untouched node was asked whether it is ready";
            self.failures.push(says.to_owned());
        }
        if self.ready_failures > 0 {
            self.failures.push(format!(
                "{} of {} readiness probes of untouched nodes failed",
                self.ready_failures, self.ready_probes
            ));
        }
        self
    }
}

impl Step {
    /// A cluster that answers nothing gives no false answer either: work must have been done.
    fn judge_amount(&mut self) {
        if self.seen.pairs == 0 {
            self.failures.push("not one pair went right".to_owned());
        }
        let tally = &self.seen.tally;
        let missing = tally.count(Sin::Unavailable) + tally.count(Sin::Unanswered);
        let short = missing + tally.count(Sin::Refused);
        let asked = tally.right + tally.wrong();
        let percent = self.allowed.percent();
        if short * 100 > asked * percent {
            self.failures.push(format!(
                "{short} of {asked} answers refused a live ticket, were 5xx or did not come; \
                 allowed are {percent} %"
            ));
        }
    }
}

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Name of the run.
    pub run: &'static str,
    /// Whether every step passed.
    pub passed: bool,
    /// Pairs per second of the load.
    pub pairs_per_second: f64,
    /// Sign-ins per second of the load.
    pub sign_ins_per_second: f64,
    /// The steps in their order.
    pub steps: Vec<Step>,
    /// Where and how.
    pub environment: Environment,
}

impl Report {
    /// Puts the steps together.
    pub fn new(run: &'static str, plan: &Plan, steps: Vec<Step>, environment: Environment) -> Self {
        Self {
            run,
            passed: steps.iter().all(|step| step.failures.is_empty()),
            pairs_per_second: plan.pairs_per_second,
            sign_ins_per_second: plan.sign_ins_per_second,
            steps,
            environment,
        }
    }

    /// The report for people.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# castor-loadtest {}\n\n{}\n",
            self.run,
            self.environment.markdown()
        );
        let _ = writeln!(
            text,
            "Load through the front door the whole time: {} pairs (a ticket issued and validated) \
             and {} sign-ins per second, open loop. After each step every session acknowledged so \
             far is asked for at every node that is up. Of all answers in a step, this many may \
             refuse a live ticket, be 5xx or not come: none while nothing is broken, \
             {MINORITY_PERCENT} % while fewer than half of the nodes are gone, \
             {MAJORITY_PERCENT} % after half or more were killed. Refusals are allowed in the \
             last case only.\n",
            self.pairs_per_second, self.sign_ins_per_second
        );
        text.push_str(
            "| step | sessions checked x nodes | lost | tickets refused | 5xx | no answer \
             | allowed % | pairs right | pair p50 / p99 / max ms | first sign-in after ms \
             | sign-ins failing until ms | ready after ms |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|\n",
        );
        for step in &self.steps {
            self.row(&mut text, step);
        }
        let _ = writeln!(
            text,
            "\nVerdict: **{}**",
            if self.passed { "passed" } else { "FAILED" }
        );
        for step in &self.steps {
            for failure in &step.failures {
                let _ = writeln!(text, "- {}: {failure}", step.name);
            }
            for example in &step.seen.tally.examples {
                let _ = writeln!(text, "- {} (seen by a client): {example}", step.name);
            }
        }
        text
    }

    fn row(&self, text: &mut String, step: &Step) {
        let optional = |value: Option<u64>| value.map_or("-".to_owned(), |ms| ms.to_string());
        let tally = &step.seen.tally;
        let time = &step.seen.pair_time;
        let _ = writeln!(
            text,
            "| {} | {} x {} | {} | {} | {} | {} | {} | {} | {:.1} / {:.1} / {:.1} | {} | {} | {} |",
            step.name,
            step.checked.sessions,
            step.checked.nodes.len(),
            step.checked.lost + step.checked.unsettled,
            tally.count(Sin::Refused),
            tally.count(Sin::Unavailable),
            tally.count(Sin::Unanswered),
            step.allowed.percent(),
            step.seen.pairs,
            time.p50_ms,
            time.p99_ms,
            time.max_ms,
            optional(step.sign_in_after_ms),
            step.sign_ins_failed_until_ms,
            optional(step.ready_after_ms),
        );
    }

    /// Writes `PREFIX.md` and `PREFIX.json`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, prefix: &Path) -> anyhow::Result<()> {
        if let Some(folder) = prefix
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let put = |extension: &str, text: String| {
            let mut file = prefix.as_os_str().to_owned();
            file.push(extension);
            std::fs::write(&file, text)
                .with_context(|| format!("cannot write {}", Path::new(&file).display()))
        };
        put(".md", self.markdown())?;
        put(".json", serde_json::to_string_pretty(self)? + "\n")
    }
}

/// Whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
