//! The administration API: what changes state or shows sessions.
//!
//! JSON over HTTP, on the administration socket for whoever may open it, and on the operations
//! listener only with the bearer token of `ops.token`. Sessions are named by a handle, a keyed digest,
//! never by a ticket id. Every change, and every look at sessions, is in the audit record with its
//! actor.

mod access;
mod api;
mod fill;
mod sessions;
mod throttles;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use castor_replication::driver::Handle;
use tokio::sync::Semaphore;

use crate::authn::Throttle;
use crate::ops::audit::Audit;
use crate::slo::Slo;

pub(crate) use access::{Actor, authorise};
pub(crate) use api::refusal;
pub(crate) use sessions::{Ended, EndedSession, Filter, LIMIT_MAX, Pick, Session, is_named};

pub use access::Access;
pub use sessions::handle_of;

/// Requests that end sessions, at one time: each works on when its client goes away.
const ENDING_MAX: usize = 4;

/// What the API works on.
#[derive(Clone)]
pub struct Admin {
    handle: Handle,
    audit: Audit,
    slo: Slo,
    throttle: Throttle,
    prefix: String,
    /// Looking through all sessions is work; one at a time is enough for people.
    scans: Arc<Semaphore>,
    /// Places for those who end sessions.
    endings: Arc<Semaphore>,
    demo: Option<Arc<DemoFill>>,
}

/// What [`Admin`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// The replica.
    pub handle: Handle,
    /// The record of who did what.
    pub audit: Audit,
    /// Tells applications that a session has ended.
    pub slo: Slo,
    /// Failed sign-ins.
    pub throttle: Throttle,
    /// Path of the CAS endpoints, such as `/cas`.
    pub prefix: String,
}

/// What synthetic sessions need to know; only nodes of `castor demo` have it.
#[derive(Clone, Debug)]
pub struct DemoFill {
    /// The demo's folder (`node.demo_folder`); its mark is looked for at every request.
    pub folder: PathBuf,
    /// Life of a session, in milliseconds.
    pub life_ms: u64,
    /// Longest pause between uses, in milliseconds.
    pub idle_ms: u64,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admin")
    }
}

impl Admin {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        Self {
            handle: parts.handle,
            audit: parts.audit,
            slo: parts.slo,
            throttle: parts.throttle,
            prefix: parts.prefix,
            scans: Arc::new(Semaphore::new(1)),
            endings: Arc::new(Semaphore::new(ENDING_MAX)),
            demo: None,
        }
    }

    /// Allows synthetic sessions, when the folder is one that `castor demo` made.
    #[must_use]
    pub fn with_demo(mut self, demo: Option<DemoFill>) -> Self {
        self.demo = demo.map(Arc::new);
        self
    }

    /// The API below `/admin/v1`, for those who pass `access`.
    pub fn router(&self, access: Access) -> Router {
        Router::new()
            .route("/admin/v1/status", get(api::status))
            .route("/admin/v1/members", get(api::members))
            .route("/admin/v1/members/remove", post(api::remove_member))
            .route("/admin/v1/keys", get(api::keys))
            .route("/admin/v1/drain", post(api::drain))
            .route("/admin/v1/resume", post(api::resume))
            .route("/admin/v1/demo/fill", post(fill::fill))
            .route("/admin/v1/sessions", get(sessions::list))
            .route("/admin/v1/sessions/end", post(sessions::end))
            .route("/admin/v1/sessions/{handle}", get(sessions::show))
            .route("/admin/v1/throttles", get(throttles::list))
            .route("/admin/v1/throttles/clear", post(throttles::clear))
            .route(
                &format!("{}/actuator/throttles", self.prefix),
                get(throttles::submissions).delete(throttles::release),
            )
            .with_state(self.clone())
            .layer(axum::middleware::from_fn_with_state(
                Arc::new(access),
                authorise,
            ))
    }
}

#[cfg(test)]
mod tests;
