//! The one place of this crate that reads the clock and the operating system's randomness.
//!
//! Everything else takes time and randomness as arguments, or asks here, so that what is ambient is
//! on one page. Intervals are monotonic; the wall clock is for expiry, for people, and for the
//! generation of an incarnation.

use std::time::{SystemTime, UNIX_EPOCH};

use castor_proto::ids::{Incarnation, WallMs};
use castor_proto::seal::aead::Nonce;
use tokio::time::Instant;

/// The operating system has no randomness to give; nothing can be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random bytes")]
pub struct NoRandomness;

/// The wall clock, milliseconds since the Unix epoch; may step.
#[must_use]
pub fn wall_ms() -> WallMs {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The monotonic clock.
#[must_use]
pub fn instant() -> Instant {
    Instant::now()
}

/// Fills with random bytes from the operating system.
///
/// # Errors
/// [`NoRandomness`]; on Linux only before the kernel's pool is ready.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    getrandom::fill(bytes).map_err(|_| NoRandomness)
}

/// 24 random bytes, drawn anew for every sealing.
///
/// # Errors
/// [`NoRandomness`].
pub fn nonce() -> Result<Nonce, NoRandomness> {
    let mut nonce = Nonce::default();
    fill_random(&mut nonce)?;
    Ok(nonce)
}

/// The random number of this process start (rule 1).
///
/// # Errors
/// [`NoRandomness`].
pub fn incarnation() -> Result<Incarnation, NoRandomness> {
    let mut bytes = [0; 16];
    fill_random(&mut bytes)?;
    Ok(Incarnation(bytes))
}
