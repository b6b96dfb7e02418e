//! Single-use tickets and this node's vote on each (rules 5, 6 and 9).
//!
//! An acceptor answers only for tickets whose view names this very incarnation. `accepted` is never
//! copied to anyone; `decided` is a fact and may be.

use std::sync::Arc;

use castor_proto::ids::{Ballot, ClaimId, Member, WallMs};
use castor_proto::message::{Ask, Refusal, Vote};
use castor_proto::ticket::{TicketBody, TicketKey, TicketKind};

use super::mutants::{mutant, same};
use super::store::KeyMap;

/// What this node knows of one single-use ticket.
pub(super) struct Single {
    pub(super) kind: TicketKind,
    pub(super) hard_expiry: WallMs,
    pub(super) body: Option<Held>,
    /// The deciding claim, and when this node learnt of it on its own clock.
    pub(super) decided: Option<(ClaimId, WallMs)>,
    promised: Ballot,
    accepted: Option<(Ballot, ClaimId)>,
    /// The issuer's one value for ballot 0.
    open: Option<ClaimId>,
}

/// A body, encoded and decoded.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) bytes: Arc<[u8]>,
    pub(super) body: Arc<TicketBody>,
}

impl Held {
    /// Decodes; only single-use tickets whose key is the one named pass.
    pub(super) fn decode(bytes: &Arc<[u8]>, key: Option<&TicketKey>) -> Option<Self> {
        let body = TicketBody::decode(bytes).ok()?;
        let fits = key.is_none_or(|key| body.key() == *key) && body.kind().is_single_use();
        fits.then(|| Self {
            bytes: Arc::clone(bytes),
            body: Arc::new(body),
        })
    }
}

impl Single {
    fn new(kind: TicketKind, hard_expiry: WallMs) -> Self {
        Self {
            kind,
            hard_expiry,
            body: None,
            decided: None,
            promised: Ballot::default(),
            accepted: None,
            open: None,
        }
    }

    /// Rule 6. The caller has checked rule 5.
    fn vote(&mut self, ask: &Ask, is_issuer: bool) -> Vote {
        match ask {
            Ask::Open(_) if !is_issuer => Vote::Refused(Refusal::NotInView),
            Ask::Open(claim) => self.open(*claim),
            Ask::Prepare(ballot) if *ballot >= self.promised => {
                self.promised = *ballot;
                Vote::Promise(*ballot, self.accepted)
            }
            // Rule 6.
            Ask::Accept(ballot, claim) if *ballot >= self.promised || mutant!(PromiseIgnored) => {
                self.promised = *ballot;
                self.accepted = Some((*ballot, *claim));
                if mutant!(AcceptedIsDecided) {
                    self.decided = Some((*claim, WallMs::MAX)); // rule 9
                }
                Vote::Accepted(*ballot)
            }
            Ask::Prepare(_) | Ask::Accept(..) => Vote::Outbid(self.promised),
        }
    }

    fn open(&mut self, claim: ClaimId) -> Vote {
        let free = self.promised == Ballot::default() || mutant!(ZeroAfterPromise); // rule 6
        let value = match self.open {
            Some(value) if !mutant!(OpenReplaced) => value, // rule 6
            _ if !free => return Vote::Refused(Refusal::Preempted),
            _ => claim,
        };
        self.open = Some(value);
        if free {
            self.accepted = Some((Ballot::default(), value));
        }
        Vote::Value {
            claim: value,
            accepted: free,
        }
    }
}

/// All single-use tickets of this node.
#[derive(Default)]
pub(super) struct Singles {
    map: KeyMap<Single>,
    /// Latest end among everything forgotten: nothing that ended before is ever voted on again,
    /// even when the own clock goes back.
    forgotten: WallMs,
}

impl Singles {
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn get(&self, key: &TicketKey) -> Option<&Single> {
        self.map.get(key)
    }

    /// Takes a body in; false when it ended before something already forgotten. `news` tells the
    /// caller to watch its expiry.
    pub(super) fn hold(&mut self, held: &Held, news: &mut bool) -> bool {
        let body = &held.body;
        let known = self.map.contains_key(&body.key());
        if !known && body.hard_expiry <= self.forgotten {
            return false;
        }
        *news = !known;
        let single = self
            .map
            .entry(body.key())
            .or_insert_with(|| Single::new(body.kind(), body.hard_expiry));
        // Rule 3: an id has one body for ever.
        if single.body.is_none() || mutant!(SameIdOtherView) {
            single.body = Some(held.clone());
        }
        true
    }

    /// Records a claim that was decided at `since`. `Err` when another is recorded: an alarm.
    pub(super) fn decide(
        &mut self,
        key: TicketKey,
        kind: TicketKind,
        hard_expiry: WallMs,
        claim: ClaimId,
        since: WallMs,
    ) -> Result<bool, ()> {
        let news = !self.map.contains_key(&key);
        let single = self
            .map
            .entry(key)
            .or_insert_with(|| Single::new(kind, hard_expiry));
        match single.decided {
            Some((known, _)) if known != claim => Err(()),
            Some(_) => Ok(news),
            None => {
                single.decided = Some((claim, since));
                Ok(news)
            }
        }
    }

    /// Answers a question about a held ticket for the member `me` (rules 5 and 6).
    pub(super) fn vote(&mut self, key: &TicketKey, me: &Member, ask: &Ask, now: WallMs) -> Vote {
        let Some(single) = self.map.get_mut(key) else {
            return Vote::Refused(Refusal::UnknownBody);
        };
        if let Some((claim, since)) = single.decided {
            return Vote::Decided(claim, now.saturating_sub(since));
        }
        let Some(held) = &single.body else {
            return Vote::Refused(Refusal::UnknownBody);
        };
        let opens = !mutant!(OpensOldView) || matches!(ask, Ask::Open(_));
        let in_view = held.body.view.iter().any(|member| same(member, me)); // rule 1
        if !in_view || !(opens || held.body.view.contains(me)) {
            return Vote::Refused(Refusal::NotInView);
        }
        let is_issuer = held
            .body
            .view
            .first()
            .is_some_and(|issuer| same(issuer, me));
        single.vote(ask, is_issuer)
    }

    /// What this member has accepted: never a fact (rule 9).
    #[cfg(feature = "mutants")]
    pub(super) fn accepted(&self, key: &TicketKey) -> Option<ClaimId> {
        self.map.get(key)?.accepted.map(|(_, claim)| claim)
    }

    /// The undecided tickets known here that descend from a session.
    #[cfg(feature = "mutants")]
    pub(super) fn children(&self, root: &TicketKey) -> Vec<(TicketKey, TicketKind, WallMs)> {
        let descends = |single: &Single| {
            let held = single.body.as_ref();
            single.decided.is_none() && held.is_some_and(|held| held.body.ancestors.contains(root))
        };
        let children = self.map.iter().filter(|(_, single)| descends(single));
        children
            .map(|(key, single)| (*key, single.kind, single.hard_expiry))
            .collect()
    }

    /// Forgets a ticket past its end and tolerance.
    pub(super) fn forget(&mut self, key: &TicketKey) -> Option<Single> {
        let single = self.map.remove(key)?;
        if !mutant!(ForgetsEarly) && !mutant!(ClockGoesBack) {
            self.forgotten = self.forgotten.max(single.hard_expiry); // rule 10
        }
        Some(single)
    }

    /// The end of the latest forgotten ticket.
    pub(super) fn forgotten(&self) -> WallMs {
        self.forgotten
    }

    /// Whether some undecided ticket that has not ended names this incarnation (rule 21).
    pub(super) fn outstanding(&self, me: &Member, now: WallMs) -> bool {
        self.map.values().any(|single| {
            single.decided.is_none()
                && single.hard_expiry > now
                && single
                    .body
                    .as_ref()
                    .is_some_and(|held| held.body.view.contains(me))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(n: u8) -> ClaimId {
        ClaimId([n; 16])
    }

    fn ballot(round: u32, nonce: u64) -> Ballot {
        Ballot { round, nonce }
    }

    #[test]
    fn the_first_open_fixes_the_value_of_ballot_zero() {
        let mut single = Single::new(TicketKind::St, 1);
        let first = single.vote(&Ask::Open(claim(1)), true);
        assert_eq!(
            first,
            Vote::Value {
                claim: claim(1),
                accepted: true
            }
        );
        let second = single.vote(&Ask::Open(claim(2)), true);
        assert_eq!(
            second,
            Vote::Value {
                claim: claim(1),
                accepted: true
            }
        );
    }

    #[test]
    fn a_promise_shuts_the_door_of_ballot_zero() {
        let mut single = Single::new(TicketKind::St, 1);
        assert_eq!(
            single.vote(&Ask::Prepare(ballot(1, 7)), true),
            Vote::Promise(ballot(1, 7), None)
        );
        let open = single.vote(&Ask::Open(claim(1)), true);
        assert_eq!(open, Vote::Refused(Refusal::Preempted));
        let late = single.vote(&Ask::Accept(ballot(0, 0), claim(1)), false);
        assert_eq!(late, Vote::Outbid(ballot(1, 7)));
    }

    #[test]
    fn an_open_after_a_promise_repeats_the_value_without_accepting_it() {
        let mut single = Single::new(TicketKind::St, 1);
        single.vote(&Ask::Open(claim(1)), true);
        single.vote(&Ask::Prepare(ballot(1, 7)), true);
        let again = single.vote(&Ask::Open(claim(2)), true);
        assert_eq!(
            again,
            Vote::Value {
                claim: claim(1),
                accepted: false
            }
        );
    }

    #[test]
    fn a_promise_reports_what_was_accepted() {
        let mut single = Single::new(TicketKind::St, 1);
        single.vote(&Ask::Accept(ballot(1, 3), claim(4)), false);
        let promise = single.vote(&Ask::Prepare(ballot(1, 9)), false);
        assert_eq!(
            promise,
            Vote::Promise(ballot(1, 9), Some((ballot(1, 3), claim(4))))
        );
        assert_eq!(
            single.vote(&Ask::Prepare(ballot(1, 4)), false),
            Vote::Outbid(ballot(1, 9))
        );
    }
}
