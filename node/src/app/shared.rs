//! What several rooms share, put together once.

use castor_replication::driver::Handle;

use super::AppError;
use super::preflight::Checked;
use crate::clock::{Clock, Rng};
use crate::config::Live;
use crate::ops::audit::Audit;
use crate::ops::metrics::Metrics;
use crate::outbound::{Outbound, OutboundMetrics};
use crate::slo::{self, Slo, SloMetrics};
use crate::tickets::{LimitMetrics, Policy, Tickets};

/// What rooms share.
#[derive(Debug)]
pub struct Shared {
    /// The configuration in force.
    pub live: Live,
    /// The replica.
    pub handle: Handle,
    /// Tickets.
    pub tickets: Tickets,
    /// The record of who did what.
    pub audit: Audit,
    /// Every metric.
    pub metrics: Metrics,
    /// Randomness.
    pub rng: Rng,
    /// Calls to applications.
    pub outbound: Outbound,
    /// Tells applications that a session has ended.
    pub slo: Slo,
}

/// What is there already.
#[derive(Debug)]
pub struct Base<'a> {
    /// The configuration in force.
    pub live: &'a Live,
    /// The replica.
    pub handle: &'a Handle,
    /// The record of who did what.
    pub audit: &'a Audit,
    /// Every metric.
    pub metrics: &'a Metrics,
    /// The time.
    pub clock: &'a Clock,
    /// Randomness.
    pub rng: Rng,
}

impl Shared {
    /// Makes the rest, and begins to tell applications of sessions that end.
    ///
    /// # Errors
    ///
    /// When metrics are registered already.
    pub fn new(checked: &Checked, base: Base<'_>) -> Result<Self, AppError> {
        let Base {
            live,
            handle,
            audit,
            metrics,
            clock,
            rng,
        } = base;
        let registry = metrics.registry();
        let outbound = Outbound::new(
            live.clone(),
            checked.trust.clone(),
            OutboundMetrics::register(registry).map_err(AppError::metrics)?,
        );
        let policy = Policy::from(&checked.loaded.config.tickets);
        let limit = LimitMetrics::register(registry).map_err(AppError::metrics)?;
        let tickets = Tickets::new(handle.clone(), policy).counting(limit);
        let slo = Slo::start(slo::Parts {
            config: live.clone(),
            tickets: tickets.clone(),
            services: checked.services.registry(),
            outbound: outbound.clone(),
            audit: audit.clone(),
            clock: clock.clone(),
            metrics: SloMetrics::register(registry).map_err(AppError::metrics)?,
        });
        Ok(Self {
            live: live.clone(),
            handle: handle.clone(),
            tickets,
            audit: audit.clone(),
            metrics: metrics.clone(),
            rng,
            outbound,
            slo,
        })
    }
}
