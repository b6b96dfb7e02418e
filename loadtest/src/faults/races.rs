//! Races during faults: the same ticket at two nodes at the same moment.
//!
//! Promises: open loop at a fixed rate; each node issues in turn and each pair of nodes races in turn;
//! the connections are open before the requests are released; every race is counted by how it ended,
//! and so is whether the fault excuses that nobody won it.
//! Does not: judge. Two winners nothing excuses; the history shows them too.

use std::sync::atomic::{AtomicBool, Ordering};
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
    /// All those that somebody had to win: without the fault, or between nodes that it leaves alone.
    pub due: u64,
    /// Undecided and not begun ones among these.
    pub unexcused: u64,
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
    /// Nodes that the fault touches.
    touched: Vec<usize>,
    faulty: AtomicBool,
    ended: Mutex<Ended>,
}

impl Races {
    /// Starts so many races a second, for tickets of these people; a fault to come touches these nodes.
    pub fn start(lab: &Lab, per_second: f64, people: Vec<Person>, touched: Vec<usize>) -> Self {
        let shared = Arc::new(Shared {
            lab: lab.clone(),
            people,
            turns: Schedule::new(u64::MAX, Some(per_second)),
            touched,
            faulty: AtomicBool::new(false),
            ended: Mutex::default(),
        });
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            let shared = Arc::clone(&shared);
            workers.spawn(async move {
                while let Some(turn) = shared.turns.turn().await {
                    let before = shared.is_faulty();
                    let ended = shared.race(turn).await;
                    let excused = (before || shared.is_faulty()) && shared.is_touched(turn.index);
                    shared.ended().count(ended.as_deref(), excused);
                }
            });
        }
        Self { shared, workers }
    }

    /// Says whether the fault is there, or what it did.
    pub fn faulty(&self, faulty: bool) {
        self.shared.faulty.store(faulty, Ordering::Relaxed);
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

    fn is_faulty(&self) -> bool {
        self.faulty.load(Ordering::Relaxed)
    }

    fn is_touched(&self, index: u64) -> bool {
        let places = places(index, self.lab.cluster.nodes.len());
        places.iter().any(|node| self.touched.contains(node))
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
}

impl Ended {
    /// One more race: what its two were answered, if it began.
    fn count(&mut self, answers: Option<&[Validation]>, excused: bool) {
        let before = self.undecided + self.not_begun;
        let valid = |answer: &&Validation| matches!(answer, Validation::Success { .. });
        let refused = |answer: &Validation| matches!(answer, Validation::Refused { .. });
        match answers.map(|all| (all.iter().filter(valid).count(), all)) {
            None => self.not_begun += 1,
            Some((0, all)) if all.iter().all(refused) => self.refused += 1,
            Some((0, _)) => self.undecided += 1,
            Some((1, _)) => self.won += 1,
            Some(_) => self.twice += 1,
        }
        if !excused {
            self.due += 1;
            self.unexcused += self.undecided + self.not_begun - before;
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

    #[test]
    fn a_race_that_nobody_wins_is_excused_by_the_fault_alone() {
        let refused = || Validation::Refused {
            code: "INVALID_TICKET".to_owned(),
        };
        let mut ended = Ended::default();
        ended.count(None, true);
        ended.count(Some(&[Validation::Unavailable(503), refused()]), true);
        assert_eq!((ended.due, ended.unexcused), (0, 0));
        ended.count(None, false);
        ended.count(Some(&[Validation::Unavailable(503), refused()]), false);
        assert_eq!((ended.due, ended.unexcused), (2, 2));
        ended.count(Some(&[refused(), refused()]), false);
        assert_eq!((ended.due, ended.unexcused), (3, 2));
        assert_eq!((ended.not_begun, ended.undecided, ended.refused), (2, 2, 1));
    }
}
