//! Sessions come and go: creation and logout, acknowledged by every peer that is owed them
//! (rules 15, 15b and 16).

use std::sync::Arc;

use castor_proto::delta::{DestroyReason, Entry, ServiceKey, ServiceUse};
use castor_proto::ids::{Member, NodeName, WallMs};
use castor_proto::limits;
use castor_proto::message::Phase;
use castor_proto::ticket::{
    BodyFacts, IdKeys, IdParts, TicketBody, TicketId, TicketKey, TicketKind, random_part,
};

use super::mutants::mutant;
use super::ops::Op;
use super::store::KeyMap;
use super::stream::Wait;
use super::timers::Timer;
use super::{Created, Denied, Destroyed, Engine, Event, NewReusable, Reply, stats};

/// After this long a node that took a logout has told everyone, own clock.
const DUTY_MS: u64 = 600_000;

/// Waits for acknowledgements.
pub(super) struct AckOp {
    command: u64,
    seq: u64,
    asked: usize,
    /// Peers that were not even waited for.
    skipped: usize,
    what: What,
}

enum What {
    Create(Arc<TicketBody>),
    Destroy { key: TicketKey, already: bool },
}

/// Which node took the logout of which session, for the case that it dies half way.
#[derive(Default)]
pub(super) struct Duties {
    map: KeyMap<(Member, WallMs)>,
}

impl Duties {
    pub(super) fn forget(&mut self, key: &TicketKey) {
        self.map.remove(key);
    }
}

impl Engine {
    /// May take on new tickets: filled, and filled again after a pause.
    pub(super) fn in_service(&self) -> bool {
        matches!(self.phase, Phase::Ready | Phase::Draining) && self.fill.is_done() && !self.fenced
    }

    /// A fresh id whose tags name these nodes.
    pub(super) fn fresh_id(&mut self, kind: TicketKind, nodes: &[NodeName]) -> TicketId {
        #[cfg(feature = "mutants")]
        if let Some(id) = super::mutants::reused_id(None) {
            return id; // rule 3
        }
        self.sequence += 1;
        let random = random_part(&mut |bytes| self.random.fill(bytes));
        let nodes: Vec<&NodeName> = nodes.iter().collect();
        let parts = IdParts {
            kind,
            sequence: self.sequence,
            random: &random,
            nodes: &nodes,
        };
        TicketId::build(
            &parts,
            &IdKeys {
                check: &self.keys.check,
                tag: &self.keys.tag,
            },
        )
    }

    /// The end of a new ticket: never past its root's. Denied when an ancestor is not live.
    pub(super) fn end_of_life(&self, life: u64, ancestors: &[TicketKey]) -> Result<WallMs, Denied> {
        let own = self.own();
        let mut end = own + life;
        for key in ancestors {
            let parent = self.store.outline(key).ok_or(Denied::SessionEnded)?;
            let body = parent.body.and_then(|bytes| BodyFacts::of(&bytes).ok());
            let ends = body.ok_or(Denied::SessionEnded)?.hard_expiry;
            if parent.destroyed.is_some() || ends <= own {
                return Err(Denied::SessionEnded);
            }
            end = end.min(ends);
        }
        Ok(end)
    }

    pub(super) fn create(&mut self, command: u64, new: NewReusable) {
        match self.created_body(new) {
            Err(denied) => self.reply(command, Reply::Created(Err(denied))),
            Ok((body, encoded)) => {
                let mut entry = Entry::bottom(body.key(), body.kind(), body.hard_expiry);
                entry.body = Some(encoded);
                entry.last_used = body.created;
                let seq = self.publish(entry);
                let (owed, skipped) = self.owed(false);
                let what = What::Create(Arc::new(body));
                self.await_acks(
                    AckOp {
                        command,
                        seq,
                        asked: owed.len(),
                        skipped,
                        what,
                    },
                    owed,
                );
            }
        }
    }

    /// The new ticket, and its encoding.
    fn created_body(&mut self, new: NewReusable) -> Result<(TicketBody, Arc<[u8]>), Denied> {
        if !self.in_service() {
            return Err(Denied::NotReady);
        }
        let kind = new.payload.kind();
        if self.is_crowded(kind) || self.is_heavy() {
            return Err(Denied::Full);
        }
        let hard_expiry = self.end_of_life(new.life_ms, &new.ancestors)?;
        let me = self.config.me.node.clone();
        let id = new.id.unwrap_or_else(|| self.fresh_id(kind, &[me]));
        let body = TicketBody {
            id,
            created: self.own(),
            hard_expiry,
            idle_ms: new.idle_ms,
            ancestors: new.ancestors,
            view: Vec::new(),
            key_id: new.key_id.unwrap_or(self.keys.key_id),
            payload: new.payload,
        };
        let encoded = body.encode();
        if encoded.is_empty() || encoded.len() > limits::TICKET_BODY_MAX {
            return Err(Denied::TooLarge);
        }
        // A body that its own decoder refuses would be refused by every peer.
        let body = TicketBody::decode(&encoded).map_err(|_| Denied::TooLarge)?;
        Ok((body, encoded.into()))
    }

    /// Whether there are as many tickets of a kind as there may be, or as many again that have ended.
    ///
    /// Each kind by itself: a proxy-granting ticket is held until its own life is over, and those of
    /// sessions long ended must not keep anybody from signing in.
    fn is_crowded(&self, kind: TicketKind) -> bool {
        let gauges = self.store.gauges();
        let most = i64::try_from(self.config.entries_max).unwrap_or(i64::MAX);
        gauges.tickets(kind) >= most || gauges.held(kind) >= most.saturating_mul(2)
    }

    /// Whether the tickets take more memory than they may.
    pub(super) fn is_heavy(&self) -> bool {
        u64::try_from(self.store.gauges().bytes()).is_ok_and(|bytes| bytes >= self.config.bytes_max)
    }

    pub(super) fn destroy(
        &mut self,
        command: u64,
        key: TicketKey,
        kind: TicketKind,
        hard_expiry: WallMs,
        reason: DestroyReason,
    ) {
        let already = self.store.is_destroyed(&key);
        let mut entry = Entry::bottom(key, kind, hard_expiry);
        entry.destroyed = Some(reason);
        let seq = self.publish(entry);
        let me = self.config.me.clone();
        self.remember_duty(key, &me);
        #[cfg(feature = "mutants")]
        if mutant!(CascadeByChildren) {
            self.end_children(&key); // rule 14
        }
        #[cfg_attr(
            not(feature = "mutants"),
            expect(unused_mut, reason = "a defect shortens it")
        )]
        let (mut owed, skipped) = self.owed(true);
        #[cfg(feature = "mutants")]
        Self::too_few(&mut owed); // rule 15
        let what = What::Destroy { key, already };
        self.await_acks(
            AckOp {
                command,
                seq,
                asked: owed.len(),
                skipped,
                what,
            },
            owed,
        );
    }

    /// The peers whose acknowledgement is waited for, and how many are owed but passed over: for a
    /// new session one that has stopped acknowledging is not waited for again and again.
    fn owed(&self, strict: bool) -> (Vec<Member>, usize) {
        // Rules 15 and 16: ready or not.
        let owed = self.peers.iter().filter(|peer| peer.is_owed());
        let owed = owed.filter(|p| !mutant!(AcksOfReadyOnly) || p.phase == Some(Phase::Ready));
        let owed: Vec<_> = owed.collect();
        let waited: Vec<Member> = owed
            .iter()
            .filter(|peer| strict || !peer.lagging)
            .map(|peer| peer.member.clone())
            .collect();
        let skipped = owed.len() - waited.len();
        (waited, skipped)
    }

    fn await_acks(&mut self, op: AckOp, missing: Vec<Member>) {
        let number = self.ops.number();
        let seq = op.seq;
        let nobody = missing.is_empty();
        self.ops.put(number, Op::Ack(op));
        if nobody {
            return self.finish_acks(number, 0);
        }
        let wait = Wait {
            op: number,
            missing,
            lost: 0,
        };
        self.stream.wait(seq, wait);
        self.timers.set(
            self.now.mono + self.config.ack_timeout,
            Timer::Op(number, 0),
        );
    }

    /// A member will never acknowledge again: what waited for it is answered, and counted as not
    /// having reached it.
    pub(super) fn release_waits(&mut self, member: &Member) {
        for (op, lost) in self.stream.acknowledged(member, (0, u64::MAX), true) {
            self.finish_acks(op, lost);
        }
    }

    pub(super) fn ack_timeout(&mut self, number: u64, op: AckOp) {
        let (missing, lost) = self.stream.give_up(op.seq, number);
        for member in &missing {
            if let Some(peer) = self.peers.exact_mut(member) {
                peer.lagging = true;
            }
        }
        self.finish(op, missing.len() + lost);
    }

    pub(super) fn finish_acks(&mut self, number: u64, lost: usize) {
        if let Some(Op::Ack(op)) = self.ops.take(number) {
            self.finish(op, lost);
        }
    }

    fn finish(&mut self, op: AckOp, missing: usize) {
        let acked = op.asked - missing.min(op.asked);
        let missing = missing + op.skipped;
        match op.what {
            What::Create(body) => {
                if missing > 0 {
                    stats::count(&self.stats.create_partial);
                    self.event(Event::Partial {
                        ticket: Some(body.id.clone()),
                        missing,
                    });
                }
                let created = Created {
                    body,
                    acked,
                    missing,
                };
                self.reply(op.command, Reply::Created(Ok(created)));
            }
            What::Destroy { key, already } => {
                if missing > 0 {
                    stats::count(&self.stats.logout_partial);
                    self.event(Event::Partial {
                        ticket: None,
                        missing,
                    });
                    self.repair_after_break();
                }
                let services = self.store.services(&key);
                let destroyed = Destroyed {
                    services,
                    acked,
                    missing,
                    already,
                };
                self.reply(op.command, Reply::Destroyed(destroyed));
            }
        }
    }

    // ---- rule 15b: each application is told once ---------------------------------------------

    pub(super) fn remember_duty(&mut self, key: TicketKey, taker: &Member) {
        let own = self.own();
        self.duties
            .map
            .entry(key)
            .or_insert_with(|| (taker.clone(), own));
    }

    pub(super) fn told(&mut self, command: u64, key: TicketKey, told: Vec<(ServiceKey, WallMs)>) {
        if let Some(known) = self.store.outline(&key) {
            let mut entry = Entry::bottom(key, known.kind, known.hard_expiry);
            entry.told = told;
            entry.told.sort_unstable();
            entry.told.dedup_by_key(|(key, _)| *key);
            self.publish(entry);
        }
        self.reply(command, Reply::Done);
    }

    pub(super) fn adopt(
        &mut self,
        command: u64,
        key: TicketKey,
        mut services: Vec<(ServiceKey, ServiceUse)>,
    ) {
        if let Some(known) = self.store.outline(&key) {
            let mut entry = Entry::bottom(key, known.kind, known.hard_expiry);
            services.sort_unstable();
            services.dedup_by_key(|(key, _)| *key);
            services.truncate(limits::SERVICES_MAX);
            entry.services = services;
            self.publish(entry);
        }
        self.reply(command, Reply::Done);
    }

    /// A session that nobody ended, whose applications are to be told should it be forgotten now, by
    /// the one node that every node would name.
    ///
    /// Peers are not asked for a later use: a session is forgotten for idleness only after a grace
    /// that is many times the longest pause between two published uses (rule 17).
    pub(super) fn expired_duty(&self, key: &TicketKey) -> Option<Box<Entry>> {
        if !self.config.tell_expired || self.rendezvous(key) != self.config.me {
            return None;
        }
        let entry = self.store.entry(key)?;
        let untold = entry.destroyed.is_none() && has_untold(&entry);
        untold.then(|| Box::new(entry))
    }

    /// The node that took some logouts is gone: the rendezvous owner among the living goes on.
    pub(super) fn take_over_duties(&mut self, gone: &Member) {
        let oldest = self.own().saturating_sub(DUTY_MS);
        self.duties.map.retain(|_, (_, since)| *since >= oldest);
        let mut orphans: Vec<TicketKey> = self
            .duties
            .map
            .iter()
            .filter(|(_, (taker, _))| taker == gone)
            .map(|(key, _)| *key)
            .collect();
        orphans.sort_unstable();
        for key in orphans {
            let owner = self.rendezvous(&key);
            let mine = owner == self.config.me;
            if let Some(duty) = self.duties.map.get_mut(&key) {
                duty.0 = owner;
            }
            let Some(entry) = self.store.entry(&key).filter(|_| mine) else {
                continue;
            };
            if has_untold(&entry) {
                self.event(Event::LogoutDuty {
                    entry: Box::new(entry),
                });
            }
        }
    }

    /// Among the nodes believed alive, the one with the greatest digest of (ticket, node).
    fn rendezvous(&self, key: &TicketKey) -> Member {
        let weigh = |member: &Member| {
            let mut hasher = blake3::Hasher::new();
            hasher
                .update(&key.0)
                .update(member.node.as_str().as_bytes());
            *hasher.finalize().as_bytes()
        };
        let live = self
            .peers
            .iter()
            .filter(|peer| peer.is_fit())
            .map(|peer| &peer.member);
        live.chain(std::iter::once(&self.config.me))
            .max_by_key(|member| weigh(member))
            .unwrap_or(&self.config.me)
            .clone()
    }
}

fn has_untold(entry: &Entry) -> bool {
    let mut services = entry.services.iter();
    services.any(|(key, service)| !is_told(entry, *key, service.stamp))
}

fn is_told(entry: &Entry, key: ServiceKey, stamp: WallMs) -> bool {
    entry
        .told
        .binary_search_by_key(&key, |(key, _)| *key)
        .ok()
        .and_then(|at| entry.told.get(at))
        .is_some_and(|(_, told)| *told >= stamp)
}
