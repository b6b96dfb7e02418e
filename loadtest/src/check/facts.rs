//! The first pass: what was given out, to whom, and when, and when faults were on.
//!
//! Promises: memory in proportion to tickets and sessions, bounded by the limits.
//! Does not: look at validations or refusals.

use std::collections::HashMap;
use std::path::Path;

use super::read::{BadHistory, Lines};
use super::single_use::SingleUse;
use super::windows::Windows;
use super::{Limits, SESSION_LIFE, TICKET_LIFE, micros};
use crate::history::{Call, Header, Line, Op, Out};

/// A text that occurs often, as a number.
pub(super) type Id = u32;

/// Numbers for texts.
#[derive(Debug, Default)]
pub(super) struct Ids {
    by_text: HashMap<Box<str>, Id>,
}

impl Ids {
    pub(super) fn get(&self, text: &str) -> Option<Id> {
        self.by_text.get(text).copied()
    }

    /// The number of `text`, and whether it is new.
    pub(super) fn put(&mut self, text: &str) -> (Id, bool) {
        if let Some(id) = self.get(text) {
            return (id, false);
        }
        let id = Id::try_from(self.by_text.len()).unwrap_or(Id::MAX);
        self.by_text.insert(text.into(), id);
        (id, true)
    }

    pub(super) fn len(&self) -> usize {
        self.by_text.len()
    }

    fn text(&self, id: Id) -> &str {
        // Only for examples, of which there are few.
        let found = self.by_text.iter().find(|(_, other)| **other == id);
        found.map_or("?", |(text, _)| text)
    }
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    /// Who signed in; nothing when the sign-in is not in the history.
    pub(super) user: Option<Id>,
    /// End of the sign-in.
    pub(super) acknowledged: u64,
    /// Begin of the first attempt to sign out.
    pub(super) out_began: u64,
    /// Earliest acknowledgement of a sign-out.
    pub(super) out_acknowledged: u64,
    /// Begin of the latest call that gave a ticket.
    pub(super) last_ticket: Option<u64>,
    /// First line that names it.
    pub(super) line: u64,
}

/// A ticket that was given out.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) session: Id,
    pub(super) service: Id,
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) line: u64,
    pub(super) success_line: u64,
    pub(super) single_use: SingleUse,
}

/// What the first pass finds.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) ticket_life: u64,
    pub(super) session_life: u64,
    pub(super) windows: Windows,
    pub(super) session_ids: Ids,
    pub(super) sessions: Vec<Session>,
    pub(super) ticket_ids: Ids,
    pub(super) tickets: Vec<Ticket>,
    pub(super) texts: Ids,
    /// Lines that gave out a ticket that had been given out before.
    pub(super) issued_twice: Vec<(u64, Id)>,
}

impl Facts {
    pub(super) fn gather(file: &Path, limits: &Limits) -> Result<Self, BadHistory> {
        let mut facts = Self::default();
        for line in Lines::open(file)? {
            let (number, line) = line?;
            let taken = facts.take(number, &line, limits);
            taken.map_err(|what| BadHistory::at(file, number, what))?;
        }
        facts.windows.close();
        for session in &facts.sessions {
            if session.user.is_none() {
                let what = "this session's sign-in is not in the history";
                return Err(BadHistory::at(file, session.line, what));
            }
        }
        Ok(facts)
    }

    fn take(&mut self, number: u64, line: &Line, limits: &Limits) -> Result<(), String> {
        match line {
            Line::Header(header) => self.header(header, limits),
            Line::Nemesis { name, phase, at } => self.windows.take(name, *phase, *at)?,
            Line::Call(call) => self.call(number, call)?,
            Line::End => {}
        }
        if self.sessions.len() + self.tickets.len() > limits.entries_max {
            return Err(format!(
                "more than {} tickets and sessions (--entries-max)",
                limits.entries_max
            ));
        }
        Ok(())
    }

    fn header(&mut self, header: &Header, limits: &Limits) {
        let life = |own: Option<u64>, given: Option<_>, default| {
            let own = own.map(std::time::Duration::from_millis);
            micros(given.or(own).unwrap_or(default))
        };
        self.ticket_life = life(header.ticket_life_ms, limits.ticket_life, TICKET_LIFE);
        self.session_life = life(header.session_life_ms, limits.session_life, SESSION_LIFE);
    }

    fn call(&mut self, number: u64, call: &Call) -> Result<(), String> {
        match (&call.op, &call.out, call.ended) {
            (Op::Login { user }, Out::Ok(name), Some(ended)) => {
                let user = self.texts.put(user).0;
                let session = self.session(name, number);
                if session.user.replace(user).is_some() {
                    return Err(format!("session {name:?} was signed in before"));
                }
                session.acknowledged = ended;
            }
            (Op::Logout { session }, out, ended) => {
                let session = self.session(session, number);
                session.out_began = session.out_began.min(call.began);
                if let (Out::Ok(_), Some(ended)) = (out, ended) {
                    session.out_acknowledged = session.out_acknowledged.min(ended);
                }
            }
            (Op::Issue { session, service }, Out::Ok(ticket), Some(ended)) => {
                let service = self.texts.put(service).0;
                let held = self.session(session, number);
                held.last_ticket = held.last_ticket.max(Some(call.began));
                let session = self.session_ids.put(session).0;
                let (id, new) = self.ticket_ids.put(ticket);
                if !new {
                    self.issued_twice.push((number, id));
                    return Ok(());
                }
                self.tickets.push(Ticket {
                    session,
                    service,
                    began: call.began,
                    ended,
                    line: number,
                    success_line: 0,
                    single_use: SingleUse::default(),
                });
            }
            (Op::Issue { session, .. }, ..) => {
                self.session(session, number);
            }
            _ => {}
        }
        Ok(())
    }

    fn session(&mut self, name: &str, line: u64) -> &mut Session {
        let (id, new) = self.session_ids.put(name);
        if new {
            self.sessions.push(Session {
                user: None,
                acknowledged: 0,
                out_began: u64::MAX,
                out_acknowledged: u64::MAX,
                last_ticket: None,
                line,
            });
        }
        let index = id as usize;
        &mut self.sessions[index]
    }

    pub(super) fn ticket_name(&self, id: Id) -> &str {
        self.ticket_ids.text(id)
    }

    pub(super) fn session_name(&self, id: Id) -> &str {
        self.session_ids.text(id)
    }
}
