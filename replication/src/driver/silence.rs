//! When each peer was last heard on its own link, so that a short pause of a process is not taken for its death.
//!
//! Why: the failure detector learns how often a node is heard. Where links have just come up that is so
//! often that it gives a node up within a second, which a process may well need to get its turn. Heard is who proved to be
//! that node and that incarnation: neither a successor at its address nor anybody else speaks for it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use castor_proto::ids::Member;
use castor_proto::limits::MEMBERS_MAX;
use tokio::time::Instant;

/// When each peer was last heard.
#[derive(Debug, Default)]
pub(super) struct Silence {
    heard: Mutex<HashMap<Member, Instant>>,
}

impl Silence {
    fn heard(&self) -> MutexGuard<'_, HashMap<Member, Instant>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a linked peer was heard.
    pub(super) fn broken(&self, by: &Member, now: Instant) {
        let mut heard = self.heard();
        heard.insert(by.clone(), now);
        if heard.len() > MEMBERS_MAX {
            let oldest = heard.iter().min_by_key(|(_, at)| **at);
            if let Some(oldest) = oldest.map(|(member, _)| member.clone()) {
                heard.remove(&oldest);
            }
        }
    }

    /// Until when the silence of this peer is too short to mean anything, if it is.
    pub(super) fn short_until(&self, of: &Member, now: Instant, long: Duration) -> Option<Instant> {
        let until = *self.heard().get(of)? + long;
        (now < until).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use castor_proto::ids::{Incarnation, NodeName};

    use super::super::clock;
    use super::*;

    const LONG: Duration = Duration::from_millis(1_400);

    fn member(node: &str, incarnation: u128) -> Member {
        Member {
            node: NodeName::parse(node).unwrap(),
            incarnation: Incarnation(incarnation.to_be_bytes()),
        }
    }

    #[test]
    fn a_silence_is_short_until_it_is_not() {
        let (silence, start, a) = (Silence::default(), clock::instant(), member("a", 1));
        assert_eq!(silence.short_until(&a, start, LONG), None);
        silence.broken(&a, start);
        let end = start + LONG;
        let just_before = end - Duration::from_millis(1);
        assert_eq!(silence.short_until(&a, just_before, LONG), Some(end));
        assert_eq!(silence.short_until(&a, end, LONG), None);
        silence.broken(&a, just_before);
        assert!(silence.short_until(&a, end, LONG).is_some());
    }

    #[test]
    fn nobody_else_speaks_for_a_peer_not_even_its_next_incarnation() {
        let (silence, start) = (Silence::default(), clock::instant());
        silence.broken(&member("a", 2), start);
        silence.broken(&member("b", 1), start);
        assert_eq!(silence.short_until(&member("a", 1), start, LONG), None);
    }

    #[test]
    fn no_more_peers_are_kept_than_there_are_members() {
        let (silence, start) = (Silence::default(), clock::instant());
        let many = u64::try_from(MEMBERS_MAX).unwrap();
        for number in 0..=many {
            let heard = start + Duration::from_millis(number);
            silence.broken(&member("a", number.into()), heard);
        }
        assert_eq!(silence.short_until(&member("a", 0), start, LONG), None);
        assert!(silence.short_until(&member("a", 1), start, LONG).is_some());
    }
}
