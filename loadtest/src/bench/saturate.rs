//! `bench saturate`: how much a cluster can take, and from where on its latency bends.
//!
//! First as fast as the connections can (closed loop), which gives the most that comes through;
//! then at rising shares of that rate (open loop), except for what needs something made before: the
//! making would be part of the rate. The knee is the last step before the first that
//! is bent: fewer than 98 % of what was due was done, or the 99th percentile is above
//! [`BEND`] times that of the first step and above [`BENT_MS`].
//!
//! Promises: every answer is judged, one wrong answer fails the run; what was measured before an error
//! stays. Does not: compare ([`super::ceiling`]).

use std::sync::Arc;
use std::time::Duration;

use super::load::target::{Target, Way};
use super::load::{self, Measured, Operation, Plan};
use super::usage::{self, Group};
use super::{Bed, ended};
use crate::clock;
use crate::histogram::answers_for;
use crate::progress::Progress;
use crate::run::{Cell, Kind, Log, Mark, Plot, Run, Style, Table};
use crate::stop::Stop;

/// How many times the latency of the first step is bent.
const BEND: f64 = 5.0;
/// A 99th percentile below this is never bent.
const BENT_MS: f64 = 5.0;
/// Share of what was due that must be done.
pub(super) const DONE: f64 = 0.98;
/// Share of a processor from which on a generator that has one thread is overloaded.
const BUSY: f64 = 0.9;
const WARM: Duration = Duration::from_secs(1);
const SHOWN_EVERY: Duration = Duration::from_millis(200);
/// Shares of the closed loop's rate.
const SHARES: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// What to do.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is asked.
    pub operation: Operation,
    /// Which way.
    pub way: Way,
    /// Connections.
    pub connections: usize,
    /// Only this many operations per second, instead of rising rates.
    pub rate: Option<f64>,
    /// Time of each step.
    pub time: Duration,
    /// Every how many tickets the used ticket is tried again.
    pub replay_every: u64,
}

/// One step with what it cost.
pub(super) struct Step {
    pub(super) name: String,
    pub(super) offered: Option<f64>,
    pub(super) measured: Measured,
    /// Processors in use, for each group.
    pub(super) processors: Vec<(String, f64)>,
}

/// Runs one load and looks at the processors meanwhile.
pub(super) async fn step(
    target: &Arc<Target>,
    plan: &Plan,
    groups: &[Group],
    stop: &Stop,
) -> anyhow::Result<Step> {
    let before: Vec<Duration> = groups.iter().map(Group::spent).collect();
    let began = clock::monotonic();
    let measured = tokio::select! {
        measured = load::run(target, plan, stop) => measured?,
        () = shown(plan.progress.as_deref()) => anyhow::bail!("the progress ended"),
    };
    let seconds = clock::monotonic().duration_since(began).as_secs_f64();
    let processors = groups
        .iter()
        .zip(before)
        .map(|(group, before)| {
            let spent = group.spent().saturating_sub(before).as_secs_f64();
            (group.name.clone(), spent / seconds)
        })
        .collect();
    Ok(Step {
        name: target.name.clone(),
        offered: plan.rate,
        measured,
        processors,
    })
}

/// Shows where a load stands; never ends.
async fn shown(progress: Option<&Progress>) {
    loop {
        clock::pause(SHOWN_EVERY).await;
        if let Some(progress) = progress {
            progress.refresh();
        }
    }
}

/// Runs it.
///
/// # Errors
/// When the cluster is not healthy before the run; wrong answers are in the record.
pub async fn run(bed: &Bed, settings: &Settings) -> anyhow::Result<Run> {
    let began = clock::monotonic();
    let (lab, stop) = (&bed.lab, &bed.lab.stop);
    let target = Target::cluster(lab, settings.way, settings.connections).await?;
    let rises = settings.rate.is_none() && !settings.operation.is_prepared();
    let shares: &[f64] = if rises { &SHARES } else { &[] };
    let parts = u32::try_from(1 + shares.len()).unwrap_or(1);
    let name = format!("saturate {}", settings.operation.name());
    let progress = Arc::new(Progress::timed(&name, (WARM + settings.time) * parts));
    let mut plan = Plan {
        operation: settings.operation,
        connections: settings.connections,
        rate: settings.rate,
        warm: WARM,
        time: settings.time,
        replay_every: settings.replay_every,
        progress: Some(Arc::clone(&progress)),
    };
    let mut steps = vec![step(&target, &plan, &bed.groups, stop).await?];
    let most = steps.first().map_or(0.0, |step| step.measured.rate());
    let mut broke = None;
    for share in shares {
        if stop.is_set() {
            break;
        }
        plan.rate = Some((most * share).max(1.0));
        match step(&target, &plan, &bed.groups, stop).await {
            Ok(next) => {
                progress.say(&line(&next));
                steps.push(next);
            }
            Err(error) => {
                broke = Some(error);
                break;
            }
        }
    }
    progress.finish();
    let title = format!("Saturation: {}", settings.operation.name());
    let mut run = Run::new(Kind::Bench, title, bed.environment.clone());
    ended(&mut run, began, stop);
    describe(&mut run, settings, &steps);
    if lab.history.is_on() {
        run.note("Every call was written down, which costs the generator: without --history more may come through");
    }
    if let Some(error) = broke {
        run.broke_off(&error);
    }
    Ok(run)
}

/// Says so when a load did not keep its rate: its latencies are then those of a server, or a
/// generator, that is overrun.
pub(super) fn kept(run: &mut Run, step: &Step) {
    let Some(offered) = step.offered else {
        return;
    };
    let rate = step.measured.rate();
    if rate < DONE * offered {
        run.short(format!(
            "{rate:.1}/s of {offered:.1}/s that were due were done; {} were never sent, and count as long as they \
             waited. {}",
            step.measured.unsent,
            cause(step)
        ));
    }
}

/// Who was too slow: a load runs on one thread, so that one processor is all that it can use.
fn cause(step: &Step) -> String {
    let mut used = step.processors.iter();
    let used = used.find_map(|(name, used)| (name == usage::OWN).then_some(*used));
    match used {
        Some(used) if used >= BUSY => format!(
            "The generator is overloaded: it used {used:.2} of the one processor it can use"
        ),
        Some(used) => format!(
            "The generator used {used:.2} of the one processor it can use: answers, or too few --connections, were \
             the limit"
        ),
        None => "What the generator used is not known".to_owned(),
    }
}

fn line(step: &Step) -> String {
    format!(
        "{:>9.0} due/s: {:>9.1} done/s  {}",
        step.offered.unwrap_or_default(),
        step.measured.rate(),
        step.measured.whole.percentiles()
    )
}

/// The last step before the first that is bent. Steps with too few answers for a 99th percentile can only be
/// bent by what was not done.
fn knee(steps: &[Step]) -> Option<&Step> {
    let p99 = |step: &Step| step.measured.whole.percentile_ms(99.0);
    let first = steps.iter().map(p99).find(|p99| p99.is_finite())?;
    let straight = |step: &&Step| {
        let p99 = p99(step);
        let offered = step.offered.unwrap_or_default();
        let fast = p99.is_nan() || p99 <= BENT_MS || p99 <= BEND * first;
        step.measured.rate() >= DONE * offered && fast
    };
    let straight = steps.iter().take_while(straight);
    straight.filter(|step| p99(step).is_finite()).last()
}

fn describe(run: &mut Run, settings: &Settings, steps: &[Step]) {
    let mut tally = crate::judge::Tally::default();
    for step in steps {
        tally.merge(step.measured.tally.clone());
    }
    run.verdict = (&tally).into();
    let Some((first, rising)) = steps.split_first() else {
        return;
    };
    let name = settings.operation.name();
    run.figure(&format!("{name}_rate"), first.measured.rate(), "1/s");
    if steps.iter().all(|step| step.measured.whole.count() == 0) {
        run.failed("nothing was measured: no operation was due and answered within the time");
    }
    if settings.rate.is_some() {
        kept(run, first);
    } else if settings.operation.is_prepared() {
        run.note(
            "No rising rates: what is used up here is made before, and that would be part of the rate. Pairs at rising \
             rates have the latencies of validations",
        );
    }
    let requests = settings.operation.requests();
    if requests > 1 {
        let rate = first.measured.rate() * if requests == 2 { 2.0 } else { 1.0 };
        run.figure(&format!("{name}_requests"), rate, "1/s");
    }
    if let Some(knee) = knee(rising) {
        let note = format!(
            "the last step before p99 is above {BENT_MS} ms and {BEND} times that of the first, or \
             less than 98 % is done"
        );
        run.figure_with(&format!("{name}_knee"), knee.measured.rate(), "1/s", &note);
        let p99 = knee.measured.whole.percentile_ms(99.0);
        run.figure(&format!("{name}_knee_p99"), p99, "ms");
    }
    let few = |step: &&Step| step.measured.whole.count() < answers_for(99.0);
    let few = rising.iter().filter(few).count();
    if few > 0 {
        run.short(format!(
            "{few} of {} steps have fewer than {} answers, too few for a 99th percentile, and cannot be the knee: \
             give --time more seconds",
            rising.len(),
            answers_for(99.0)
        ));
    }
    for step in steps {
        let at = step
            .offered
            .map_or_else(|| "at most".to_owned(), |rate| format!("{rate:.0}/s"));
        run.latency(&format!("{name}, {at}"), &step.measured.whole);
        if settings.operation == Operation::Pair {
            run.latency(&format!("issue, {at}"), &step.measured.issue);
            run.latency(&format!("validate, {at}"), &step.measured.validate);
            if step.offered.is_some() {
                let name = format!("validate from its ticket, {at}");
                run.latency(&name, &step.measured.asked);
            }
        }
    }
    run.tables.push(table("Steps", steps, settings.operation));
    if !rising.is_empty() {
        run.plots.push(plot(rising));
    }
}

/// A table of steps: rates, latencies, processors.
pub(super) fn table(title: &str, steps: &[Step], operation: Operation) -> Table {
    let mut columns = vec![
        "load", "due/s", "done/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms",
    ];
    let groups: Vec<String> = steps
        .first()
        .map(|step| step.processors.iter().map(|(name, _)| name.clone()))
        .into_iter()
        .flatten()
        .map(|name| format!("{name}, processors"))
        .collect();
    columns.extend(groups.iter().map(String::as_str));
    columns.push("processor µs per request");
    let mut table = Table::new(title, &columns);
    for step in steps {
        let at = |percentile| round(step.measured.whole.percentile_ms(percentile), 3);
        let rate = step.measured.rate();
        let mut row: Vec<Cell> = vec![
            step.name.as_str().into(),
            step.offered.map(|rate| round(rate, 1)).into(),
            round(rate, 1).into(),
            at(50.0).into(),
            at(90.0).into(),
            at(99.0).into(),
            at(99.9).into(),
        ];
        let all: f64 = step.processors.iter().map(|(_, used)| used).sum();
        row.extend(
            step.processors
                .iter()
                .map(|(_, used)| round(*used, 3).into()),
        );
        let requests = rate * if operation.requests() == 2 { 2.0 } else { 1.0 };
        row.push(round(all / requests * 1e6, 1).into());
        table.row(row);
    }
    table
}

fn plot(rising: &[Step]) -> Plot {
    let mut plot = Plot::new("Latency at rising rates", "operations/s", "ms").with_log(Log::Y);
    for percentile in [50.0, 99.0, 99.9] {
        let points = rising
            .iter()
            .map(|step| {
                (
                    step.measured.rate(),
                    step.measured.whole.percentile_ms(percentile),
                )
            })
            .collect();
        plot.line(&format!("p{percentile}"), Style::Line, points);
    }
    if let Some(knee) = knee(rising) {
        plot.marks.push(Mark::at(knee.measured.rate(), "knee"));
    }
    plot
}

/// Rounded to `digits` behind the point, for people.
pub(super) fn round(number: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (number * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offered: f64, done: u64, p99_ms: u64) -> Step {
        let mut measured = Measured {
            seconds: 1.0,
            operations: done,
            ..Measured::default()
        };
        let answers = answers_for(99.0);
        let time = Duration::from_millis(p99_ms);
        measured.whole.record_many(time, answers);
        Step {
            name: String::new(),
            offered: Some(offered),
            measured,
            processors: Vec::new(),
        }
    }

    fn described(steps: &[Step], rate: Option<f64>) -> Run {
        let settings = Settings {
            operation: Operation::Pair,
            way: Way::Front,
            connections: 1,
            rate,
            time: Duration::from_secs(1),
            replay_every: 0,
        };
        let mut run = Run::new(Kind::Bench, "a", crate::environment::Environment::unknown());
        describe(&mut run, &settings, steps);
        run
    }

    #[test]
    fn a_rate_that_was_not_kept_is_noted_and_nothing_measured_fails() {
        let short = described(&[at(100.0, 50, 2)], Some(100.0));
        let noted = |run: &Run| run.notes.iter().any(|note| note.starts_with("short: "));
        assert!(noted(&short) && short.verdict.failures.is_empty());
        assert!(!noted(&described(&[at(100.0, 100, 2)], Some(100.0))));
        let mut none = at(0.1, 0, 2);
        none.measured = Measured::default();
        assert!(!described(&[none], Some(0.1)).verdict.passed());
    }

    #[test]
    fn the_knee_is_the_last_step_before_the_first_that_is_bent() {
        let rate = |steps: &[Step]| knee(steps).and_then(|step| step.offered);
        let slow = [at(100.0, 100, 2), at(200.0, 200, 4), at(300.0, 300, 30)];
        assert_eq!(rate(&slow), Some(200.0));
        let short = [at(100.0, 100, 2), at(200.0, 150, 2), at(300.0, 300, 2)];
        assert_eq!(rate(&short), Some(100.0));
        assert_eq!(rate(&[at(100.0, 90, 2)]), None);
        assert_eq!(rate(&[]), None);
    }

    #[test]
    fn a_step_with_too_few_answers_is_no_knee() {
        let few = |offered: f64| {
            let mut step = at(offered, 50, 2);
            step.measured.whole.clear();
            step.measured
                .whole
                .record_many(Duration::from_millis(900), 50);
            step
        };
        let steps = [at(50.0, 50, 2), few(50.0)];
        let offered = knee(&steps).map(|step| step.measured.whole.count());
        assert_eq!(offered, Some(answers_for(99.0)));
        assert!(knee(&[few(50.0), few(50.0)]).is_none());
        let run = described(&[at(50.0, 50, 2), few(50.0)], None);
        let says = |part: &str| run.notes.iter().any(|note| note.contains(part));
        assert!(
            says("1 of 1 steps have fewer than 100 answers"),
            "{:?}",
            run.notes
        );
    }
}
