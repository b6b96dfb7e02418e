//! Single sign-on sessions: ticket-granting tickets.

use std::sync::Arc;

use castor_proto::delta::DestroyReason;
use castor_proto::ids::WallMs;
use castor_proto::ticket::{Payload, Principal, Tgt, TicketBody, TicketId, TicketKey};
use castor_replication::driver::LookUp;
use castor_replication::engine::{Destroyed, NewReusable};

use super::{TicketError, Tickets, Visited};

/// A session that can be used now.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// Its ticket id: a credential, for the cookie only.
    pub id: TicketId,
    /// What it says.
    pub tgt: Tgt,
    /// When it began.
    pub created: WallMs,
    /// When it ends at the latest.
    pub hard_expiry: WallMs,
    /// When it was used last, as far as this node knows.
    pub last_used: WallMs,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({})", self.id.masked())
    }
}

/// What a session's ticket id stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A session.
    Live(Box<Session>),
    /// None any more, or never; the cookie should go.
    Gone,
    /// Nodes that may know it do not answer; none for this request only.
    Undecided,
}

/// Who begins a session, and how.
#[derive(Debug, Clone)]
pub struct SessionStart {
    /// The person.
    pub principal: Principal,
    /// The handler that accepted the credential.
    pub handler: &'static str,
    /// Whether the person asked to be remembered.
    pub remember_me: bool,
    /// Address of the browser.
    pub client_address: String,
    /// The application at which it begins wants it to live no longer than this, in seconds.
    pub max_life: Option<u32>,
    /// That application wants no longer pause between two uses than this, in seconds.
    pub max_idle: Option<u32>,
}

/// How ending a session went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// There was one.
    pub existed: bool,
    /// Peers that have not acknowledged it yet.
    pub missing: usize,
    /// Applications that are to be told; none when somebody else ended it before.
    pub visited: Visited,
}

impl Session {
    pub(super) fn of_body(body: TicketBody, last_used: WallMs) -> Option<Self> {
        let Payload::Tgt(tgt) = body.payload else {
            return None;
        };
        Some(Self {
            id: body.id,
            tgt,
            created: body.created,
            hard_expiry: body.hard_expiry,
            last_used,
        })
    }

    /// The key under which replicas keep it.
    pub fn key(&self) -> TicketKey {
        self.id.key()
    }

    /// Whether at least half of its life is still to come.
    pub fn is_young(&self, now: WallMs) -> bool {
        let age = now.saturating_sub(self.created);
        let left = self.hard_expiry.saturating_sub(now);
        age <= left
    }
}

impl Tickets {
    /// The session of a ticket id from a cookie.
    pub async fn session(&self, id: &TicketId) -> Found {
        match self.handle.look_up(id).await {
            LookUp::Live(ticket) => Session::of_body(ticket.body, ticket.last_used)
                .map_or(Found::Gone, |session| Found::Live(Box::new(session))),
            LookUp::Unknown | LookUp::Destroyed | LookUp::Expired | LookUp::Idle => Found::Gone,
            LookUp::Unreachable => Found::Undecided,
        }
    }

    /// Begins a session; answers when every peer holds it, or after one second.
    ///
    /// # Errors
    /// [`TicketError::Full`], [`TicketError::NotNow`] or [`TicketError::TooLarge`].
    pub async fn start_session(&self, start: SessionStart) -> Result<Session, TicketError> {
        let (lifetime, remember_me) = self.policy.of_session(start.remember_me);
        let tgt = Tgt {
            principal: start.principal,
            authenticated_at: self.now(),
            handler: start.handler.to_owned(),
            remember_me,
            client_address: start.client_address,
        };
        let most = |seconds: Option<u32>| seconds.map_or(u64::MAX, |s| u64::from(s) * 1000);
        let new = NewReusable {
            id: None,
            life_ms: lifetime.life_ms.min(most(start.max_life)),
            idle_ms: lifetime.idle_ms.min(most(start.max_idle)),
            ancestors: Vec::new(),
            payload: Payload::Tgt(tgt),
            key_id: None,
        };
        let created = self.handle.create(new).await?;
        let body = Arc::unwrap_or_clone(created.body);
        let began = body.created;
        Session::of_body(body, began).ok_or(TicketError::NotNow)
    }

    /// Ends a session because its owner signed out; answers when every peer knows, or after one
    /// second. A session that no node knows is ended all the same: one that knows it may be away.
    ///
    /// # Errors
    /// [`TicketError::NotNow`]: nothing has been ended.
    pub async fn end_session(&self, id: &TicketId) -> Result<Ended, TicketError> {
        let before = self.handle.look_up(id).await;
        if matches!(before, LookUp::Destroyed | LookUp::Expired) {
            return Ok(Ended {
                existed: false,
                missing: 0,
                visited: Visited::new(),
            });
        }
        let destroyed = self.handle.destroy(id, DestroyReason::Logout).await?;
        Ok(Ended {
            existed: matches!(before, LookUp::Live(_)) && !destroyed.already,
            missing: destroyed.missing,
            visited: untold(destroyed),
        })
    }

    /// Ends a session because a newer one takes its place in the browser; returns its applications
    /// and how many peers have not acknowledged it yet.
    ///
    /// # Errors
    /// [`TicketError::NotNow`]: it lives on until it expires.
    pub async fn replace_session(&self, id: &TicketId) -> Result<(Visited, usize), TicketError> {
        let destroyed = self.handle.destroy(id, DestroyReason::Replaced).await?;
        let missing = destroyed.missing;
        Ok((untold(destroyed), missing))
    }
}

/// The applications to tell: whoever ended the session first tells them.
pub(super) fn untold(destroyed: Destroyed) -> Visited {
    if destroyed.already {
        Visited::new()
    } else {
        destroyed.services
    }
}
