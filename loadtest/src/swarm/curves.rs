//! What was sampled while populations lived, as curves over the seconds of a record.
//!
//! Promises: several runs one after the other share one axis. Does not: draw.

use std::collections::BTreeMap;

use super::gauge::cpu_between;
use super::run::{Outcome, Sample};
use crate::run::{Mark, Run};

const MIB: f64 = 1_048_576.0;

/// Requests, processor and memory over time.
#[derive(Default)]
pub struct Curves {
    requests: Vec<(f64, f64)>,
    cores: Vec<(f64, f64)>,
    memory: BTreeMap<String, Vec<(f64, f64)>>,
    marks: Vec<Mark>,
}

impl Curves {
    /// Adds a run that began `offset` seconds after the beginning.
    pub fn add(&mut self, outcome: &Outcome, offset: f64) {
        self.marks.push(Mark::at(offset, outcome.plan.name.clone()));
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

    /// Puts the curves into a record.
    pub fn put(self, run: &mut Run) {
        run.sampled("requests", "1/s", self.requests);
        if !self.cores.is_empty() {
            run.sampled("processor of all nodes", "cores", self.cores);
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
