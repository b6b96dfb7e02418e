//! One user against a server: does what the state machine says when it says it, and judges the answers.
//!
//! Promises: every answer is judged; a used ticket that was drawn for it is tried again, at once or much
//! later, at one node after the other. Does not: decide what is done ([`super::population`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::counts::Counts;
use super::model::SIGN_IN_REQUESTS;
use super::population::{Act, Step, User};
use super::seen::Old;
use super::world::World;
use crate::cas;
use crate::cas::validation::{Attributes, Validation};
use crate::clock;
use crate::judge::{self, Sin};
use crate::person::Person;
use crate::rng::Rng;

/// One life: a browser with its cookies.
struct Life {
    person: Person,
    account: usize,
    /// What was released to each application; it must not change within a session.
    released: BTreeMap<usize, Attributes>,
}

/// User number `index` until the end.
pub(super) async fn live(world: Arc<World>, index: u32) {
    let mut user = User::new(&world.population, world.seed, index);
    // A sequence of its own: what is tried again does not change what users do.
    let mut dice = Rng::new(world.seed.rotate_left(32) ^ u64::from(index));
    let mut life: Option<Life> = None;
    loop {
        let step = user.step(&world.population);
        if step.at >= world.ends_at() || !world.wait(step.at).await {
            return;
        }
        let due = world.instant(step.at);
        world.note(|seen| {
            let now = clock::monotonic();
            seen.late.record(now.saturating_duration_since(due));
        });
        let well = match step.act {
            Act::SignIn {
                account,
                wrong_password,
            } => {
                life = sign_in(&world, index, &step, account, wrong_password).await;
                life.is_some() || wrong_password
            }
            Act::Ticket { service } => match &mut life {
                Some(life) => ticket(&world, life, &step, service, &mut dice).await,
                None => true,
            },
            Act::Die { log_out } => {
                if let (Some(life), true) = (&life, log_out) {
                    sign_out(&world, life, &step).await;
                }
                life = None;
                true
            }
        };
        if !well {
            life = None;
            user.failed(&world.population);
            world.note(|seen| seen.cut_short += 1);
        }
    }
}

/// A life when the sign-in was acknowledged.
async fn sign_in(
    world: &World,
    index: u32,
    step: &Step,
    account: usize,
    wrong: bool,
) -> Option<Life> {
    let number = account % world.target.accounts.len().max(1);
    let account = world.target.accounts.get(number)?;
    let mut person = world.target.browser(index);
    let front = &world.target.lab.cluster.front;
    let answer = person
        .sign_in(front, &account.user, &account.password(wrong))
        .await;
    let took = since(world.instant(step.at));
    let right = world.judged(|seen| {
        seen.sign_in.record(took);
        let right = if wrong {
            judge::refusal(&mut seen.tally, answer)
        } else {
            judge::sign_in(&mut seen.tally, answer)
        };
        let counts = Counts {
            sign_ins: u64::from(right && !wrong),
            refused: u64::from(right && wrong),
            requests: SIGN_IN_REQUESTS,
            ..Counts::default()
        };
        seen.happened(world.now(), world.ends_at(), counts);
        right
    });
    (right && !wrong).then(|| Life {
        person,
        account: number,
        released: BTreeMap::new(),
    })
}

/// A ticket, and its validation by the application; false when the session is gone.
async fn ticket(
    world: &World,
    life: &mut Life,
    step: &Step,
    service: usize,
    dice: &mut Rng,
) -> bool {
    let front = &world.target.lab.cluster.front;
    let Some(application) = world.applications.get(service) else {
        return true;
    };
    let answer = life.person.ticket(front, &application.service).await;
    let lost = matches!(answer, cas::TicketAnswer::Form);
    let answered = clock::monotonic();
    let took = answered.saturating_duration_since(world.instant(step.at));
    let mut ticket = None;
    world.judged(|seen| {
        seen.ticket.record(took);
        ticket = judge::ticket(&mut seen.tally, answer);
        let counts = Counts {
            tickets: u64::from(ticket.is_some()),
            requests: 1,
            ..Counts::default()
        };
        seen.happened(world.now(), world.ends_at(), counts);
        if let Some(ticket) = &ticket
            && !seen.is_new(ticket)
        {
            seen.tally.sin(Sin::IssuedTwice, || cas::mask(ticket));
        }
        ticket.is_some()
    });
    let Some(ticket) = ticket else {
        return !lost;
    };
    let answer = application.validate(front, &ticket).await;
    let took = since(answered);
    if world.judged(|seen| {
        seen.validate.record(took);
        let right = judge_validation(world, life, seen, &answer, &ticket, service);
        let counts = Counts {
            validations: u64::from(right),
            requests: 1,
            ..Counts::default()
        };
        seen.happened(world.now(), world.ends_at(), counts);
        right
    }) {
        again(world, Old { ticket, service }, dice).await;
    }
    true
}

/// Whether the ticket was validated for the right user with the right attributes.
fn judge_validation(
    world: &World,
    life: &mut Life,
    seen: &mut super::seen::Seen,
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

/// Tries a used ticket again when the dice say so: half of them at once, the others when many others
/// have been used.
async fn again(world: &World, old: Old, dice: &mut Rng) {
    if dice.unit() >= world.replay_share {
        return;
    }
    let now = dice.next_u64() & 1 == 0;
    let old = if now {
        Some(old)
    } else {
        world.note(|seen| seen.keep(old))
    };
    if let Some(old) = old {
        replay(world, &old).await;
    }
}

/// Tries a used ticket once more, at the node whose turn it is.
pub(super) async fn replay(world: &World, old: &Old) {
    let (Some(application), Some(door)) =
        (world.applications.get(old.service), world.replay_door())
    else {
        return;
    };
    let answer = application.validate(door, &old.ticket).await;
    world.note(|seen| {
        judge::replay(&mut seen.tally, &answer, &old.ticket);
        seen.replayed += 1;
    });
}

async fn sign_out(world: &World, life: &Life, step: &Step) {
    let answer = life.person.sign_out(&world.target.lab.cluster.front).await;
    let took = since(world.instant(step.at));
    world.judged(|seen| {
        seen.sign_out.record(took);
        let right = judge::sign_out(&mut seen.tally, answer);
        let counts = Counts {
            sign_outs: u64::from(right),
            requests: 1,
            ..Counts::default()
        };
        seen.happened(world.now(), world.ends_at(), counts);
        right
    });
}

fn since(moment: Instant) -> std::time::Duration {
    clock::monotonic().saturating_duration_since(moment)
}
