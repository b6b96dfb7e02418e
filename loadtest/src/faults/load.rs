//! The constant load during faults: pairs and sign-ins through the front door.
//!
//! Promises: open loop at a fixed rate; every acknowledged sign-in is remembered and checked
//! later; what clients saw is collected per window ([`Load::window`]).
//! Does not: keep more than [`SESSIONS_MAX`] sessions.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;

use super::Plan;
use super::course::Course;
use crate::cas;
use crate::clock;
use crate::histogram::{Latencies, Percentiles};
use crate::history::Phase;
use crate::issued::Issued;
use crate::judge::{self, Sin, Tally};
use crate::lab::Lab;
use crate::person::{Person, validate};
use crate::probes::{self, Probes};
use crate::schedule::{Schedule, Turn};

/// Most sessions remembered; further sign-ins are judged but not checked later.
const SESSIONS_MAX: usize = 100_000;
/// Workers of each kind: enough that the rate holds while each request takes its whole time-out.
const PAIR_WORKERS: usize = 256;
const SIGN_IN_WORKERS: usize = 64;

/// Attempts at what must not work, when a history is written: only there they are judged.
const PROBES_PER_SECOND: f64 = 2.0;
/// When a ticket is surely past its life: ten seconds and the tolerance of clocks, and a little.
const PROBE_LATE: Duration = Duration::from_millis(12_500);

/// A running load.
pub struct Load {
    shared: Arc<Shared>,
    workers: JoinSet<()>,
    probes: Option<Probes>,
}

struct Shared {
    lab: Lab,
    sessions: Mutex<Vec<Person>>,
    seen: Mutex<Seen>,
    issued: Issued,
    pairs: Schedule,
    sign_ins: Schedule,
    course: Arc<Course>,
}

#[derive(Default)]
struct Seen {
    tally: Tally,
    pairs: u64,
    sign_ins: u64,
    pair_time: Latencies,
    failed_sign_ins: Vec<Instant>,
}

/// What clients saw in one window.
#[derive(Debug, Serialize)]
pub struct Window {
    /// Judged answers.
    pub tally: Tally,
    /// Pairs that went right.
    pub pairs: u64,
    /// Sign-ins that went right.
    pub sign_ins: u64,
    /// Time of a pair, from the moment it was due.
    pub pair_time: Percentiles,
    /// Beginnings of the sign-ins that failed.
    #[serde(skip)]
    pub failed_sign_ins: Vec<Instant>,
}

impl Load {
    /// Starts the load over these sessions.
    pub fn start(lab: &Lab, plan: &Plan, sessions: Vec<Person>) -> Self {
        let shared = Arc::new(Shared {
            lab: lab.clone(),
            sessions: Mutex::new(sessions),
            seen: Mutex::new(Seen::default()),
            issued: Issued::default(),
            pairs: Schedule::new(u64::MAX, Some(plan.pairs_per_second)),
            sign_ins: Schedule::new(u64::MAX, Some(plan.sign_ins_per_second)),
            course: Arc::default(),
        });
        let mut workers = JoinSet::new();
        for _ in 0..PAIR_WORKERS {
            let shared = Arc::clone(&shared);
            workers.spawn(async move {
                while let Some(turn) = shared.pairs.turn().await {
                    let right = shared.pair(turn).await;
                    let took = clock::monotonic().duration_since(turn.due);
                    shared.course.pair(right, took);
                }
            });
        }
        for _ in 0..SIGN_IN_WORKERS {
            let shared = Arc::clone(&shared);
            workers.spawn(async move {
                while shared.sign_ins.turn().await.is_some() {
                    shared.sign_in().await;
                }
            });
        }
        let probes = lab.history.is_on().then(|| {
            let plan = probes::Plan {
                per_second: PROBES_PER_SECOND,
                late_after: PROBE_LATE,
                seed: plan.seed,
            };
            Probes::start(lab, plan, u64::MAX)
        });
        Self {
            shared,
            workers,
            probes,
        }
    }

    /// What was seen since the last call.
    pub fn window(&self) -> Window {
        let seen = std::mem::take(&mut *self.shared.seen());
        Window {
            tally: seen.tally,
            pairs: seen.pairs,
            sign_ins: seen.sign_ins,
            pair_time: seen.pair_time.percentiles(),
            failed_sign_ins: seen.failed_sign_ins,
        }
    }

    /// What happened when.
    pub fn course(&self) -> Arc<Course> {
        Arc::clone(&self.shared.course)
    }

    /// A fault begins or ends: noted in the history and in the course.
    pub fn nemesis(&self, what: &str, phase: Phase) {
        self.shared.lab.history.nemesis(what, phase);
        self.shared.course.mark(what, phase);
    }

    /// The sessions acknowledged so far.
    pub fn sessions(&self) -> Vec<Person> {
        self.shared.sessions().clone()
    }

    /// Ends the load; requests under way are finished.
    pub async fn stop(mut self) -> Window {
        self.shared.pairs.stop();
        self.shared.sign_ins.stop();
        if let Some(probes) = self.probes.take() {
            probes.stop().await;
        }
        while self.workers.join_next().await.is_some() {}
        self.shared.course.end();
        self.window()
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, Vec<Person>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pick(&self, index: u64) -> Option<Person> {
        let sessions = self.sessions();
        let count = u64::try_from(sessions.len()).ok()?;
        let at = usize::try_from(index.checked_rem(count)?).ok()?;
        sessions.get(at).cloned()
    }

    /// Whether a ticket was issued and validated.
    async fn pair(&self, turn: Turn) -> bool {
        let Some(mut person) = self.pick(turn.index) else {
            return false;
        };
        let front = &self.lab.cluster.front;
        let service = self.lab.service(turn.index);
        let answer = person.ticket(front, &service).await;
        let Some(ticket) = judge::ticket(&mut self.seen().tally, answer) else {
            return false;
        };
        if !self.issued.is_new(&ticket) {
            self.seen()
                .tally
                .sin(Sin::IssuedTwice, || cas::mask(&ticket));
        }
        let answer = validate(&self.lab, front, &service, &ticket).await;
        let took = clock::monotonic().duration_since(turn.due);
        let mut seen = self.seen();
        seen.pair_time.record(took);
        let user = self.lab.cluster.principal();
        let right = judge::validation(&mut seen.tally, &answer, &ticket, user);
        seen.pairs += u64::from(right);
        right
    }

    async fn sign_in(&self) {
        let began = clock::monotonic();
        let mut person = Person::new(&self.lab);
        let answer = self.lab.try_sign_in(&mut person).await;
        let mut seen = self.seen();
        if judge::sign_in(&mut seen.tally, answer) {
            seen.sign_ins += 1;
            self.course.sign_in();
            let mut sessions = self.sessions();
            if sessions.len() < SESSIONS_MAX {
                sessions.push(person);
            }
        } else {
            seen.failed_sign_ins.push(began);
        }
    }
}
