//! Rooms put together around a running replica, as far as they need no socket, signal or thread of
//! their own: the same under `castor serve` and on a simulated network.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use castor_replication::driver::{Handle, Readiness};

use super::AppError;
use super::preflight::Checked;
use super::shared::Shared;
use crate::actuator::{self, Actuator};
use crate::admin::{self, Access, Admin, DemoFill};
use crate::authn::{Authenticator, Chain, Throttle};
use crate::cas::under_way::UnderWay;
use crate::cas::{self, Cas};
use crate::clock::Clock;
use crate::config::Listen;
use crate::ops::audit::{self, Audit};
use crate::ops::health::{self, Health};
use crate::ops::metrics::Metrics;
use crate::routes;
use crate::server::RequestMetrics;

/// What each listener serves.
#[derive(Debug)]
pub struct Routers {
    /// For people and applications.
    pub http: Router,
    /// For monitoring.
    pub ops: Router,
    /// For operators, on the administration socket.
    pub admin: Router,
    /// What the listener for people and applications works on.
    pub cas: Arc<Cas>,
}

impl Routers {
    /// Puts the rooms together.
    ///
    /// # Errors
    ///
    /// When metrics are registered already.
    pub fn build(checked: &Checked, shared: &Shared) -> Result<Self, AppError> {
        let Shared {
            live,
            handle,
            audit,
            metrics,
            rng,
            outbound,
            tickets,
            slo,
            logging,
        } = shared;
        let registry = metrics.registry();
        let config = &checked.loaded.config;
        let users: Arc<dyn Authenticator> = Arc::clone(&checked.users) as _;
        let people = vec![users];
        let throttle = Throttle::new(handle.clone(), live.clone(), people.clone(), registry)
            .map_err(AppError::metrics)?;
        let cas = Arc::new(Cas::new(cas::Parts {
            config: live.clone(),
            web: Arc::clone(&checked.web),
            services: checked.services.registry(),
            authn: Chain::new(people, registry).map_err(AppError::metrics)?,
            throttle: throttle.clone(),
            tickets: tickets.clone(),
            audit: audit.clone(),
            rng: rng.clone(),
            outbound: outbound.clone(),
            slo: slo.clone(),
            under_way: UnderWay::register(registry).map_err(AppError::metrics)?,
        }));
        let requests = RequestMetrics::register(registry).map_err(AppError::metrics)?;
        let health = Health::new(handle.clone());
        let tgt = &config.tickets.tgt;
        let demo = config.node.demo_folder.clone().map(|folder| DemoFill {
            folder,
            life_ms: tgt.max_life.as_millis(),
            idle_ms: tgt.idle.as_millis(),
        });
        let admin = Admin::new(admin::Parts {
            handle: handle.clone(),
            audit: audit.clone(),
            slo: slo.clone(),
            throttle,
            prefix: config.http.prefix.0.clone(),
        })
        .with_demo(demo);
        let actuator = Actuator::new(actuator::Parts {
            admin: admin.clone(),
            cas: Arc::clone(&cas),
            handle: handle.clone(),
            health: health.clone(),
            metrics: metrics.clone(),
            logging: logging.clone(),
        });
        let for_operators =
            |access: Access| admin.router(access.clone()).merge(actuator.router(access));
        let over_tcp = for_operators(Access::over_tcp(config.ops.token.as_ref()));
        let body_limit = DefaultBodyLimit::max(config.http.max_body.0);
        let probes = health.probes(&config.http.prefix.0);
        Ok(Self {
            http: routes::router(&cas, requests, probes).layer(body_limit),
            ops: health::router(&health, metrics, live, over_tcp),
            admin: for_operators(Access::Socket),
            cas,
        })
    }
}

/// While the node drains, answers ask for the end of the connection.
pub fn closing(handle: &Handle) -> Arc<dyn Fn() -> bool + Send + Sync> {
    let handle = handle.clone();
    Arc::new(move || handle.readiness() == Readiness::Draining)
}

/// Opens the record of who did what; `http` is where people and applications are served.
///
/// # Errors
///
/// When it cannot be opened.
pub fn open_audit(
    checked: &Checked,
    http: &Listen,
    clock: &Clock,
    metrics: &Metrics,
) -> Result<Audit, AppError> {
    let server: Option<IpAddr> = match http {
        Listen::Tcp(address) => Some(address.ip()),
        Listen::Unix(_) => None,
    };
    let place = audit::Place {
        node: checked.node.to_string(),
        server,
    };
    let config = &checked.loaded.config.audit;
    audit::start(config, place, clock.clone(), metrics.registry()).map_err(|error| match error {
        audit::AuditError::Open { .. } => AppError::Configuration(vec![error.to_string()]),
        other => AppError::failed(other.to_string()),
    })
}
