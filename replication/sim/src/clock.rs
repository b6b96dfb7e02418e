//! The one place of this crate that reads the machine's clock: for progress and bounds on a run of
//! seeds. Nothing inside a simulated world sees it.

#![expect(
    clippy::disallowed_methods,
    reason = "the one file that may read the clock"
)]

use std::time::Instant;

/// The monotonic clock.
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}
