//! A load of one kind on one thread: as fast as its connections can, or at a rate.
//!
//! The rooms: [`pace`] (when each operation is due), [`batches`] (validations and logouts alone), [`worker`] (one connection for each door, and
//! what it asks), [`target`] (who is asked).
//!
//! Promises: at a rate, latencies count from the moment an operation was due, whether or not a
//! connection was free (no coordinated omission): a validation is as late as its pair began late, and
//! operations that could not be sent, or had no answer, have waited until the end; every answer is
//! judged. Does not: share its thread with anything else.

mod batches;
pub mod pace;
pub mod target;
pub mod worker;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use crate::clock;
use crate::histogram::Latencies;
use crate::judge::{Sin, Tally};
use crate::progress::Progress;
use crate::stop::Stop;
use pace::Pace;
use target::Target;
use worker::Worker;

/// What is asked again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A service ticket for somebody who is signed in
    Issue,
    /// The validation of tickets that were issued just before, unmeasured
    Validate,
    /// A ticket and its validation: two requests
    Pair,
    /// The login form and the right password: two requests
    Login,
    /// The end of a session that was made just before, unmeasured
    Logout,
}

impl Operation {
    /// Name in figures and plots.
    pub fn name(self) -> &'static str {
        match self {
            Self::Issue => "issue",
            Self::Validate => "validate",
            Self::Pair => "pair",
            Self::Login => "login",
            Self::Logout => "logout",
        }
    }

    /// Whether something is made before, which is no part of what is measured.
    pub fn is_prepared(self) -> bool {
        matches!(self, Self::Validate | Self::Logout)
    }

    /// Requests that are measured in one operation.
    pub fn requests(self) -> u64 {
        match self {
            Self::Pair | Self::Login => 2,
            _ => 1,
        }
    }
}

/// How much of it.
#[derive(Clone)]
pub struct Plan {
    /// What.
    pub operation: Operation,
    /// Workers; each has one request under way at a time.
    pub connections: usize,
    /// Operations per second; as fast as the workers can when absent.
    pub rate: Option<f64>,
    /// Time before the measurement.
    pub warm: Duration,
    /// Time of the measurement.
    pub time: Duration,
    /// Every how many tickets the used ticket is tried again and must be refused; 0 for never.
    pub replay_every: u64,
    /// Who is told of every operation.
    pub progress: Option<Arc<Progress>>,
}

impl Plan {
    /// One operation more, with so many wrong answers.
    fn tell(&self, wrong: u64) {
        if let Some(progress) = &self.progress {
            progress.advance(1);
            progress.wrong(wrong);
        }
    }
}

/// What came of it.
#[derive(Clone, Default)]
pub struct Measured {
    /// Seconds of measurement.
    pub seconds: f64,
    /// Operations done within them.
    pub operations: u64,
    /// Operations that were due and not sent before the end.
    pub unsent: u64,
    /// Latency of whole operations.
    pub whole: Latencies,
    /// Latency of ticket requests.
    pub issue: Latencies,
    /// Latency of validations, from the moment they were due: as late as their pair began late, and then
    /// from the moment the ticket was there.
    pub validate: Latencies,
    /// The same from the moment the ticket was there alone, which hides what waited.
    pub asked: Latencies,
    /// Judged answers, with those of the time before the measurement.
    pub tally: Tally,
}

impl Measured {
    /// Operations per second.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 {
            self.operations as f64 / self.seconds
        } else {
            0.0
        }
    }

    /// Takes over what another worker, or another round, measured at the same time.
    pub fn merge(&mut self, other: &Self) {
        self.operations += other.operations;
        self.unsent += other.unsent;
        self.whole.merge(&other.whole);
        self.issue.merge(&other.issue);
        self.validate.merge(&other.validate);
        self.asked.merge(&other.asked);
        self.tally.merge(other.tally.clone());
    }

    /// `count` operations that have waited `time` without an answer.
    fn waited(&mut self, operation: Operation, time: Duration, count: u64) {
        self.whole.record_many(time, count);
        if matches!(operation, Operation::Issue | Operation::Pair) {
            self.issue.record_many(time, count);
        }
        if matches!(operation, Operation::Validate | Operation::Pair) {
            self.validate.record_many(time, count);
        }
    }

    /// As [`Measured::merge`], of a round that came after.
    pub fn append(&mut self, other: &Self) {
        self.merge(other);
        self.seconds += other.seconds;
    }
}

/// Runs one load on a thread of its own.
///
/// # Errors
/// When a door cannot be reached at all; wrong answers are in the tally.
pub async fn run(target: &Arc<Target>, plan: &Plan, stop: &Stop) -> anyhow::Result<Measured> {
    let (target, plan, stop) = (Arc::clone(target), plan.clone(), stop.clone());
    let thread = tokio::task::spawn_blocking(move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(one_thread(&target, &plan, &stop))
    });
    thread.await.context("the load's thread ended")?
}

async fn one_thread(target: &Arc<Target>, plan: &Plan, stop: &Stop) -> anyhow::Result<Measured> {
    let mut ready = Vec::with_capacity(plan.connections);
    for number in 0..plan.connections.max(1) {
        ready.push(Worker::connect(target, number).await?);
    }
    if plan.operation.is_prepared() && plan.rate.is_none() {
        return batches::run(ready, plan, stop).await;
    }
    let pace = Arc::new(Pace::new(plan, target.client.timeout()));
    let mut workers = JoinSet::new();
    for worker in ready {
        let (pace, plan, stop) = (Arc::clone(&pace), plan.clone(), stop.clone());
        workers.spawn(worker.run(pace, plan, stop));
    }
    let mut all = Measured::default();
    while let Some(worker) = workers.join_next().await {
        all.merge(&worker.context("a worker ended")?);
    }
    let now = clock::monotonic();
    all.seconds = pace.measured(now).as_secs_f64();
    for (time, count) in pace.unsent(now) {
        all.unsent += count;
        all.waited(plan.operation, time, count);
    }
    Ok(all)
}

/// Counts an operation whose answer did not come before the end of the run.
fn too_late(tally: &mut Tally) {
    tally.sin(Sin::Unanswered, || "no answer in time".to_owned());
}
