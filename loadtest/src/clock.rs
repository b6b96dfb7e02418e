//! The one place of this crate that reads the clocks of the machine.
//!
//! Promises: intervals come from the monotonic clock, texts for people from the wall clock.
//! Does not: schedule or measure anything itself.

#![expect(
    clippy::disallowed_methods,
    reason = "the one file that may read the clocks"
)]

use std::time::{Duration, Instant};

/// The monotonic clock, for intervals.
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Waits until `at`; returns at once when it has passed.
pub async fn sleep_until(at: Instant) {
    tokio::time::sleep_until(at.into()).await;
}

/// Waits for `time`. Only for pacing a poll or a load, never in place of a condition.
pub async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// As [`pause`], for clean-up outside the runtime, where nothing else is to be done meanwhile.
pub fn block(time: Duration) {
    std::thread::park_timeout(time);
}

/// Wall time as RFC 3339 in UTC, whole seconds, for reports.
pub fn wall_text() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// A seed for runs that were not given one: nanoseconds of the wall clock.
pub fn fresh_seed() -> u64 {
    let nanos = jiff::Timestamp::now().as_nanosecond();
    u64::try_from(nanos & i128::from(u64::MAX)).unwrap_or(1)
}
