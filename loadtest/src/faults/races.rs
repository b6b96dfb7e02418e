//! Races during faults: the same ticket at two nodes at the same moment.
//!
//! Promises: open loop at a fixed rate; each node issues in turn and each pair of nodes races in turn;
//! the connections are open before the requests are released; every race is counted by how it ended.
//! Does not: judge what a fault excuses. Two winners nothing excuses; the history shows them too.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::task::JoinSet;

use crate::bench::race::validate_at;
use crate::cas::TicketAnswer;
use crate::cas::validation::Validation;
use crate::cluster::Node;
use crate::lab::Lab;
use crate::person::Person;
use crate::schedule::{Schedule, Turn};

/// Enough that the rate holds while some nodes take their time.
const WORKERS: usize = 192;

/// How the races ended.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Ended {
    /// One of the two was accepted.
    pub won: u64,
    /// Both were accepted.
    pub twice: u64,
    /// Both were refused, though nobody else had the ticket.
    pub refused: u64,
    /// None was accepted, and at least one had no answer or 5xx.
    pub undecided: u64,
    /// There was no ticket, or no connection to one of the nodes.
    pub not_begun: u64,
}

/// Running races.
pub struct Races {
    shared: Arc<Shared>,
    workers: JoinSet<()>,
}

struct Shared {
    lab: Lab,
    people: Vec<Person>,
    turns: Schedule,
    ended: Mutex<Ended>,
}

impl Races {
    /// Starts so many races a second, for tickets of these people.
    pub fn start(lab: &Lab, per_second: f64, people: Vec<Person>) -> Self {
        let shared = Arc::new(Shared {
            lab: lab.clone(),
            people,
            turns: Schedule::new(u64::MAX, Some(per_second)),
            ended: Mutex::default(),
        });
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            let shared = Arc::clone(&shared);
            workers.spawn(async move {
                while let Some(turn) = shared.turns.turn().await {
                    let ended = shared.race(turn).await;
                    shared.count(ended);
                }
            });
        }
        Self { shared, workers }
    }

    /// Ends the races; those under way are finished.
    pub async fn stop(mut self) -> Ended {
        self.shared.turns.stop();
        while self.workers.join_next().await.is_some() {}
        self.shared.ended().clone()
    }
}

/// The nodes of race `index` among `nodes`: who issues, and the two that are asked.
fn places(index: u64, nodes: usize) -> [usize; 3] {
    let index = usize::try_from(index).unwrap_or(0);
    let (issuer, turn) = (index % nodes, index / nodes);
    let first = turn % nodes;
    let second = first + 1 + turn / nodes % (nodes - 1);
    [issuer, first, second % nodes]
}

impl Shared {
    fn ended(&self) -> MutexGuard<'_, Ended> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` for a race that could not begin.
    async fn race(&self, turn: Turn) -> Option<Vec<Validation>> {
        let cluster = &self.lab.cluster;
        let at = turn.index % u64::try_from(self.people.len()).ok()?.max(1);
        let mut person = self.people.get(usize::try_from(at).ok()?)?.clone();
        let [issuer, first, second] = places(turn.index, cluster.nodes.len());
        let service = self.lab.service(turn.index);
        let answer = person.ticket(&cluster.node(issuer).url, &service).await;
        let TicketAnswer::Ticket(ticket) = answer else {
            return None;
        };
        let two: [&Node; 2] = [cluster.node(first), cluster.node(second)];
        let raced = validate_at(&self.lab, &two, &service, &ticket).await;
        raced.ok().map(|(answers, _)| answers)
    }

    fn count(&self, answers: Option<Vec<Validation>>) {
        let mut ended = self.ended();
        let Some(answers) = answers else {
            ended.not_begun += 1;
            return;
        };
        let valid = |answer: &&Validation| matches!(answer, Validation::Success { .. });
        let refused = |answer: &Validation| matches!(answer, Validation::Refused { .. });
        match answers.iter().filter(valid).count() {
            0 if answers.iter().all(refused) => ended.refused += 1,
            0 => ended.undecided += 1,
            1 => ended.won += 1,
            _ => ended.twice += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_issuer_meets_every_pair_of_different_nodes() {
        for nodes in 2..=5 {
            let all: BTreeSet<[usize; 3]> = (0..1_000).map(|index| places(index, nodes)).collect();
            assert_eq!(all.len(), nodes * nodes * (nodes - 1));
            assert!(all.iter().all(|[_, first, second]| first != second));
            assert!(all.iter().flatten().all(|at| *at < nodes));
        }
    }
}
