//! What users do at a server, one function each: send, wait for the answer, judge it, count it.
//!
//! Promises: every answer is judged. Latencies count from the moment a step was due: who is late because the
//! answer before was late does not hide that; a validation is asked when its ticket is there, and counts
//! from then. Does not: decide what is done.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::counts::Counts;
use super::model::SIGN_IN_REQUESTS;
use super::seen::{Old, Seen};
use super::world::World;
use crate::cas;
use crate::cas::TicketAnswer;
use crate::cas::validation::{Attributes, Validation};
use crate::clock;
use crate::judge::{self, Sin};
use crate::person::Person;

/// One life: a browser with its cookies.
pub(super) struct Life {
    person: Person,
    account: usize,
    /// What was released to each application; it must not change within a session.
    released: BTreeMap<usize, Attributes>,
}

/// What came of asking for a ticket.
pub(super) enum Asked {
    /// A ticket.
    Ticket(String),
    /// The session is gone.
    Lost,
    /// Neither: an error.
    Nothing,
}

/// A life when the sign-in was acknowledged.
pub(super) async fn sign_in(
    world: &World,
    index: u32,
    at: f64,
    account: usize,
    wrong: bool,
) -> Option<Life> {
    let due = world.due(at);
    let number = account % world.target.accounts.len().max(1);
    let account = world.target.accounts.get(number)?;
    let mut person = world.target.browser(index);
    let front = &world.target.lab.cluster.front;
    let answer = person
        .sign_in(front, &account.user, &account.password(wrong))
        .await;
    let took = since(due);
    let right = world.judged(|seen| {
        seen.sign_in.record(took);
        let right = if wrong {
            judge::refusal(&mut seen.tally, answer)
        } else {
            judge::sign_in(&mut seen.tally, answer)
        };
        world.count(
            seen,
            Counts {
                sign_ins: u64::from(right && !wrong),
                refused: u64::from(right && wrong),
                requests: SIGN_IN_REQUESTS,
                ..Counts::default()
            },
        );
        right
    });
    (right && !wrong).then(|| Life {
        person,
        account: number,
        released: BTreeMap::new(),
    })
}

/// Asks for a ticket.
pub(super) async fn ask(world: &World, life: &mut Life, at: f64, service: usize) -> Asked {
    let due = world.due(at);
    let front = &world.target.lab.cluster.front;
    let Some(application) = world.applications.get(service) else {
        return Asked::Nothing;
    };
    let answer = life.person.ticket(front, &application.service).await;
    let lost = matches!(answer, TicketAnswer::Form);
    let took = since(due);
    let mut ticket = None;
    world.judged(|seen| {
        seen.ticket.record(took);
        seen.lately.ticket.record(took);
        ticket = judge::ticket(&mut seen.tally, answer);
        world.count(
            seen,
            Counts {
                tickets: u64::from(ticket.is_some()),
                requests: 1,
                ..Counts::default()
            },
        );
        if let Some(ticket) = &ticket
            && !seen.is_new(ticket)
        {
            seen.tally.sin(Sin::IssuedTwice, || cas::mask(ticket));
        }
        ticket.is_some()
    });
    match ticket {
        Some(ticket) => Asked::Ticket(ticket),
        None if lost => Asked::Lost,
        None => Asked::Nothing,
    }
}

/// Asks for a ticket for an application that is not for this person: there must be none.
pub(super) async fn ask_in_vain(world: &World, life: &mut Life, at: f64, service: &str) {
    let due = world.due(at);
    let front = &world.target.lab.cluster.front;
    let answer = life.person.ticket(front, service).await;
    let took = since(due);
    world.judged(|seen| {
        seen.ticket.record(took);
        seen.lately.ticket.record(took);
        let refused = matches!(&answer, TicketAnswer::Odd(_));
        if refused {
            seen.tally.right();
        } else if let TicketAnswer::Ticket(_) = answer {
            seen.tally.sin(Sin::Malformed, || {
                format!("{service} must be registered, and for nobody of the accounts; there was a ticket")
            });
        } else {
            judge::ticket(&mut seen.tally, answer);
        }
        world.count(
            seen,
            Counts {
                not_created: u64::from(refused),
                requests: 1,
                ..Counts::default()
            },
        );
        refused
    });
}

/// The application validates a ticket; whether it was told the right user and the right attributes.
pub(super) async fn validate(world: &World, life: &mut Life, ticket: &str, service: usize) -> bool {
    let asked = clock::monotonic();
    let Some(application) = world.applications.get(service) else {
        return false;
    };
    let front = &world.target.lab.cluster.front;
    let answer = application.validate(front, ticket).await;
    let took = since(asked);
    world.judged(|seen| {
        seen.validate.record(took);
        seen.lately.validate.record(took);
        if let Some(quarter) = seen.quarters.at(world.now() / world.ends_at()) {
            quarter.record(took);
        }
        let right = judge_validation(world, life, seen, &answer, ticket, service);
        world.count(
            seen,
            Counts {
                validations: u64::from(right),
                requests: 1,
                ..Counts::default()
            },
        );
        right
    })
}

/// Whether the ticket was validated for the right user with the right attributes.
fn judge_validation(
    world: &World,
    life: &mut Life,
    seen: &mut Seen,
    answer: &Validation,
    ticket: &str,
    service: usize,
) -> bool {
    let Some(account) = world.target.accounts.get(life.account) else {
        return false;
    };
    if !judge::validation(&mut seen.tally, answer, ticket, account.principal()) {
        return false;
    }
    let Validation::Success { attributes, .. } = answer else {
        return false;
    };
    let mut attributes = attributes.clone();
    attributes.sort();
    let wrong = match account.missing(&attributes) {
        Some(name) => Some(format!("{name} is not as the account has it")),
        None => match life.released.get(&service) {
            Some(before) if *before != attributes => {
                Some("others than before in this session".to_owned())
            }
            _ => None,
        },
    };
    life.released.entry(service).or_insert(attributes);
    match wrong {
        Some(wrong) => {
            seen.tally.sin(Sin::WrongAttributes, || {
                format!("{}: {wrong}", cas::mask(ticket))
            });
            false
        }
        None => true,
    }
}

/// Tries a used ticket once more, at the node whose turn it is.
pub(super) async fn replay(world: &World, old: &Old) {
    let (Some(application), Some(door)) = (world.applications.get(old.service), world.next_door())
    else {
        return;
    };
    let answer = application.validate(door, &old.ticket).await;
    world.note(|seen| {
        let before = seen.tally.wrong();
        judge::replay(&mut seen.tally, &answer, &old.ticket);
        seen.replayed += 1;
        let refused = Counts {
            replays: u64::from(seen.tally.wrong() == before),
            ..Counts::default()
        };
        world.count(seen, refused);
    });
}

/// Signs out.
pub(super) async fn sign_out(world: &World, life: &Life, at: f64) {
    let due = world.due(at);
    let answer = life.person.sign_out(&world.target.lab.cluster.front).await;
    let took = since(due);
    world.judged(|seen| {
        seen.sign_out.record(took);
        let right = judge::sign_out(&mut seen.tally, answer);
        world.count(
            seen,
            Counts {
                sign_outs: u64::from(right),
                requests: 1,
                ..Counts::default()
            },
        );
        right
    });
}

/// A program checks a password by `POST /v1/users`, where no session begins.
pub(super) async fn check(world: &World, at: f64, account: usize) {
    let due = world.due(at);
    let number = account % world.target.accounts.len().max(1);
    let (Some(account), Some(door), Some(application)) = (
        world.target.accounts.get(number),
        world.next_door(),
        world.applications.first(),
    ) else {
        return;
    };
    let answer = application
        .check(door, &account.user, &account.password(false))
        .await;
    let took = since(due);
    world.judged(|seen| {
        seen.sign_in.record(took);
        let right = judge::sign_in(&mut seen.tally, answer);
        world.count(
            seen,
            Counts {
                checks: u64::from(right),
                requests: 1,
                ..Counts::default()
            },
        );
        right
    });
}

fn since(moment: Instant) -> Duration {
    clock::monotonic().saturating_duration_since(moment)
}
