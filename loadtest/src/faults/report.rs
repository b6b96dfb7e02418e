//! The report of a fault run, and its record.
//!
//! Promises: every figure the verdict rests on is in both. Does not: judge; steps come judged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::course::Course;
use super::load::Window;
use super::sessions::Checked;
use super::{Plan, SIGN_IN_BOUND};
use crate::environment::Environment;
use crate::judge::{Sin, Tally};
use crate::report;
use crate::run::build::as_f64;
use crate::run::file::write_whole;
use crate::run::{Ended, Kind, Run, Table, Verdict};

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
    /// How it ended.
    pub ended: Ended,
    /// How it went over time.
    #[serde(skip)]
    course: Option<Arc<Course>>,
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
            ended: Ended::Whole,
            course: None,
        }
    }

    /// Adds how it went over time; the load has ended.
    pub fn ran(&mut self, course: &Arc<Course>, ended: Ended) {
        self.course = Some(Arc::clone(course));
        self.ended = ended;
    }

    /// The report for people.
    pub fn markdown(&self) -> String {
        report::markdown(&[self.record()])
    }

    /// The record of the run.
    pub fn record(&self) -> Run {
        let title = match self.run {
            "faults kill" => "Nodes killed and started again under load",
            "faults stop" => "Nodes stopped under load",
            "faults refill" => "Killed nodes filled again under load",
            other => other,
        };
        let mut run = Run::new(Kind::Faults, title, self.environment.clone());
        run.ended = self.ended;
        if let Some(course) = &self.course {
            course.fill(&mut run);
        }
        run.verdict = self.verdict();
        self.figures(&mut run);
        run.tables.push(self.table());
        run.note(format!(
            "Load through the front door the whole time: {} pairs (a ticket issued and validated) \
             and {} sign-ins a second, open loop. After each step every session acknowledged so \
             far is asked for at every node that is up.",
            self.pairs_per_second, self.sign_ins_per_second
        ))
        .note(format!(
            "Of all answers in a step, this many may refuse a live ticket, be 5xx or not come: none \
             while nothing is broken, {MINORITY_PERCENT} % while fewer than half of the nodes are \
             gone, {MAJORITY_PERCENT} % after half or more were killed. Refusals are allowed in \
             the last case only."
        ));
        run
    }

    /// What was wrong in a step that passed is forgiven.
    fn verdict(&self) -> Verdict {
        let mut all = Tally::default();
        let mut forgiven = 0;
        let mut failures = Vec::new();
        for step in &self.steps {
            all.merge(step.seen.tally.clone());
            if step.failures.is_empty() {
                forgiven += step.seen.tally.wrong();
            }
            let says = step.failures.iter();
            failures.extend(says.map(|failure| format!("{}: {failure}", step.name)));
        }
        Verdict {
            forgiven,
            failures,
            ..Verdict::from(&all)
        }
    }

    fn figures(&self, run: &mut Run) {
        let sum = |of: fn(&Step) -> u64| self.steps.iter().map(of).sum::<u64>();
        let slowest = |of: fn(&Step) -> Option<u64>| self.steps.iter().filter_map(of).max();
        run.count("sessions_lost", sum(|step| step.checked.gone()))
            .count("pairs_right", sum(|step| step.seen.pairs))
            .count("sign_ins_right", sum(|step| step.seen.sign_ins));
        let sign_in = slowest(|step| step.sign_in_after_ms);
        let ready = slowest(|step| step.ready_after_ms);
        for (name, ms) in [
            ("first_sign_in_after_a_loss", sign_in),
            ("slowest_start_until_ready", ready),
        ] {
            if let Some(ms) = ms {
                run.figure(name, as_f64(ms), "ms");
            }
        }
        let probes = sum(|step| step.ready_probes);
        if probes > 0 {
            let failed = as_f64(sum(|step| step.ready_failures));
            run.figure_with(
                "readiness_probes_failed",
                failed,
                "",
                &format!("of {probes}"),
            );
        }
    }

    fn table(&self) -> Table {
        let columns = [
            "step",
            "sessions checked",
            "at nodes",
            "lost",
            "tickets refused",
            "5xx",
            "no answer",
            "allowed, %",
            "pairs right",
            "pair p50, ms",
            "pair p99, ms",
            "slowest, ms",
            "first sign-in after, ms",
            "sign-ins failing until, ms",
            "ready after, ms",
        ];
        let mut table = Table::new("Steps", &columns);
        for step in &self.steps {
            let tally = &step.seen.tally;
            let time = &step.seen.pair_time;
            table.row([
                step.name.as_str().into(),
                step.checked.sessions.into(),
                step.checked.nodes.len().into(),
                step.checked.gone().into(),
                tally.count(Sin::Refused).into(),
                tally.count(Sin::Unavailable).into(),
                tally.count(Sin::Unanswered).into(),
                step.allowed.percent().into(),
                step.seen.pairs.into(),
                time.p50_ms.into(),
                time.p99_ms.into(),
                time.max_ms.into(),
                step.sign_in_after_ms.into(),
                step.sign_ins_failed_until_ms.into(),
                step.ready_after_ms.into(),
            ]);
        }
        table
    }

    /// Writes `PREFIX.json` (the record), `PREFIX.md` and `PREFIX.html`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, prefix: &Path) -> anyhow::Result<()> {
        let named = |extension: &str| {
            let mut file = prefix.as_os_str().to_owned();
            file.push(extension);
            PathBuf::from(file)
        };
        let runs = [self.record()];
        runs.iter().try_for_each(|run| run.save(&named(".json")))?;
        write_whole(&named(".md"), &report::markdown(&runs))?;
        write_whole(&named(".html"), &report::page(&runs))
    }
}

/// Whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
