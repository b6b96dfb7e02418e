//! Checks that acknowledged sessions still give service tickets.
//!
//! Promises: every session is asked for at every node given; the login form means lost, an error
//! is asked again for up to [`SETTLE`] and then counted as unsettled, never as alive.
//! Does not: go through the front door, which would let one node answer for another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinSet;

use super::PROBE_EVERY;
use crate::cas::TicketAnswer;
use crate::clock;
use crate::cluster::Node;
use crate::lab::Lab;
use crate::person::Person;

/// How long an erring node is asked again.
pub const SETTLE: Duration = Duration::from_secs(10);
const WORKERS: usize = 16;

/// Result of a check.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Checked {
    /// Nodes asked.
    pub nodes: Vec<String>,
    /// Sessions checked.
    pub sessions: usize,
    /// Answers with a ticket; sessions times nodes when all is well.
    pub alive: usize,
    /// Answers with the login form: the session is lost at that node.
    pub lost: usize,
    /// Neither a ticket nor the form within [`SETTLE`].
    pub unsettled: usize,
}

impl Checked {
    /// Whether every session is alive on every node.
    pub fn all_alive(&self) -> bool {
        self.lost == 0 && self.unsettled == 0 && self.alive == self.sessions * self.nodes.len()
    }

    /// Those that are lost, and those of which nobody could say.
    pub fn gone(&self) -> u64 {
        (self.lost + self.unsettled) as u64
    }
}

enum State {
    Alive,
    Lost,
    Unsettled,
}

/// Asks for every session at every one of `nodes`.
pub async fn check(lab: &Lab, sessions: Vec<Person>, nodes: &[&Node]) -> Checked {
    let mut checked = Checked {
        nodes: nodes.iter().map(|node| node.name.clone()).collect(),
        sessions: sessions.len(),
        ..Checked::default()
    };
    let urls: Arc<[String]> = nodes.iter().map(|node| node.url.clone()).collect();
    let sessions: Arc<[Person]> = sessions.into();
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (lab, urls) = (lab.clone(), Arc::clone(&urls));
        let (sessions, next) = (Arc::clone(&sessions), Arc::clone(&next));
        workers.spawn(async move {
            let mut states = Vec::new();
            while let Some(person) = sessions.get(next.fetch_add(1, Ordering::Relaxed)) {
                for url in urls.iter() {
                    states.push(ask(&lab, person.clone(), url).await);
                }
            }
            states
        });
    }
    while let Some(states) = workers.join_next().await {
        for state in states.unwrap_or_default() {
            match state {
                State::Alive => checked.alive += 1,
                State::Lost => checked.lost += 1,
                State::Unsettled => checked.unsettled += 1,
            }
        }
    }
    checked
}

async fn ask(lab: &Lab, mut person: Person, url: &str) -> State {
    let deadline = clock::monotonic() + SETTLE;
    loop {
        match person.ticket(url, &lab.service(0)).await {
            TicketAnswer::Ticket(_) => return State::Alive,
            TicketAnswer::Form => return State::Lost,
            _ if clock::monotonic() >= deadline => return State::Unsettled,
            _ => clock::pause(PROBE_EVERY).await,
        }
    }
}
