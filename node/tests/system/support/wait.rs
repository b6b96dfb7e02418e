//! Waiting for conditions, with a deadline; the only place that reads the clock or lets time pass.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// The present, for measuring how long something took.
#[expect(clippy::disallowed_methods, reason = "the one clock of these tests")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The present in milliseconds since the Unix epoch, as the nodes on this machine see it.
#[expect(clippy::disallowed_methods, reason = "the one clock of these tests")]
pub(crate) fn wall_ms() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock after 1970").as_secs_f64() * 1000.0
}

/// Waits until `condition` gives a value; panics with `what` after `limit`.
pub(crate) fn until<T>(what: &str, limit: Duration, condition: impl FnMut() -> Option<T>) -> T {
    let found = poll(limit, condition);
    found.unwrap_or_else(|| panic!("not within {limit:?}: {what}"))
}

/// Waits until `condition` gives a value, or `limit` has passed.
pub(crate) fn poll<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = now() + limit;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if now() >= deadline {
            return None;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "between two looks at the condition"
        )]
        std::thread::sleep(POLL);
    }
}
