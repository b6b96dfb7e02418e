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
use crate::tickets::{Policy, Tickets};

/// What rooms share.
pub(super) struct Shared {
    pub(super) live: Live,
    pub(super) handle: Handle,
    pub(super) tickets: Tickets,
    pub(super) audit: Audit,
    pub(super) metrics: Metrics,
    pub(super) rng: Rng,
    pub(super) outbound: Outbound,
    pub(super) slo: Slo,
}

/// What is there already.
pub(super) struct Base<'a> {
    pub(super) live: &'a Live,
    pub(super) handle: &'a Handle,
    pub(super) audit: &'a Audit,
    pub(super) metrics: &'a Metrics,
    pub(super) clock: &'a Clock,
    pub(super) rng: Rng,
}

impl Shared {
    /// Makes the rest, and begins to tell applications of sessions that end.
    pub(super) fn new(checked: &Checked, base: Base<'_>) -> Result<Self, AppError> {
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
        let tickets = Tickets::new(handle.clone(), policy);
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
