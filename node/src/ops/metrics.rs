//! The registry of this process, and the metrics that belong to no other room.
//!
//! Rooms register their own metrics; a name may be registered once. Gauges that mirror a state are
//! refreshed by the listener before it asks for the exposition.

use prometheus::{GaugeVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

/// Revision the binary was built from, when the build said so.
pub const REVISION: &str = match option_env!("CASTOR_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// Version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The registry, and what is common to the process.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    /// 1 while this node takes requests.
    pub ready: IntGauge,
    /// 1 when the last reload took everything, 0 when something was refused.
    pub reload_success: IntGauge,
    /// End of each certificate's validity.
    pub certificate_expiry: GaugeVec,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// A registry with the metrics of the process; `wire` is the newest wire version it speaks.
    ///
    /// # Errors
    ///
    /// When a metric is malformed, which the tests rule out.
    pub fn new(wire: u16) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let process = prometheus::process_collector::ProcessCollector::for_self();
        registry.register(Box::new(process))?;
        let build = IntGaugeVec::new(
            Opts::new(
                "castor_build_info",
                "Always 1; the labels say what is running.",
            ),
            &["version", "revision", "wire"],
        )?;
        registry.register(Box::new(build.clone()))?;
        build
            .with_label_values(&[VERSION, REVISION, &wire.to_string()])
            .set(1);
        let ready = IntGauge::new("castor_ready", "1 while this node takes requests.")?;
        registry.register(Box::new(ready.clone()))?;
        let reload_success = IntGauge::new(
            "castor_config_reload_success",
            "1 when the last reload took everything, 0 when something was refused.",
        )?;
        reload_success.set(1);
        registry.register(Box::new(reload_success.clone()))?;
        let certificate_expiry = GaugeVec::new(
            Opts::new(
                "castor_certificate_expiry_timestamp_seconds",
                "End of a certificate's validity, by certificate.",
            ),
            &["cert"],
        )?;
        registry.register(Box::new(certificate_expiry.clone()))?;
        Ok(Self {
            registry,
            ready,
            reload_success,
            certificate_expiry,
        })
    }

    /// Where rooms register their own.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Everything, in Prometheus' text format.
    ///
    /// # Errors
    ///
    /// When a metric cannot be printed.
    pub fn expose(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exposition_has_the_process_and_the_build() {
        let metrics = Metrics::new(7).unwrap();
        metrics.ready.set(1);
        let text = metrics.expose().unwrap();
        for line in [
            "castor_ready 1",
            "castor_config_reload_success 1",
            "process_resident_memory_bytes ",
            "process_open_fds ",
            &format!(
                "castor_build_info{{revision=\"{REVISION}\",version=\"{VERSION}\",wire=\"7\"}} 1"
            ),
        ] {
            assert!(
                text.lines().any(|found| found.starts_with(line)),
                "{line} is not in\n{text}"
            );
        }
    }
}
