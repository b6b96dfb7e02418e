//! When each address was last heard, so that a short pause of a process is not taken for its death.
//!
//! Why: the failure detector learns how often a node is heard. Where links have just come up that is so
//! often that it gives a node up within a second, which a process may well need to get its turn.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use castor_proto::limits::MEMBERS_MAX;
use tokio::time::Instant;

/// When each address was last heard.
#[derive(Debug, Default)]
pub(super) struct Silence {
    heard: Mutex<HashMap<SocketAddr, Instant>>,
}

impl Silence {
    fn heard(&self) -> MutexGuard<'_, HashMap<SocketAddr, Instant>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a linked peer was heard.
    pub(super) fn broken(&self, address: SocketAddr, now: Instant) {
        let mut heard = self.heard();
        heard.insert(address, now);
        if heard.len() > MEMBERS_MAX {
            let oldest = heard.iter().min_by_key(|(_, at)| **at);
            if let Some(oldest) = oldest.map(|(address, _)| *address) {
                heard.remove(&oldest);
            }
        }
    }

    /// Until when the silence of this address is too short to mean anything, if it is.
    pub(super) fn short_until(
        &self,
        address: SocketAddr,
        now: Instant,
        long: Duration,
    ) -> Option<Instant> {
        let until = *self.heard().get(&address)? + long;
        (now < until).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock;
    use super::*;

    const LONG: Duration = Duration::from_millis(1_400);

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_silence_is_short_until_it_is_not() {
        let (silence, start) = (Silence::default(), clock::instant());
        assert_eq!(silence.short_until(address(1), start, LONG), None);
        silence.broken(address(1), start);
        let end = start + LONG;
        let just_before = end - Duration::from_millis(1);
        assert_eq!(
            silence.short_until(address(1), just_before, LONG),
            Some(end)
        );
        assert_eq!(silence.short_until(address(1), end, LONG), None);
        silence.broken(address(1), just_before);
        assert!(silence.short_until(address(1), end, LONG).is_some());
    }

    #[test]
    fn no_more_addresses_are_kept_than_there_are_members() {
        let (silence, start) = (Silence::default(), clock::instant());
        for port in 0..=u16::try_from(MEMBERS_MAX).unwrap() {
            silence.broken(address(port), start + Duration::from_millis(port.into()));
        }
        assert_eq!(silence.short_until(address(0), start, LONG), None);
        assert!(silence.short_until(address(1), start, LONG).is_some());
    }
}
