//! When to forget what: an index by second, never a scan.

use std::collections::BTreeMap;

use castor_proto::ids::WallMs;
use castor_proto::ticket::TicketKey;

/// Most keys handled per turn, so that a burst of expiries never holds up a request.
const TURN: usize = 512;

#[derive(Default)]
pub(super) struct ExpiryIndex {
    due: BTreeMap<WallMs, Vec<TicketKey>>,
}

impl ExpiryIndex {
    /// Look at this key once `at` has passed.
    pub(super) fn watch(&mut self, key: TicketKey, at: WallMs) {
        self.due.entry(at / 1_000 + 1).or_default().push(key);
    }

    /// Keys whose moment has passed, a bounded number of them.
    pub(super) fn take_due(&mut self, now: WallMs) -> Vec<TicketKey> {
        let mut keys = Vec::new();
        while keys.len() < TURN {
            let Some(mut first) = self.due.first_entry() else {
                break;
            };
            if *first.key() > now / 1_000 {
                break;
            }
            let room = TURN - keys.len();
            let list = first.get_mut();
            if list.len() > room {
                keys.extend(list.drain(list.len() - room..));
            } else {
                keys.append(list);
                first.remove();
            }
        }
        keys
    }

    /// Whether [`ExpiryIndex::take_due`] would give something.
    pub(super) fn is_due(&self, now: WallMs) -> bool {
        self.due
            .first_key_value()
            .is_some_and(|(second, _)| *second <= now / 1_000)
    }
}
