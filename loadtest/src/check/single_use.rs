//! What was seen of one ticket, as far as its single use is concerned.
//!
//! Promises: constant size; the order in which calls are told does not matter; a call without an
//! answer may have used the ticket at any time after it began.
//! Does not: know whose ticket it is or whether it had expired.

/// One ticket's validations.
#[derive(Debug, Clone, Copy)]
pub struct SingleUse {
    successes: u32,
    success_began: u64,
    open_began: u64,
    refusal_ended: u64,
}

impl Default for SingleUse {
    fn default() -> Self {
        Self {
            successes: 0,
            success_began: u64::MAX,
            open_began: u64::MAX,
            refusal_ended: u64::MAX,
        }
    }
}

impl SingleUse {
    /// A validation that succeeded.
    pub fn success(&mut self, began: u64) {
        self.successes = self.successes.saturating_add(1);
        self.success_began = self.success_began.min(began);
    }

    /// A call that may have used the ticket, at any time since it began.
    pub fn open(&mut self, began: u64) {
        self.open_began = self.open_began.min(began);
    }

    /// A validation that was refused, of a ticket that was alive when the answer came.
    pub fn refused(&mut self, ended: u64) {
        self.refusal_ended = self.refusal_ended.min(ended);
    }

    /// How often it was validated.
    pub fn successes(&self) -> u32 {
        self.successes
    }

    /// When it was refused although no call that can have used it had begun.
    pub fn refused_unused(&self) -> Option<u64> {
        let used_since = if self.successes > 0 {
            self.success_began
        } else {
            self.open_began
        };
        (self.refusal_ended < used_since).then_some(self.refusal_ended)
    }
}
