//! Whether a server stays as it was: its validations and its memory in the quarters of a run.
//!
//! Why the last quarter against the second: in the first a population hatches and the server's tables fill.
//! Promises: nothing is said of a run that ended early or had no node to look at, nor of the latencies of one with
//! too few answers. Does not: judge.

use super::record::round;
use super::run::Outcome;
use crate::histogram::{Latencies, answers_for};
use crate::run::{Cell, Run, Table};

/// Parts of a run.
pub const QUARTERS: usize = 4;
const MIB: f64 = 1_048_576.0;

/// Latencies in each quarter of a run.
#[derive(Default)]
pub struct Quarters([Latencies; QUARTERS]);

impl Quarters {
    /// The quarter of a moment, `share` of the run after its beginning.
    pub fn at(&mut self, share: f64) -> Option<&mut Latencies> {
        self.0.get_mut(quarter(share))
    }

    /// Whether the quarter has answers enough to be compared with another.
    fn enough(&self, quarter: usize) -> bool {
        let latencies = self.0.get(quarter);
        latencies.is_some_and(|latencies| latencies.count() >= answers_for(99.0))
    }

    fn percentile_ms(&self, quarter: usize, percentile: f64) -> f64 {
        let latencies = self.0.get(quarter);
        latencies.map_or(f64::NAN, |latencies| latencies.percentile_ms(percentile))
    }
}

/// What comes after the end counts in the last one.
fn quarter(share: f64) -> usize {
    (0..QUARTERS - 1)
        .find(|part| share < (part + 1) as f64 / QUARTERS as f64)
        .unwrap_or(QUARTERS - 1)
}

/// Adds a table of the quarters, and what the last is of the second.
pub fn put(run: &mut Run, outcome: &Outcome) {
    if outcome.early.is_some() {
        return;
    }
    let memory = memory(outcome);
    let columns = [
        "quarter",
        "validation p50, ms",
        "p99, ms",
        "memory of the largest node, MiB",
    ];
    let mut table = Table::new("Whether it stays as it was", &columns);
    for (number, resident) in memory.iter().enumerate() {
        let at = |percentile| round(outcome.seen.quarters.percentile_ms(number, percentile));
        table.row([
            Cell::from((number + 1) as f64),
            Cell::from(at(50.0)),
            Cell::from(at(99.0)),
            Cell::from(resident.map(round)),
        ]);
    }
    run.tables.push(table);
    let quarters = &outcome.seen.quarters;
    if quarters.enough(1) && quarters.enough(QUARTERS - 1) {
        for (name, percentile) in [
            ("drift_of_validate_p50", 50.0),
            ("drift_of_validate_p99", 99.0),
        ] {
            let of = |quarter| quarters.percentile_ms(quarter, percentile);
            ratio(run, name, of(QUARTERS - 1), of(1));
        }
    } else {
        run.note(format!(
            "Drift of latencies is not told: it needs {} validations in the second quarter and in the last",
            answers_for(99.0)
        ));
    }
    if let [_, Some(second), _, Some(last)] = memory {
        ratio(run, "drift_of_memory", last, second);
    }
}

fn ratio(run: &mut Run, name: &str, last: f64, second: f64) {
    if second > 0.0 {
        let note = "the last quarter of the run, divided by the second";
        run.figure_with(name, (last / second * 1000.0).round() / 1000.0, "", note);
    }
}

/// The mean of what the node with the most had resident, in each quarter.
fn memory(outcome: &Outcome) -> [Option<f64>; QUARTERS] {
    let mut sums = [(0.0, 0_u32); QUARTERS];
    for sample in &outcome.samples {
        let nodes = sample
            .nodes
            .iter()
            .flatten()
            .map(|reading| reading.resident);
        let most = nodes.fold(0.0, f64::max);
        let share = sample.at / outcome.seconds.max(f64::MIN_POSITIVE);
        if let Some((sum, count)) = sums.get_mut(quarter(share))
            && most > 0.0
        {
            *sum += most / MIB;
            *count += 1;
        }
    }
    sums.map(|(sum, count)| (count > 0).then(|| sum / f64::from(count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_with_few_answers_is_not_compared() {
        let mut quarters = Quarters::default();
        let second = quarters.at(0.3).unwrap();
        second.record_many(std::time::Duration::from_millis(3), 99);
        assert!(!quarters.enough(1) && quarters.percentile_ms(1, 99.0).is_nan());
        let second = quarters.at(0.3).unwrap();
        second.record(std::time::Duration::from_millis(3));
        assert!(quarters.enough(1) && !quarters.enough(3));
    }

    #[test]
    fn each_moment_is_in_its_quarter() {
        let found = [0.0, 0.249, 0.25, 0.5, 0.76, 1.0, 7.0].map(quarter);
        assert_eq!(found, [0, 0, 1, 2, 3, 3, 3]);
    }
}
