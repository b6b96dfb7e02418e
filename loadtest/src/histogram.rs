//! Latencies, from a microsecond to a minute at three digits.
//!
//! Promises: recording never fails; longer times count as a minute; a percentile of too few answers is no
//! number ([`answers_for`]).
//! Does not: correct for coordinated omission by guessing; open-loop runs measure from the moment
//! a request was due ([`crate::schedule`]).

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::run::UNKNOWN;

const MICROS_MAX: u64 = 60_000_000;

/// The percentiles that a record keeps.
const CURVE: [f64; 12] = [
    50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.75, 99.9, 99.95, 99.99, 100.0,
];

/// Answers that a percentile needs: so many that one of them is beyond it. Of fewer the slowest would be
/// called by another name.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive number, cut to the range"
)]
pub fn answers_for(percentile: f64) -> u64 {
    if percentile >= 100.0 {
        return 1;
    }
    (100.0 / (100.0 - percentile)).round().clamp(1.0, 1e15) as u64
}

/// Latencies of one kind of request.
#[derive(Clone)]
pub struct Latencies(Histogram<u64>);

/// What a report shows of them, in milliseconds; what there were too few answers for is no number, in JSON
/// null.
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

    /// So many per cent are as fast or faster, in milliseconds; 100 for the slowest. Of fewer answers than
    /// [`answers_for`] it, that is no number.
    pub fn percentile_ms(&self, percentile: f64) -> f64 {
        if self.0.len() < answers_for(percentile) {
            return f64::NAN;
        }
        if percentile >= 100.0 {
            return millis(self.0.max());
        }
        millis(self.0.value_at_quantile(percentile / 100.0))
    }

    /// The figures for a report.
    pub fn percentiles(&self) -> Percentiles {
        let at = |percentile| self.percentile_ms(percentile);
        let mean = match self.0.is_empty() {
            true => f64::NAN,
            false => self.0.mean().round() / 1000.0,
        };
        let curve = CURVE.map(|percentile| (percentile, at(percentile)));
        let known = curve.into_iter().filter(|(_, value)| value.is_finite());
        Percentiles {
            count: self.0.len(),
            mean_ms: mean,
            p50_ms: at(50.0),
            p90_ms: at(90.0),
            p99_ms: at(99.0),
            p999_ms: at(99.9),
            max_ms: at(100.0),
            curve: known.collect(),
        }
    }
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p90, p99, p999, max] = [
            self.p50_ms,
            self.p90_ms,
            self.p99_ms,
            self.p999_ms,
            self.max_ms,
        ]
        .map(|ms| match ms.is_finite() {
            true => format!("{ms:.2}"),
            false => UNKNOWN.to_owned(),
        });
        write!(
            f,
            "p50 {p50:>8}  p90 {p90:>8}  p99 {p99:>8}  p99.9 {p999:>8}  max {max:>8} ms"
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
    fn a_percentile_needs_an_answer_beyond_it() {
        let mut latencies = Latencies::new();
        assert!(latencies.percentile_ms(100.0).is_nan());
        for (percentile, answers) in [
            (50.0, 2),
            (90.0, 10),
            (97.5, 40),
            (99.0, 100),
            (99.9, 1_000),
            (99.99, 10_000),
            (100.0, 1),
        ] {
            assert_eq!(answers_for(percentile), answers);
            latencies.clear();
            latencies.record_many(Duration::from_millis(3), answers - 1);
            assert!(latencies.percentile_ms(percentile).is_nan());
            latencies.record(Duration::from_millis(3));
            assert!((latencies.percentile_ms(percentile) - 3.0).abs() < 0.01);
        }
    }

    #[test]
    fn what_is_not_known_is_a_dash_and_null() {
        let mut latencies = Latencies::new();
        latencies.record_many(Duration::from_millis(3), 99);
        let p = latencies.percentiles();
        assert!(
            p.to_string()
                .contains("p99        –  p99.9        –  max     3.00"),
            "{p}"
        );
        assert_eq!(
            serde_json::to_value(&p).unwrap()["p99_ms"],
            serde_json::Value::Null
        );
        assert!(
            p.curve
                .iter()
                .all(|(percentile, _)| *percentile < 99.0 || *percentile > 99.99)
        );
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
