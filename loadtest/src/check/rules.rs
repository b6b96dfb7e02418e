//! The second pass: every answer against what was given out.
//!
//! Promises: each rule has one place here; a broken rule names the lines that show it.
//! Does not: count a call without an answer against anybody.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::facts::{Facts, Id};
use super::verdict::{Bounded, Fault, Rule, Verdict};
use super::{Limits, micros};
use crate::history::{Call, FRONT, Line, Op, Out};

/// Name of the time without faults.
const CALM: &str = "no fault";

struct Micros {
    tolerance: u64,
    visible: u64,
    logout: u64,
    healed: u64,
}

/// Moments with their lines.
#[derive(Clone, Copy)]
struct AfterOut {
    /// End of the first refusal.
    refused: (u64, u64),
    /// Begin of the last call that gave a ticket.
    ticket: Option<(u64, u64)>,
}

impl Default for AfterOut {
    fn default() -> Self {
        Self {
            refused: (u64::MAX, 0),
            ticket: None,
        }
    }
}

/// Rules at work.
pub(super) struct Rules {
    facts: Facts,
    limits: Limits,
    bounds: Micros,
    verdict: Verdict,
    /// Last end of each process that still may call; nothing after an unknown outcome.
    processes: HashMap<u64, Option<u64>>,
    /// First digest of attributes for each session and service, with its line.
    attributes: HashMap<(Id, Id), (String, u64)>,
    /// What each door said of a session after its sign-out had begun.
    after_out: HashMap<(Id, String), AfterOut>,
    /// Sessions that were refused after they should be visible, with end of the refusal and line.
    invisible: HashMap<Id, (u64, u64)>,
}

impl Rules {
    pub(super) fn new(facts: Facts, limits: &Limits) -> Self {
        Self {
            facts,
            bounds: Micros {
                tolerance: micros(limits.clock_tolerance),
                visible: micros(limits.visible_within),
                logout: micros(limits.logout_within),
                healed: micros(limits.healed_within),
            },
            limits: limits.clone(),
            verdict: Verdict::default(),
            processes: HashMap::new(),
            attributes: HashMap::new(),
            after_out: HashMap::new(),
            invisible: HashMap::new(),
        }
    }

    /// Takes a line.
    ///
    /// # Errors
    /// When it contradicts the lines before it.
    pub(super) fn take(&mut self, number: u64, line: &Line) -> Result<(), String> {
        let Line::Call(call) = line else {
            return Ok(());
        };
        self.one_at_a_time(call)?;
        self.verdict.count(call);
        match &call.op {
            Op::Issue { session, .. } => self.issue(number, call, session),
            Op::Validate { ticket, service } => self.validate(number, call, ticket, service),
            Op::Login { .. } | Op::Logout { .. } | Op::Probe => {}
        }
        Ok(())
    }

    fn one_at_a_time(&mut self, call: &Call) -> Result<(), String> {
        let last = self.processes.entry(call.process).or_insert(Some(0));
        match *last {
            None => Err(format!(
                "process {} calls again after an unknown outcome",
                call.process
            )),
            Some(last) if call.began < last => Err(format!(
                "process {} begins at {} before its last call ended at {last}",
                call.process, call.began
            )),
            Some(_) => {
                *last = call.ended;
                Ok(())
            }
        }
    }

    fn issue(&mut self, number: u64, call: &Call, name: &str) {
        let Some(id) = self.facts.session_ids.get(name) else {
            return;
        };
        let (Some(session), Some(ended)) = (self.facts.sessions.get(id as usize), call.ended)
        else {
            return;
        };
        if ended > session.out_began {
            let door = self.after_out.entry((id, call.at.clone())).or_default();
            // Whether a sign-out that nobody got an answer to was done is told by a refusal, but not by one in a
            // fault: a node that lost everybody while it filled itself begins alone and knows no session.
            let tells = ended > session.out_acknowledged
                || self.facts.windows.at(ended, self.bounds.healed).is_none();
            match call.out {
                Out::Ok(_) => door.ticket = door.ticket.max(Some((call.began, number))),
                _ if tells => door.refused = door.refused.min((ended, number)),
                _ => {}
            }
        }
        // What nobody may know yet, or must have forgotten, and was asked all the same.
        if call.began > session.out_acknowledged {
            self.verdict.b2.looked();
        } else if ended > session.acknowledged && ended <= session.out_began {
            self.verdict.b1.looked();
        }
        match &call.out {
            Out::Ok(_) => {
                let end = session
                    .acknowledged
                    .saturating_add(self.facts.session_life)
                    .saturating_add(self.bounds.tolerance);
                if call.began > end {
                    let says = || format!("line {number}: a ticket of a session past its life");
                    self.verdict.broken(Rule::S3, says);
                }
                let (out, bounds) = (session.out_acknowledged, &self.bounds);
                let windows = &self.facts.windows;
                if call.began > out
                    && !windows.had_time(out, call.began, bounds.logout, bounds.healed)
                {
                    self.verdict.b2.seen(call.began - out);
                }
            }
            Out::Fail(_) if ended <= session.out_began => {
                self.refused(number, call.began, ended, id);
            }
            _ => {}
        }
    }

    /// A session that nobody signed out was not known somewhere.
    fn refused(&mut self, number: u64, began: u64, ended: u64, id: Id) {
        let session = &self.facts.sessions[id as usize];
        let alive_until = session
            .acknowledged
            .saturating_add(self.facts.session_life)
            .saturating_sub(self.bounds.tolerance);
        if ended <= session.acknowledged || ended >= alive_until {
            return;
        }
        let windows = &self.facts.windows;
        let (visible, healed) = (self.bounds.visible, self.bounds.healed);
        if !windows.had_time(session.acknowledged, began, visible, healed) {
            let late = began.saturating_sub(session.acknowledged);
            self.verdict.b1.seen(late);
            return;
        }
        if session.last_ticket.is_some_and(|last| last > ended) {
            let says = || {
                let name = self.facts.session_name(id);
                format!("line {number}: session {name} is not known here, and later it is")
            };
            self.verdict.b1.broken(says);
            return;
        }
        let last = self.invisible.entry(id).or_insert((ended, number));
        if ended > last.0 {
            *last = (ended, number);
        }
    }

    fn validate(&mut self, number: u64, call: &Call, name: &str, service: &str) {
        let label = self.facts.windows.at(call.began, self.bounds.healed);
        let label = label.unwrap_or(CALM).to_owned();
        let Some(id) = self.facts.ticket_ids.get(name) else {
            if let Out::Ok(_) = call.out {
                let says = || format!("line {number}: ticket {name} was never given out");
                self.verdict.broken(Rule::S2, says);
            }
            return;
        };
        let wanted = self.facts.texts.get(service);
        let ticket = &mut self.facts.tickets[id as usize];
        let right_service = wanted == Some(ticket.service);
        let alive_until = ticket.began.saturating_add(self.facts.ticket_life);
        let alive_until = alive_until.saturating_sub(self.bounds.tolerance);
        let session = &self.facts.sessions[ticket.session as usize];
        let in_time = |at: u64| at < alive_until && at <= session.out_began;
        let fault = self.verdict.b4.entry(label).or_default();
        match (&call.out, call.ended) {
            (Out::Ok(user), Some(ended)) => {
                fault.validations += 1;
                ticket.single_use.success(call.began);
                let first = std::mem::replace(&mut ticket.success_line, number);
                self.success(number, call, id, user, ended);
                if first > 0 {
                    let says = || {
                        let name = self.facts.ticket_name(id);
                        format!("lines {first} and {number}: ticket {name} was validated twice")
                    };
                    self.verdict.broken(Rule::S1, says);
                } else if !right_service {
                    let says = || format!("line {number}: validated for another service");
                    self.verdict.broken(Rule::S2, says);
                }
            }
            (Out::Fail(_), Some(ended)) if right_service => {
                fault.validations += 1;
                if in_time(ended) {
                    ticket.single_use.refused(ended);
                }
            }
            (Out::Unknown, _) => {
                fault.validations += 1;
                fault.unanswered += 1;
                ticket.single_use.open(call.began);
            }
            // An attempt for another service uses the ticket up.
            _ => ticket.single_use.open(call.began),
        }
    }

    fn success(&mut self, number: u64, call: &Call, id: Id, user: &str, ended: u64) {
        let ticket = &self.facts.tickets[id as usize];
        if ticket.began > ended {
            let says = || format!("line {number}: validated before it was given out");
            self.verdict.broken(Rule::S2, says);
        }
        let end = ticket
            .ended
            .saturating_add(self.facts.ticket_life)
            .saturating_add(self.bounds.tolerance);
        if call.began > end {
            let late = call.began.saturating_sub(ticket.ended) / 1000;
            let says = || {
                format!(
                    "line {number}: validated {late} ms after line {}",
                    ticket.line
                )
            };
            self.verdict.broken(Rule::S3, says);
        }
        let session = &self.facts.sessions[ticket.session as usize];
        if self.facts.texts.get(user) != session.user {
            let says = || {
                let name = self.facts.session_name(ticket.session);
                format!("line {number}: a ticket of session {name} names {user}")
            };
            self.verdict.broken(Rule::S5, says);
        }
        if let Some(digest) = &call.attributes {
            let key = (ticket.session, ticket.service);
            let first = self
                .attributes
                .entry(key)
                .or_insert_with(|| (digest.clone(), number));
            if first.0 != *digest {
                let says = || format!("lines {} and {number}: other attributes", first.1);
                self.verdict.broken(Rule::S5, says);
            }
        }
    }

    /// Judges what needs the whole history.
    pub(super) fn finish(mut self, file: &Path) -> Verdict {
        for (number, id) in std::mem::take(&mut self.facts.issued_twice) {
            let line = self.facts.tickets[id as usize].line;
            let says = || format!("lines {line} and {number}: the same ticket was given out twice");
            self.verdict.broken(Rule::S2, says);
        }
        self.signed_out();
        let mut invisible: Vec<_> = std::mem::take(&mut self.invisible).into_iter().collect();
        let never = |(id, _): &&(Id, _)| self.facts.sessions[*id as usize].last_ticket.is_none();
        let lost = invisible.iter().filter(never).count();
        let worked = self.facts.sessions.iter();
        let worked = worked.filter(|session| session.last_ticket.is_some());
        self.verdict.b3.looked_at = u64::try_from(worked.count() + lost).unwrap_or(u64::MAX);
        invisible.sort_unstable();
        for (id, (_, number)) in invisible {
            let says = || {
                let name = self.facts.session_name(id);
                format!("line {number}: session {name} is lost, nobody signed it out")
            };
            self.verdict.b3.broken(says);
        }
        self.false_refusals();
        self.verdict.tickets = self.facts.ticket_ids.len();
        self.verdict.sessions = self.facts.session_ids.len();
        self.verdict.conclude(file, &self.limits);
        self.verdict
    }

    /// Tickets after a sign-out: at one node never after a refusal, anywhere only within the bound.
    fn signed_out(&mut self) {
        let mut anywhere: BTreeMap<Id, AfterOut> = BTreeMap::new();
        for ((id, door), said) in &self.after_out {
            let all = anywhere.entry(*id).or_default();
            all.refused = all.refused.min(said.refused);
            all.ticket = all.ticket.max(said.ticket);
            // The front door is not one node: it may ask another that has not heard yet.
            if let Some((began, line)) = said.ticket.filter(|_| door != FRONT)
                && began > said.refused.0
            {
                let first = said.refused.1;
                let says = || format!("lines {first} and {line}: {door} took a sign-out back");
                self.verdict.broken(Rule::S4, says);
            }
        }
        for (id, said) in anywhere {
            let session = &self.facts.sessions[id as usize];
            let since = session.out_acknowledged.min(said.refused.0);
            let (windows, bound, healed) =
                (&self.facts.windows, self.bounds.logout, self.bounds.healed);
            let late = said.ticket.filter(|(began, _)| {
                *began > since && windows.had_time(since, *began, bound, healed)
            });
            if let Some((began, line)) = late {
                let ms = (began - since) / 1000;
                let name = self.facts.session_name(id);
                let says =
                    || format!("line {line}: session {name} works {ms} ms after its sign-out");
                self.verdict.b2.beyond += 1;
                self.verdict.broken(Rule::S4, says);
            }
        }
    }

    fn false_refusals(&mut self) {
        for (index, ticket) in self.facts.tickets.iter().enumerate() {
            let Some(at) = ticket.single_use.refused_unused() else {
                continue;
            };
            let label = self.facts.windows.at(at, self.bounds.healed);
            let fault = self.verdict.b4.entry(label.unwrap_or(CALM).to_owned());
            let fault: &mut Fault = fault.or_default();
            fault.refused += 1;
            fault.calm = label.is_none();
            if self.verdict.refused_examples.len() < Bounded::EXAMPLES_MAX {
                let id = Id::try_from(index).unwrap_or(Id::MAX);
                let name = self.facts.ticket_name(id);
                let says = format!("line {}: ticket {name} was refused unused", ticket.line);
                self.verdict.refused_examples.push(says);
            }
        }
    }
}
