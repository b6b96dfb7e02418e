//! `bench pairs`: a ticket is issued on one node and validated at once on another.
//!
//! Promises: every ticket is validated first at once; every `replay_every`th is tried again and
//! must be refused. Through the front door the balancer chooses the nodes (round robin, so two
//! requests in a row go to two nodes while nothing else asks); `Route::Nodes` chooses them here.
//! Does not: hide waiting; latencies of a run with a rate count from the moment of being due.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

use super::{Outcome, rate};
use crate::cas;
use crate::clock;
use crate::environment::Environment;
use crate::histogram::{Latencies, Percentiles};
use crate::issued::Issued;
use crate::judge::{self, Released, Sin, Tally};
use crate::lab::Lab;
use crate::person::{Person, validate};
use crate::progress::Progress;
use crate::run::build::as_f64;
use crate::run::rates::PerSecond;
use crate::run::{Run, Table};
use crate::schedule::Schedule;

/// Share of a rate that must be done, and what the last answers may take beyond it.
const KEPT: f64 = 0.98;
const PATIENCE_S: f64 = 0.25;

/// Which way requests take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Through the front door.
    Front,
    /// Straight to the nodes: issue at one, validate at the next.
    Nodes,
}

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Pairs.
    pub count: u64,
    /// Workers, each with its own signed-in person.
    pub concurrency: usize,
    /// Way of the requests.
    pub route: Route,
    /// Pairs per second; as fast as the workers can when absent.
    pub rate: Option<f64>,
    /// Every how many pairs the ticket is validated a second time; 0 for never.
    pub replay_every: u64,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Details {
    route: Route,
    pairs: u64,
    pairs_per_second: f64,
    concurrency: usize,
    rate: Option<f64>,
    replayed: u64,
    issue: Percentiles,
    validate: Percentiles,
    pair: Percentiles,
    issuers: BTreeMap<String, u64>,
    #[serde(skip)]
    per_second: PerSecond,
    #[serde(skip)]
    seconds: f64,
}

/// What all workers know.
#[derive(Clone, Default)]
struct Known {
    issued: Issued,
    released: Arc<Released>,
}

#[derive(Default)]
struct Worker {
    tally: Tally,
    issue: Latencies,
    validate: Latencies,
    pair: Latencies,
    pairs: u64,
    replayed: u64,
    issuers: BTreeMap<String, u64>,
    per_second: PerSecond,
}

/// Runs the plan.
///
/// # Errors
/// When the cluster is not healthy before the run; sins are in the outcome.
pub async fn run(
    lab: &Lab,
    plan: &Plan,
    environment: Environment,
) -> anyhow::Result<Outcome<Details>> {
    lab.preflight().await?;
    let people = lab.sign_in_many(plan.concurrency.max(1)).await?;
    let progress = Arc::new(Progress::new("pairs", plan.count));
    let schedule = Arc::new(Schedule::new(plan.count, plan.rate).until(&lab.stop));
    let known = Known::default();
    let started = clock::monotonic();
    let mut workers = tokio::task::JoinSet::new();
    for mut person in people {
        let (lab, plan, known) = (lab.clone(), plan.clone(), known.clone());
        let (schedule, progress) = (Arc::clone(&schedule), Arc::clone(&progress));
        workers.spawn(async move {
            let mut worker = Worker::default();
            while let Some(turn) = schedule.turn().await {
                let (pairs, wrong) = (worker.pairs, worker.tally.wrong());
                worker
                    .pair(&lab, &plan, &mut person, turn.index, turn.due, &known)
                    .await;
                if worker.pairs > pairs {
                    let after = clock::monotonic().duration_since(started);
                    worker.per_second.hit(after);
                }
                progress.wrong(worker.tally.wrong() - wrong);
                progress.tick();
            }
            worker
        });
    }
    let mut all = Worker::default();
    while let Some(worker) = workers.join_next().await {
        all.merge(worker.context("a worker ended")?);
    }
    let seconds = clock::monotonic().duration_since(started).as_secs_f64();
    progress.finish();
    Ok(all.outcome(lab, plan, seconds, environment))
}

/// The base URLs for issue, validation and replay number `index`.
fn bases(lab: &Lab, route: Route, index: u64) -> [&str; 3] {
    let nodes = u64::try_from(lab.cluster.nodes.len()).unwrap_or(1);
    let at = |step: u64| match route {
        Route::Front => lab.cluster.front.as_str(),
        Route::Nodes => {
            // Every ordered pair of different nodes gets its turn.
            let other = if nodes > 1 {
                step * (1 + index / nodes % (nodes - 1))
            } else {
                0
            };
            let number = usize::try_from((index + other) % nodes).unwrap_or(0);
            lab.cluster.node(number).url.as_str()
        }
    };
    [at(0), at(1), at(2)]
}

impl Worker {
    async fn pair(
        &mut self,
        lab: &Lab,
        plan: &Plan,
        person: &mut Person,
        index: u64,
        due: Instant,
        known: &Known,
    ) {
        let [issue_at, validate_at, replay_at] = bases(lab, plan.route, index);
        let service = lab.service(index);
        let answer = person.ticket(issue_at, &service).await;
        let answered = clock::monotonic();
        self.issue.record(answered.duration_since(due));
        let Some(ticket) = judge::ticket(&mut self.tally, answer) else {
            return;
        };
        if !known.issued.is_new(&ticket) {
            self.tally.sin(Sin::IssuedTwice, || cas::mask(&ticket));
        }
        if let Some(tag) = cas::issuer_tag(&ticket) {
            *self.issuers.entry(tag.to_owned()).or_default() += 1;
        }
        let answer = validate(lab, validate_at, &service, &ticket).await;
        let now = clock::monotonic();
        self.validate.record(now.duration_since(answered));
        self.pair.record(now.duration_since(due));
        if !judge::validation(&mut self.tally, &answer, &ticket, lab.cluster.principal())
            || !known.released.are_right(&mut self.tally, &answer, &ticket)
        {
            return;
        }
        self.pairs += 1;
        if plan.replay_every > 0 && index.is_multiple_of(plan.replay_every) {
            let again = validate(lab, replay_at, &service, &ticket).await;
            judge::replay(&mut self.tally, &again, &ticket);
            self.replayed += 1;
        }
    }

    fn merge(&mut self, other: Self) {
        self.tally.merge(other.tally);
        self.issue.merge(&other.issue);
        self.validate.merge(&other.validate);
        self.pair.merge(&other.pair);
        self.pairs += other.pairs;
        self.replayed += other.replayed;
        self.per_second.merge(&other.per_second);
        for (tag, count) in other.issuers {
            *self.issuers.entry(tag).or_default() += count;
        }
    }

    fn outcome(
        self,
        lab: &Lab,
        plan: &Plan,
        seconds: f64,
        environment: Environment,
    ) -> Outcome<Details> {
        let whole = self.pairs == plan.count || lab.stop.is_set();
        Outcome {
            bench: "pairs",
            passed: self.tally.wrong() == 0 && whole,
            ended: lab.stop.ended(),
            seconds,
            details: Details {
                route: plan.route,
                pairs: self.pairs,
                pairs_per_second: rate(self.pairs, seconds),
                concurrency: plan.concurrency,
                rate: plan.rate,
                replayed: self.replayed,
                issue: self.issue.percentiles(),
                validate: self.validate.percentiles(),
                pair: self.pair.percentiles(),
                issuers: self.issuers,
                per_second: self.per_second,
                seconds,
            },
            tally: self.tally,
            environment,
        }
    }
}

impl super::Details for Details {
    fn title(&self) -> String {
        format!("Tickets issued and validated, {}", self.route.way())
    }

    fn fill(&self, run: &mut Run) {
        run.figure("pairs_per_second", self.pairs_per_second, "1/s")
            .count("pairs", self.pairs)
            .count("tried_twice", self.replayed)
            .figure("issue_p99", self.issue.p99_ms, "ms")
            .figure("validate_p99", self.validate.p99_ms, "ms")
            .percentiles("issue", &self.issue)
            .percentiles("validate", &self.validate)
            .percentiles("pair", &self.pair);
        let lasted = Duration::try_from_secs_f64(self.seconds).unwrap_or_default();
        run.sampled("pairs", "1/s", self.per_second.points(lasted));
        let mut issuers = Table::new("Tickets by node", &["issuer", "tickets"]);
        for (tag, count) in &self.issuers {
            issuers.row([tag.as_str().into(), (*count).into()]);
        }
        run.tables.push(issuers);
        if let Some(rate) = self.rate
            && self.seconds > as_f64(self.issue.count) / (KEPT * rate) + PATIENCE_S
        {
            run.short(format!(
                "{}/s of {rate}/s that were due were done: answers or this machine are too slow for {} workers",
                self.pairs_per_second, self.concurrency
            ));
        }
        run.note(match self.rate {
            Some(rate) => format!("Open loop: {rate} pairs a second were due; a latency counts from the moment a pair was due."),
            None => format!("Closed loop: {} workers, each with one request at a time.", self.concurrency),
        });
    }
}

impl Route {
    fn way(self) -> &'static str {
        match self {
            Self::Front => "through the front",
            Self::Nodes => "straight at the nodes",
        }
    }
}

impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = self.route.way();
        writeln!(
            f,
            "{} pairs {way}, {} at a time: {} pairs/s; {} tickets tried twice",
            self.pairs, self.concurrency, self.pairs_per_second, self.replayed
        )?;
        writeln!(f, "  issue     {}", self.issue)?;
        writeln!(f, "  validate  {}", self.validate)?;
        writeln!(f, "  pair      {}", self.pair)?;
        let issuers: Vec<String> = self
            .issuers
            .iter()
            .map(|(tag, count)| format!("{tag} {count}"))
            .collect();
        writeln!(f, "  issuers   {}", issuers.join(", "))
    }
}
