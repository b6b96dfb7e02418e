//! Streams between this node and its peers (rule 18): subscribing, sending, acknowledging.

use castor_proto::delta::{Entry, ServiceKey, ServiceUse};
use castor_proto::ids::{Member, NodeName};
use castor_proto::message::PeerMessage;
use castor_proto::ticket::TicketKey;

use super::timers::Timer;
use super::{Engine, Event, MS, Output, stats};

/// Longest pause between two sendings of an unacknowledged batch.
const RESEND_MAX: u64 = 2_000 * MS;

/// A subscription that is not answered is repeated after this pause.
const SUBSCRIBE_AGAIN: u64 = 500 * MS;

type Visited = Vec<(TicketKey, Vec<(ServiceKey, ServiceUse)>)>;

impl Engine {
    // ---- receiving another node's stream ------------------------------------------------------

    pub(super) fn subscribe(&mut self, origin: &Member) {
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
        let Some(peer) = self.peers.exact_mut(from) else {
            return;
        };
        let inbound = &mut peer.inbound;
        let unasked = nonce == 0 && inbound.started;
        if !unasked && (nonce == 0 || inbound.nonce != nonce) {
            return;
        }
        if head < inbound.applied {
            // It answers this very question with less than it has sent: its memory went back.
            return self.fence(from);
        }
        let gap = next > inbound.applied + 1;
        inbound.applied = inbound.applied.max(next.saturating_sub(1));
        inbound.head = inbound.head.max(head);
        if !unasked {
            inbound.nonce = 0;
            inbound.started = true;
            inbound.start = next.saturating_sub(1);
        }
        if gap {
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
        peer.inbound.head = peer.inbound.head.max(head);
        let last = first + entries.len() as u64 - 1;
        let mut visited = Visited::new();
        if first <= applied + 1 {
            let known = usize::try_from(applied + 1 - first).unwrap_or(usize::MAX);
            stats::add(&self.stats.deltas_received, last.saturating_sub(applied));
            for entry in entries.iter().skip(known) {
                self.apply_from(from, entry);
            }
            for entry in entries.iter().filter(|entry| entry.destroyed.is_some()) {
                visited.push((entry.key, self.store.services(&entry.key)));
            }
            if let Some(peer) = self.peers.exact_mut(from) {
                peer.inbound.applied = applied.max(last);
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

    // ---- sending the own stream ---------------------------------------------------------------

    /// Joins a change of this node's own into its store and its stream; returns the sequence.
    pub(super) fn publish(&mut self, entry: Entry) -> u64 {
        self.apply(&entry);
        let seq = self.stream.push(entry, self.now.mono);
        for peer in self.peers.iter_mut() {
            peer.out.refresh_lag(&self.stream);
        }
        seq
    }

    pub(super) fn subscribed(&mut self, from: &Member, nonce: u64, have: u64) {
        let (head, tail) = (self.stream.head(), self.stream.tail());
        if have > head {
            // The peer has more of this incarnation than it has made: its memory went back.
            return self.fence_self();
        }
        // Who has nothing fills itself from snapshots; who lacks more than the ring repairs.
        let next = if have == 0 {
            head + 1
        } else {
            (have + 1).max(tail)
        };
        let Some(peer) = self.peers.exact_mut(from) else {
            return;
        };
        peer.out.subscribed = true;
        peer.out.next = next;
        peer.out.acked = peer.out.acked.max(next - 1);
        peer.out.in_flight = 0;
        peer.out.refresh_lag(&self.stream);
        self.send(from, PeerMessage::StreamStart { nonce, next, head });
    }

    pub(super) fn acked(&mut self, from: &Member, applied: u64, services: Visited) {
        if applied > self.stream.head() {
            return self.fence_self();
        }
        for (key, services) in services {
            self.learn_services(key, services);
        }
        let (mono, patience, resend) = (self.now.mono, self.config.ack_timeout, self.config.resend);
        let made = self.stream.made(applied);
        let Some(peer) = self.peers.exact_mut(from) else {
            return;
        };
        let out = &mut peer.out;
        out.acked = out.acked.max(applied);
        if out.in_flight > 0 && applied >= out.in_flight {
            out.in_flight = 0;
            out.resend = resend;
            let age = mono.saturating_sub(made.unwrap_or(mono));
            let acknowledged = Event::Acknowledged {
                peer: from.node.clone(),
                age,
            };
            self.outputs.push_back(Output::Event(acknowledged));
        }
        out.refresh_lag(&self.stream);
        let behind = out.lag_since.map_or(0, |since| mono.saturating_sub(since));
        peer.lagging &= behind >= patience;
        for op in self.stream.acknowledged(from, applied) {
            self.finish_acks(op);
        }
    }

    /// Sends to every peer whose line is idle what has gathered for it.
    pub(super) fn pump(&mut self) {
        let head = self.stream.head();
        let due: Vec<Member> = self
            .peers
            .iter()
            .filter(|peer| {
                peer.is_reachable()
                    && peer.out.subscribed
                    && peer.out.in_flight == 0
                    && peer.out.next <= head
            })
            .map(|peer| peer.member.clone())
            .collect();
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
        let jumped = peer.out.next < tail;
        if jumped {
            peer.out.next = tail;
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
        let (in_flight, resend) = (peer.out.in_flight, peer.out.resend);
        if jumped {
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
