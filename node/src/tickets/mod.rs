//! The only door to replication: what CAS wants of tickets, in the words of CAS.
//!
//! | call | waits for |
//! |---|---|
//! | [`Tickets::session`] | nobody when this node knows the session; else its peers, 300 ms to 1 s |
//! | [`Tickets::start_session`] | every peer's acknowledgement, 1 s |
//! | [`Tickets::service_ticket`] | a majority of the ticket's view |
//! | [`Tickets::consume`] | a majority of the ticket's view, 2 s |
//! | [`Tickets::proxy_granting_ticket`] | every peer's acknowledgement, 1 s |
//! | [`Tickets::proxy_session`] | as [`Tickets::session`] |
//! | [`Tickets::proxy_ticket`] | a majority of the ticket's view |
//! | [`Tickets::end_session`], [`Tickets::end_one_too_many`] | every peer's acknowledgement, 1 s |
//! | [`Tickets::too_many`], [`Tickets::has_room_for`] | nobody |

mod consume;
mod issue;
mod limit;
mod logout;
pub mod policy;
mod proxy;
mod session;

use std::sync::Arc;
use std::time::Duration;

use castor_proto::ids::WallMs;
use castor_proto::seal::KeyRing;
use castor_replication::driver::{Handle, Readiness, RequestError};
use castor_replication::engine::Denied;

pub use consume::{ClaimRequest, Consumed, Granted, Refusal};
pub use limit::{LimitMetrics, Look};
pub use logout::{Untold, Visited};
pub use policy::{PerUser, Policy};
pub use proxy::{FoundProxy, ProxyGranting, ProxySession};
pub use session::{Ended, Found, Session, SessionStart};

/// Tickets, for request handlers; cheap to clone.
#[derive(Clone, Debug)]
pub struct Tickets {
    handle: Handle,
    policy: Policy,
    limit: LimitMetrics,
}

/// Why no ticket was made or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// The session has ended meanwhile.
    #[error("the session has ended")]
    SessionEnded,
    /// A limit is reached; try later.
    #[error("a limit is reached")]
    Full,
    /// The person has as many sessions as they may.
    #[error("the person has as many sessions as they may")]
    TooMany,
    /// This node cannot serve now; another one can.
    #[error("this node cannot serve now")]
    NotNow,
    /// The principal is too large for a ticket.
    #[error("the ticket would be too large")]
    TooLarge,
}

impl From<RequestError> for TicketError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Denied(Denied::SessionEnded) => Self::SessionEnded,
            RequestError::Denied(Denied::Full) => Self::Full,
            RequestError::Denied(Denied::TooLarge) => Self::TooLarge,
            RequestError::Denied(Denied::NotReady) | RequestError::Busy | RequestError::Stopped => {
                Self::NotNow
            }
        }
    }
}

impl Tickets {
    /// Tickets of this node.
    pub fn new(handle: Handle, policy: Policy) -> Self {
        let limit = LimitMetrics::default();
        Self {
            handle,
            policy,
            limit,
        }
    }

    /// The same, counting in `limit`.
    #[must_use]
    pub fn counting(mut self, limit: LimitMetrics) -> Self {
        self.limit = limit;
        self
    }

    /// How long tickets live.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether requests may be served.
    pub fn readiness(&self) -> Readiness {
        self.handle.readiness()
    }

    /// Waits until requests may be served, at most this long; whether they may.
    pub async fn ready_within(&self, limit: Duration) -> bool {
        self.handle.ready_within(limit).await
    }

    /// Milliseconds since the Unix epoch, as the cluster agrees on them.
    pub fn now(&self) -> WallMs {
        self.handle.now()
    }

    /// The cluster's keys.
    pub fn keyring(&self) -> Arc<KeyRing> {
        self.handle.keyring()
    }
}
