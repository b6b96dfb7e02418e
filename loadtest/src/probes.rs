//! People and applications that do what must not work: a used ticket again, a ticket for another
//! service, a ticket past its life, one that was never given out, a cookie after signing out.
//!
//! Promises: open loop at a fixed rate, at the front door and straight at the nodes; what is due
//! later is kept, at most [`LATER_MAX`] of it. Does not: judge; the history does.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::cas::TicketAnswer;
use crate::clock;
use crate::lab::Lab;
use crate::person::{Person, SignIn, SignOut, validate};
use crate::rng::Rng;
use crate::schedule::Schedule;

/// Attempts that may wait for their time.
const LATER_MAX: usize = 4096;
/// Used tickets and signed-out people that are remembered to be tried again.
const REMEMBERED: usize = 256;
/// Enough that the rate holds while some nodes do not answer.
const WORKERS: usize = 32;

/// How to probe.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Attempts per second.
    pub per_second: f64,
    /// When a ticket is surely past its life.
    pub late_after: Duration,
    /// Seed of choices.
    pub seed: u64,
}

/// Running probes.
pub struct Probes {
    shared: Arc<Shared>,
    workers: JoinSet<()>,
}

struct Shared {
    lab: Lab,
    plan: Plan,
    turns: Schedule,
    memory: Mutex<Memory>,
}

struct Memory {
    rng: Rng,
    late: VecDeque<(Instant, Ticket)>,
    used: VecDeque<Ticket>,
    signed_out: VecDeque<Person>,
}

#[derive(Clone)]
struct Ticket {
    service: String,
    id: String,
}

impl Probes {
    /// Starts `count` attempts.
    pub fn start(lab: &Lab, plan: Plan, count: u64) -> Self {
        let shared = Arc::new(Shared {
            lab: lab.clone(),
            plan,
            turns: Schedule::new(count, Some(plan.per_second)),
            memory: Mutex::new(Memory {
                rng: Rng::new(plan.seed),
                late: VecDeque::new(),
                used: VecDeque::new(),
                signed_out: VecDeque::new(),
            }),
        });
        let mut workers = JoinSet::new();
        for _ in 0..WORKERS {
            let shared = Arc::clone(&shared);
            workers.spawn(async move {
                while let Some(turn) = shared.turns.turn().await {
                    shared.attempt(turn.index).await;
                }
            });
        }
        Self { shared, workers }
    }

    /// Waits until all attempts are made.
    pub async fn finish(mut self) {
        while self.workers.join_next().await.is_some() {}
        let late = std::mem::take(&mut self.shared.memory().late);
        for (due, ticket) in late {
            clock::sleep_until(due).await;
            self.shared.validate(&ticket).await;
        }
    }

    /// Begins no further attempt; what is under way is finished.
    pub async fn stop(mut self) {
        self.shared.turns.stop();
        while self.workers.join_next().await.is_some() {}
    }
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The front door or one of the nodes.
    fn door(&self) -> String {
        let count = u64::try_from(self.lab.cluster.nodes.len()).unwrap_or(1);
        let at = self.memory().rng.next_u64() % (count + 1);
        let node = usize::try_from(at).unwrap_or(0).checked_sub(1);
        node.map_or_else(
            || self.lab.cluster.front.clone(),
            |node| self.lab.cluster.node(node).url.clone(),
        )
    }

    async fn validate(&self, ticket: &Ticket) {
        let door = self.door();
        validate(&self.lab, &door, &ticket.service, &ticket.id).await;
    }

    async fn attempt(&self, index: u64) {
        self.late().await;
        self.again().await;
        let Some(mut person) = self.sign_in().await else {
            return;
        };
        let Some(ticket) = self.ticket(&mut person, index).await else {
            return;
        };
        match index % 5 {
            0 => {
                self.validate(&ticket).await;
                self.validate(&ticket).await;
                self.remember(ticket);
            }
            1 => {
                let other = Ticket {
                    service: format!("{}/other", ticket.service),
                    id: ticket.id.clone(),
                };
                self.validate(&other).await;
                self.validate(&ticket).await;
            }
            2 => {
                let id = self.forge(&ticket.id);
                let forged = Ticket {
                    id,
                    ..ticket.clone()
                };
                self.validate(&forged).await;
                self.validate(&ticket).await;
            }
            3 => {
                let due = clock::monotonic() + self.plan.late_after;
                let mut memory = self.memory();
                if memory.late.len() < LATER_MAX {
                    memory.late.push_back((due, ticket));
                }
            }
            _ => self.sign_out(person, index).await,
        }
    }

    /// Tickets that are past their life by now.
    async fn late(&self) {
        let now = clock::monotonic();
        let due = {
            let mut memory = self.memory();
            let count = memory
                .late
                .iter()
                .take_while(|(due, _)| *due <= now)
                .count();
            memory.late.drain(..count).collect::<Vec<_>>()
        };
        for (_, ticket) in due {
            self.validate(&ticket).await;
        }
    }

    /// A ticket used long ago, and somebody who signed out long ago.
    async fn again(&self) {
        let (ticket, person) = {
            let mut memory = self.memory();
            let (a, b) = (memory.rng.next_u64(), memory.rng.next_u64());
            let pick = |number: u64, count: usize| {
                let count = u64::try_from(count).ok()?;
                usize::try_from(number.checked_rem(count)?).ok()
            };
            let used = pick(a, memory.used.len());
            let out = pick(b, memory.signed_out.len());
            (
                used.and_then(|at| memory.used.get(at).cloned()),
                out.and_then(|at| memory.signed_out.get(at).cloned()),
            )
        };
        if let Some(ticket) = ticket {
            self.validate(&ticket).await;
        }
        if let Some(mut person) = person {
            let door = self.door();
            person.ticket(&door, &self.lab.service(0)).await;
        }
    }

    fn remember(&self, ticket: Ticket) {
        let mut memory = self.memory();
        memory.used.push_back(ticket);
        if memory.used.len() > REMEMBERED {
            memory.used.pop_front();
        }
    }

    async fn sign_in(&self) -> Option<Person> {
        let mut person = Person::new(&self.lab);
        let done = self.lab.try_sign_in(&mut person).await;
        matches!(done, SignIn::Done).then_some(person)
    }

    async fn ticket(&self, person: &mut Person, index: u64) -> Option<Ticket> {
        let (door, service) = (self.door(), self.lab.service(index));
        match person.ticket(&door, &service).await {
            TicketAnswer::Ticket(id) => Some(Ticket { service, id }),
            _ => None,
        }
    }

    /// The same id with one character of its random part changed.
    fn forge(&self, id: &str) -> String {
        let from = id.splitn(3, '-').take(2).map(|part| part.len() + 1).sum();
        let count = u64::try_from(id.len().saturating_sub(from)).unwrap_or(0);
        let number = self.memory().rng.next_u64();
        let at = from + usize::try_from(number.checked_rem(count).unwrap_or(0)).unwrap_or(0);
        let change = |(index, c): (usize, char)| match c {
            _ if index != at => c,
            'a' => 'b',
            _ => 'a',
        };
        id.char_indices().map(change).collect()
    }

    /// Signs out and asks at every door at once; and again later, as [`Shared::again`] finds it.
    async fn sign_out(&self, mut person: Person, index: u64) {
        let door = self.door();
        if !matches!(person.sign_out(&door).await, SignOut::Done) {
            return;
        }
        let service = self.lab.service(index);
        for node in &self.lab.cluster.nodes {
            person.ticket(&node.url, &service).await;
        }
        let mut memory = self.memory();
        memory.signed_out.push_back(person);
        if memory.signed_out.len() > REMEMBERED {
            memory.signed_out.pop_front();
        }
    }
}
