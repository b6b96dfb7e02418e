//! What was sampled while populations lived, as curves over the seconds of a record.
//!
//! Promises: several runs one after the other share one axis. Does not: draw.

use std::collections::BTreeMap;

use super::gauge::cpu_between;
use super::run::{Outcome, Sample};
use crate::run::{Mark, Run};

const MIB: f64 = 1_048_576.0;

/// Requests, processor, memory, latencies and lag over time.
#[derive(Default)]
pub struct Curves {
    requests: Vec<(f64, f64)>,
    cores: Vec<(f64, f64)>,
    memory: BTreeMap<String, Vec<(f64, f64)>>,
    latencies: BTreeMap<&'static str, Vec<(f64, f64)>>,
    lag: BTreeMap<String, Vec<(f64, f64)>>,
    marks: Vec<Mark>,
}

impl Curves {
    /// Adds a run that began `offset` seconds after the beginning.
    pub fn add(&mut self, outcome: &Outcome, offset: f64) {
        self.marks.push(Mark::at(offset, outcome.plan.name.clone()));
        self.add_slices(outcome, offset);
        for pair in outcome.samples.windows(2) {
            let [before, after] = pair else { continue };
            let time = after.at - before.at;
            if time <= 0.0 {
                continue;
            }
            let at = offset + after.at;
            self.requests.push((at, requests(before, after) / time));
            if let Some(used) = cpu_between(&before.nodes, &after.nodes) {
                self.cores.push((at, used / time));
            }
        }
        for (number, name) in outcome.nodes.iter().enumerate() {
            let resident = |sample: &Sample| {
                let reading = (*sample.nodes.get(number)?)?;
                Some((offset + sample.at, reading.resident / MIB))
            };
            let points = outcome.samples.iter().filter_map(resident);
            self.memory.entry(name.clone()).or_default().extend(points);
        }
    }

    fn add_slices(&mut self, outcome: &Outcome, offset: f64) {
        for sample in &outcome.samples {
            let Some(slice) = &sample.slice else {
                continue;
            };
            let at = offset + sample.at;
            for (names, fast) in [
                (["ticket p50", "ticket p99", "ticket slowest"], slice.ticket),
                (
                    ["validate p50", "validate p99", "validate slowest"],
                    slice.validate,
                ),
            ] {
                let known = names.into_iter().zip(fast.into_iter().flatten());
                for (name, ms) in known.filter(|(_, ms)| ms.is_finite()) {
                    self.latencies.entry(name).or_default().push((at, ms));
                }
            }
            for (name, lag) in &slice.lag {
                let points = self.lag.entry(name.clone()).or_default();
                points.push((at, lag * 1000.0));
            }
        }
    }

    /// Puts the curves into a record.
    pub fn put(self, run: &mut Run) {
        run.sampled("requests", "1/s", self.requests);
        if !self.cores.is_empty() {
            run.sampled("processor of all nodes", "cores", self.cores);
        }
        for (name, points) in self.latencies {
            run.sampled_in("latency", name, "ms", points);
        }
        for (name, points) in self.lag {
            run.sampled_in("replication lag", &name, "ms", points);
        }
        for (name, points) in self.memory {
            if !points.is_empty() {
                run.sampled_in("memory", &name, "MiB", points);
            }
        }
        if self.marks.len() > 1 {
            run.marks.extend(self.marks);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn requests(before: &Sample, after: &Sample) -> f64 {
    after.counts.requests.saturating_sub(before.counts.requests) as f64
}
