//! What the actuator endpoints of Apereo CAS and Spring Boot tell and do, in their shape, for the dashboards
//! and scripts that know them. Below `{http.prefix}/actuator` on the operations listener and on the
//! administration socket.
//!
//! | endpoint | file | for whom |
//! |---|---|---|
//! | `/` | [`links`] | everybody who may ask the listener |
//! | `/health`, `/health/{component}` | [`health`] | everybody |
//! | `/info` | [`info`] | everybody |
//! | `/prometheus` | here | everybody |
//! | `/statistics` | [`statistics`] | everybody |
//! | `/ssoSessions` | [`sso_sessions`] | the socket or the token |
//! | `/ticketRegistry` | [`ticket_registry`] | the socket or the token |
//! | `/registeredServices` | [`registered_services`] | the socket or the token |
//! | `/auditLog`, `/auditevents` | [`audit_log`], [`audit_events`] | the socket or the token |
//! | `/releaseAttributes` | [`release_attributes`] | the socket or the token |
//! | `/loggers` | [`loggers`] | the socket or the token |
//! | `/throttles` | in the room `admin` | the socket or the token |
//!
//! What everybody may see has no personal data and changes nothing. The rest is recorded with its actor, as in
//! the room `admin`, whose work it does.

mod audit_events;
mod audit_log;
mod health;
mod info;
mod input;
mod links;
mod loggers;
mod registered_services;
mod release_attributes;
mod sso_sessions;
mod statistics;
mod ticket_registry;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use castor_replication::driver::Handle;

use crate::admin::{Access, Admin, authorise};
use crate::cas::Cas;
use crate::clock;
use crate::ops::health::{Health, exposition};
use crate::ops::logging::Logging;
use crate::ops::metrics::Metrics;

/// What the endpoints ask.
#[derive(Clone, Debug)]
pub struct Actuator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    started: Instant,
}

/// What [`Actuator`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// Does the work with sessions, and records who asked.
    pub admin: Admin,
    /// Definitions, people, what is released.
    pub cas: Arc<Cas>,
    /// The replica.
    pub handle: Handle,
    /// Whether this node serves.
    pub health: Health,
    /// Every metric.
    pub metrics: Metrics,
    /// Levels of log lines; absent where nothing is logged.
    pub logging: Option<Logging>,
}

impl std::ops::Deref for Actuator {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}

impl Actuator {
    /// Puts the parts together; the node's uptime counts from here.
    pub fn new(parts: Parts) -> Self {
        let started = clock::monotonic();
        Self(Arc::new(Inner { parts, started }))
    }

    /// Seconds since the node started.
    fn uptime(&self) -> u64 {
        self.0.started.elapsed().as_secs()
    }

    /// Every endpoint; what shows people or changes something is for those who pass `access`.
    pub fn router(&self, access: Access) -> Router {
        let at = |path: &str| format!("{}/actuator{path}", self.cas.prefix());
        let open = Router::new()
            .route(&at(""), get(links::links))
            .route(&at("/"), get(links::links))
            .route(&at("/health"), get(health::health))
            .route(&at("/health/{component}"), get(health::component))
            .route(&at("/info"), get(info::info))
            .route(&at("/prometheus"), get(prometheus))
            .route(&at("/statistics"), get(statistics::statistics))
            .with_state(self.clone());
        open.merge(self.guarded(access))
    }

    fn guarded(&self, access: Access) -> Router {
        let at = |path: &str| format!("{}/actuator{path}", self.cas.prefix());
        let refused = registered_services::refused;
        let definitions = get(registered_services::list).fallback(refused);
        let definition = get(registered_services::show).fallback(refused);
        let user = get(sso_sessions::of_user).delete(sso_sessions::end_of_user);
        let body_limit = self.cas.config.load().http.max_body.0;
        Router::new()
            .route(
                &at("/ssoSessions"),
                get(sso_sessions::list).delete(sso_sessions::end_many),
            )
            .route(&at("/ssoSessions/users/{username}"), user)
            .route(
                &at("/ssoSessions/{handle}"),
                axum::routing::delete(sso_sessions::end_one),
            )
            .route(&at("/ticketRegistry/query"), get(ticket_registry::query))
            .route(
                &at("/ticketRegistry/clean"),
                axum::routing::any(ticket_registry::clean),
            )
            .route(&at("/registeredServices"), definitions)
            .route(&at("/registeredServices/{id}"), definition)
            .route(
                &at("/auditLog"),
                get(audit_log::all).post(audit_log::search),
            )
            .route(&at("/auditLog/{interval}"), get(audit_log::within))
            .route(&at("/auditevents"), get(audit_events::events))
            .route(
                &at("/releaseAttributes"),
                get(release_attributes::get).merge(post(release_attributes::post)),
            )
            .route(&at("/loggers"), get(loggers::list))
            .route(
                &at("/loggers/{name}"),
                get(loggers::show).post(loggers::set),
            )
            .layer(DefaultBodyLimit::max(body_limit))
            .with_state(self.clone())
            .layer(from_fn_with_state(Arc::new(access), authorise))
    }
}

/// `GET /prometheus`: the same as `/metrics`.
async fn prometheus(State(actuator): State<Actuator>) -> Response {
    exposition(&actuator.health, &actuator.metrics).await
}
