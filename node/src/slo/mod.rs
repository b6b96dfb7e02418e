//! Single logout: visited applications learn that a session has ended.
//!
//! Whoever ended the session hands its applications over and goes on at once; nobody waits for an
//! application. Each one is told once, by the node that took the logout, and noted as told; when that
//! node dies half way, or the session expired, another one gets the rest from replication (rule 15b).
//!
//! | file | subject |
//! |---|---|
//! | [`plan`] | who is told how |
//! | [`message`] | the request, byte for byte |
//! | [`deliver`] | sending, trying again, noting who was told |

mod deliver;
mod message;
mod metrics;
mod plan;
mod untold;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use castor_proto::ticket::{Principal, TicketKey};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Clock;
use crate::config::Live;
use crate::ops::audit::Audit;
use crate::outbound::Outbound;
use crate::services::Registry;
use crate::tickets::{Tickets, Untold, Visited};

pub use metrics::SloMetrics;

use deliver::Job;
use plan::Plan;

/// Ended sessions with applications still to be told; further ones are dropped and counted.
const WAITING_MAX: u32 = 4096;

/// Of these, sessions whose applications are being called at one time.
const CALLING_MAX: usize = 512;

/// Sessions that are looked at again later, because some nodes did not hear of their end; further
/// ones are not.
const AGAIN_MAX: usize = 4096;

/// Why a session ended; label of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The person signed out.
    Logout,
    /// An operator ended it.
    Operator,
    /// Somebody else signed in with the same browser.
    Replaced,
    /// Its person had more sessions than they may.
    Limit,
    /// Its time was over.
    Expired,
    /// The node that took the logout has gone.
    TakenOver,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Operator => "operator",
            Self::Replaced => "replaced",
            Self::Limit => "limit",
            Self::Expired => "expired",
            Self::TakenOver => "taken_over",
        }
    }
}

/// A session that has ended.
#[derive(Debug, Clone)]
pub struct SessionEnd {
    /// The key under which replicas keep it.
    pub key: TicketKey,
    /// Its masked id, for the audit record.
    pub masked: String,
    /// Whose it was; applications are told a name only when this is known.
    pub principal: Option<Principal>,
    /// The applications.
    pub visited: Visited,
    /// Whether some nodes do not know yet that it ended: they may know more applications.
    pub partial: bool,
    /// Why it ended.
    pub reason: Reason,
    /// Who is recorded as having ended it, and from where.
    pub by: By,
}

/// Who ended a session, for the audit record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct By {
    /// An operator; otherwise the owner of the session is recorded.
    pub actor: Option<String>,
    /// Address of the browser.
    pub client: Option<IpAddr>,
    /// Id of the HTTP request.
    pub request: Option<String>,
}

/// An application that the browser is to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrontNotice {
    /// Name of the application.
    pub name: String,
    /// What the browser is to fetch; holds the ticket that the application knows.
    pub url: String,
}

/// Tells applications; cheap to clone.
#[derive(Clone, Debug)]
pub struct Slo {
    shared: Arc<Shared>,
}

/// What single logout is made of.
#[derive(Debug)]
pub struct Parts {
    /// The configuration in force.
    pub config: Live,
    /// Who is to be told and has been.
    pub tickets: Tickets,
    /// How applications are told.
    pub services: Arc<Registry>,
    /// Calls to applications.
    pub outbound: Outbound,
    /// The record of who did what.
    pub audit: Audit,
    /// For the time in requests.
    pub clock: Clock,
    /// Counters.
    pub metrics: SloMetrics,
}

#[derive(Debug)]
struct Shared {
    parts: Parts,
    waiting: Arc<Semaphore>,
    calling: Semaphore,
    again: Semaphore,
}

impl Shared {
    fn is_to_be_told(&self, end: &SessionEnd) -> bool {
        let somebody = !end.visited.is_empty() || end.partial;
        somebody && self.parts.config.load().logout.tell_applications
    }
}

impl Slo {
    /// Begins to tell applications of sessions that this node is given by replication.
    pub fn start(parts: Parts) -> Self {
        let slo = Self {
            shared: Arc::new(Shared {
                parts,
                // One more is kept for the next duty of replication, while there is none.
                waiting: Arc::new(Semaphore::new(WAITING_MAX as usize + 1)),
                calling: Semaphore::new(CALLING_MAX),
                again: Semaphore::new(AGAIN_MAX),
            }),
        };
        let duties = slo.clone();
        // Ends with replication.
        tokio::spawn(async move { duties.take_over().await });
        slo
    }

    /// Tells the applications of a session that ended without a browser; never waits.
    pub fn tell(&self, end: SessionEnd) {
        self.begin(end, false);
    }

    /// Tells the applications of a session that ended in a browser, which has to tell those that are
    /// returned; never waits.
    pub fn tell_with_browser(&self, end: SessionEnd) -> Vec<FrontNotice> {
        self.begin(end, true)
    }

    /// Waits until every application has been told or given up, at most this long. What is left is
    /// taken over by another node.
    pub async fn finish(&self, limit: Duration) {
        let all = self.shared.waiting.acquire_many(WAITING_MAX);
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::info!("other nodes tell the applications that are left");
        }
    }

    fn begin(&self, end: SessionEnd, browser: bool) -> Vec<FrontNotice> {
        let shared = &self.shared;
        if !shared.is_to_be_told(&end) {
            return Vec::new();
        }
        let Ok(place) = Arc::clone(&shared.waiting).try_acquire_owned() else {
            shared.parts.metrics.dropped.inc();
            tracing::warn!(
                session = end.masked,
                "the applications of a session are not told: too many wait already"
            );
            return Vec::new();
        };
        self.begin_in(place, end, browser)
    }

    fn begin_in(
        &self,
        place: OwnedSemaphorePermit,
        end: SessionEnd,
        browser: bool,
    ) -> Vec<FrontNotice> {
        let shared = &self.shared;
        let plan = Plan::new(&shared.parts.services, end.principal.as_ref(), &end.visited);
        let front = if browser {
            shared.front_notices(&end, &plan)
        } else {
            Vec::new()
        };
        let outcome = if browser { "offered" } else { "no_browser" };
        for _ in &plan.front {
            shared.parts.metrics.count("front", outcome);
        }
        let job = Job::new(Arc::clone(shared), end, plan, (place, browser));
        tokio::spawn(job.run());
        front
    }

    /// Tells what other nodes have left behind, and what expired.
    async fn take_over(self) {
        loop {
            // At the limit the rest waits in replication's own queue, which is bounded, too.
            let Ok(place) = Arc::clone(&self.shared.waiting).acquire_owned().await else {
                return;
            };
            let Some(untold) = self.shared.parts.tickets.next_untold().await else {
                return;
            };
            let end = SessionEnd::from(untold);
            if self.shared.is_to_be_told(&end) {
                // In the place that is kept for it: nobody else has this duty.
                self.begin_in(place, end, false);
            }
        }
    }
}

impl From<Untold> for SessionEnd {
    fn from(untold: Untold) -> Self {
        Self {
            key: untold.key,
            masked: untold.masked,
            principal: untold.principal,
            visited: untold.visited,
            partial: false,
            reason: if untold.expired {
                Reason::Expired
            } else {
                Reason::TakenOver
            },
            by: By::default(),
        }
    }
}
