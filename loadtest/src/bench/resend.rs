//! `bench resend`: a client forges the request id that the proxy sets.
//!
//! Promises: the same forged `Castor-Request-Id` is sent twice through the front door with one
//! ticket, half of the time together and half of the time one after the other; exactly one may
//! succeed, because the proxy overwrites the header. The control sends such a pair straight to
//! two nodes, which trust the loopback address: there both succeed when the header is believed,
//! so that a pass through the front proves the proxy and not an ignored header.
//! Does not: fail on the control; a cluster may have the header switched off.

use std::fmt;

use http::{HeaderName, HeaderValue};
use serde::Serialize;

use super::Outcome;
use crate::cas::validation::Validation;
use crate::clock;
use crate::environment::Environment;
use crate::judge::{self, Tally};
use crate::lab::Lab;
use crate::person::{Person, validate_on};
use crate::progress::Progress;
use crate::rng::Rng;
use crate::run::Run;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Details {
    header: String,
    tickets: u64,
    one_success: u64,
    control_tickets: u64,
    control_both_succeed: u64,
}

/// Sends `count` forged pairs through the front and `control` of them straight to two nodes.
///
/// # Errors
/// When the header name is none, or the cluster is not healthy before the run.
pub async fn run(
    lab: &Lab,
    header: &str,
    count: u64,
    control: u64,
    environment: Environment,
) -> anyhow::Result<Outcome<Details>> {
    let name: HeaderName = header.parse()?;
    lab.preflight().await?;
    let mut people = lab.sign_in_many(1).await?;
    let mut rng = Rng::new(environment.seed);
    let mut tally = Tally::default();
    let (mut one_success, mut both) = (0, 0);
    let started = clock::monotonic();
    let progress = Progress::new("forged pairs", count + control);
    let front = [lab.cluster.front.as_str(), lab.cluster.front.as_str()];
    let nodes = [
        lab.cluster.node(0).url.as_str(),
        lab.cluster.node(1).url.as_str(),
    ];
    for person in &mut people {
        for index in 0..count + control {
            if lab.stop.is_set() {
                break;
            }
            let through = if index < count { front } else { nodes };
            let forged = HeaderValue::from_str(&rng.request_id())?;
            let pair = Pair {
                lab,
                name: &name,
                forged,
                together: index % 2 == 0,
            };
            let sent = pair.send(person, through, index, &mut tally).await;
            if let Some((ticket, answers)) = sent {
                if index < count {
                    let user = lab.cluster.principal();
                    one_success +=
                        u64::from(judge::race(&mut tally, &answers, &ticket, user).is_some());
                } else {
                    let succeeded = |a: &Validation| matches!(a, Validation::Success { .. });
                    both += u64::from(answers.iter().all(succeeded));
                }
            }
            progress.tick();
        }
    }
    progress.finish();
    Ok(Outcome {
        bench: "resend",
        passed: tally.wrong() == 0 && (one_success == count || lab.stop.is_set()),
        ended: lab.stop.ended(),
        seconds: clock::monotonic().duration_since(started).as_secs_f64(),
        details: Details {
            header: header.to_owned(),
            tickets: count,
            one_success,
            control_tickets: control,
            control_both_succeed: both,
        },
        tally,
        environment,
    })
}

struct Pair<'a> {
    lab: &'a Lab,
    name: &'a HeaderName,
    forged: HeaderValue,
    together: bool,
}

impl Pair<'_> {
    /// Issues a ticket and validates it at both doors with the same forged id.
    async fn send(
        &self,
        person: &mut Person,
        doors: [&str; 2],
        index: u64,
        tally: &mut Tally,
    ) -> Option<(String, [Validation; 2])> {
        let service = self.lab.service(index);
        let answer = person.ticket(doors[0], &service).await;
        let ticket = judge::ticket(tally, answer)?;
        let first = self.validate([doors[0], &service, &ticket]);
        let second = self.validate([doors[1], &service, &ticket]);
        let answers = if self.together {
            let (first, second) = tokio::join!(first, second);
            [first, second]
        } else {
            [first.await, second.await]
        };
        Some((ticket, answers))
    }

    async fn validate(&self, what: [&str; 3]) -> Validation {
        let lease = match self.lab.client.lease(what[0]).await {
            Ok(lease) => lease,
            Err(error) => return Validation::Failed(error),
        };
        let extra = Some((self.name.clone(), self.forged.clone()));
        validate_on(self.lab, lease, what, extra).await
    }
}

impl super::Details for Details {
    fn title(&self) -> String {
        format!("One forged {} twice through the front", self.header)
    }

    fn fill(&self, run: &mut Run) {
        run.count("tickets", self.tickets)
            .count("with_one_success", self.one_success)
            .count("control_tickets", self.control_tickets)
            .count("control_both_succeed", self.control_both_succeed);
    }
}

impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} tickets, each validated twice through the front under one forged {}: \
             exactly one success for {}",
            self.tickets, self.header, self.one_success
        )?;
        if self.control_tickets == 0 {
            return Ok(());
        }
        writeln!(
            f,
            "  control   straight at two nodes, which believe the header from loopback: \
             both succeed for {} of {}",
            self.control_both_succeed, self.control_tickets
        )
    }
}
