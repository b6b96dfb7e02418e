//! Validations alone: tickets are issued for a while, unmeasured, and then all of them validated,
//! measured, again and again.
//!
//! Promises: while validations are measured nothing else is asked. Does not: keep a rate; the
//! tickets would grow old.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;

use super::worker::Worker;
use super::{Measured, Plan};
use crate::clock;
use crate::stop::Stop;

/// Well below the ten seconds that a ticket lives.
const ISSUE_FOR: Duration = Duration::from_millis(1500);
/// A server that validates much more slowly than it issues must not be asked about tickets that have ended.
const OLDEST: Duration = Duration::from_secs(7);
/// Rounds that warm everything up.
const WARM: u32 = 1;

/// A ticket and the number it was issued under.
pub(super) type Ticket = (u64, String);

pub(super) async fn run(
    mut workers: Vec<Worker>,
    plan: &Plan,
    stop: &Stop,
) -> anyhow::Result<Measured> {
    let mut time = Duration::ZERO;
    let mut round = 0;
    while (time < plan.time || round <= WARM) && !stop.is_set() {
        let until = clock::monotonic() + ISSUE_FOR;
        let issued = together(workers, |worker| worker.issue_until(until)).await?;
        let counts = round >= WARM;
        let start = clock::monotonic();
        workers = together(issued, |(worker, tickets)| {
            worker.validate_all(tickets, until - ISSUE_FOR + OLDEST, counts)
        })
        .await?;
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
    async fn issue_until(mut self, until: Instant) -> (Self, Vec<Ticket>) {
        let mut tickets = Vec::new();
        let mut index = self.first_index();
        while clock::monotonic() < until {
            if let Some(ticket) = self.issue(index).await {
                tickets.push((index, ticket));
            }
            index += 1;
        }
        (self, tickets)
    }

    async fn validate_all(mut self, tickets: Vec<Ticket>, until: Instant, counts: bool) -> Self {
        for (index, ticket) in tickets {
            let start = clock::monotonic();
            if start >= until {
                break;
            }
            if self.validate(index, 1, &ticket, false).await && counts {
                let time = clock::monotonic().duration_since(start);
                self.count_validation(time);
            }
        }
        self
    }
}
