//! Whether the lag that is measured inside is the lag that somebody outside sees.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use serde_json::Value;

use crate::support::demo::{Demo, READY_LIMIT, signal};
use crate::support::person::login_url;
use crate::support::relay::Relays;
use crate::support::wait;

const APP: &str = "http://127.0.0.1:8001/lag";

/// What everything from the first node to the second is late by.
const INJECTED_MS: u64 = 200;

/// Batches to watch: one arrives per injected delay.
const BATCHES: usize = 40;

/// Whoever looks away for longer may have missed one.
const BLIND_MS: f64 = INJECTED_MS as f64 / 2.0;

/// A place in a stream, and when it was reached, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    sequence: u64,
    at: f64,
}

impl Point {
    fn of(value: &Value) -> Option<Self> {
        Some(Self {
            sequence: value["sequence"].as_u64()?,
            at: value["at_ms"].as_f64()?,
        })
    }
}

/// What was seen from outside, in the order in which it was seen.
#[derive(Default)]
struct Seen {
    /// Heads of the first node's stream.
    made: Vec<Point>,
    /// What the second node had of it.
    applied: Vec<Point>,
    /// When the first node was scraped, and the lag to the second that it said, in milliseconds.
    scraped: Vec<(f64, f64)>,
    /// When a busy machine let nobody look: from, to.
    blind: Vec<(f64, f64)>,
}

impl Seen {
    fn look(&mut self, demo: &Demo) {
        let [first, second] = [0, 1].map(|i| demo.cluster.nodes[i].name.clone());
        let peer = format!("peer=\"{second}\"");
        let lag = demo.metric_of(0, "castor_replication_lag_seconds", &peer) * 1000.0;
        let now = wait::wall_ms();
        let before = self.scraped.last().map_or(now, |(before, _)| *before);
        if now - before > BLIND_MS {
            self.blind.push((before, now));
        }
        self.scraped.push((now, lag));
        self.made.extend(Point::of(&demo.status(0)["head"]));
        let status = demo.status(1);
        let members = status["members"].as_array().into_iter().flatten();
        let mut of_first = members.filter(|m| m["node"] == first.as_str());
        let applied = of_first.next().and_then(|m| Point::of(&m["applied"]));
        self.applied.extend(applied);
        for known in [&mut self.made, &mut self.applied] {
            known.dedup_by_key(|point| point.sequence);
        }
    }

    fn looked(&self, from: f64, to: f64) -> bool {
        self.blind
            .iter()
            .all(|(begin, end)| to < *begin || *end < from)
    }

    /// When the second node had this sequence, when that was seen.
    fn arrival(&self, sequence: u64) -> Option<f64> {
        let at = self.applied.iter().position(|p| p.sequence >= sequence)?;
        let (before, reached) = (self.applied.get(at.checked_sub(1)?)?, self.applied.get(at)?);
        self.looked(before.at, reached.at).then_some(reached.at)
    }

    /// Time from a delta to its arrival, for every delta that was seen at both ends.
    fn durations(&self) -> Vec<f64> {
        let begun = self.applied.first().map_or(0, |point| point.sequence);
        let made = self.made.iter().filter(|point| point.sequence > begun);
        let arrived = made.filter_map(|p| Some(self.arrival(p.sequence)? - p.at));
        arrived.collect()
    }

    /// When this sequence was made: between two heads that were seen, deltas came evenly.
    fn making(&self, sequence: u64) -> Option<f64> {
        let after = self.made.iter().position(|p| p.sequence >= sequence)?;
        let (before, after) = (self.made.get(after.checked_sub(1)?)?, self.made.get(after)?);
        let part = (sequence - before.sequence) as f64 / (after.sequence - before.sequence) as f64;
        Some(before.at + part * (after.at - before.at))
    }

    /// Age of the oldest delta that had not arrived at that moment.
    fn lag_at(&self, moment: f64) -> Option<f64> {
        let at = self.applied.iter().rposition(|p| p.at <= moment)?;
        let (arrived, next) = (self.applied.get(at)?, self.applied.get(at + 1)?);
        let oldest = self.making(arrived.sequence + 1)?;
        self.looked(arrived.at, next.at)
            .then_some((moment - oldest).max(0.0))
    }
}

fn mean(values: &[f64]) -> f64 {
    assert!(values.len() >= BATCHES, "only {} values", values.len());
    values.iter().sum::<f64>() / values.len() as f64
}

fn agree(what: &str, inside: f64, outside: f64) {
    let tolerance = (outside * 0.1).max(5.0);
    assert!(
        (inside - outside).abs() <= tolerance,
        "{what}: {inside} ms inside, {outside} ms outside"
    );
}

/// Service tickets issued at the first node one after the other, while `watch` looks on: each is one
/// delta to every other node.
fn while_it_writes<T>(demo: &Demo, watch: impl FnOnce() -> T) -> T {
    let node = demo.cluster.nodes[0].url.clone();
    let mut person = demo.person();
    person.sign_in(&demo.cluster, &node, APP);
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !enough.load(Relaxed) {
                person.get(&login_url(&node, APP)).ticket();
            }
        });
        let watched = watch();
        enough.store(true, Relaxed);
        writer.join().expect("tickets were issued all the while");
        watched
    })
}

#[test]
fn the_lag_inside_is_the_lag_outside() {
    let mut demo = Demo::start();
    let nodes: Vec<_> = (0..3).map(|i| demo.cluster_address(i)).collect();
    let relays = Relays::start(&nodes);
    demo.move_behind(&relays.addresses);
    assert!(relays.passed() > 0, "the nodes talk past the relays");
    relays.delay(nodes[0], nodes[1], INJECTED_MS);
    let peer = format!("peer=\"{}\"", demo.cluster.nodes[1].name);
    let acks = |part: &str| {
        let name = format!("castor_replication_ack_duration_seconds_{part}");
        demo.metric_of(0, &name, &peer)
    };
    let (seen, inside) = while_it_writes(&demo, || {
        let late = INJECTED_MS as f64 / 1000.0;
        wait::until("the delay is felt", READY_LIMIT, || {
            let lag = demo.metric_of(0, "castor_replication_lag_seconds", &peer);
            (lag > late).then_some(())
        });
        let mut seen = Seen::default();
        let before = (acks("sum"), acks("count"));
        wait::until("enough batches have arrived", READY_LIMIT, || {
            seen.look(&demo);
            let lost = 2 * seen.blind.len();
            (seen.applied.len() > BATCHES + lost).then_some(())
        });
        let after = (acks("sum"), acks("count"));
        (seen, (after.0 - before.0) / (after.1 - before.1) * 1000.0)
    });
    let outside = mean(&seen.durations());
    assert!(outside >= INJECTED_MS as f64, "{outside}");
    agree("acknowledgement", inside, outside);
    let judged = seen.scraped.iter();
    let pairs: Vec<(f64, f64)> = judged
        .filter_map(|(moment, lag)| Some((*lag, seen.lag_at(*moment)?)))
        .collect();
    let (inside, outside): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    agree("lag", mean(&inside), mean(&outside));
    wait::until("the lag is over", READY_LIMIT, || {
        let lag = demo.metric_of(0, "castor_replication_lag_seconds", &peer);
        (lag == 0.0).then_some(())
    });
}

#[test]
fn the_lag_to_a_stopped_node_grows_with_time_and_ends_when_it_is_back() {
    let demo = Demo::start();
    let stopped = demo.cluster.nodes[1].pid;
    let peer = format!("peer=\"{}\"", demo.cluster.nodes[1].name);
    let lag = || demo.metric_of(0, "castor_replication_lag_seconds", &peer);
    signal("STOP", stopped);
    let node = demo.cluster.nodes[0].url.clone();
    demo.person().sign_in(&demo.cluster, &node, APP);
    let mut samples: Vec<(f64, f64)> = Vec::new();
    let grown = wait::poll(Duration::from_secs(10), || {
        let before = wait::wall_ms();
        let lag = lag();
        samples.push((f64::midpoint(before, wait::wall_ms()), lag * 1000.0));
        (lag >= 6.0).then_some(())
    });
    signal("CONT", stopped);
    assert!(grown.is_some(), "{samples:?}");
    let (begun, first) = samples[0];
    for (moment, lag) in &samples {
        agree("growth", lag - first, moment - begun);
    }
    wait::until("the lag is over", READY_LIMIT, || {
        (lag() == 0.0).then_some(())
    });
}
