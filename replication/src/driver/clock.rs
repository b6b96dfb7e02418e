//! The one place that reads the clock and the operating system's randomness.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use castor_proto::ids::WallMs;
use castor_proto::seal::aead::Nonce;

use crate::engine::{Micros, Now};

/// Reads both clocks of this machine. Clones agree on the monotonic origin.
#[derive(Debug, Clone)]
pub struct Clock {
    origin: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock whose monotonic time begins at one hour, so that "long ago" can be subtracted.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock"
    )]
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// The time of both clocks.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock"
    )]
    pub fn now(&self) -> Now {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Now {
            mono: self.mono(),
            wall: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Monotonic time.
    pub fn mono(&self) -> Micros {
        let elapsed = self.origin.elapsed() + Duration::from_secs(3_600);
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }
}

/// Fills a buffer from the operating system's randomness.
///
/// # Errors
/// The operating system gives none; nothing that needs secrets can go on.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that draws randomness"
)]
pub fn entropy(bytes: &mut [u8]) -> Result<(), std::io::Error> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| std::io::Error::other("no randomness from the system"))
}

/// The wall clock, milliseconds since the Unix epoch; may step.
#[must_use]
pub fn wall_ms() -> WallMs {
    Clock::new().now().wall
}

/// The runtime's monotonic clock, for time limits.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
pub(super) fn instant() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// 24 random bytes, drawn anew for every sealing.
///
/// # Errors
/// The operating system gives none.
pub(super) fn nonce() -> Result<Nonce, std::io::Error> {
    let mut nonce = Nonce::default();
    entropy(&mut nonce)?;
    Ok(nonce)
}
