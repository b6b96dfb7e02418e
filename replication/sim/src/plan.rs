//! What one seed stands for: size, limits, clocks, which faults and how often.

use castor_replication::engine::Config;

use crate::random::Random;
use crate::world::{CALM, MS, Weather};

/// Which kinds of faults a run has most of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// Of everything something.
    Mixed,
    /// Processes die and come back quickly.
    Restarts,
    /// The network is cut, in one way or both.
    Cuts,
    /// Messages are lost, doubled and late.
    Storms,
    /// Processes are stopped and go on.
    Stops,
    /// Wall clocks step, also while a process starts.
    Clocks,
    /// More nodes than a view has, votes that are lost, doubled and late, and races for most tickets.
    Contention,
    /// Processes die and come back, and fill slowly while others are written to.
    Filling,
}

/// Everything that a seed decides before the run begins.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Number of nodes.
    pub size: usize,
    /// Kinds of faults.
    pub flavour: Flavour,
    /// Length of the safety phase, microseconds.
    pub length: u64,
    /// Mean pause between two operations of clients, microseconds.
    pub operation_every: u64,
    /// Mean pause between two faults, microseconds.
    pub fault_every: u64,
    /// Weather when nothing is wrong.
    pub weather: Weather,
    /// How what is sent in bulk, for filling and comparing, travels where that differs.
    pub bulk: Option<Weather>,
    /// How the streams of changes travel where that differs.
    pub stream: Option<Weather>,
    /// Each machine's wall clock minus true time, milliseconds.
    pub skew_ms: Vec<i64>,
    /// How much faster each node's clock runs, millionths.
    pub drift_ppm: Vec<i64>,
    /// The engine's limits.
    pub limits: Limits,
}

/// Limits of the engine, most of them far smaller than anybody would set them.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// K of rule 2.
    pub view_size: usize,
    /// Deltas kept for resuming.
    pub ring_max: usize,
    /// Deltas in a batch.
    pub batch_max: usize,
    /// Bytes in a message.
    pub batch_bytes: usize,
    /// Operations under way.
    pub ops_max: usize,
    /// Single-use tickets held.
    pub singles_max: usize,
    /// Reusable tickets held.
    pub entries_max: usize,
    /// How long an idle session is kept after its limit, milliseconds.
    pub idle_grace_ms: u64,
}

impl Limits {
    fn draw(random: &mut Random) -> Self {
        let mut of = |choices: &[usize]| random.pick(choices).unwrap_or(1);
        let view_size = of(&[1, 3, 3, 3, 3, 5]);
        let ring_max = of(&[4, 16, 16, 64, 1_024, 65_536]);
        let batch_max = of(&[1, 3, 3, 16, 2_048]);
        let batch_bytes = of(&[500, 1_500, 1_500, 8_000, 256 << 10]);
        let ops_max = of(&[4, 16, 65_536, 65_536, 65_536]);
        let singles_max = of(&[30, 200, 1_000_000, 1_000_000, 1_000_000]);
        let entries_max = of(&[40, 5_000_000, 5_000_000, 5_000_000]);
        let idle_grace_ms = of(&[1_000, 5_000, 600_000]) as u64;
        Self {
            view_size,
            ring_max,
            batch_max,
            batch_bytes,
            ops_max,
            singles_max,
            entries_max,
            idle_grace_ms,
        }
    }

    /// Nobody is turned away, and a view is smaller than the cluster.
    fn for_votes(self) -> Self {
        Self {
            view_size: 3,
            ops_max: 65_536,
            singles_max: 1_000_000,
            entries_max: 5_000_000,
            ..self
        }
    }

    /// Sets them.
    pub fn apply(&self, config: &mut Config) {
        config.view_size = self.view_size;
        config.ring_max = self.ring_max;
        config.batch_max = self.batch_max;
        config.batch_bytes = self.batch_bytes;
        config.ops_max = self.ops_max;
        config.singles_max = self.singles_max;
        config.entries_max = self.entries_max;
        config.idle_grace_ms = self.idle_grace_ms;
    }
}

/// Of so many seeds one is of the flavour of contention, one of filling, and one has slow streams, each at
/// its place.
const PLACES: u64 = 8;
const CONTENTION_AT: u64 = 5;
const FILLING_AT: u64 = 2;
const SLOW_AT: u64 = 6;

/// What the other seeds choose from.
const FLAVOURS: [Flavour; 8] = [
    Flavour::Mixed,
    Flavour::Mixed,
    Flavour::Mixed,
    Flavour::Restarts,
    Flavour::Cuts,
    Flavour::Storms,
    Flavour::Stops,
    Flavour::Clocks,
];

/// Weather when nothing is wrong.
const WEATHERS: [Weather; 5] = [
    CALM,
    CALM,
    Weather {
        delay: (200, 3_000),
        ..CALM
    },
    Weather {
        delay: (2_000, 6_000),
        ..CALM
    },
    Weather {
        delay: (100, 10_000),
        loss: 5,
        doubled: 10,
        ..CALM
    },
];

/// The seeds of the flavour of contention, in their order.
#[cfg(feature = "mutants")]
pub(crate) fn contended(at: u64) -> u64 {
    at * PLACES + CONTENTION_AT
}

impl Plan {
    /// The plan of a seed; always the same one.
    pub fn of(seed: u64) -> Self {
        let mut random = Random::new(seed, "plan");
        let contention = seed % PLACES == CONTENTION_AT;
        let sizes: &[usize] = if contention {
            &[4, 5, 5]
        } else {
            &[2, 3, 3, 3, 3, 4, 5]
        };
        let size = random.pick(sizes).unwrap_or(3);
        let mut flavour = random.pick(&FLAVOURS).unwrap_or(Flavour::Mixed);
        let mut weather = random.pick(&WEATHERS).unwrap_or(CALM);
        let mut limits = Limits::draw(&mut random.clone());
        let (mut bulk, mut stream) = (None, None);
        if contention {
            flavour = Flavour::Contention;
            limits = limits.for_votes();
            if random.once_in(3) {
                weather = Weather {
                    delay: (100, random.pick(&[1_000, 20_000, 60_000]).unwrap_or(1_000)),
                    loss: random.between(20, 200),
                    doubled: random.between(100, 900),
                    ..CALM
                };
            }
        } else if seed % PLACES == SLOW_AT {
            // Changes come late, and whoever asks is answered at once.
            limits.batch_max = limits.batch_max.max(16);
            limits.batch_bytes = limits.batch_bytes.max(8_000);
            let delay = (1_000, 100_000);
            stream = Some(Weather { delay, ..CALM });
        } else if seed % PLACES == FILLING_AT {
            flavour = Flavour::Filling;
            let most = random.pick(&[20_000, 60_000]).unwrap_or(20_000);
            bulk = Some(Weather {
                delay: (1_000, most),
                ..CALM
            });
        }
        let skew = |random: &mut Random| random.below(201) as i64 - 100;
        let drift = |random: &mut Random| random.below(1_001) as i64 - 500;
        Self {
            seed,
            size,
            flavour,
            length: random.between(60_000, 180_000) * MS,
            operation_every: random.between(30, 70) * MS,
            fault_every: random.between(1_500, 5_000) * MS,
            weather,
            bulk,
            stream,
            skew_ms: (0..size).map(|_| skew(&mut random)).collect(),
            drift_ppm: (0..size).map(|_| drift(&mut random)).collect(),
            limits,
        }
    }
}
