//! Counters of what the engine did, for metrics. Atomic, so that the driver reads them any time.

use std::sync::atomic::AtomicU64;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters since the process start.
        #[derive(Debug, Default)]
        pub struct Stats { $($(#[$doc])* pub $name: AtomicU64,)* }
    };
}

counters! {
    /// Claims won.
    claims_won,
    /// Claims lost to another request.
    claims_lost,
    /// Claims answered again to the same request.
    claims_replayed,
    /// Claims of destroyed tickets.
    claims_destroyed,
    /// Claims past the end.
    claims_expired,
    /// Claims of tickets nobody knows.
    claims_unknown,
    /// Claims that could not be decided.
    claims_no_quorum,
    /// Claims that needed a ballot after 0.
    claim_fallback,
    /// Two different decided claims of one ticket: must stay 0.
    decided_conflict,
    /// Single-use tickets issued with a smaller view than wanted, after a failed store.
    view_degraded,
    /// Logouts answered before every owed peer had acknowledged.
    logout_partial,
    /// Sessions answered before every owed peer had acknowledged.
    create_partial,
    /// Entries taken in by repair.
    repaired,
    /// Digest rounds whose first look was finished.
    rounds,
    /// Tickets that differed from a peer's, and nothing explained it: must stay 0.
    diverged,
    /// Shards whose kept digests were not those of the store: must stay 0.
    digests_mended,
    /// Peers fenced because they lied, or went backwards.
    peers_fenced,
    /// Entries refused because they had ended or were malformed.
    refused_entries,
    /// Visited applications dropped from full sessions.
    services_dropped,
    /// Entries received while filling.
    bootstrap_entries,
    /// Counters of failed sign-ins that newer ones took the place of (rule 25).
    failures_evicted,
    /// Deltas dropped from the ring before every peer had them.
    ring_overrun,
    /// Wall-clock steps ignored.
    clock_steps_ignored,
    /// Times that the whole process had stood still.
    pauses,
    /// Commands refused because too many were under way.
    busy,
    /// Deltas sent, over all peers.
    deltas_sent,
    /// Deltas received, over all peers.
    deltas_received,
}

pub(super) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

pub(super) fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, std::sync::atomic::Ordering::Relaxed);
}
