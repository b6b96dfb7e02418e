//! The node's own stream of deltas, and what waits for its acknowledgement (rules 15, 16, 18).
//!
//! One sequence for the whole incarnation; a ring of recent deltas serves resumes; each peer has a
//! cursor. At most one batch is under way to a peer: when the line is idle a delta leaves at once,
//! and while a batch is in flight the next one gathers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use castor_proto::delta::Entry;
use castor_proto::ids::{Member, WallMs};

use super::config::Micros;
use super::mutants::mutant;

struct Slot {
    entry: Arc<Entry>,
    made: Micros,
    /// Weight of the stream up to its end, bytes.
    end: u64,
}

/// The ring of the own stream.
pub(super) struct Stream {
    ring: VecDeque<Slot>,
    /// Sequence of the ring's first slot.
    first: u64,
    ring_max: usize,
    /// Weight of what the ring has dropped, bytes.
    dropped: u64,
    /// Own time of the latest push.
    head_at: WallMs,
    waits: BTreeMap<u64, Vec<Wait>>,
}

/// An operation that waits until some peers have acknowledged.
pub(super) struct Wait {
    pub(super) op: u64,
    pub(super) missing: Vec<Member>,
    /// Members that went away without a word while they were waited for.
    pub(super) lost: usize,
}

/// Where one peer stands in our stream.
#[derive(Debug, Default, Clone)]
pub(super) struct Cursor {
    /// It has subscribed, and the present link can carry the stream.
    pub(super) subscribed: bool,
    /// It has subscribed at least once: after a break of our link alone it goes on listening.
    pub(super) ever: bool,
    /// What came before is not vouched for by its acknowledgements.
    pub(super) start: u64,
    /// Next sequence to send.
    pub(super) next: u64,
    /// Cumulative acknowledgement.
    pub(super) acked: u64,
    /// Own time when that came; 0 before the first.
    pub(super) acked_at: WallMs,
    /// Last sequence of the batch under way; 0 for none.
    pub(super) in_flight: u64,
    /// When the batch under way was sent.
    pub(super) sent_at: Micros,
    /// Pause before it is sent again.
    pub(super) resend: Micros,
    /// Made when the oldest delta that it lacks was; kept when the ring has dropped that delta.
    pub(super) lag_since: Option<Micros>,
    /// Changes that the stream passes over, until a comparison has brought them.
    pub(super) gap: Option<Gap>,
    /// Gaps so far.
    pub(super) gaps: u64,
}

/// Changes that a peer lacks and that the ring has dropped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    /// When the oldest of them was made.
    pub(super) since: Micros,
    /// Which one: a comparison that began before a gap opened does not close it.
    pub(super) number: u64,
    /// The peer has nothing of this stream. When it fills itself, it gets the past from others as well.
    pub(super) whole: bool,
}

impl Stream {
    pub(super) fn new(ring_max: usize) -> Self {
        Self {
            ring: VecDeque::new(),
            first: 1,
            ring_max,
            dropped: 0,
            head_at: 0,
            waits: BTreeMap::new(),
        }
    }

    /// Highest sequence so far; 0 for none.
    pub(super) fn head(&self) -> u64 {
        self.first + self.ring.len() as u64 - 1
    }

    /// Lowest sequence that can still be sent.
    pub(super) fn tail(&self) -> u64 {
        self.first
    }

    /// When the head was made; 0 before the first delta.
    pub(super) fn head_at(&self) -> WallMs {
        self.head_at
    }

    pub(super) fn push(&mut self, entry: Entry, now: Micros, own: WallMs) -> u64 {
        self.head_at = own;
        self.ring.push_back(Slot {
            end: self.end() + entry.weight() as u64,
            entry: Arc::new(entry),
            made: now,
        });
        if self.ring.len() > self.ring_max {
            if let Some(oldest) = self.ring.pop_front() {
                self.dropped = oldest.end;
            }
            self.first += 1;
        }
        self.head()
    }

    /// Weight of the whole stream so far, bytes.
    fn end(&self) -> u64 {
        self.ring.back().map_or(self.dropped, |slot| slot.end)
    }

    fn slot(&self, seq: u64) -> Option<&Slot> {
        let at = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        self.ring.get(at)
    }

    /// Whether what is there from `next` on is more than one batch takes.
    pub(super) fn fills_a_batch(&self, next: u64, count: usize, bytes: usize) -> bool {
        let many = self.head().saturating_sub(next) >= count as u64;
        let before = next.checked_sub(1).and_then(|seq| self.slot(seq));
        let before = before.map_or(self.dropped, |slot| slot.end);
        many || self.end() - before > bytes as u64
    }

    /// When this sequence was made, if the ring still has it.
    pub(super) fn made(&self, seq: u64) -> Option<Micros> {
        self.slot(seq).map(|slot| slot.made)
    }

    /// Ages of the deltas after `acked` up to `applied`, as far as the ring still has them.
    pub(super) fn ages(&self, acked: u64, applied: u64, now: Micros) -> Vec<Micros> {
        let seqs = (acked + 1).max(self.first)..=applied;
        let made = seqs.filter_map(|seq| self.made(seq));
        made.map(|made| now.saturating_sub(made)).collect()
    }

    /// A batch from `next` on, within limits; at least one delta if there is one.
    pub(super) fn batch(&self, next: u64, count: usize, bytes: usize) -> Vec<Entry> {
        let Some(skip) = next
            .checked_sub(self.first)
            .and_then(|s| usize::try_from(s).ok())
        else {
            return Vec::new();
        };
        let mut weight = 0;
        let mut batch = Vec::new();
        for slot in self.ring.iter().skip(skip).take(count) {
            weight += slot.entry.weight();
            if weight > bytes && !batch.is_empty() {
                break;
            }
            batch.push(Entry::clone(&slot.entry));
        }
        batch
    }

    /// The oldest sequence for which some operation still waits for this peer.
    pub(super) fn oldest_awaited(&self, peer: &Member) -> Option<u64> {
        let misses = |wait: &Wait| wait.missing.contains(peer);
        let awaited = |(_, waits): &(&u64, &Vec<Wait>)| waits.iter().any(misses);
        self.waits.iter().find(awaited).map(|(seq, _)| *seq)
    }

    /// Whether some operation waits for a delta from `seq` on.
    pub(super) fn is_awaited(&self, seq: u64) -> bool {
        self.waits
            .last_key_value()
            .is_some_and(|(last, _)| *last >= seq)
    }

    pub(super) fn wait(&mut self, seq: u64, wait: Wait) {
        self.waits.entry(seq).or_default().push(wait);
    }

    /// A peer has everything after `start` up to `seq`: the operations that now miss nobody, each
    /// with how many members were lost meanwhile.
    pub(super) fn acknowledged(
        &mut self,
        by: &Member,
        (start, seq): (u64, u64),
        is_lost: bool,
    ) -> Vec<(u64, usize)> {
        let mut done = Vec::new();
        let mut empty = Vec::new();
        if start >= seq {
            return done;
        }
        for (at, waits) in self.waits.range_mut(start + 1..=seq) {
            waits.retain_mut(|wait| {
                let before = wait.missing.len();
                wait.missing.retain(|member| member != by);
                wait.lost += usize::from(is_lost && wait.missing.len() < before);
                if wait.missing.is_empty() {
                    done.push((wait.op, wait.lost));
                }
                !wait.missing.is_empty()
            });
            if waits.is_empty() {
                empty.push(*at);
            }
        }
        for at in empty {
            self.waits.remove(&at);
        }
        done
    }

    /// Stops waiting; tells whom the operation still misses, and how many were lost.
    pub(super) fn give_up(&mut self, seq: u64, op: u64) -> (Vec<Member>, usize) {
        let Some(waits) = self.waits.get_mut(&seq) else {
            return (Vec::new(), 0);
        };
        let Some(at) = waits.iter().position(|wait| wait.op == op) else {
            return (Vec::new(), 0);
        };
        let wait = waits.swap_remove(at);
        if waits.is_empty() {
            self.waits.remove(&seq);
        }
        (wait.missing, wait.lost)
    }
}

impl Cursor {
    /// The stream goes on behind changes that the peer has not acknowledged. It does not lag by less for
    /// that: its place in the stream says nothing of them any more, so the gap does.
    pub(super) fn pass_over(&mut self, stream: &Stream, whole: bool) {
        let oldest = self.lag_since.or_else(|| stream.made(stream.tail()));
        let earlier = self.gap.map(|gap| gap.since);
        if let Some(since) = [oldest, earlier].into_iter().flatten().min() {
            self.gaps += 1;
            self.gap = Some(Gap {
                since,
                number: self.gaps,
                whole,
            });
        }
    }

    /// Brings the lag's beginning up to date after a push or an acknowledgement.
    pub(super) fn refresh_lag(&mut self, stream: &Stream) {
        if self.acked >= stream.head() {
            self.lag_since = None;
        } else if let Some(made) = stream.made(self.acked + 1) {
            self.lag_since = Some(made);
        } else if self.lag_since.is_none() || mutant!(LagForgets) {
            self.lag_since = stream.made(stream.tail());
        }
    }
}
