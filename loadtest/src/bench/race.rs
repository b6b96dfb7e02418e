//! `bench race`: the same ticket at all nodes at the same moment.
//!
//! Promises: connections are open and the requests are released together; exactly one node may
//! accept, all others must say `INVALID_TICKET`. A 5xx of a loser is shown as a sin too: a healthy
//! cluster decides. Does not: go through the front door, which could not aim.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use tokio::sync::Barrier;

use super::Outcome;
use crate::cas::{self, validation::Validation};
use crate::clock;
use crate::cluster::Node;
use crate::environment::Environment;
use crate::histogram::{Latencies, Percentiles};
use crate::judge::{self, Sin, Tally};
use crate::lab::Lab;
use crate::person::{Person, validate_on};
use crate::progress::Progress;
use crate::run::{Run, Table};
use crate::schedule::Schedule;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Details {
    races: u64,
    concurrency: usize,
    winners: BTreeMap<String, u64>,
    won_by_issuer: u64,
    /// From the release to the last of the answers.
    decided: Percentiles,
}

#[derive(Default)]
struct Worker {
    tally: Tally,
    races: u64,
    won_by_issuer: u64,
    winners: BTreeMap<String, u64>,
    decided: Latencies,
}

/// Races `count` tickets, `concurrency` of them at a time.
///
/// # Errors
/// When the cluster is not healthy before the run; sins are in the outcome.
pub async fn run(
    lab: &Lab,
    count: u64,
    concurrency: usize,
    environment: Environment,
) -> anyhow::Result<Outcome<Details>> {
    lab.preflight().await?;
    let people = lab.sign_in_many(concurrency.max(1)).await?;
    let progress = Arc::new(Progress::new("races", count));
    let schedule = Arc::new(Schedule::new(count, None).until(&lab.stop));
    let started = clock::monotonic();
    let mut workers = tokio::task::JoinSet::new();
    for mut person in people {
        let (lab, schedule, progress) = (lab.clone(), Arc::clone(&schedule), Arc::clone(&progress));
        workers.spawn(async move {
            let mut worker = Worker::default();
            while let Some(turn) = schedule.turn().await {
                let wrong = worker.tally.wrong();
                worker.race(&lab, &mut person, turn.index).await;
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
    Ok(Outcome {
        bench: "race",
        passed: all.tally.wrong() == 0 && (all.races == count || lab.stop.is_set()),
        ended: lab.stop.ended(),
        seconds,
        details: Details {
            races: all.races,
            concurrency,
            winners: all.winners,
            won_by_issuer: all.won_by_issuer,
            decided: all.decided.percentiles(),
        },
        tally: all.tally,
        environment,
    })
}

impl Worker {
    async fn race(&mut self, lab: &Lab, person: &mut Person, index: u64) {
        let service = lab.service(index);
        let nodes = lab.cluster.nodes.len();
        let issuer = usize::try_from(index).unwrap_or(0) % nodes;
        let answer = person.ticket(&lab.cluster.node(issuer).url, &service).await;
        let Some(ticket) = judge::ticket(&mut self.tally, answer) else {
            return;
        };
        let all: Vec<&Node> = lab.cluster.nodes.iter().collect();
        let (answers, time) = match validate_at(lab, &all, &service, &ticket).await {
            Ok(answered) => answered,
            Err(error) => {
                self.tally.sin(Sin::Unanswered, || format!("{error:#}"));
                return;
            }
        };
        self.decided.record(time);
        let winner = judge::race(&mut self.tally, &answers, &ticket, lab.cluster.principal());
        if let Some(winner) = winner {
            self.races += 1;
            self.won_by_issuer += u64::from(winner == issuer);
            *self
                .winners
                .entry(lab.cluster.node(winner).name.clone())
                .or_default() += 1;
        }
    }

    fn merge(&mut self, other: Self) {
        self.tally.merge(other.tally);
        self.races += other.races;
        self.won_by_issuer += other.won_by_issuer;
        self.decided.merge(&other.decided);
        for (name, count) in other.winners {
            *self.winners.entry(name).or_default() += count;
        }
    }
}

/// Releases one validation at each of these nodes together; answers in their order, and the time until the
/// last of them.
///
/// # Errors
/// When a node takes no connection; then nothing was released.
pub async fn validate_at(
    lab: &Lab,
    nodes: &[&Node],
    service: &str,
    ticket: &str,
) -> anyhow::Result<(Vec<Validation>, Duration)> {
    let barrier = Arc::new(Barrier::new(nodes.len()));
    let mut leases = Vec::new();
    for node in nodes {
        let url = cas::validate_url(&node.url, service, ticket);
        let lease = lab.client.lease(&url).await;
        leases.push((node, lease.with_context(|| node.name.clone())?));
    }
    let mut runners = Vec::new();
    for (node, lease) in leases {
        let (lab, barrier) = (lab.clone(), Arc::clone(&barrier));
        let (base, service, ticket) = (node.url.clone(), service.to_owned(), ticket.to_owned());
        runners.push(tokio::spawn(async move {
            barrier.wait().await;
            let released = clock::monotonic();
            let answer = validate_on(&lab, lease, [&base, &service, &ticket], None).await;
            (answer, clock::monotonic().duration_since(released))
        }));
    }
    let mut answers = Vec::new();
    let mut slowest = Duration::ZERO;
    for runner in runners {
        let (answer, time) = runner.await.context("a runner ended")?;
        answers.push(answer);
        slowest = slowest.max(time);
    }
    Ok((answers, slowest))
}

impl super::Details for Details {
    fn title(&self) -> String {
        "One ticket at all nodes at the same moment".to_owned()
    }

    fn fill(&self, run: &mut Run) {
        run.count("races_with_one_winner", self.races)
            .figure("decided_p99", self.decided.p99_ms, "ms")
            .percentiles("decided", &self.decided);
        let mut winners = Table::new("Who won", &["node", "races"]);
        for (name, count) in &self.winners {
            winners.row([name.as_str().into(), (*count).into()]);
        }
        winners.row([
            "the issuer, whoever it was".into(),
            self.won_by_issuer.into(),
        ]);
        run.tables.push(winners);
    }
}

impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} races with exactly one winner, {} at a time",
            self.races, self.concurrency
        )?;
        let winners: Vec<String> = self
            .winners
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        writeln!(
            f,
            "  winners   {} (the issuer: {})",
            winners.join(", "),
            self.won_by_issuer
        )?;
        writeln!(f, "  decided   {}", self.decided)
    }
}
