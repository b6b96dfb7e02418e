//! One user of a population against a server: does what the state machine says when it says it.
//!
//! Promises: a used ticket that was drawn for it is tried again, at once or much later, at one node after
//! the other. Does not: decide what is done ([`super::population`]) or judge ([`super::steps`]).

use std::sync::Arc;

use super::population::{Act, Step, User};
use super::scenario::Population;
use super::seen::Old;
use super::steps::{self, Asked, Life};
use super::world::World;
use crate::rng::Rng;

/// User number `index` until the end.
pub(super) async fn live(world: Arc<World>, population: Arc<Population>, index: u32) {
    let mut user = User::new(&population, world.seed, index);
    // A sequence of its own: what is tried again does not change what users do.
    let mut dice = Rng::new(world.seed.rotate_left(32) ^ u64::from(index));
    let mut life: Option<Life> = None;
    loop {
        let step = user.step(&population);
        if step.at >= world.ends_at() || !world.wait(step.at).await {
            return;
        }
        if !act(&world, index, &step, &mut life, &mut dice).await {
            life = None;
            user.failed(&population);
            world.note(|seen| seen.cut_short += 1);
        }
    }
}

/// One step; false when the life cannot go on.
async fn act(
    world: &World,
    index: u32,
    step: &Step,
    life: &mut Option<Life>,
    dice: &mut Rng,
) -> bool {
    match step.act {
        Act::SignIn {
            account,
            wrong_password,
        } => {
            *life = steps::sign_in(world, index, step.at, account, wrong_password).await;
            life.is_some() || wrong_password
        }
        Act::Ticket { service } => match life {
            Some(life) => visit(world, life, step.at, service, dice).await,
            None => true,
        },
        Act::Die { log_out } => {
            if let (Some(life), true) = (&life, log_out) {
                steps::sign_out(world, life, step.at).await;
            }
            *life = None;
            true
        }
    }
}

/// A ticket, and its validation by the application; false when the session is gone.
async fn visit(world: &World, life: &mut Life, at: f64, service: usize, dice: &mut Rng) -> bool {
    match steps::ask(world, life, at, service).await {
        Asked::Lost => false,
        Asked::Nothing => true,
        Asked::Ticket(ticket) => {
            if steps::validate(world, life, &ticket, service).await {
                again(world, Old { ticket, service }, dice).await;
            }
            true
        }
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
        steps::replay(world, &old).await;
    }
}
