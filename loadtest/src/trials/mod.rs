//! The six load trials that Lafayette College published for CAS 5.1 in 2017, again.
//!
//! The rooms: [`published`] (what stands in the publication), [`regression`] (a line through points),
//! [`tables`] (its two tables, measured beside published).
//!
//! Promises: each trial is the population of `lafayette.toml` with the number of users and the time of the
//! publication. Does not: judge net sessions, which the publication's own description does not predict.

pub mod published;
pub mod regression;
pub mod tables;

use crate::stop::Stop;
use crate::swarm::run::{self, Outcome, Plan};
use crate::swarm::scenario::{Population, Scenario};
use crate::swarm::target::Target;
use published::Trial;

/// Which trials, and how.
#[derive(Debug, Clone)]
pub struct Trials {
    /// The trials, in order.
    pub trials: Vec<Trial>,
    /// Most minutes of the population in each trial.
    pub minutes_at_most: Option<f64>,
    /// Seed of all choices.
    pub seed: u64,
    /// How many times faster than the clock.
    pub time_scale: f64,
    /// Share of used tickets that are tried again.
    pub replay_share: f64,
}

/// A trial and what came of it.
pub struct Tried {
    /// As published.
    pub trial: Trial,
    /// As measured.
    pub outcome: Outcome,
}

/// The population of a trial.
///
/// # Errors
/// When the built-in scenario cannot be read, which a test excludes.
pub fn population(trial: &Trial, minutes_at_most: Option<f64>) -> anyhow::Result<Population> {
    let mut population = Scenario::open("lafayette")?.population()?;
    population.users = trial.users;
    population.minutes = trial.minutes.min(minutes_at_most.unwrap_or(f64::INFINITY));
    population.check()?;
    Ok(population)
}

/// Runs the trials one after the other; an interrupt or a hopeless trial ends them.
///
/// # Errors
/// When the target cannot be used before the first trial.
pub async fn run(trials: &Trials, mut target: Target, stop: &Stop) -> anyhow::Result<Vec<Tried>> {
    let mut done = Vec::new();
    for trial in &trials.trials {
        let plan = Plan {
            name: format!("trial {}", trial.name),
            scenario: Scenario::Population(population(trial, trials.minutes_at_most)?),
            seed: trials.seed,
            time_scale: trials.time_scale,
            replay_share: trials.replay_share,
        };
        let (back, outcome) = match run::run(plan, target, stop).await {
            Ok(done) => done,
            // What was measured before is kept.
            Err(error) if !done.is_empty() => {
                crate::progress::say(&format!("trial {}: {error:#}", trial.name));
                stop.set();
                return Ok(done);
            }
            Err(error) => return Err(error),
        };
        target = back;
        let early = outcome.early.is_some();
        done.push(Tried {
            trial: *trial,
            outcome,
        });
        if early || stop.is_set() {
            break;
        }
    }
    Ok(done)
}
