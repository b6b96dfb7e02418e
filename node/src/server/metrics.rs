//! Metrics of the listeners.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

/// Connections, by listener.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    pub(super) connections: IntGaugeVec,
    pub(super) accepted: IntCounterVec,
    pub(super) ended: IntCounterVec,
}

impl ServerMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    ///
    /// When they are registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let connections = IntGaugeVec::new(
            Opts::new("castor_http_connections", "Open connections."),
            &["listener"],
        )?;
        let accepted = IntCounterVec::new(
            Opts::new("castor_http_connections_total", "Connections accepted."),
            &["listener"],
        )?;
        let ended = IntCounterVec::new(
            Opts::new(
                "castor_http_connections_ended_total",
                "Connections that Castor ended early, by reason.",
            ),
            &["listener", "reason"],
        )?;
        registry.register(Box::new(connections.clone()))?;
        registry.register(Box::new(accepted.clone()))?;
        registry.register(Box::new(ended.clone()))?;
        Ok(Self {
            connections,
            accepted,
            ended,
        })
    }
}
