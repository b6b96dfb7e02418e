//! The one place that reads the clock and the operating system's randomness.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use castor_proto::ids::WallMs;
use castor_proto::seal::aead::Nonce;
use tokio::time::Instant;

use crate::engine::{Micros, Now};

/// Reads both clocks of this machine, or of a simulation. Clones agree on the monotonic origin.
#[derive(Debug, Clone)]
pub struct Clock {
    /// The runtime's clock: the machine's, unless a test has stopped it.
    origin: Instant,
    /// What the wall clock showed at the origin, in a simulation.
    simulated: Option<WallMs>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock whose monotonic time begins at one hour, so that "long ago" can be subtracted.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origin: instant(),
            simulated: None,
        }
    }

    /// A clock whose wall time goes on from `wall` with the runtime's time, whatever the machine's says.
    #[must_use]
    pub fn simulated(wall: WallMs) -> Self {
        Self {
            origin: instant(),
            simulated: Some(wall),
        }
    }

    /// The time of both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        let wall = match self.simulated {
            Some(start) => start.saturating_add(milliseconds(self.origin.elapsed())),
            None => wall_ms(),
        };
        Now {
            mono: self.mono(),
            wall,
        }
    }

    /// Monotonic time.
    #[must_use]
    pub fn mono(&self) -> Micros {
        let elapsed = self.origin.elapsed() + Duration::from_secs(3_600);
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
    getrandom::fill(bytes).map_err(std::io::Error::other)
}

/// The wall clock, milliseconds since the Unix epoch; may step.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
#[must_use]
pub fn wall_ms() -> WallMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    milliseconds(since.unwrap_or(Duration::ZERO))
}

/// The runtime's monotonic clock, for time limits.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
pub(super) fn instant() -> Instant {
    Instant::now()
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
