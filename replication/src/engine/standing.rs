//! Where a node stands, as request handlers read it: one word, written by the event loop.
//!
//! Promises: a reader gets phase and readiness of one moment, never of two, and with them when that
//! moment was. Three separate fields would let a handler pair an old phase with a new readiness.

use std::sync::atomic::Ordering::{Acquire, Release};

use castor_proto::message::Phase;

use super::config::Micros;
use super::shared::AtomicU64;

/// Phase, readiness, and when both were last brought up to date.
#[derive(Debug)]
pub struct Standing(AtomicU64);

/// Bits below the moment: two for the phase, one for readiness.
const FLAG_BITS: u32 = 3;
const SERVING: u64 = 1 << 2;

/// What a reader gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    /// Where the node stands in its life.
    pub phase: Phase,
    /// Whether nothing else keeps it from serving.
    pub serving: bool,
    /// When that was so, monotonic microseconds.
    pub at: Micros,
}

impl Standing {
    /// A node that has nothing and serves nobody.
    #[must_use]
    pub fn new(at: Micros) -> Self {
        Self(AtomicU64::new(at << FLAG_BITS))
    }

    /// Says where the node stands.
    pub fn set(&self, stand: Stand) {
        let serving = if stand.serving { SERVING } else { 0 };
        let word = stand.at << FLAG_BITS | serving | stand.phase as u64;
        self.0.store(word, Release);
    }

    /// Where it stands.
    #[must_use]
    pub fn get(&self) -> Stand {
        let word = self.0.load(Acquire);
        Stand {
            phase: match word & 3 {
                0 => Phase::Empty,
                1 => Phase::Bootstrapping,
                2 => Phase::Ready,
                _ => Phase::Draining,
            },
            serving: word & SERVING != 0,
            at: word >> FLAG_BITS,
        }
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_what_is_read() {
        let standing = Standing::new(7);
        let first = Stand {
            phase: Phase::Empty,
            serving: false,
            at: 7,
        };
        assert_eq!(standing.get(), first);
        for phase in [
            Phase::Empty,
            Phase::Bootstrapping,
            Phase::Ready,
            Phase::Draining,
        ] {
            for serving in [false, true] {
                let stand = Stand {
                    phase,
                    serving,
                    at: 1 << 50,
                };
                standing.set(stand);
                assert_eq!(standing.get(), stand);
            }
        }
    }
}
