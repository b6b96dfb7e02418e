//! What a reusable ticket is worth now: read from the store, and asked of the others where this node
//! may know less than they do (rules 14 and 17).

use castor_proto::ticket::{TicketId, TicketKey};

use super::handle::{Handle, Request};
use crate::engine::{Command, Liveness, Reply, Ticket};

/// Most questions to the others about one ticket: itself unknown, its session unknown, then idle.
const QUESTIONS_MAX: usize = 3;

/// What a look-up found.
#[derive(Debug, Clone)]
pub enum LookUp {
    /// Usable now.
    Live(Box<Ticket>),
    /// Nobody has it.
    Unknown,
    /// Signed out, ended by an operator, or replaced; or an ancestor was.
    Destroyed,
    /// Past its end; or an ancestor is.
    Expired,
    /// Not used for too long.
    Idle,
    /// Somebody who may know it did not answer.
    Unreachable,
}

impl Handle {
    /// A reusable ticket, asking the other nodes when this one does not know it or its session, or
    /// has not seen the session used for long. Each question waits at most 300 ms; there are at most
    /// [`QUESTIONS_MAX`].
    pub async fn look_up(&self, id: &TicketId) -> LookUp {
        let key = id.key();
        let mut asked = Vec::with_capacity(QUESTIONS_MAX);
        let mut complete = true;
        loop {
            let (found, about) = self.judge(&key);
            let everyone = match found {
                LookUp::Unknown if about == key && !self.is_genuine(id) => return found,
                LookUp::Unknown => false,
                LookUp::Idle => true,
                _ => return found,
            };
            if asked.len() == QUESTIONS_MAX || asked.contains(&(about, everyone)) {
                return match found {
                    LookUp::Unknown if !complete => LookUp::Unreachable,
                    found => found,
                };
            }
            asked.push((about, everyone));
            let command = Command::Find {
                key: about,
                everyone,
            };
            let answer = self.ask(Request::Command(command)).await;
            complete &= matches!(answer, Ok(Reply::Found { complete: true, .. }));
        }
    }

    /// Rule 14: itself and every ancestor; and the ticket that decided it.
    fn judge(&self, key: &TicketKey) -> (LookUp, TicketKey) {
        let unknown = |key: &TicketKey| match self.store.is_destroyed(key) {
            true => LookUp::Destroyed,
            false => LookUp::Unknown,
        };
        let now = self.now();
        let Some(ticket) = self.store.find(key) else {
            return (unknown(key), *key);
        };
        for ancestor in &ticket.body.ancestors {
            match self.store.find(ancestor).map(|found| found.liveness(now)) {
                Some(Liveness::Live) => {}
                Some(Liveness::Destroyed) => return (LookUp::Destroyed, *ancestor),
                Some(Liveness::Expired) => return (LookUp::Expired, *ancestor),
                Some(Liveness::Idle) => return (LookUp::Idle, *ancestor),
                None => return (unknown(ancestor), *ancestor),
            }
        }
        let found = match ticket.liveness(now) {
            Liveness::Live => LookUp::Live(Box::new(ticket)),
            Liveness::Idle => LookUp::Idle,
            Liveness::Expired => LookUp::Expired,
            Liveness::Destroyed => LookUp::Destroyed,
        };
        (found, *key)
    }
}
