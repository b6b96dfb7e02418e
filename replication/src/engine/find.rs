//! Asking the others what they know of a ticket (rules 8, 14 and 17).

use castor_proto::delta::Entry;
use castor_proto::ids::Member;
use castor_proto::message::PeerMessage;
use castor_proto::ticket::TicketKey;

use super::mutants::mutant;
use super::ops::Op;
use super::singles::Held;
use super::timers::Timer;
use super::{Engine, Reply};

/// A question to everyone about one reusable ticket.
pub(super) struct FindOp {
    command: u64,
    waiting: Vec<Member>,
    everyone: bool,
    known: bool,
    /// Somebody who is believed alive could not be asked, or did not answer.
    incomplete: bool,
}

impl Engine {
    pub(super) fn find(&mut self, command: u64, key: TicketKey, everyone: bool) {
        let waiting: Vec<Member> = self
            .peers
            .iter()
            .filter(|peer| peer.is_reachable())
            .map(|peer| peer.member.clone())
            .collect();
        // A node that has yet to catch up does not know whom it would have to ask.
        let incomplete = !self.in_service()
            || self
                .peers
                .iter()
                .any(|peer| peer.is_owed() && !peer.is_reachable());
        if waiting.is_empty() || (everyone && mutant!(IdleUnasked)) {
            let known = self.store.has_body(&key);
            return self.reply(
                command,
                Reply::Found {
                    known,
                    complete: !incomplete,
                },
            );
        }
        let number = self.ops.number();
        for member in &waiting {
            self.send(member, PeerMessage::Find { rpc: number, key });
        }
        let bounds = if everyone {
            self.config.idle_timeout
        } else {
            self.config.find_timeout
        };
        let bound = self.patience(&waiting, bounds);
        let op = FindOp {
            command,
            waiting,
            everyone,
            known: false,
            incomplete,
        };
        self.ops.put(number, Op::Find(op));
        self.timers.set(self.now.mono + bound, Timer::Op(number, 0));
    }

    pub(super) fn asked_to_find(&mut self, from: &Member, rpc: u64, key: &TicketKey) {
        let entry = self.store.entry(key).or_else(|| self.single_entry(key));
        self.send(from, PeerMessage::Found { rpc, entry });
    }

    /// A single-use ticket as others may copy it: the body and the decided claim, never a vote.
    fn single_entry(&self, key: &TicketKey) -> Option<Entry> {
        let single = self.singles.get(key)?;
        let mut entry = Entry::bottom(*key, single.kind, single.hard_expiry);
        entry.body = single.body.as_ref().map(|held| held.bytes.clone());
        entry.decided = single.decided.map(|(claim, _)| claim);
        #[cfg(feature = "mutants")]
        if mutant!(AcceptedIsCopied) {
            entry.decided = entry.decided.or(self.singles.accepted(key)); // rule 9
        }
        Some(entry)
    }

    pub(super) fn found(&mut self, from: &Member, rpc: u64, entry: Option<Entry>) {
        let has_body = entry.as_ref().is_some_and(|entry| entry.body.is_some());
        match &entry {
            Some(entry) if entry.kind.is_single_use() => self.copy_single(entry),
            Some(entry) => {
                // Ahead of the stream that brings it.
                let joined = self.apply(entry);
                if joined.changed {
                    self.disturbed();
                }
            }
            None => {}
        }
        match self.ops.take(rpc) {
            Some(Op::Find(mut op)) => {
                op.waiting.retain(|member| member != from);
                op.known |= has_body;
                if op.waiting.is_empty() || (op.known && !op.everyone) {
                    let complete = !op.incomplete;
                    self.reply(
                        op.command,
                        Reply::Found {
                            known: op.known,
                            complete,
                        },
                    );
                } else {
                    self.ops.put(rpc, Op::Find(op));
                }
            }
            Some(Op::Claim(op)) => self.claim_found(rpc, op, from),
            Some(other) => self.ops.put(rpc, other),
            None => {}
        }
    }

    /// Takes over what another node knows of a single-use ticket.
    fn copy_single(&mut self, entry: &Entry) {
        if let Some(held) = entry
            .body
            .as_ref()
            .and_then(|b| Held::decode(b, Some(&entry.key)))
        {
            self.hold(&held);
        }
        if let (Some(claim), true) = (entry.decided, mutant!(AcceptedIsCopied)) {
            let own = self.own(); // rule 9
            self.learn_decided(entry.key, entry.kind, entry.hard_expiry, claim, own);
        }
        // The decision is not taken over from here: the view tells it, and how old it is (rule 4).
    }

    pub(super) fn find_timeout(&mut self, op: FindOp) {
        for member in &op.waiting {
            self.suspect(member);
        }
        self.reply(
            op.command,
            Reply::Found {
                known: op.known,
                complete: false,
            },
        );
    }
}
