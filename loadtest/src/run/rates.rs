//! How often something happened in each second of a run.
//!
//! Promises: a worker's own counter costs an addition; counters of all workers add up.
//! Bounded: what happens later than [`SECONDS_MAX`] counts in the last second.
//! Does not: read a clock.

use std::time::Duration;

use super::bounds::POINTS_MAX;

/// Seconds that are told apart.
pub const SECONDS_MAX: usize = POINTS_MAX;

/// Counts by second.
#[derive(Debug, Clone, Default)]
pub struct PerSecond(Vec<u64>);

impl PerSecond {
    /// One more, so long after the beginning.
    pub fn hit(&mut self, after: Duration) {
        let second = usize::try_from(after.as_secs()).unwrap_or(SECONDS_MAX);
        let second = second.min(SECONDS_MAX - 1);
        if self.0.len() <= second {
            self.0.resize(second + 1, 0);
        }
        if let Some(count) = self.0.get_mut(second) {
            *count += 1;
        }
    }

    /// Takes over those of another worker.
    pub fn merge(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count += more;
        }
    }

    /// The middle of each second and what happened in it; the last second, which the run did not
    /// fill, is as a whole one.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn points(&self, lasted: Duration) -> Vec<(f64, f64)> {
        let lasted = lasted.as_secs_f64();
        let seconds = self.0.iter().enumerate().map(|(second, count)| {
            let begin = second as f64;
            let length = (lasted - begin).clamp(0.0, 1.0);
            (begin + length / 2.0, *count as f64, length)
        });
        seconds
            // The rate of a moment says nothing.
            .filter(|(_, _, length)| *length >= 0.2)
            .map(|(at, count, length)| (at, count / length))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_of_all_workers_add_up() {
        let (mut one, mut other) = (PerSecond::default(), PerSecond::default());
        one.hit(Duration::from_millis(10));
        other.hit(Duration::from_millis(999));
        other.hit(Duration::from_millis(2_100));
        one.merge(&other);
        let points = one.points(Duration::from_millis(2_500));
        assert_eq!(points, [(0.5, 2.0), (1.5, 0.0), (2.25, 2.0)]);
        other.hit(Duration::MAX);
        assert_eq!(other.points(Duration::from_secs(3)).len(), 3);
    }
}
