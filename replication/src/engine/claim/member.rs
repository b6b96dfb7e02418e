//! The member's side of a claim: answering the questions of whoever wants to consume a ticket (rules 5 and
//! 6), and taking in what was decided (rule 9).

use std::sync::Arc;

use castor_proto::ids::{ClaimId, Member, WallMs};
use castor_proto::message::{Ask, PeerMessage, Refusal, Vote};
use castor_proto::ticket::{TicketKey, TicketKind};

use crate::engine::mutants::{mutant, same};
use crate::engine::singles::Held;
use crate::engine::{Engine, Lie};

impl Engine {
    pub(in crate::engine) fn asked(
        &mut self,
        from: &Member,
        rpc: u64,
        key: TicketKey,
        body: Option<Arc<[u8]>>,
        ask: &Ask,
    ) {
        let vote = self.vote(&key, body.as_ref(), ask);
        if vote == Vote::Refused(Refusal::NotInView)
            && let Some(held) = body.and_then(|bytes| Held::decode(&bytes, Some(&key)))
            && self.is_foreign(&held.body)
        {
            self.lied(from, Lie::View);
        }
        self.send(from, PeerMessage::Answer { rpc, vote });
    }

    /// Rule 5, then rule 6. The body may come with the question.
    pub(super) fn vote(&mut self, key: &TicketKey, body: Option<&Arc<[u8]>>, ask: &Ask) -> Vote {
        let known = self
            .singles
            .get(key)
            .is_some_and(|single| single.body.is_some());
        if !known && let Some(held) = body.and_then(|bytes| Held::decode(bytes, Some(key))) {
            let me = &self.config.me;
            if !held.body.view.iter().any(|member| same(member, me)) {
                return Vote::Refused(Refusal::NotInView);
            }
            if !self.hold(&held) {
                return Vote::Refused(Refusal::Expired);
            }
        }
        if let Some(single) = self.singles.get(key)
            && single.decided.is_none()
            && let Some(held) = &single.body
        {
            let late = held.body.hard_expiry + self.config.tolerance_ms;
            let ended = self.ended_by_ancestor(&held.body.ancestors);
            if ended && !mutant!(VotersIgnoreLogout) {
                return Vote::Refused(Refusal::Destroyed); // rule 14
            }
            if self.own() >= late && self.clock.is_sound() {
                return Vote::Refused(Refusal::Expired);
            }
        }
        let own = self.own();
        self.singles.vote(key, &self.config.me, ask, own)
    }

    pub(in crate::engine) fn learn_decided(
        &mut self,
        key: TicketKey,
        kind: TicketKind,
        hard_expiry: WallMs,
        claim: ClaimId,
        since: WallMs,
    ) {
        let own = self.own();
        let ended = hard_expiry + 2 * self.config.tolerance_ms < own;
        if !kind.is_single_use() || (ended && self.clock.is_sound()) {
            return;
        }
        if self.singles.get(&key).is_none() && self.singles.len() >= self.config.singles_max {
            return;
        }
        match self.singles.decide(key, kind, hard_expiry, claim, since) {
            Ok(true) => self.watch_single(key, hard_expiry),
            Ok(false) => {}
            Err(()) => self.decided_conflict(key),
        }
    }
}
