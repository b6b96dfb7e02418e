//! Metrics of single logout.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Sessions and requests.
#[derive(Clone, Debug)]
pub struct SloMetrics {
    pub(super) sessions: IntCounterVec,
    pub(super) requests: IntCounterVec,
    pub(super) waiting: IntGauge,
    pub(super) dropped: IntCounter,
}

impl SloMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// When they are registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let sessions = IntCounterVec::new(
            Opts::new(
                "castor_slo_sessions_total",
                "Ended sessions whose applications this node told, by why they ended.",
            ),
            &["reason"],
        )?;
        let requests = IntCounterVec::new(
            Opts::new(
                "castor_slo_requests_total",
                "Logout requests to applications, by channel and outcome.",
            ),
            &["channel", "outcome"],
        )?;
        let waiting = IntGauge::new(
            "castor_slo_sessions_waiting",
            "Ended sessions with applications that are still to be told by this node.",
        )?;
        let dropped = IntCounter::new(
            "castor_slo_sessions_dropped_total",
            "Ended sessions whose applications were not told because too many waited.",
        )?;
        registry.register(Box::new(sessions.clone()))?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(waiting.clone()))?;
        registry.register(Box::new(dropped.clone()))?;
        // A rate needs a beginning.
        for outcome in ["told", "refused", "retried", "failed"] {
            requests.with_label_values(&["back", outcome]);
        }
        Ok(Self {
            sessions,
            requests,
            waiting,
            dropped,
        })
    }

    pub(super) fn count(&self, channel: &str, outcome: &str) {
        self.requests.with_label_values(&[channel, outcome]).inc();
    }
}
