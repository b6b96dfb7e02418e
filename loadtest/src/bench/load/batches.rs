//! Validations alone, or logouts alone: what they need is made for a while, unmeasured, and then all of
//! it used up, measured, again and again.
//!
//! Promises: while it is measured nothing else is asked, and only that time counts. Does not: keep a
//! rate; tickets would grow old, and sessions cost a password each.

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;

use super::worker::Worker;
use super::{Measured, Operation, Plan};
use crate::clock;
use crate::person::Person;
use crate::stop::Stop;

/// Well below the ten seconds that a ticket lives.
const PREPARE_FOR: Duration = Duration::from_millis(1500);
/// A server that validates much more slowly than it issues must not be asked about tickets that have ended.
const OLDEST: Duration = Duration::from_secs(7);
/// Rounds that warm everything up.
const WARM: u32 = 1;
/// How many times longer than the measurement all of it may take: sessions are made slowly and ended fast.
const LONGEST: u32 = 4;

/// What is used up.
enum Ready {
    /// A ticket, and the number it was issued under.
    Ticket(u64, String),
    /// A session.
    Session(Person),
}

pub(super) async fn run(
    mut workers: Vec<Worker>,
    plan: &Plan,
    stop: &Stop,
) -> anyhow::Result<Measured> {
    let mut time = Duration::ZERO;
    let mut round = 0;
    let longest = clock::monotonic() + plan.time * LONGEST;
    let goes_on = |time, round| round <= WARM || (time < plan.time && clock::monotonic() < longest);
    while goes_on(time, round) && !stop.is_set() {
        let until = clock::monotonic() + PREPARE_FOR;
        let operation = plan.operation;
        let ready = together(workers, |worker| {
            worker.prepare(operation, until, stop.clone())
        });
        let ready = ready.await?;
        let counts = round >= WARM;
        let start = clock::monotonic();
        let last = until - PREPARE_FOR + OLDEST;
        let used = together(ready, |(worker, ready)| {
            worker.use_up(ready, last, counts.then(|| plan.clone()), stop.clone())
        });
        workers = used.await?;
        if counts {
            time += clock::monotonic().duration_since(start);
        }
        round += 1;
    }
    let mut all = Measured::default();
    for worker in workers {
        all.merge(&worker.into_measured());
    }
    all.seconds = time.as_secs_f64();
    Ok(all)
}

async fn together<A, B, F>(all: Vec<A>, work: impl Fn(A) -> F) -> anyhow::Result<Vec<B>>
where
    F: Future<Output = B> + Send + 'static,
    B: Send + 'static,
{
    let mut running = JoinSet::new();
    for one in all {
        running.spawn(work(one));
    }
    let mut done = Vec::new();
    while let Some(one) = running.join_next().await {
        done.push(one.context("a worker ended")?);
    }
    Ok(done)
}

impl Worker {
    async fn prepare(
        mut self,
        operation: Operation,
        until: Instant,
        stop: Stop,
    ) -> (Self, Vec<Ready>) {
        let mut all = Vec::new();
        let mut stopped = pin!(stop.wait());
        let mut index = self.first_index();
        while clock::monotonic() < until && !stop.is_set() {
            let one = tokio::select! {
                biased;
                one = self.make(operation, index) => one,
                () = &mut stopped => break,
            };
            all.extend(one);
            index += 1;
        }
        (self, all)
    }

    async fn make(&mut self, operation: Operation, index: u64) -> Option<Ready> {
        if operation == Operation::Logout {
            return self.session().await.map(Ready::Session);
        }
        let ticket = self.issue(index).await?;
        Some(Ready::Ticket(index, ticket))
    }

    /// Measured only when there is a plan.
    async fn use_up(
        mut self,
        all: Vec<Ready>,
        until: Instant,
        plan: Option<Plan>,
        stop: Stop,
    ) -> Self {
        let mut stopped = pin!(stop.wait());
        for one in all {
            let start = clock::monotonic();
            if start >= until || stop.is_set() {
                break;
            }
            let wrong = self.wrong();
            let right = tokio::select! {
                biased;
                right = self.use_one(&one) => right,
                () = &mut stopped => break,
            };
            let Some(plan) = &plan else {
                continue;
            };
            let time = clock::monotonic().duration_since(start);
            if right {
                self.count(plan.operation, time);
            }
            plan.tell(self.wrong() - wrong);
        }
        self
    }

    async fn use_one(&mut self, one: &Ready) -> bool {
        match one {
            Ready::Ticket(index, ticket) => self.validate(*index, 1, ticket, false).await,
            Ready::Session(person) => self.end(person).await,
        }
    }
}
