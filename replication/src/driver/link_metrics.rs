//! What happens on the peer port, counted. Help texts say the unit and when to worry.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

/// Counters of the links; cheap to clone.
#[derive(Clone, Debug)]
pub struct LinkMetrics {
    rejected: IntCounterVec,
    bytes: IntCounterVec,
    batches: IntCounterVec,
    queue_full: IntCounterVec,
    oversize: IntCounterVec,
    gossip_dropped: IntCounter,
    links: IntGaugeVec,
}

impl LinkMetrics {
    /// Registers the counters.
    ///
    /// # Errors
    /// The registry's, when a name is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            prometheus::Result::Ok(counter)
        };
        let rejected = counter(
            "castor_replication_rejected_total",
            "What came in on the peer port and was refused, by reason; changes nothing else.",
            &["reason"],
        )?;
        let bytes = counter(
            "castor_replication_bytes_total",
            "Bytes of sealed batches exchanged with a peer, by direction sent or received.",
            &["peer", "direction"],
        )?;
        let batches = counter(
            "castor_replication_batches_total",
            "Sealed batches exchanged with a peer, by direction sent or received. Each costs a signature.",
            &["peer", "direction"],
        )?;
        let queue_full = counter(
            "castor_replication_queue_full_total",
            "Messages not sent because the queue of a lane to a peer was full; repaired later.",
            &["peer", "lane"],
        )?;
        let oversize = counter(
            "castor_replication_oversize_total",
            "Messages never sent because they exceed what one batch may carry. Must stay 0.",
            &["peer", "lane"],
        )?;
        let gossip_dropped = IntCounter::new(
            "castor_replication_gossip_dropped_total",
            "Gossip messages dropped because a queue was full; gossip repeats itself.",
        )?;
        registry.register(Box::new(gossip_dropped.clone()))?;
        let links = IntGaugeVec::new(
            Opts::new(
                "castor_replication_links",
                "Links that are up, by direction in or out.",
            ),
            &["direction"],
        )?;
        registry.register(Box::new(links.clone()))?;
        for reason in REASONS {
            rejected.with_label_values(&[reason]).inc_by(0);
        }
        for direction in ["in", "out"] {
            links.with_label_values(&[direction]).set(0);
        }
        Ok(Self {
            rejected,
            bytes,
            batches,
            queue_full,
            oversize,
            gossip_dropped,
            links,
        })
    }

    /// Something was refused.
    pub fn rejected(&self, reason: &str) {
        self.rejected.with_label_values(&[reason]).inc();
    }

    /// How often something was refused for this reason.
    #[must_use]
    pub fn rejected_count(&self, reason: &str) -> u64 {
        self.rejected.with_label_values(&[reason]).get()
    }

    /// The counters of batches exchanged with a peer; `direction` is `sent` or `received`.
    #[must_use]
    pub fn carried(&self, peer: &str, direction: &str) -> Carried {
        Carried {
            bytes: self.bytes.with_label_values(&[peer, direction]),
            batches: self.batches.with_label_values(&[peer, direction]),
        }
    }

    /// The counter of messages that found a lane's queue full.
    #[must_use]
    pub fn queue_full(&self, peer: &str, lane: &str) -> IntCounter {
        self.queue_full.with_label_values(&[peer, lane])
    }

    /// The counter of messages too large for any batch.
    #[must_use]
    pub fn oversize(&self, peer: &str, lane: &str) -> IntCounter {
        self.oversize.with_label_values(&[peer, lane])
    }

    /// A gossip message was dropped.
    pub fn gossip_dropped(&self) {
        self.gossip_dropped.inc();
    }

    /// A link came up (+1) or went down (-1).
    pub fn link(&self, direction: &str, change: i64) {
        self.links.with_label_values(&[direction]).add(change);
    }
}

/// Counters of batches in one direction of one link.
#[derive(Clone, Debug)]
pub struct Carried {
    bytes: IntCounter,
    batches: IntCounter,
}

impl Carried {
    /// A batch of this many bytes, sealed.
    pub fn batch(&self, bytes: usize) {
        self.bytes.inc_by(bytes as u64);
        self.batches.inc();
    }
}

/// Every reason, so that a rate over any of them exists from the start.
const REASONS: [&str; 30] = [
    "truncated",
    "oversize",
    "frame",
    "version",
    "cluster",
    "sender",
    "receiver",
    "replay",
    "unknown_key",
    "signature",
    "aead",
    "decode",
    "limit",
    "stale",
    "backwards",
    "beyond_head",
    "expired",
    "view",
    "ahead",
    "accuses",
    "tls",
    "hello",
    "banned",
    "name_in_use",
    "gossip",
    "stream",
    "junk",
    "busy",
    "timeout",
    "crowded",
];
