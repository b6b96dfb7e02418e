//! When a sign-in is refused without looking at the password: numbers only, no clock and no network.

use castor_proto::ids::WallMs;
use castor_replication::engine::Tally;

/// How failures of one kind are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    /// So many failures in the window are free.
    pub(super) free: u64,
    /// Pause after the first one that is not, milliseconds; each further failure doubles it.
    pub(super) first_ms: u64,
    /// Longest pause, milliseconds.
    pub(super) longest_ms: u64,
}

impl Rule {
    /// Until when sign-ins are refused; absent when they are not.
    pub(super) fn until(&self, tally: &Tally, now: WallMs) -> Option<WallMs> {
        let over = tally.failures.checked_sub(self.free)?;
        let doubled = u32::try_from(over)
            .ok()
            .and_then(|over| 1_u64.checked_shl(over));
        let pause = doubled.and_then(|times| self.first_ms.checked_mul(times));
        let pause = pause.unwrap_or(u64::MAX).min(self.longest_ms);
        // A peer's clock may be a little ahead: nobody waits for longer than the pause.
        let until = tally.last.min(now).saturating_add(pause);
        (until > now).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule {
        free: 5,
        first_ms: 5_000,
        longest_ms: 300_000,
    };

    fn until(failures: u64, last: WallMs, now: WallMs) -> Option<WallMs> {
        RULE.until(&Tally { failures, last }, now)
    }

    #[test]
    fn the_pause_grows_with_each_failure_and_has_an_end() {
        assert_eq!(until(0, 0, 1), None);
        assert_eq!(until(4, 1_000, 1_000), None);
        for (failures, pause) in [
            (5, 5_000),
            (6, 10_000),
            (10, 160_000),
            (11, 300_000),
            (69, 300_000),
            (5 + (1 << 33), 300_000),
        ] {
            assert_eq!(until(failures, 1_000, 1_000), Some(1_000 + pause));
            assert_eq!(until(failures, 1_000, 1_000 + pause), None);
            assert!(until(failures, 1_000, 999 + pause).is_some());
        }
    }

    #[test]
    fn a_clock_that_is_ahead_makes_nobody_wait_longer() {
        assert_eq!(until(5, 9_000, 1_000), Some(6_000));
    }
}
