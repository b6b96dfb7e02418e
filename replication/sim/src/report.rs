//! What came of many seeds: sums, the figures by which a day counts, and the command that shows each
//! violation again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::nemesis::Fault;
use crate::run::{HEALS_WITHIN, Outcome};

/// A day in microseconds.
pub const DAY: u64 = 86_400_000_000;

/// A day counts with at least so many requests per simulated second.
const OPERATIONS_PER_SECOND: f64 = 10.0;

/// A day counts with at least one fault in so many simulated seconds.
const SECONDS_PER_FAULT: f64 = 10.0;

/// Whether so many requests and faults are enough for so many simulated microseconds.
pub fn enough(time: u64, operations: u64, faults: u64) -> bool {
    let seconds = time as f64 / 1e6;
    operations as f64 >= OPERATIONS_PER_SECOND * seconds
        && faults as f64 * SECONDS_PER_FAULT >= seconds
}

/// Sums over seeds.
#[derive(Debug, Default, Clone)]
pub struct Sums {
    /// Seeds run.
    pub seeds: u64,
    /// Simulated microseconds.
    pub time: u64,
    /// Requests of clients.
    pub operations: u64,
    /// Requests that got what they wanted.
    pub granted: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// The longest time to heal, microseconds.
    pub healed_after: u64,
    /// Seeds in which something was broken, with what.
    pub violations: Vec<Outcome>,
}

impl Sums {
    /// Adds a seed.
    pub fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.time += outcome.time;
        self.operations += outcome.operations;
        self.granted += outcome.granted;
        for (fault, times) in &outcome.faults {
            *self.faults.entry(fault.name()).or_default() += times;
        }
        if outcome.violation.is_some() {
            self.violations.push(outcome);
        } else {
            self.healed_after = self.healed_after.max(outcome.healed_after);
        }
    }

    /// Simulated time in days.
    pub fn days(&self) -> f64 {
        self.time as f64 / DAY as f64
    }

    fn seconds(&self) -> f64 {
        (self.time as f64 / 1e6).max(f64::MIN_POSITIVE)
    }

    fn faults(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Whether there was enough to do and enough that went wrong for the days to count.
    pub fn counts(&self) -> bool {
        enough(self.time, self.operations, self.faults())
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.violations.iter().flat_map(violation).collect();
        let per_second = self.operations as f64 / self.seconds();
        lines.push(format!(
            "{} client operations, {per_second:.1} per simulated second; {} got what they asked for",
            self.operations, self.granted
        ));
        let every = self.seconds() / self.faults().max(1) as f64;
        let kinds: Vec<String> = self
            .faults
            .iter()
            .map(|(name, n)| format!("{n} {name}"))
            .collect();
        lines.push(format!(
            "{} faults, one every {every:.1} simulated seconds: {}",
            self.faults(),
            kinds.join(", ")
        ));
        lines.push(format!(
            "healed after {:.1} s at the latest; the bound is {} s",
            self.healed_after as f64 / 1e6,
            HEALS_WITHIN / 1_000_000
        ));
        if !self.counts() {
            lines.push("too little happened for these days to count".into());
        }
        lines.push(format!(
            "{} seeds, {:.2} cluster-days, {} violations",
            self.seeds,
            self.days(),
            self.violations.len()
        ));
        lines
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let violations: Vec<Value> = self
            .violations
            .iter()
            .filter_map(|outcome| {
                let violation = outcome.violation.as_ref()?;
                Some(json!({
                    "seed": outcome.seed,
                    "invariant": violation.invariant,
                    "at_ms": violation.at / 1_000,
                    "what": violation.what,
                    "replay": replay(outcome.seed),
                }))
            })
            .collect();
        json!({
            "seeds": self.seeds,
            "cluster_days": self.days(),
            "operations": self.operations,
            "granted": self.granted,
            "faults": self.faults,
            "healed_after_ms": self.healed_after / 1_000,
            "counts": self.counts(),
            "violations": violations,
        })
    }
}

/// The one command that shows a seed again.
pub fn replay(seed: u64) -> String {
    format!("cargo run --release -p castor-sim -- --seed {seed}")
}

/// What was broken, and the command that shows it again.
pub fn violation(outcome: &Outcome) -> Vec<String> {
    let Some(violation) = &outcome.violation else {
        return Vec::new();
    };
    let at = violation.at as f64 / 1e6;
    vec![
        format!(
            "seed {}: {} violated at {at:.3} s: {}",
            outcome.seed, violation.invariant, violation.what
        ),
        format!("  {}", replay(outcome.seed)),
    ]
}

impl Fault {
    /// As it is called in summaries.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crash => "crashes",
            Self::Drain => "drains",
            Self::Cut => "cuts",
            Self::OneWayCut => "one-way cuts",
            Self::Partition => "partitions",
            Self::Stop => "stops",
            Self::Storm => "storms",
            Self::RoughWay => "rough ways",
            Self::Blink => "broken links",
            Self::ClockStep => "clock steps",
            Self::VoteStorm => "vote storms",
        }
    }
}
