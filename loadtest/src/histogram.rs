//! Latencies, from a microsecond to a minute at three digits.
//!
//! Promises: recording never fails; longer times count as a minute.
//! Does not: correct for coordinated omission by guessing; open-loop runs measure from the moment
//! a request was due ([`crate::schedule`]).

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

const MICROS_MAX: u64 = 60_000_000;

/// The percentiles that a record keeps.
const CURVE: [f64; 12] = [
    50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.75, 99.9, 99.95, 99.99, 100.0,
];

/// Latencies of one kind of request.
#[derive(Clone)]
pub struct Latencies(Histogram<u64>);

/// What a report shows of them, in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Percentiles {
    /// How many were measured.
    pub count: u64,
    /// Mean.
    pub mean_ms: f64,
    /// Half are faster.
    pub p50_ms: f64,
    /// 90 % are faster.
    pub p90_ms: f64,
    /// 99 % are faster.
    pub p99_ms: f64,
    /// 99.9 % are faster.
    pub p999_ms: f64,
    /// The slowest.
    pub max_ms: f64,
    /// More of them, for a plot: percentile and milliseconds, the slowest as 100.
    #[serde(skip)]
    pub curve: Vec<(f64, f64)>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl Latencies {
    /// None yet.
    #[expect(
        clippy::expect_used,
        reason = "constant bounds that the library accepts"
    )]
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, MICROS_MAX, 3).expect("valid bounds"))
    }

    /// Adds one.
    pub fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(MICROS_MAX);
        self.0.saturating_record(micros);
    }

    /// Adds `count` of the same time.
    pub fn record_many(&mut self, time: Duration, count: u64) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(MICROS_MAX);
        self.0.saturating_record_n(micros, count);
    }

    /// Takes over those of another worker.
    pub fn merge(&mut self, other: &Self) {
        // Same bounds on both sides, so adding cannot fail.
        let _ = self.0.add(&other.0);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// So many per cent are as fast or faster, in milliseconds; 100 for the slowest. Of nothing there is no
    /// percentile: that is no number.
    pub fn percentile_ms(&self, percentile: f64) -> f64 {
        if self.0.is_empty() {
            return f64::NAN;
        }
        if percentile >= 100.0 {
            return millis(self.0.max());
        }
        millis(self.0.value_at_quantile(percentile / 100.0))
    }

    /// The figures for a report.
    pub fn percentiles(&self) -> Percentiles {
        let at = |quantile| millis(self.0.value_at_quantile(quantile));
        Percentiles {
            count: self.0.len(),
            mean_ms: (self.0.mean() / 1000.0 * 1000.0).round() / 1000.0,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: millis(self.0.max()),
            curve: CURVE.map(|at| (at, self.percentile_ms(at))).to_vec(),
        }
    }
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "p50 {:>8.2}  p90 {:>8.2}  p99 {:>8.2}  p99.9 {:>8.2}  max {:>8.2} ms",
            self.p50_ms, self.p90_ms, self.p99_ms, self.p999_ms, self.max_ms
        )
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "at most a minute in microseconds"
)]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_no_percentile() {
        let mut latencies = Latencies::new();
        assert!(latencies.percentile_ms(99.0).is_nan());
        latencies.record_many(Duration::from_millis(3), 7);
        assert_eq!(latencies.count(), 7);
        assert!((latencies.percentile_ms(50.0) - 3.0).abs() < 0.01);
    }

    #[test]
    fn figures_are_in_milliseconds() {
        let mut latencies = Latencies::new();
        for ms in 1..=100 {
            latencies.record(Duration::from_millis(ms));
        }
        latencies.record(Duration::from_secs(3600));
        let p = latencies.percentiles();
        assert_eq!(p.count, 101);
        assert!((50.0..52.0).contains(&p.p50_ms), "{p:?}");
        assert!((59_000.0..61_000.0).contains(&p.max_ms), "{p:?}");
    }
}
