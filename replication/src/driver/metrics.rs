//! Metrics of replication. Gauges are brought up to date by each scrape, counters by difference.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;

use castor_proto::message::Phase;
use castor_proto::ticket::TicketKind;
use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use crate::engine::{Micros, PeerStatus, Stats, Status, Store};

/// Bounds of durations between nodes, seconds: a loopback round trip to a stopped peer.
const BUCKETS: &[f64] = &[
    0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
];

const OUTCOMES: [&str; 7] = [
    "won",
    "lost",
    "replayed",
    "destroyed",
    "expired",
    "unknown",
    "no_quorum",
];

/// All metrics of replication.
pub struct Metrics {
    lag: GaugeVec,
    backlog: IntGaugeVec,
    ack_duration: HistogramVec,
    deltas: IntCounterVec,
    repairs: IntCounterVec,
    divergence: IntCounterVec,
    duties_dropped: IntCounter,
    clock_offset: GaugeVec,
    members: IntGaugeVec,
    tickets: IntGaugeVec,
    store_bytes: IntGauge,
    shared_urls: IntGauge,
    shared_url_bytes: IntGauge,
    claims: IntCounterVec,
    claim_duration: Histogram,
    plain: Vec<(IntCounter, Read)>,
    bootstrap_duration: Gauge,
    operations: IntGauge,
    failures: IntGauge,
    seen: Mutex<Seen>,
}

/// The states under which members are counted.
const STATES: [&str; 5] = ["ready", "bootstrapping", "draining", "dead", "unknown"];

/// Counter values, and the peers that had series, at the last scrape.
#[derive(Default)]
struct Seen {
    peers: BTreeSet<String>,
    plain: Vec<u64>,
    claims: [u64; OUTCOMES.len()],
}

/// Makes metrics and registers them.
struct Registrar<'a> {
    registry: &'a Registry,
}

impl Registrar<'_> {
    fn add<M: Collector + Clone + 'static>(&self, metric: Made<M>) -> Made<M> {
        let metric = metric?;
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    /// The counters that the engine counts itself.
    fn plain(&self) -> Made<Vec<(IntCounter, Read)>> {
        let counters = PLAIN.iter();
        counters
            .map(|(name, help, read)| Ok((self.counter(name, help)?, *read)))
            .collect()
    }

    fn divergence(&self) -> Made<IntCounterVec> {
        self.counters(
            "castor_replication_divergence_total",
            "Tickets that differed from the peer's and nothing explained it. Must stay 0.",
            &["peer"],
        )
    }

    fn duties_dropped(&self) -> Made<IntCounter> {
        self.add(IntCounter::new(
            "castor_replication_logout_duties_dropped_total",
            "Sessions whose applications this node should have told and did not: too many waited.",
        ))
    }

    fn operations(&self) -> Made<IntGauge> {
        self.int_gauge(
            "castor_replication_operations",
            "Operations that wait for peers.",
        )
    }

    fn failures(&self) -> Made<IntGauge> {
        self.int_gauge(
            "castor_replication_failure_counters",
            "Counters of failed sign-ins held by this node, for throttling; all nodes hold the same.",
        )
    }

    fn shared_urls(&self) -> Made<IntGauge> {
        self.int_gauge(
            "castor_ticket_shared_urls",
            "URLs of visited applications that this node keeps once for all sessions; at most 16,384.",
        )
    }

    fn shared_url_bytes(&self) -> Made<IntGauge> {
        self.int_gauge(
            "castor_ticket_shared_url_bytes",
            "Estimated memory of those URLs, bytes; a part of castor_ticket_store_bytes.",
        )
    }

    fn gauge(&self, name: &str, help: &str) -> Made<Gauge> {
        self.add(Gauge::new(name, help))
    }

    fn int_gauge(&self, name: &str, help: &str) -> Made<IntGauge> {
        self.add(IntGauge::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, label: &str) -> Made<GaugeVec> {
        self.add(GaugeVec::new(Opts::new(name, help), &[label]))
    }

    fn int_gauges(&self, name: &str, help: &str, label: &str) -> Made<IntGaugeVec> {
        self.add(IntGaugeVec::new(Opts::new(name, help), &[label]))
    }

    fn counter(&self, name: &str, help: &str) -> Made<IntCounter> {
        self.add(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Made<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str) -> Made<Histogram> {
        let options = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
        self.add(Histogram::with_opts(options))
    }

    fn histograms(&self, name: &str, help: &str) -> Made<HistogramVec> {
        let options = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
        self.add(HistogramVec::new(options, &["peer"]))
    }
}

type Made<M> = Result<M, prometheus::Error>;

/// Reads one counter of the engine.
type Read = fn(&Stats) -> u64;

type PlainCounter = (&'static str, &'static str, Read);

const PLAIN: [PlainCounter; 17] = [
    (
        "castor_claim_fallback_total",
        "Claims that needed a ballot after the issuer's own.",
        |s| s.claim_fallback.load(Relaxed),
    ),
    (
        "castor_claim_decided_conflict_total",
        "Tickets for which two different claims were decided. Must stay 0.",
        |s| s.decided_conflict.load(Relaxed),
    ),
    (
        "castor_view_degraded_total",
        "Single-use tickets issued again with a smaller view.",
        |s| s.view_degraded.load(Relaxed),
    ),
    (
        "castor_logout_partial_total",
        "Logouts answered before every owed peer acknowledged.",
        |s| s.logout_partial.load(Relaxed),
    ),
    (
        "castor_session_partial_total",
        "Sessions answered before every owed peer acknowledged.",
        |s| s.create_partial.load(Relaxed),
    ),
    (
        "castor_bootstrap_tickets_total",
        "Entries received while filling.",
        |s| s.bootstrap_entries.load(Relaxed),
    ),
    (
        "castor_replication_refused_entries_total",
        "Entries not taken in because they had ended or were malformed.",
        |s| s.refused_entries.load(Relaxed),
    ),
    (
        "castor_replication_peers_fenced_total",
        "Peers ignored and told to exit, because they went backwards or went on lying.",
        |s| s.peers_fenced.load(Relaxed),
    ),
    (
        "castor_replication_rounds_total",
        "Digest rounds with a peer that were finished.",
        |s| s.rounds.load(Relaxed),
    ),
    (
        "castor_replication_digests_mended_total",
        "Shards whose kept digests were not those of the tickets held. Must stay 0.",
        |s| s.digests_mended.load(Relaxed),
    ),
    (
        "castor_replication_ring_overruns_total",
        "Streams that had to be repaired because the ring had dropped deltas.",
        |s| s.ring_overrun.load(Relaxed),
    ),
    (
        "castor_replication_repaired_entries_total",
        "Entries taken in by repair.",
        |s| s.repaired.load(Relaxed),
    ),
    (
        "castor_ticket_services_dropped_total",
        "Visited applications forgotten because a session was full.",
        |s| s.services_dropped.load(Relaxed),
    ),
    (
        "castor_replication_failure_counters_evicted_total",
        "Counters of failed sign-ins that newer ones took the place of, because there were too many.",
        |s| s.failures_evicted.load(Relaxed),
    ),
    (
        "castor_node_pauses_total",
        "Times that the process had stood still for 1.5 s or longer.",
        |s| s.pauses.load(Relaxed),
    ),
    (
        "castor_cluster_clock_steps_ignored_total",
        "Wall-clock steps that were not followed.",
        |s| s.clock_steps_ignored.load(Relaxed),
    ),
    (
        "castor_replication_busy_total",
        "Requests refused because too many were under way.",
        |s| s.busy.load(Relaxed),
    ),
];

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// A name is registered already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let add = Registrar { registry };
        Ok(Self {
            plain: add.plain()?,
            lag: add.gauges(
                "castor_replication_lag_seconds",
                "Age of the oldest local delta that the peer has not acknowledged; 0 for none.",
                "peer",
            )?,
            backlog: add.int_gauges(
                "castor_replication_backlog_deltas",
                "Local deltas that the peer has not acknowledged.",
                "peer",
            )?,
            ack_duration: add.histograms(
                "castor_replication_ack_duration_seconds",
                "Time from a delta to its acknowledgement by the peer.",
            )?,
            deltas: add.counters(
                "castor_replication_deltas_total",
                "Deltas exchanged with the peer, repetitions included.",
                &["peer", "direction"],
            )?,
            repairs: add.counters(
                "castor_replication_repairs_total",
                "Comparisons with the peer that found and mended a difference.",
                &["peer"],
            )?,
            divergence: add.divergence()?,
            duties_dropped: add.duties_dropped()?,
            clock_offset: add.gauges(
                "castor_cluster_clock_offset_seconds",
                "The peer's clock minus this node's.",
                "peer",
            )?,
            members: add.int_gauges(
                "castor_cluster_members",
                "Members by state as this node sees them, itself included.",
                "state",
            )?,
            tickets: add.int_gauges(
                "castor_tickets",
                "Live tickets held by this node; every session is on every node.",
                "kind",
            )?,
            store_bytes: add.int_gauge(
                "castor_ticket_store_bytes",
                "Estimated memory of all tickets held by this node.",
            )?,
            shared_urls: add.shared_urls()?,
            shared_url_bytes: add.shared_url_bytes()?,
            claims: add.counters(
                "castor_claims_total",
                "Claims of single-use tickets made on this node.",
                &["outcome"],
            )?,
            claim_duration: add.histogram(
                "castor_claim_duration_seconds",
                "Time to decide a claim made on this node.",
            )?,
            bootstrap_duration: add.gauge(
                "castor_bootstrap_duration_seconds",
                "How long filling took, or has taken so far.",
            )?,
            operations: add.operations()?,
            failures: add.failures()?,
            seen: Mutex::new(Seen {
                plain: vec![0; PLAIN.len()],
                ..Seen::default()
            }),
        })
    }

    pub(super) fn claim_took(&self, micros: Micros) {
        self.claim_duration.observe(seconds(micros));
    }

    pub(super) fn acknowledged(&self, peer: &str, ages: &[Micros]) {
        let histogram = self.ack_duration.with_label_values(&[peer]);
        for age in ages {
            histogram.observe(seconds(*age));
        }
    }

    pub(super) fn repaired(&self, peer: &str) {
        self.repairs.with_label_values(&[peer]).inc();
    }

    pub(super) fn diverged(&self, peer: &str, entries: u64) {
        self.divergence.with_label_values(&[peer]).inc_by(entries);
    }

    pub(super) fn duty_dropped(&self) {
        self.duties_dropped.inc();
    }

    pub(super) fn exchanged(&self, peer: &str, direction: &str, deltas: usize) {
        self.deltas
            .with_label_values(&[peer, direction])
            .inc_by(deltas as u64);
    }

    pub(super) fn refresh(&self, status: &Status, stats: &Stats, store: &Store) {
        // One scrape at a time, so that none sees what another has half done.
        let Ok(mut seen) = self.seen.lock() else {
            return;
        };
        self.refresh_peers(&mut seen.peers, status.phase, &status.peers);
        self.refresh_tickets(store);
        self.bootstrap_duration
            .set(seconds(status.bootstrap.elapsed));
        self.operations
            .set(i64::try_from(status.operations).unwrap_or(i64::MAX));
        let failures = store.failures().len();
        self.failures
            .set(i64::try_from(failures).unwrap_or(i64::MAX));
        for ((counter, read), last) in self.plain.iter().zip(seen.plain.iter_mut()) {
            advance(counter, last, read(stats));
        }
        let outcomes = [
            &stats.claims_won,
            &stats.claims_lost,
            &stats.claims_replayed,
            &stats.claims_destroyed,
            &stats.claims_expired,
            &stats.claims_unknown,
            &stats.claims_no_quorum,
        ];
        for ((name, now), last) in OUTCOMES.iter().zip(outcomes).zip(seen.claims.iter_mut()) {
            advance(
                &self.claims.with_label_values(&[name]),
                last,
                now.load(Relaxed),
            );
        }
    }

    fn refresh_tickets(&self, store: &Store) {
        let gauges = store.gauges();
        for kind in TicketKind::ALL
            .into_iter()
            .filter(|kind| *kind != TicketKind::PgtIou)
        {
            self.tickets
                .with_label_values(&[kind.label()])
                .set(gauges.tickets(kind));
        }
        self.store_bytes.set(gauges.bytes());
        let (urls, bytes) = store.shared_urls();
        self.shared_urls.set(urls as i64);
        self.shared_url_bytes.set(bytes);
    }

    /// Series end with their peer; those of the others are set where they are, never removed, so
    /// that a scrape at the same moment finds them.
    fn refresh_peers(&self, seen: &mut BTreeSet<String>, own: Phase, peers: &[PeerStatus]) {
        let now: BTreeSet<String> = peers.iter().map(|peer| peer.node.to_string()).collect();
        for gone in seen.difference(&now) {
            let gone = [gone.as_str()];
            // Refused only when there is no such series.
            self.lag.remove_label_values(&gone).ok();
            self.backlog.remove_label_values(&gone).ok();
            self.clock_offset.remove_label_values(&gone).ok();
        }
        *seen = now;
        let mut states = vec![state_of(Some(own), true)];
        for peer in peers {
            let name = [peer.node.as_str()];
            // From the start, so that a first divergence is seen as a rise.
            self.divergence.with_label_values(&name);
            self.lag.with_label_values(&name).set(seconds(peer.lag));
            self.backlog
                .with_label_values(&name)
                .set(i64::try_from(peer.backlog).unwrap_or(i64::MAX));
            match peer.clock_offset_ms {
                Some(offset) => self
                    .clock_offset
                    .with_label_values(&name)
                    .set(offset as f64 / 1_000.0),
                None => drop(self.clock_offset.remove_label_values(&name)),
            }
            states.push(state_of(peer.phase, peer.there));
        }
        for state in STATES {
            let members = states.iter().filter(|found| **found == state).count();
            self.members.with_label_values(&[state]).set(members as i64);
        }
    }
}

/// The state under which a member is counted.
pub fn state_of(phase: Option<Phase>, there: bool) -> &'static str {
    match phase {
        _ if !there => "dead",
        Some(Phase::Ready) => "ready",
        Some(Phase::Draining) => "draining",
        Some(Phase::Empty | Phase::Bootstrapping) => "bootstrapping",
        None => "unknown",
    }
}

fn advance(counter: &IntCounter, last: &mut u64, now: u64) {
    counter.inc_by(now.saturating_sub(*last));
    *last = now;
}

fn seconds(micros: Micros) -> f64 {
    micros as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use castor_proto::delta::{ServiceKey, ServiceUse};
    use castor_proto::ids::{Incarnation, Member, NodeName};
    use castor_proto::ticket::{Payload, Principal, Tgt};

    use super::*;
    use crate::engine::{
        Command, Config, Engine, Input, NewReusable, Now, Output, Reply, TicketKeys,
    };

    fn peer(node: &str, lag: u64, offset: Option<i64>) -> PeerStatus {
        PeerStatus {
            node: NodeName::parse(node).unwrap(),
            member: None,
            link: true,
            alive: None,
            there: true,
            phase: Some(Phase::Ready),
            lag,
            backlog: 1,
            acked_at: 0,
            applied_at: 0,
            head: 0,
            acked: 0,
            applied: 0,
            clock_offset_ms: offset,
            wire: None,
            rtt: None,
        }
    }

    #[test]
    fn series_stay_where_they_are_until_their_peer_is_gone() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        let mut seen = BTreeSet::new();
        let both = [peer("a", 1_000_000, Some(1)), peer("b", 0, Some(2))];
        metrics.refresh_peers(&mut seen, Phase::Ready, &both);
        // Who scrapes at this moment holds the series as they are.
        let lag = metrics.lag.with_label_values(&["a"]);
        let ready = metrics.members.with_label_values(&["ready"]);
        assert_eq!(ready.get(), 3);
        let one = [peer("a", 2_000_000, None)];
        metrics.refresh_peers(&mut seen, Phase::Ready, &one);
        assert_eq!(lag.get(), 2.0, "the same series has the new value");
        assert_eq!(ready.get(), 2);
        let series = |name: &str| {
            let families = registry.gather();
            let family = families.iter().find(|family| family.name() == name);
            family.map_or(0, |family| family.get_metric().len())
        };
        assert_eq!(series("castor_replication_lag_seconds"), 1);
        assert_eq!(series("castor_replication_backlog_deltas"), 1);
        assert_eq!(series("castor_cluster_clock_offset_seconds"), 0);
        assert_eq!(series("castor_cluster_members"), STATES.len());
    }

    fn ask(engine: &mut Engine, mono: Micros, command: Command) -> Reply {
        let wall = 1_800_000_000_000 + mono / 1_000;
        engine.handle(Now { mono, wall }, Input::Command(1, command));
        let mut answer = None;
        while let Some(output) = engine.poll() {
            if let Output::Reply(_, reply) = output {
                answer = Some(reply);
            }
        }
        answer.expect("a node alone answers at once")
    }

    #[test]
    fn urls_that_many_sessions_share_are_counted_once_and_apart() {
        let me = Member {
            node: NodeName::parse("n1").unwrap(),
            incarnation: Incarnation([1; 16]),
        };
        let keys = TicketKeys {
            key_id: 1,
            check: [1; 32],
            tag: [2; 32],
        };
        let (store, stats) = (Arc::new(Store::new([3; 32])), Arc::default());
        let mut mono = 3_600_000_000;
        let start = Now {
            mono,
            wall: 1_800_000_000_000,
        };
        let config = Config::new(me, [3; 32]);
        let mut engine = Engine::new(config, keys, Arc::clone(&store), stats, &[4; 32], 0, start);
        while !engine.is_ready() {
            mono += 100_000;
            ask(&mut engine, mono, Command::Status);
        }
        for id in ["ada", "bob"] {
            let session = NewReusable {
                id: None,
                life_ms: 28_800_000,
                idle_ms: 0,
                ancestors: Vec::new(),
                payload: Payload::Tgt(Tgt {
                    principal: Principal {
                        id: id.into(),
                        attributes: Vec::new(),
                    },
                    authenticated_at: 0,
                    handler: "test".into(),
                    remember_me: false,
                    client_address: "192.0.2.1".into(),
                }),
                key_id: None,
            };
            let reply = ask(&mut engine, mono, Command::Create(Box::new(session)));
            let Reply::Created(Ok(created)) = reply else {
                panic!("{reply:?}");
            };
            let url = "https://app.example.org/".to_owned();
            let visit = ServiceUse {
                stamp: 1_800_000_000_001,
                ticket: "ST-1-abc".into(),
                url: url.clone(),
            };
            let adopt = Command::Adopt {
                key: created.body.key(),
                services: vec![(ServiceKey::new(7, &url), visit)],
            };
            ask(&mut engine, mono, adopt);
        }
        let metrics = Metrics::new(&Registry::new()).unwrap();
        metrics.refresh_tickets(&store);
        assert_eq!(metrics.tickets.with_label_values(&["tgt"]).get(), 2);
        assert_eq!(metrics.shared_urls.get(), 1);
        let (bytes, all) = (metrics.shared_url_bytes.get(), metrics.store_bytes.get());
        assert!(bytes > 24 && bytes < all, "{bytes} of {all}");
    }
}
