//! Beginning a session, the same for a form and a REST client, and keeping to the number of sessions
//! that a person may have.

use tokio::task::JoinSet;

use super::visit::Visitor;
use crate::ops::audit::{Action, Audit, Event};
use crate::slo::{Reason, SessionEnd, Slo};
use crate::tickets::{Look, Session, SessionStart, TicketError, Tickets};

/// Ends sessions for somebody; goes on when the request that wants it is given up.
struct Ender {
    tickets: Tickets,
    slo: Slo,
    audit: Audit,
}

impl Visitor<'_> {
    /// Begins a session, which takes the place of `replaces` as soon as the caller ends that, and
    /// records it or why not.
    pub(super) async fn begin(
        &self,
        start: SessionStart,
        replaces: Option<&Session>,
    ) -> Result<Session, TicketError> {
        let who = start.principal.id.clone();
        let begun = self.begin_within_limit(start, replaces).await;
        if let Err(error) = &begun {
            let action = Action::TicketGrantingTicketNotCreated;
            self.audit(action, Some(&who), error.to_string());
        }
        begun
    }

    async fn begin_within_limit(
        &self,
        start: SessionStart,
        replaces: Option<&Session>,
    ) -> Result<Session, TicketError> {
        let tickets = &self.cas.tickets;
        // Somebody else's session makes no room.
        let replaces = replaces.filter(|old| old.tgt.principal.id == start.principal.id);
        let replaces = replaces.map(Session::key);
        if !tickets.has_room_for(&start.principal.id, replaces) {
            return Err(TicketError::TooMany);
        }
        let session = tickets.start_session(start).await?;
        let (who, what) = (&session.tgt.principal.id, session.id.masked());
        self.audit(Action::TicketGrantingTicketCreated, Some(who), what);
        let look = Look::AfterSignIn { replaces };
        if self.end_too_many(&session, look).await {
            tickets.count_refused();
            return Err(TicketError::TooMany);
        }
        Ok(session)
    }

    /// Ends the sessions of a person that are more than there may be; whether this one is among them.
    pub(super) async fn end_too_many(&self, session: &Session, look: Look) -> bool {
        let person = &session.tgt.principal.id;
        let excess = self.cas.tickets.too_many(person, look);
        if excess.is_empty() {
            return false;
        }
        let is_one = excess.iter().any(|one| one.id == session.id);
        let ends = excess.into_iter().map(|one| {
            let end = SessionEnd {
                principal: Some(one.tgt.principal.clone()),
                ..self.session_end(&one.id, Reason::Limit)
            };
            (one, end)
        });
        let ender = Ender {
            tickets: self.cas.tickets.clone(),
            slo: self.cas.slo.clone(),
            audit: self.cas.audit.clone(),
        };
        // Nobody but this task tells the applications: it must not end with a browser that goes away.
        let all = tokio::spawn(ender.end(ends.collect()));
        if let Err(error) = all.await {
            tracing::error!(%error, "sessions beyond a person's limit were not all ended");
        }
        is_one
    }
}

impl Ender {
    async fn end(self, sessions: Vec<(Session, SessionEnd)>) {
        let mut under_way = JoinSet::new();
        // As many as one look finds, which are few.
        for (session, end) in sessions {
            let tickets = self.tickets.clone();
            under_way.spawn(async move {
                let ended = tickets.end_one_too_many(&session).await;
                (session, end, ended)
            });
        }
        while let Some(joined) = under_way.join_next().await {
            match joined {
                Ok((session, end, Ok(Some((visited, missing))))) => {
                    self.record(&session, &end);
                    self.slo.tell(SessionEnd {
                        visited,
                        partial: missing > 0,
                        ..end
                    });
                }
                Ok((_, _, Ok(None))) => {}
                Ok((_, _, Err(error))) => {
                    tracing::warn!(%error, "a session beyond a person's limit lives on");
                }
                Err(error) => tracing::error!(%error, "ending a session failed"),
            }
        }
    }

    fn record(&self, session: &Session, end: &SessionEnd) {
        self.audit.record(&Event {
            action: Action::TicketGrantingTicketDestroyed,
            who: Some(session.tgt.principal.id.clone()),
            what: format!("{} was one session too many", session.id.masked()),
            client: end.by.client,
            request: end.by.request.clone(),
        });
    }
}
