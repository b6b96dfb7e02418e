//! The one place of this crate that reads the clocks and the system's randomness.
//!
//! Everything else takes a [`Clock`] or [`Rng`] handle, so that tests can set the time and repeat the
//! randomness. Ticket lifetimes do not use this clock but the replication's own, which is kept in
//! bounds against the peers'.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch, for people and records.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicU64>>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands at `wall_ms` until it is set.
    pub fn manual(wall_ms: u64) -> Self {
        Self(Some(Arc::new(AtomicU64::new(wall_ms))))
    }

    /// Sets a manual clock; the system's clock stays as it is.
    pub fn set(&self, wall_ms: u64) {
        if let Some(manual) = &self.0 {
            manual.store(wall_ms, Ordering::SeqCst);
        }
    }

    /// Milliseconds since the Unix epoch; 0 before it.
    #[expect(
        clippy::disallowed_methods,
        reason = "this file is where the clock is read"
    )]
    pub fn wall_ms(&self) -> u64 {
        match &self.0 {
            Some(manual) => manual.load(Ordering::SeqCst),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| {
                    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
                }),
        }
    }

    /// The same moment for printing.
    pub fn timestamp(&self) -> jiff::Timestamp {
        timestamp(self.wall_ms())
    }
}

/// `wall_ms` as text, always with three digits after the second, so that lists stay straight.
pub fn stamp(wall_ms: u64) -> String {
    format!("{:.3}", timestamp(wall_ms))
}

/// `wall_ms` for printing; a moment too far away to print is the epoch.
pub fn timestamp(wall_ms: u64) -> jiff::Timestamp {
    i64::try_from(wall_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or_default()
}

/// The monotonic clock, for measuring how long something took.
#[expect(
    clippy::disallowed_methods,
    reason = "this file is where the clock is read"
)]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// The clock of the runtime's timers, which tests can pause.
#[expect(
    clippy::disallowed_methods,
    reason = "this file is where the clock is read"
)]
pub fn timer_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// Processor time that this thread has used so far, in user and kernel.
pub fn thread_cpu() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(used).unwrap_or_default()
}

/// Randomness fit for keys and identifiers.
#[derive(Clone, Default)]
pub struct Rng(Option<Arc<Mutex<blake3::OutputReader>>>);

impl std::fmt::Debug for Rng {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() {
            "Rng(seeded)"
        } else {
            "Rng(system)"
        })
    }
}

impl Rng {
    /// The system's randomness.
    pub fn system() -> Self {
        Self(None)
    }

    /// The same bytes for the same seed; for tests.
    ///
    /// *Security*: anyone who knows the seed knows every byte.
    pub fn seeded(seed: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("castor test randomness");
        hasher.update(&seed.to_le_bytes());
        Self(Some(Arc::new(Mutex::new(hasher.finalize_xof()))))
    }

    /// Fills `bytes`.
    #[expect(
        clippy::disallowed_methods,
        reason = "this file is where randomness is drawn"
    )]
    #[expect(
        clippy::expect_used,
        reason = "without randomness no secret can be made; stop at once"
    )]
    pub fn fill(&self, bytes: &mut [u8]) {
        match &self.0 {
            Some(seeded) => seeded
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .fill(bytes),
            None => getrandom::fill(bytes).expect("the system has no randomness"),
        }
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}
