//! Streams between this node and its peers (rule 18): subscribing, sending, acknowledging.

use castor_proto::delta::{Entry, ServiceKey, ServiceUse};
use castor_proto::ids::{Member, NodeName};
use castor_proto::message::PeerMessage;
use castor_proto::ticket::TicketKey;

use super::mutants::{mutant, thin_fill};
use super::peers::Peer;
use super::status::is_filling;
use super::timers::Timer;
use super::{Engine, Event, Lie, MS, Output, stats};

/// Longest pause between two sendings of an unacknowledged batch.
const RESEND_MAX: u64 = 2_000 * MS;

/// A subscription that is not answered is repeated after this pause.
const SUBSCRIBE_AGAIN: u64 = 500 * MS;

type Visited = Vec<(TicketKey, Vec<(ServiceKey, ServiceUse)>)>;

impl Engine {
    // ---- receiving another node's stream ------------------------------------------------------

    pub(super) fn subscribe(&mut self, origin: &Member) {
        if mutant!(SnapshotFirst) && !self.fill.is_done() {
            return; // rule 20
        }
        let nonce = self.random.u64() | 1;
        let mono = self.now.mono;
        let Some(peer) = self.peers.exact_mut(origin) else {
            return;
        };
        peer.inbound.nonce = nonce;
        peer.inbound.asked_at = mono;
        let have = peer.inbound.applied;
        self.send(origin, PeerMessage::Subscribe { nonce, have });
    }

    pub(super) fn resubscribe(&mut self, origin: &Member) {
        let overdue = self.now.mono.saturating_sub(SUBSCRIBE_AGAIN);
        let waits = self.peers.exact(origin).is_some_and(|peer| {
            peer.link && !peer.inbound.started && peer.inbound.asked_at < overdue
        });
        if waits {
            self.subscribe(origin);
        }
    }

    pub(super) fn stream_started(&mut self, from: &Member, nonce: u64, next: u64, head: u64) {
        let own = self.own();
        let Some(peer) = self.peers.exact_mut(from) else {
            return;
        };
        let inbound = &mut peer.inbound;
        let unasked = nonce == 0 && inbound.started;
        if !unasked && (nonce == 0 || inbound.nonce != nonce) {
            return;
        }
        if head < inbound.applied {
            // What nobody asked for may be late. An answer to this very question that tells of less
            // than was sent comes from a memory that went back.
            if !unasked {
                self.lied(from, Lie::Backwards);
                self.fence(from, Lie::Backwards);
            }
            return;
        }
        // Whoever is met for the first time holds more than its own stream tells.
        let passes = next > inbound.applied + 1;
        let gap = passes || (inbound.applied == 0 && !unasked);
        inbound.reach(next.saturating_sub(1), own);
        inbound.head = inbound.head.max(head);
        if !unasked {
            inbound.nonce = 0;
            inbound.started = true;
            inbound.start = next.saturating_sub(1);
            inbound.past = head;
        }
        if passes {
            self.fill_jumped();
        }
        if gap && !thin_fill() {
            self.repair_with(from);
        } else {
            self.repair_if_due(from);
        }
        self.fill_changed();
    }

    pub(super) fn deltas(&mut self, from: &Member, first: u64, head: u64, entries: Vec<Entry>) {
        let Some(peer) = self.peers.exact_mut(from) else {
            return;
        };
        if !peer.inbound.started {
            return;
        }
        let applied = peer.inbound.applied;
        if first + entries.len() as u64 > head + 1 {
            return self.lied(from, Lie::BeyondHead);
        }
        peer.inbound.head = peer.inbound.head.max(head);
        if first > applied + 1 {
            self.passed_over(from);
        }
        let mut visited = Visited::new();
        if first <= applied + 1 {
            let known = usize::try_from(applied + 1 - first).unwrap_or(usize::MAX);
            let news = entries.get(known..).unwrap_or_default();
            let taken = self.take_in(from, first + known as u64, news, &mut visited);
            let own = self.own();
            if let Some(peer) = self.peers.exact_mut(from) {
                peer.inbound.reach(first + (known as u64 + taken) - 1, own);
            }
        }
        let applied = self
            .peers
            .exact(from)
            .map_or(applied, |peer| peer.inbound.applied);
        self.send(
            from,
            PeerMessage::DeltasAck {
                applied,
                services: visited,
            },
        );
    }

    /// The stream has gone on behind something that is not here, and has not said so: it was subscribed to
    /// twice, or the word of it is late. Nothing that follows could be taken in, so where to go on is said
    /// anew. Until the answer is here nothing is taken in, as after a break: what overtook it would make it
    /// look like a memory that went back.
    fn passed_over(&mut self, origin: &Member) {
        let overdue = self.now.mono.saturating_sub(SUBSCRIBE_AGAIN);
        if let Some(peer) = self.peers.exact_mut(origin)
            && peer.inbound.asked_at < overdue
        {
            peer.inbound.started = false;
            self.subscribe(origin);
        }
    }

    /// Joins a run of deltas and gathers what is known of the sessions that they end. What the
    /// acknowledgement has no room to tell of is left for the next batch.
    fn take_in(
        &mut self,
        from: &Member,
        first: u64,
        entries: &[Entry],
        visited: &mut Visited,
    ) -> u64 {
        let past = self
            .peers
            .exact(from)
            .map_or(u64::MAX, |peer| peer.inbound.past);
        let mut taken = 0;
        let mut weight = 0;
        for entry in entries {
            if weight > self.config.batch_bytes {
                break;
            }
            if first + taken > past && self.is_long_ended(from, entry.hard_expiry) {
                self.lied(from, Lie::Expired);
            }
            self.apply_from(from, entry);
            taken += 1;
            if entry.destroyed.is_some() {
                let services = self.store.services(&entry.key);
                let size = |(_, s): &(ServiceKey, ServiceUse)| 64 + s.ticket.len() + s.url.len();
                weight += services.iter().map(size).sum::<usize>();
                visited.push((entry.key, services));
            }
        }
        stats::add(&self.stats.deltas_received, taken);
        taken
    }

    // ---- sending the own stream ---------------------------------------------------------------

    /// Joins a change of this node's own into its store and its stream; returns the sequence.
    ///
    /// What this node would not take in itself no peer would: it is left out.
    pub(super) fn publish(&mut self, entry: Entry) -> u64 {
        let Some(body) = self.accept(&entry) else {
            stats::count(&self.stats.refused_entries);
            return self.stream.head();
        };
        self.apply_accepted(&entry, body);
        let seq = self.stream.push(entry, self.now.mono, self.own());
        for peer in self.peers.iter_mut() {
            peer.out.refresh_lag(&self.stream);
        }
        seq
    }

    pub(super) fn subscribed(&mut self, from: &Member, nonce: u64, have: u64) {
        let (head, tail) = (self.stream.head(), self.stream.tail());
        if have > head {
            // Only whoever has more can know that this memory went back, and learns it from the answer: it
            // then fences this incarnation (rule 1).
            let next = head + 1;
            self.send(from, PeerMessage::StreamStart { nonce, next, head });
            return self.accused(from, Lie::Ahead);
        }
        // What the ring still has is sent again; who lacks more fills or repairs itself. Whoever has
        // nothing gets the past from a peer's shards, never from one stream alone: there a session's end
        // that another node has made would be missing (rule 20). What some request waits for is sent to
        // everybody: behind the stream's start no acknowledgement would ever vouch for it.
        let listened = |peer: &Peer| peer.out.ever && peer.serves();
        let newcomer = have == 0 && !self.peers.exact(from).is_some_and(listened);
        let next = match self.stream.oldest_awaited(from) {
            _ if have + 1 >= tail && !newcomer => have + 1,
            Some(seq) if !thin_fill() => seq.max(tail).max(have + 1),
            _ => head + 1,
        };
        let Some(peer) = self.peers.exact_mut(from) else {
            return;
        };
        let fills = is_filling(peer.phase);
        let out = &mut peer.out;
        let before = out.start;
        let gap = next > have + 1 && !(newcomer && fills);
        if gap {
            out.pass_over(&self.stream, newcomer);
        }
        if next > have + 1 || newcomer {
            out.start = next - 1;
        }
        out.subscribed = true;
        out.ever = true;
        out.next = next;
        out.acked = next - 1;
        out.in_flight = 0;
        out.refresh_lag(&self.stream);
        self.send(from, PeerMessage::StreamStart { nonce, next, head });
        if gap {
            self.repair_gap(from);
        }
        // An acknowledgement that was lost with a link.
        for (op, lost) in self.stream.acknowledged(from, (before, have), false) {
            self.finish_acks(op, lost);
        }
    }

    pub(super) fn acked(&mut self, from: &Member, applied: u64, services: Visited) {
        if applied > self.stream.head() {
            return self.accused(from, Lie::Ahead);
        }
        for (key, services) in services {
            self.learn_services(key, services);
        }
        let (mono, patience, resend) = (self.now.mono, self.config.ack_timeout, self.config.resend);
        let own = self.own();
        let Some(peer) = self.peers.exact_mut(from) else {
            return;
        };
        let out = &mut peer.out;
        let advanced = applied > out.acked;
        if advanced {
            let ages = self.stream.ages(out.acked, applied, mono);
            let peer = from.node.clone();
            let acknowledged = Event::Acknowledged { peer, ages };
            self.outputs.push_back(Output::Event(acknowledged));
            out.acked = applied;
            out.acked_at = own;
        }
        if out.in_flight > applied && advanced {
            // It took only a part in: the rest at once.
            out.in_flight = 0;
            out.next = applied + 1;
            out.sent_at = 0;
        } else if out.in_flight > 0 && applied >= out.in_flight {
            out.in_flight = 0;
            out.resend = resend;
        }
        out.refresh_lag(&self.stream);
        let behind = out.lag_since.map_or(0, |since| mono.saturating_sub(since));
        peer.lagging &= behind >= patience;
        let start = peer.out.start;
        for (op, lost) in self.stream.acknowledged(from, (start, applied), false) {
            self.finish_acks(op, lost);
        }
    }

    /// Sends to every peer whose line is idle what has gathered for it. What no request waits for gathers a
    /// little longer: sealing, signing and verifying cost one delta as much as fifty. What one batch has no
    /// room for, by count or by bytes, has gathered long enough.
    pub(super) fn pump(&mut self) {
        let head = self.stream.head();
        // Whoever leaves may have no later turn.
        let leaves = self.is_draining();
        let (mono, pace) = (self.now.mono, if leaves { 0 } else { self.config.pace });
        let (most, bytes) = (self.config.batch_max, self.config.batch_bytes);
        let mut later = None;
        let due: Vec<Member> = self
            .peers
            .iter()
            .filter(|peer| {
                peer.is_reachable()
                    && peer.out.subscribed
                    && peer.out.in_flight == 0
                    && peer.out.next <= head
            })
            .filter(|peer| {
                let at = peer.out.sent_at + pace;
                let full = self.stream.fills_a_batch(peer.out.next, most, bytes);
                let due = full || mono >= at || self.stream.is_awaited(peer.out.next);
                if !due {
                    later = Some(later.map_or(at, |later: u64| later.min(at)));
                }
                due
            })
            .map(|peer| peer.member.clone())
            .collect();
        if let Some(at) = later
            && (self.paced_until <= mono || self.paced_until > at)
        {
            self.paced_until = at;
            self.timers.set(at, Timer::Pace);
        }
        for member in due {
            self.send_batch(&member, head);
        }
    }

    fn send_batch(&mut self, to: &Member, head: u64) {
        let tail = self.stream.tail();
        let mono = self.now.mono;
        let Some(peer) = self.peers.exact_mut(to) else {
            return;
        };
        let passes = peer.out.next < tail;
        if passes {
            peer.out.pass_over(&self.stream, false);
            peer.out.next = tail;
            peer.out.start = tail - 1;
        }
        let first = peer.out.next;
        let entries = self
            .stream
            .batch(first, self.config.batch_max, self.config.batch_bytes);
        let count = entries.len() as u64;
        if count == 0 {
            return;
        }
        peer.out.next = first + count;
        peer.out.in_flight = first + count - 1;
        peer.out.sent_at = mono;
        // An answer that is merely on its way is not worth sending everything again.
        peer.out.resend = peer.out.resend.max(peer.patience().min(RESEND_MAX));
        let (in_flight, resend) = (peer.out.in_flight, peer.out.resend);
        if passes {
            // The ring has dropped what it lacks: it is told, and repairs (rule 19).
            stats::count(&self.stats.ring_overrun);
            self.send(
                to,
                PeerMessage::StreamStart {
                    nonce: 0,
                    next: tail,
                    head,
                },
            );
        }
        stats::add(&self.stats.deltas_sent, count);
        self.send(
            to,
            PeerMessage::Deltas {
                first,
                head,
                entries,
            },
        );
        self.timers
            .set(mono + resend, Timer::Resend(to.node.clone(), in_flight));
        if passes {
            self.repair_gap(to);
        }
    }

    pub(super) fn resend(&mut self, node: &NodeName, in_flight: u64) {
        let mono = self.now.mono;
        let Some(peer) = self.peers.get_mut(node) else {
            return;
        };
        let out = &mut peer.out;
        // A later batch may end at the same sequence; its own timer is then still to come.
        if out.in_flight != in_flight || mono < out.sent_at + out.resend {
            return;
        }
        out.in_flight = 0;
        out.next = out.acked + 1;
        out.resend = (out.resend * 2).min(RESEND_MAX);
    }
}
