//! A day against a server: everybody comes at their time, however many are there already.
//!
//! Promises: at most [`AT_ONCE_MAX`] visits at the same time; who comes then has to wait, which shows as
//! lateness. Does not: decide who comes ([`super::day`]).

use std::sync::Arc;

use super::day::{Day, Fate, Kind, Ticket, Visit};
use super::seen::Old;
use super::steps::{self, Asked, Life};
use super::world::World;

/// Most visits at the same time.
const AT_ONCE_MAX: usize = 20_000;

/// Everybody who comes along on that day.
pub(super) async fn all(world: Arc<World>, day: Day) {
    let mut visits = tokio::task::JoinSet::new();
    for (index, visit) in (0..).zip(day.plan(world.seed)) {
        if !world.wait(visit.at).await {
            break;
        }
        while visits.try_join_next().is_some() {}
        if visits.len() >= AT_ONCE_MAX {
            visits.join_next().await;
        }
        visits.spawn(one(Arc::clone(&world), visit, index));
    }
    while visits.join_next().await.is_some() {}
}

async fn one(world: Arc<World>, visit: Visit, index: u32) {
    match visit.kind {
        Kind::Wrong => {
            steps::sign_in(&world, index, visit.at, visit.account, true).await;
        }
        Kind::Check => steps::check(&world, visit.at, visit.account).await,
        Kind::Session { tickets, signs_out } => {
            let life = steps::sign_in(&world, index, visit.at, visit.account, false).await;
            let Some(mut life) = life else {
                return world.note(|seen| seen.cut_short += 1);
            };
            for ticket in tickets {
                if !world.wait(ticket.at).await {
                    return;
                }
                if !turn(&world, &mut life, &ticket).await {
                    return world.note(|seen| seen.cut_short += 1);
                }
            }
            if let Some(at) = signs_out
                && world.wait(at).await
            {
                steps::sign_out(&world, &life, at).await;
            }
        }
    }
}

/// A ticket and its fate; false when the session is gone.
async fn turn(world: &World, life: &mut Life, ticket: &Ticket) -> bool {
    let service = ticket.service;
    if ticket.fate == Fate::Refused {
        steps::ask_in_vain(world, life, ticket.at, &world.target.refused).await;
        return true;
    }
    match steps::ask(world, life, ticket.at, service).await {
        Asked::Lost => return false,
        Asked::Nothing => {}
        Asked::Ticket(_) if ticket.fate == Fate::Left => {}
        Asked::Ticket(id) => {
            let right = steps::validate(world, life, &id, service).await;
            if right && ticket.fate == Fate::Again {
                let old = Old {
                    ticket: id,
                    service,
                };
                steps::replay(world, &old).await;
            }
        }
    }
    true
}
