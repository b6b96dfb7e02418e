//! A year of simulated time, in as many sittings as it takes. The state file says which seed comes next;
//! it is replaced whole, and holds only seeds that are finished without a gap.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use anyhow::Context;
use serde_json::{Value, json};

use crate::fleet::{self, Bounds};
use crate::progress::{Progress, tell};
use crate::report::{DAY, enough, violation};
use crate::run::{self, Outcome};
use crate::world::Story;

/// Far from the seeds of the daily dose.
const FIRST: u64 = 1_000_000;

const YEAR: u64 = 365 * DAY;

/// How far the year is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    next: u64,
    time: u64,
    operations: u64,
    faults: u64,
}

impl State {
    fn load(file: &Path) -> anyhow::Result<Self> {
        let mut state = Self {
            next: FIRST,
            time: 0,
            operations: 0,
            faults: 0,
        };
        if !file.exists() {
            return Ok(state);
        }
        let text = std::fs::read_to_string(file)?;
        let value: Value = serde_json::from_str(&text)?;
        let number = |name: &str| value.get(name).and_then(Value::as_u64);
        let fields = ["next_seed", "simulated_us", "operations", "faults"].map(number);
        let [Some(next), Some(time), Some(operations), Some(faults)] = fields else {
            anyhow::bail!("not a state that castor-sim has written");
        };
        state.next = next;
        state.time = time;
        state.operations = operations;
        state.faults = faults;
        Ok(state)
    }

    fn save(&self, file: &Path) -> anyhow::Result<()> {
        let value = json!({
            "next_seed": self.next,
            "simulated_us": self.time,
            "operations": self.operations,
            "faults": self.faults,
        });
        let fresh = file.with_extension("new");
        std::fs::write(&fresh, format!("{value:#}\n"))?;
        std::fs::rename(&fresh, file)?;
        Ok(())
    }

    fn text(&self) -> String {
        format!(
            "{:.2} of 365 cluster-days, {} operations, {} faults; next seed {}",
            self.time as f64 / DAY as f64,
            self.operations,
            self.faults,
            self.next
        )
    }
}

/// Goes on with the year until it is over, something is broken, or it is told to stop. True when nothing
/// was broken.
///
/// # Errors
/// The state file cannot be read, understood or written.
pub(crate) fn run(
    file: &Path,
    jobs: usize,
    until: Option<Instant>,
    stop: &AtomicBool,
) -> anyhow::Result<bool> {
    let name = || format!("state file {}", file.display());
    let mut state = State::load(file).with_context(name)?;
    // What cannot be written is found out before the work.
    state.save(file).with_context(name)?;
    let first = state.next;
    let mut progress = Progress::new(None);
    let mut waiting: BTreeMap<u64, Outcome> = BTreeMap::new();
    let mut broken = None;
    let mut failure = None;
    let bounds = Bounds { jobs, until, stop };
    if state.time >= YEAR {
        stop.store(true, Relaxed);
    }
    fleet::run(
        &bounds,
        |at| Some(first + at),
        |seed| fleet::guarded(seed, |seed| run::run(seed, Story::default())),
        |outcome| {
            waiting.insert(outcome.seed, outcome);
            while let Some(outcome) = waiting.remove(&state.next) {
                if outcome.violation.is_some() {
                    stop.store(true, Relaxed);
                    broken = broken.take().or(Some(outcome));
                    return;
                }
                state.next += 1;
                state.time += outcome.time;
                state.operations += outcome.operations;
                state.faults += outcome.faults.values().sum::<u64>();
            }
            failure = failure.take().or(state.save(file).err());
            if state.time >= YEAR || failure.is_some() {
                stop.store(true, Relaxed);
            }
            progress.tick(|| state.text());
        },
    );
    progress.finish();
    if let Some(failure) = failure {
        return Err(failure).with_context(name);
    }
    if let Some(outcome) = &broken {
        violation(outcome).iter().for_each(|line| tell(line));
    }
    tell(&state.text());
    let counts = enough(state.time, state.operations, state.faults);
    if !counts {
        tell("too little happened for these days to count");
    }
    Ok(broken.is_none() && counts)
}

#[test]
fn a_state_is_read_as_it_was_written() {
    let folder = std::env::temp_dir().join(format!("castor-sim-year-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("state.json");
    assert_eq!(State::load(&file).unwrap().next, FIRST);
    let state = State {
        next: FIRST + 7,
        time: 3,
        operations: 2,
        faults: 1,
    };
    state.save(&file).unwrap();
    assert_eq!(State::load(&file).unwrap(), state);
    std::fs::write(&file, "{}").unwrap();
    assert!(State::load(&file).is_err());
    std::fs::remove_dir_all(&folder).unwrap();
}
