//! Consuming a single-use ticket: one decree per ticket over its own view (rules 4 to 9).
//!
//! Ballot 0 belongs to the issuer and saves the first phase; when the issuer does not answer, a
//! fallback ballot with a nonce of its own does both phases. The answer is valid only for the
//! claim that was decided. `search` finds the ticket before, `member` answers the questions of others.

mod member;
mod search;

use std::collections::BTreeMap;
use std::sync::Arc;

use castor_proto::ids::{Ballot, ClaimId, Member, NodeName};
use castor_proto::message::{Ask, PeerMessage, Refusal, Vote};
use castor_proto::ticket::{TicketBody, TicketKey};

use super::config::Micros;
use super::mutants::{mutant, same};
use super::ops::Op;
use super::timers::Timer;
use super::{ClaimOutcome, Engine, Reply, stats};
use search::Search;

/// One request's attempt to consume a ticket.
pub(super) struct ClaimOp {
    command: u64,
    key: TicketKey,
    claim: ClaimId,
    deadline: Micros,
    search_until: Micros,
    fell_back: bool,
    /// Steps that ended because the members' time was up.
    timed_out: u32,
    /// Distinguishes timers and answers of earlier steps.
    step: u32,
    stage: Stage,
    /// Highest round seen anywhere.
    round: u32,
    /// Members whose incarnation has gone: they never vote again.
    gone: Vec<Member>,
    /// Who has accepted anything, at whatever ballot.
    #[cfg(feature = "mutants")]
    pub(super) mixed: Vec<Member>,
}

enum Stage {
    /// Asking others for the body.
    Finding(Search),
    /// Asking others for the session at the root.
    FindingRoot {
        waiting: Vec<Member>,
        /// What it means that nobody of them has it.
        otherwise: ClaimOutcome,
    },
    /// The issuer is asked for the value of ballot 0.
    Opening { issuer: Member },
    /// Members are asked to promise.
    Preparing {
        ballot: Ballot,
        promises: BTreeMap<Member, Option<(Ballot, ClaimId)>>,
    },
    /// Members are asked to accept.
    Accepting {
        ballot: Ballot,
        value: ClaimId,
        accepted: Vec<Member>,
    },
    /// Waiting before the next attempt.
    Resting,
}

impl Stage {
    /// Whether another's ballot ends this attempt. What was lost to an earlier one may be told late, and
    /// on another way.
    fn is_outbid_by(&self, ballot: Ballot) -> bool {
        match self {
            Self::Resting => false,
            Self::Preparing { ballot: own, .. } | Self::Accepting { ballot: own, .. } => {
                ballot > *own
            }
            Self::Finding(_) | Self::FindingRoot { .. } | Self::Opening { .. } => true,
        }
    }
}

impl Engine {
    pub(super) fn claim(
        &mut self,
        command: u64,
        key: TicketKey,
        hints: Vec<NodeName>,
        unresolved_hint: bool,
        claim: ClaimId,
    ) {
        let number = self.ops.number();
        let op = Box::new(ClaimOp {
            command,
            key,
            claim,
            deadline: self.now.mono + self.config.claim_deadline,
            search_until: self.now.mono,
            fell_back: false,
            timed_out: 0,
            step: 0,
            stage: Stage::Resting,
            round: 0,
            gone: Vec::new(),
            #[cfg(feature = "mutants")]
            mixed: Vec::new(),
        });
        if self
            .singles
            .get(&key)
            .is_some_and(|single| single.body.is_some())
        {
            return self.claim_start(number, op);
        }
        self.claim_look_for(number, op, hints, unresolved_hint);
    }

    fn reachable(&self) -> Vec<Member> {
        let reachable = self.peers.iter().filter(|peer| peer.is_reachable());
        reachable.map(|peer| peer.member.clone()).collect()
    }

    /// Sets the operation aside until an answer or `pause` from now.
    fn claim_wait(&mut self, number: u64, mut op: Box<ClaimOp>, pause: Micros) {
        op.step += 1;
        let at = (self.now.mono + pause).min(op.deadline.max(self.now.mono));
        self.timers.set(at, Timer::Op(number, op.step));
        self.ops.put(number, Op::Claim(op));
    }

    /// Rule 14 on this node: why the ticket cannot be used, if so.
    fn claim_obstacle(&self, body: &TicketBody) -> Option<ClaimOutcome> {
        let own = self.own();
        if self.ended_by_ancestor(&body.ancestors) {
            return Some(ClaimOutcome::Destroyed);
        }
        let past = |key: &TicketKey| {
            self.store
                .find(key)
                .is_some_and(|ancestor| ancestor.body.hard_expiry <= own)
        };
        let ended = body.hard_expiry <= own || body.ancestors.iter().any(past);
        (ended && self.clock.is_sound()).then_some(ClaimOutcome::Expired)
    }

    /// The body is here: checks what can be checked before, then opens ballot 0 or falls back.
    fn claim_start(&mut self, number: u64, mut op: Box<ClaimOp>) {
        let Some(body) = self.claim_body(&op.key) else {
            return self.claim_end(&op, ClaimOutcome::NoQuorum);
        };
        if let Some((decided, _)) = self.singles.get(&op.key).and_then(|single| single.decided) {
            return self.claim_decided(op, &body, decided, true);
        }
        if let Some(obstacle) = self.claim_obstacle(&body) {
            return self.claim_end(&op, obstacle);
        }
        if let Some(root) = self.missing_ancestor(&body) {
            let waiting = self.reachable();
            let otherwise = self.without_root(&body, &waiting);
            if waiting.is_empty() {
                return self.claim_end(&op, otherwise);
            }
            // A number of its own: late answers about the ticket say nothing of its session.
            let number = self.ops.number();
            for member in &waiting {
                let rpc = number;
                self.send(member, PeerMessage::Find { rpc, key: root });
            }
            let pause = self.patience(&waiting, self.config.find_timeout);
            op.stage = Stage::FindingRoot { waiting, otherwise };
            return self.claim_wait(number, op, pause);
        }
        let Some(issuer) = body.view.first().cloned() else {
            return self.claim_end(&op, ClaimOutcome::Unknown);
        };
        if mutant!(AnyoneAtBallotZero) {
            let claim = op.claim; // rule 6
            return self.claim_accept(number, op, &body, Ballot::default(), claim, Vec::new());
        }
        if issuer == self.config.me {
            let ask = Ask::Open(op.claim);
            let vote = self.vote(&op.key, None, &ask);
            op.stage = Stage::Opening {
                issuer: issuer.clone(),
            };
            return self.claim_vote(number, op, &issuer, vote);
        }
        let believed = |peer: &super::peers::Peer| peer.is_reachable() && !peer.suspect;
        let current = self.peers.get(&issuer.node);
        let current = current.filter(|peer| same(&peer.member, &issuer)); // rule 6
        if !current.is_some_and(believed) {
            return self.claim_fall_back(number, op);
        }
        let pause = self.claim_patience(&op, std::slice::from_ref(&issuer));
        self.claim_ask(number, &op, &issuer, Ask::Open(op.claim));
        op.stage = Stage::Opening { issuer };
        self.claim_wait(number, op, pause);
    }

    fn claim_ask(&mut self, number: u64, op: &ClaimOp, to: &Member, ask: Ask) {
        let body = self.single_bytes(&op.key);
        #[cfg(feature = "mutants")]
        let to = &self.addressee(to);
        self.send(
            to,
            PeerMessage::Ask {
                rpc: number,
                key: op.key,
                body,
                ask,
            },
        );
    }

    /// Rule 7d: a fresh ballot, after a pause that keeps rivals apart.
    fn claim_fall_back(&mut self, number: u64, mut op: Box<ClaimOp>) {
        if !std::mem::replace(&mut op.fell_back, true) {
            stats::count(&self.stats.claim_fallback);
        }
        let (low, high) = self.config.backoff;
        let pause = self.random.between(low, high);
        op.stage = Stage::Resting;
        self.claim_wait(number, op, pause);
    }

    fn claim_prepare(&mut self, number: u64, mut op: Box<ClaimOp>) {
        let Some(body) = self.claim_body(&op.key) else {
            return self.claim_end(&op, ClaimOutcome::NoQuorum);
        };
        if self.reachable_members(&op, &body) <= body.view.len() / 2 {
            return self.claim_end(&op, ClaimOutcome::NoQuorum);
        }
        op.round = op.round.saturating_add(1);
        let ballot = Ballot {
            round: op.round,
            nonce: self.ballot_nonce(&op),
        };
        if mutant!(NoPrepare) {
            let claim = op.claim; // rule 7
            return self.claim_accept(number, op, &body, ballot, claim, Vec::new());
        }
        op.stage = Stage::Preparing {
            ballot,
            promises: BTreeMap::new(),
        };
        self.claim_ask_all(number, op, &body, &Ask::Prepare(ballot), &[]);
    }

    /// A fresh one for each attempt (rule 6).
    fn ballot_nonce(&mut self, op: &ClaimOp) -> u64 {
        if mutant!(BallotPerNode) {
            return self.config.me.node.as_str().bytes().map(u64::from).sum();
        }
        if mutant!(BallotPerClaim) {
            return op.claim.0.iter().copied().map(u64::from).sum();
        }
        self.random.u64()
    }

    fn reachable_members(&self, op: &ClaimOp, body: &TicketBody) -> usize {
        let can = |member: &&Member| {
            let current = self.peers.get(&member.node);
            let peer = current.filter(|peer| same(&peer.member, member)); // rule 1
            !op.gone.contains(member)
                && (same(member, &self.config.me) || peer.is_some_and(|peer| peer.is_reachable()))
        };
        body.view.iter().filter(can).count()
    }

    /// Asks the other members, then takes this node's own vote, which may end the stage.
    fn claim_ask_all(
        &mut self,
        number: u64,
        op: Box<ClaimOp>,
        body: &TicketBody,
        ask: &Ask,
        but: &[Member],
    ) {
        let me = self.config.me.clone();
        let others: Vec<Member> = body
            .view
            .iter()
            .filter(|m| **m != me && !but.contains(m))
            .cloned()
            .collect();
        let votes_here = body.view.contains(&me) && !but.contains(&me);
        // Its own vote first: in a view of three it often is the second and last that is needed.
        if votes_here {
            let vote = self.vote(&op.key, None, ask);
            let key = op.key;
            let step = op.step;
            self.claim_vote(number, op, &me, vote);
            match self.ops.take(number) {
                Some(Op::Claim(op)) if op.step == step && op.key == key => {
                    self.claim_ask_others(number, op, &others, ask);
                }
                Some(other) => self.ops.put(number, other),
                None => {}
            }
        } else {
            self.claim_ask_others(number, op, &others, ask);
        }
    }

    fn claim_ask_others(&mut self, number: u64, op: Box<ClaimOp>, others: &[Member], ask: &Ask) {
        for member in others {
            self.claim_ask(number, &op, member, ask.clone());
        }
        let pause = self.claim_patience(&op, others);
        self.claim_wait(number, op, pause);
    }

    /// How long these members get in this step: more each time they were too slow, because the way may
    /// have become longer than what was measured, and an answer to an earlier ballot is of no use.
    fn claim_patience(&self, op: &ClaimOp, members: &[Member]) -> Micros {
        let (low, high) = self.config.claim_timeout;
        let first = self.patience(members, (low, high));
        first.saturating_mul(1 << op.timed_out.min(8)).min(high)
    }

    pub(super) fn claim_timeout(&mut self, number: u64, mut op: Box<ClaimOp>, step: u32) {
        if step != op.step {
            return self.ops.put(number, Op::Claim(op));
        }
        if let Stage::Opening { issuer } = &op.stage {
            self.suspect(&issuer.clone());
        }
        let late = self.now.mono >= op.deadline;
        match &op.stage {
            Stage::Finding(_) => self.claim_end(&op, ClaimOutcome::NoQuorum),
            Stage::FindingRoot { .. } => self.claim_end(&op, ClaimOutcome::NoQuorum),
            _ if late => self.claim_end(&op, ClaimOutcome::NoQuorum),
            Stage::Resting => self.claim_prepare(number, op),
            _ => {
                op.timed_out += 1;
                self.claim_fall_back(number, op);
            }
        }
    }

    // ---- votes --------------------------------------------------------------------------------

    pub(super) fn answered(&mut self, from: &Member, rpc: u64, vote: Vote) {
        match self.ops.take(rpc) {
            Some(Op::Claim(op)) => self.claim_vote(rpc, op, from, vote),
            Some(other) => self.ops.put(rpc, other),
            None => {}
        }
    }

    fn claim_vote(&mut self, number: u64, mut op: Box<ClaimOp>, from: &Member, vote: Vote) {
        let Some(body) = self.claim_body(&op.key) else {
            return self.claim_end(&op, ClaimOutcome::NoQuorum);
        };
        // Rule 1: a vote counts only if its incarnation is in the view.
        if !body.view.iter().any(|member| same(member, from)) {
            return self.ops.put(number, Op::Claim(op));
        }
        let majority = body.view.len() / 2 + 1;
        match vote {
            Vote::Decided(value, age) => {
                let since = self.own().saturating_sub(age);
                self.learn_decided(op.key, body.kind(), body.hard_expiry, value, since);
                return self.claim_decided(op, &body, value, true);
            }
            Vote::Refused(Refusal::Destroyed) => {
                return self.claim_end(&op, ClaimOutcome::Destroyed);
            }
            Vote::Refused(Refusal::Expired) => return self.claim_end(&op, ClaimOutcome::Expired),
            Vote::Refused(reason) => return self.claim_refused(number, op, from, reason),
            Vote::Outbid(ballot) => {
                op.round = op.round.max(ballot.round);
                if op.stage.is_outbid_by(ballot) {
                    return self.claim_fall_back(number, op);
                }
            }
            Vote::Value { claim, accepted } => {
                if matches!(&op.stage, Stage::Opening { issuer } if same(issuer, from)) {
                    let by = accepted.then(|| from.clone()).into_iter().collect();
                    return self.claim_accept(number, op, &body, Ballot::default(), claim, by);
                }
            }
            Vote::Promise(at, reported) => {
                if let Stage::Preparing { ballot, promises } = &mut op.stage
                    && *ballot == at
                {
                    promises.insert(from.clone(), reported);
                    let ballot = *ballot;
                    if promises.len() >= majority {
                        let highest = promises
                            .values()
                            .flatten()
                            .max_by_key(|(ballot, _)| *ballot);
                        let highest = highest.filter(|_| !mutant!(ReportsIgnored)); // rule 7
                        let value = highest.map_or(op.claim, |(_, claim)| *claim);
                        return self.claim_accept(number, op, &body, ballot, value, Vec::new());
                    }
                }
            }
            Vote::Accepted(at) => {
                if let Stage::Accepting {
                    ballot,
                    value,
                    accepted,
                } = &mut op.stage
                    && (*ballot == at || mutant!(BallotsMixed)) // rule 7
                    && (!accepted.contains(from) || mutant!(CountsTwice))
                // rule 1
                {
                    accepted.push(from.clone());
                    #[cfg(feature = "mutants")]
                    op.mixed.push(from.clone());
                    let (value, enough) = (*value, accepted.len() >= majority);
                    if enough {
                        return self.claim_decided(op, &body, value, false);
                    }
                }
            }
        }
        self.ops.put(number, Op::Claim(op));
    }

    fn claim_refused(&mut self, number: u64, mut op: Box<ClaimOp>, from: &Member, why: Refusal) {
        if why == Refusal::NotInView && !op.gone.contains(from) {
            op.gone.push(from.clone());
        }
        if matches!(&op.stage, Stage::Opening { issuer } if issuer == from) {
            return self.claim_fall_back(number, op);
        }
        self.ops.put(number, Op::Claim(op));
    }

    fn claim_accept(
        &mut self,
        number: u64,
        mut op: Box<ClaimOp>,
        body: &TicketBody,
        ballot: Ballot,
        value: ClaimId,
        accepted: Vec<Member>,
    ) {
        #[cfg(feature = "mutants")]
        let accepted = op.with_earlier(accepted); // rule 7
        let alone = mutant!(IssuerAloneDecides) && !accepted.is_empty(); // rule 7
        if accepted.len() > body.view.len() / 2 || alone {
            return self.claim_decided(op, body, value, false);
        }
        op.stage = Stage::Accepting {
            ballot,
            value,
            accepted: accepted.clone(),
        };
        self.claim_ask_all(number, op, body, &Ask::Accept(ballot, value), &accepted);
    }

    // ---- the end ------------------------------------------------------------------------------

    /// Rule 8. `known` when it was decided before this request, here or elsewhere.
    fn claim_decided(&mut self, op: Box<ClaimOp>, body: &TicketBody, value: ClaimId, known: bool) {
        if !known {
            let own = self.own();
            self.learn_decided(op.key, body.kind(), body.hard_expiry, value, own);
            let fact = PeerMessage::Decided {
                key: op.key,
                kind: body.kind(),
                hard_expiry: body.hard_expiry,
                claim: value,
            };
            let others = body.view.iter().filter(|m| **m != self.config.me).cloned();
            for member in others.collect::<Vec<_>>() {
                self.send(&member, fact.clone());
            }
        }
        if value != op.claim {
            return self.claim_end(&op, ClaimOutcome::Lost);
        }
        if self.ended_by_ancestor(&body.ancestors) {
            return self.claim_end(&op, ClaimOutcome::Destroyed);
        }
        let since = self
            .singles
            .get(&op.key)
            .and_then(|single| single.decided)
            .map(|(_, at)| at);
        let age = self.own().saturating_sub(since.unwrap_or(0));
        let outcome = match (known, age <= self.config.replay_ms) {
            (false, _) => ClaimOutcome::Won(Arc::new(body.clone())),
            (true, true) => ClaimOutcome::Replayed(Arc::new(body.clone())),
            (true, false) => ClaimOutcome::Lost,
        };
        self.claim_end(&op, outcome);
    }

    fn claim_end(&mut self, op: &ClaimOp, outcome: ClaimOutcome) {
        let counter = match &outcome {
            ClaimOutcome::Won(_) => &self.stats.claims_won,
            ClaimOutcome::Replayed(_) => &self.stats.claims_replayed,
            ClaimOutcome::Lost => &self.stats.claims_lost,
            ClaimOutcome::Destroyed => &self.stats.claims_destroyed,
            ClaimOutcome::Expired => &self.stats.claims_expired,
            ClaimOutcome::Unknown => &self.stats.claims_unknown,
            ClaimOutcome::NoQuorum => &self.stats.claims_no_quorum,
        };
        stats::count(counter);
        self.reply(op.command, Reply::Claimed(outcome));
    }
}
