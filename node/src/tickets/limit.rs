//! How many sessions a person may have.
//!
//! Every node knows every session, so each decides by itself: it looks after it has begun a session that
//! every peer has acknowledged, and again before each service ticket. When two nodes sign the same person
//! in at once, at least one of the two looks sees both sessions. Whoever looks ends what is beyond the
//! limit in the one order that all nodes have: by the moment a session began, then by its key. Ending a
//! session twice is ending it once.
//!
//! Two sides of a partition see their own sessions only. The first look after the heal ends the excess.

use std::ops::ControlFlow;

use castor_proto::delta::DestroyReason;
use castor_proto::ids::WallMs;
use castor_proto::ticket::TicketKey;
use castor_replication::engine::Liveness;
use prometheus::{IntCounterVec, Opts, Registry};

use super::session::untold;
use super::{PerUser, Session, TicketError, Tickets, Visited};
use crate::config::types::AtUserLimit;

/// Most sessions that one look ends; the next one goes on.
const EXCESS_MAX: usize = 32;

/// A look before a service ticket leaves sessions alone that are younger, milliseconds: whoever begins
/// one looks itself, and may be about to end the one that the new session replaces. More than the time
/// in which all peers acknowledge and the difference between two clocks.
const SETTLED_MS: u64 = 5_000;

/// What became of people at their limit; clones count together.
#[derive(Clone, Debug)]
pub struct LimitMetrics(Option<IntCounterVec>);

impl Default for LimitMetrics {
    /// Counts nothing.
    fn default() -> Self {
        Self(None)
    }
}

impl LimitMetrics {
    /// Registers the metric.
    ///
    /// # Errors
    /// When it is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let people = IntCounterVec::new(
            Opts::new(
                "castor_tickets_user_limit_total",
                "Sessions that this node ended and sign-ins that it refused because a person had as many \
                 sessions as they may, by outcome (ended, refused).",
            ),
            &["outcome"],
        )?;
        registry.register(Box::new(people.clone()))?;
        for outcome in ["ended", "refused"] {
            people.with_label_values(&[outcome]);
        }
        Ok(Self(Some(people)))
    }

    fn count(&self, outcome: &str) {
        if let Some(people) = &self.0 {
            people.with_label_values(&[outcome]).inc();
        }
    }
}

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A sign-in that has begun a session, and is about to end this one of the same browser.
    AfterSignIn {
        /// The session that is about to end.
        replaces: Option<TicketKey>,
    },
    /// A session that is about to be used.
    BeforeUse,
}

impl Tickets {
    /// Whether a person may begin a session that takes the place of this one; with
    /// [`AtUserLimit::EndOldest`] always. Counts a refusal.
    pub fn has_room_for(&self, principal: &str, replaces: Option<TicketKey>) -> bool {
        let Some(limit) = self.policy.per_user else {
            return true;
        };
        if limit.beyond == AtUserLimit::EndOldest
            || self.handle.store().count_sessions_of(principal) < limit.most
        {
            return true;
        }
        let mut live = 0;
        let walked = self.walk(principal, false, |session| {
            live += usize::from(Some(session.key()) != replaces);
            if live < limit.most {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        if walked.is_break() {
            self.count_refused();
        }
        walked.is_continue()
    }

    /// Counts a sign-in that is refused.
    pub fn count_refused(&self) {
        self.limit.count("refused");
    }

    /// The sessions of a person that are to end because they are more than there may be; at most 32,
    /// further ones at the next look.
    pub fn too_many(&self, principal: &str, look: Look) -> Vec<Session> {
        let Some(limit) = self.policy.per_user else {
            return Vec::new();
        };
        if self.handle.store().count_sessions_of(principal) <= limit.most {
            return Vec::new();
        }
        let now = self.now();
        let counts = |session: &Session| match look {
            Look::AfterSignIn { replaces } => Some(session.key()) != replaces,
            Look::BeforeUse => is_settled(session, now),
        };
        let PerUser { most, beyond } = limit;
        // Those that may stay come first; all that follow are too many.
        let newest_first = beyond == AtUserLimit::EndOldest;
        let mut stay = 0;
        let mut excess = Vec::new();
        let _ = self.walk(principal, newest_first, |session| {
            if counts(&session) {
                if stay < most {
                    stay += 1;
                } else {
                    excess.push(session);
                }
            }
            if excess.len() < EXCESS_MAX {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        excess
    }

    /// Ends one of [`Tickets::too_many`]; returns its applications and how many peers have not
    /// acknowledged it yet. `None` when somebody else has ended it before.
    ///
    /// # Errors
    /// [`TicketError::NotNow`]: the next look tries again.
    pub async fn end_one_too_many(
        &self,
        session: &Session,
    ) -> Result<Option<(Visited, usize)>, TicketError> {
        let reason = DestroyReason::Replaced;
        let destroyed = self.handle.destroy(&session.id, reason).await?;
        if destroyed.already {
            return Ok(None);
        }
        self.limit.count("ended");
        let missing = destroyed.missing;
        Ok(Some((untold(destroyed), missing)))
    }

    /// Goes through the sessions of a person that can be used now, as far as this node knows.
    fn walk(
        &self,
        principal: &str,
        newest_first: bool,
        mut visit: impl FnMut(Session) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let store = self.handle.store();
        let now = self.now();
        let mut keys = store.sessions_of(principal);
        if newest_first {
            keys.reverse();
        }
        for key in keys {
            let ticket = store.find(&key);
            let live = ticket.filter(|ticket| ticket.liveness(now) == Liveness::Live);
            let session = live.and_then(|t| Session::of_body(t.body, t.last_used));
            if let Some(session) = session {
                visit(session)?;
            }
        }
        ControlFlow::Continue(())
    }
}

fn is_settled(session: &Session, now: WallMs) -> bool {
    session.created.saturating_add(SETTLED_MS) <= now
}
