//! Metrics of calls to applications.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

/// Calls, by purpose.
#[derive(Clone, Debug)]
pub struct OutboundMetrics {
    pub(super) requests: IntCounterVec,
    pub(super) duration: HistogramVec,
    pub(super) in_flight: IntGauge,
}

impl OutboundMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// When they are registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let requests = IntCounterVec::new(
            Opts::new(
                "castor_outbound_requests_total",
                "Requests that this node sent to applications, by purpose and outcome.",
            ),
            &["purpose", "outcome"],
        )?;
        let duration = HistogramVec::new(
            HistogramOpts::new(
                "castor_outbound_request_duration_seconds",
                "Time of requests that this node sent to applications, waiting for a turn included.",
            )
            .buckets(vec![0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]),
            &["purpose"],
        )?;
        let in_flight = IntGauge::new(
            "castor_outbound_requests_in_flight",
            "Requests to applications that are under way or wait for their turn.",
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(in_flight.clone()))?;
        Ok(Self {
            requests,
            duration,
            in_flight,
        })
    }

    /// Counts a call that is under way until the answer is dropped.
    pub(super) fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }
}

pub(super) struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
