//! One worker: a connection to each door, whole requests made before the clock starts, and the
//! judgement of what comes back.
//!
//! Promises: an answer that is byte for byte one that was judged right before is right; any other
//! is read as a client reads it. Does not: decide when ([`super::pace`]).

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::pace::{Pace, Turn};
use super::target::{Target, path_of};
use super::{Measured, Operation, Plan, too_late};
use crate::cas::validation::{self, Validation};
use crate::cas::{self, TicketAnswer, form};
use crate::clock;
use crate::history::Op;
use crate::http::lean::{Lean, Reply};
use crate::http::{CallError, encode};
use crate::judge::{self, Sin};
use crate::person::{self, Person, SignIn};
use crate::stop::Stop;

/// One worker.
pub struct Worker {
    target: Arc<Target>,
    doors: Vec<Door>,
    number: usize,
    /// For each service the last validation that was read and found right.
    known: Vec<Vec<u8>>,
    request: Vec<u8>,
    measured: Measured,
}

struct Door {
    /// Its base URL.
    base: String,
    lean: Lean,
    /// Ticket requests, whole, for each service.
    issue: Vec<Vec<u8>>,
    /// Validations up to the ticket, for each service.
    validate: Vec<Vec<u8>>,
    /// What comes after the ticket.
    tail: Vec<u8>,
}

impl Door {
    fn new(target: &Target, base: &str, number: usize) -> anyhow::Result<Self> {
        let lean = target.client.lean(base)?;
        let path = path_of(base);
        let agent = concat!("castor-loadtest/", env!("CARGO_PKG_VERSION"));
        let rest = format!(
            " HTTP/1.1\r\nHost: {}\r\nUser-Agent: {agent}\r\n",
            lean.authority()
        );
        let cookies = target.cookies.len().max(1);
        let cookie = target.cookies.get(number % cookies).map(String::as_str);
        let cookie = cookie.unwrap_or_default();
        let issue = |service: &String| {
            let service = encode(service);
            format!("GET {path}/login?service={service}{rest}Cookie: {cookie}\r\n\r\n").into_bytes()
        };
        let validate = |service: &String| {
            let service = encode(service);
            format!("GET {path}/serviceValidate?service={service}&ticket=").into_bytes()
        };
        Ok(Self {
            issue: target.services.iter().map(issue).collect(),
            validate: target.services.iter().map(validate).collect(),
            tail: format!("{rest}\r\n").into_bytes(),
            base: base.to_owned(),
            lean,
        })
    }
}

impl Worker {
    /// Opens its connections.
    ///
    /// # Errors
    /// When a door cannot be reached.
    pub async fn connect(target: &Arc<Target>, number: usize) -> anyhow::Result<Self> {
        let mut doors = Vec::with_capacity(target.doors.len());
        for base in &target.doors {
            let mut door = Door::new(target, base, number)?;
            door.lean.open().await.with_context(|| base.clone())?;
            doors.push(door);
        }
        Ok(Self {
            target: Arc::clone(target),
            doors,
            number,
            known: vec![Vec::new(); target.services.len()],
            request: Vec::with_capacity(1024),
            measured: Measured::default(),
        })
    }

    /// Works until the time is over.
    pub async fn run(mut self, pace: Arc<Pace>, plan: Plan, stop: Stop) -> Measured {
        // True when the time for answers is over, false when the whole run ends early.
        let mut over = pin!(async {
            tokio::select! {
                () = clock::sleep_until(pace.deadline()) => true,
                () = stop.wait() => false,
            }
        });
        while !stop.is_set() {
            let turn = tokio::select! {
                biased;
                turn = pace.turn() => turn,
                _ = &mut over => None,
            };
            let Some(turn) = turn else {
                break;
            };
            let wrong = self.measured.tally.wrong();
            let ended = tokio::select! {
                biased;
                right = self.operation(&plan, &pace, turn) => {
                    if !right {
                        self.lost(&plan, &pace, turn.due);
                    }
                    false
                }
                late = &mut over => {
                    if late {
                        too_late(&mut self.measured.tally);
                        self.lost(&plan, &pace, turn.due);
                    }
                    true
                }
            };
            plan.tell(self.measured.tally.wrong() - wrong);
            if ended {
                break;
            }
        }
        self.measured
    }

    /// Whether it was answered rightly.
    async fn operation(&mut self, plan: &Plan, pace: &Pace, turn: Turn) -> bool {
        match plan.operation {
            Operation::Issue => self.issued(pace, turn).await.is_some(),
            Operation::Validate => self.issued_before(pace, turn).await,
            Operation::Pair => self.pair(plan, pace, turn).await,
            Operation::Login => self.login(pace, turn).await,
            Operation::Logout => self.logout(pace, turn).await,
        }
    }

    /// Counts an operation that was answered rightly at `end`, `time` after it was due.
    fn done(&mut self, pace: &Pace, turn: Turn, end: Instant, time: Duration) -> bool {
        let counts = pace.counts(turn.due, end);
        if counts {
            self.measured.whole.record(time);
        }
        self.measured.operations += u64::from(pace.is_done(end));
        counts
    }

    /// An operation without an answer in time has waited at least so long.
    fn lost(&mut self, plan: &Plan, pace: &Pace, due: Instant) {
        let end = clock::monotonic();
        let time = end.saturating_duration_since(due);
        if time >= self.target.client.timeout() && pace.counts(due, end) {
            self.measured.waited(plan.operation, time, 1);
        }
    }

    /// Asks for a ticket, measured alone.
    async fn issued(&mut self, pace: &Pace, turn: Turn) -> Option<String> {
        let ticket = self.issue(turn.index).await?;
        let end = clock::monotonic();
        let time = end.duration_since(turn.due);
        if self.done(pace, turn, end, time) {
            self.measured.issue.record(time);
        }
        Some(ticket)
    }

    async fn pair(&mut self, plan: &Plan, pace: &Pace, turn: Turn) -> bool {
        let late = lateness(turn);
        let Some(ticket) = self.issue(turn.index).await else {
            return false;
        };
        let between = clock::monotonic();
        if !self.validate(turn.index, 1, &ticket, false).await {
            return false;
        }
        let end = clock::monotonic();
        if self.done(pace, turn, end, end.duration_since(turn.due)) {
            let took = end.duration_since(between);
            self.measured.issue.record(between.duration_since(turn.due));
            self.measured.validate.record(late + took);
            self.measured.asked.record(took);
        }
        if plan.replay_every > 0
            && turn.index.is_multiple_of(plan.replay_every)
            && self.target.issued.is_some()
        {
            self.validate(turn.index, 2, &ticket, true).await;
        }
        true
    }

    /// Workers begin at different doors and services.
    pub(super) fn first_index(&self) -> u64 {
        u64::try_from(self.number).unwrap_or(0)
    }

    /// Counts what was prepared before and took `time`.
    pub(super) fn count(&mut self, operation: Operation, time: Duration) {
        self.measured.operations += 1;
        self.measured.whole.record(time);
        if operation == Operation::Validate {
            self.measured.validate.record(time);
            self.measured.asked.record(time);
        }
    }

    /// What has been wrong so far.
    pub(super) fn wrong(&self) -> u64 {
        self.measured.tally.wrong()
    }

    pub(super) fn into_measured(self) -> Measured {
        self.measured
    }

    /// The ticket is not part of what is measured.
    async fn issued_before(&mut self, pace: &Pace, turn: Turn) -> bool {
        let late = lateness(turn);
        let Some(ticket) = self.issue(turn.index).await else {
            return false;
        };
        let start = clock::monotonic();
        if !self.validate(turn.index, 1, &ticket, false).await {
            return false;
        }
        let end = clock::monotonic();
        let took = end.duration_since(start);
        if self.done(pace, turn, end, late + took) {
            self.measured.validate.record(late + took);
            self.measured.asked.record(took);
        }
        true
    }

    async fn login(&mut self, pace: &Pace, turn: Turn) -> bool {
        let mut person = Person::new(&self.target.lab);
        let answer = self.target.lab.try_sign_in(&mut person).await;
        let end = clock::monotonic();
        let right = judge::sign_in(&mut self.measured.tally, answer);
        if right {
            self.done(pace, turn, end, end.duration_since(turn.due));
        }
        right
    }

    /// The session is not part of what is measured.
    async fn logout(&mut self, pace: &Pace, turn: Turn) -> bool {
        let late = lateness(turn);
        let Some(person) = self.session().await else {
            return false;
        };
        let start = clock::monotonic();
        let right = self.end(&person).await;
        let end = clock::monotonic();
        if right {
            self.done(pace, turn, end, late + end.duration_since(start));
        }
        right
    }

    /// Makes a session to be ended.
    pub(super) async fn session(&mut self) -> Option<Person> {
        let lab = self.target.lab.clone();
        let mut person = Person::new(&lab);
        if matches!(lab.try_sign_in(&mut person).await, SignIn::Done) {
            return Some(person);
        }
        let what = || "a session to end could not be made".to_owned();
        self.measured.tally.sin(Sin::Unanswered, what);
        None
    }

    /// Ends a session; whether that was acknowledged.
    pub(super) async fn end(&mut self, person: &Person) -> bool {
        let answer = person.sign_out(&self.target.lab.cluster.front).await;
        judge::sign_out(&mut self.measured.tally, answer)
    }

    /// Asks for a ticket.
    pub(super) async fn issue(&mut self, index: u64) -> Option<String> {
        let service = place(index, self.target.services.len());
        let at = place(index, self.doors.len());
        let door = self.doors.get_mut(at)?;
        let url = self.target.services.get(service)?;
        let session = self.number % self.target.sessions.len().max(1);
        let pending = self.target.lab.history.begin(&door.base, || Op::Issue {
            session: self
                .target
                .sessions
                .get(session)
                .cloned()
                .unwrap_or_default(),
            service: url.clone(),
        });
        let reply = door.lean.exchange(door.issue.get(service)?).await;
        let answer = read_ticket(reply, url);
        pending.end(|history| person::issued(history, &answer));
        let ticket = judge::ticket(&mut self.measured.tally, answer)?;
        if let Some(issued) = &self.target.issued
            && !issued.is_new(&ticket)
        {
            let what = || cas::mask(&ticket);
            self.measured.tally.sin(Sin::IssuedTwice, what);
        }
        Some(ticket)
    }

    /// Validates `ticket` `step` doors after the one that issued it.
    pub(super) async fn validate(
        &mut self,
        index: u64,
        step: u64,
        ticket: &str,
        again: bool,
    ) -> bool {
        let service = place(index, self.target.services.len());
        let at = place(index + step, self.doors.len());
        let (Some(door), Some(known)) = (self.doors.get_mut(at), self.known.get_mut(service))
        else {
            return false;
        };
        self.request.clear();
        if let Some(head) = door.validate.get(service) {
            self.request.extend_from_slice(head);
        }
        // A ticket that was read has no character that needs encoding.
        self.request.extend_from_slice(ticket.as_bytes());
        self.request.extend_from_slice(&door.tail);
        let history = &self.target.lab.history;
        let url = self.target.services.get(service).map_or("", String::as_str);
        let pending = person::begin(history, &door.base, url, ticket);
        let reply = door.lean.exchange(&self.request).await;
        // Read at once only for a history: an answer that is known need not be read.
        pending.end_with(|history| person::outcome(history, &read_validation(&reply)));
        let tally = &mut self.measured.tally;
        if again {
            judge::replay(tally, &read_validation(&reply), ticket);
            return true;
        }
        if let Ok(reply) = &reply
            && reply.status == 200
            && !known.is_empty()
            && reply.body == known.as_slice()
        {
            tally.right();
            return true;
        }
        let answer = read_validation(&reply);
        let right = judge::validation(tally, &answer, ticket, &self.target.user)
            && self.target.released.are_right(tally, &answer, ticket);
        if right && let Ok(reply) = &reply {
            known.clear();
            known.extend_from_slice(reply.body);
        }
        right
    }
}

/// How long after it was due an operation begins.
fn lateness(turn: Turn) -> Duration {
    clock::monotonic().saturating_duration_since(turn.due)
}

fn place(index: u64, count: usize) -> usize {
    let count = u64::try_from(count).unwrap_or(1).max(1);
    usize::try_from(index % count).unwrap_or(0)
}

fn read_ticket(reply: Result<Reply<'_>, CallError>, service: &str) -> TicketAnswer {
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => return TicketAnswer::Failed(error),
    };
    match reply.status {
        301..=303 => {
            let ticket = reply
                .header("location")
                .and_then(|location| cas::ticket_in(location, service));
            match ticket {
                Some(ticket) => TicketAnswer::Ticket(ticket.to_owned()),
                None => TicketAnswer::Odd("redirect without a ticket for the service".to_owned()),
            }
        }
        200 if form::find(&String::from_utf8_lossy(reply.body)).is_some() => TicketAnswer::Form,
        status @ 500..=599 => TicketAnswer::Unavailable(status),
        status => TicketAnswer::Odd(format!("status {status}")),
    }
}

fn read_validation(reply: &Result<Reply<'_>, CallError>) -> Validation {
    match reply {
        Ok(reply) => match reply.status {
            200 => validation::parse(reply.body).unwrap_or_else(Validation::Odd),
            status @ 500..=599 => Validation::Unavailable(status),
            status => Validation::Odd(format!("status {status}")),
        },
        Err(error) => Validation::Failed(CallError::Broken(error.to_string())),
    }
}
