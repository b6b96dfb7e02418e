//! `castor-loadtest trials`: its arguments.
//!
//! Promises: trials are those of the publication, each at most once. Does not: run users.

use anyhow::bail;
use clap::Args;

use super::swarm::scale;
use super::target::{OutputArgs, TargetArgs};
use super::{Usage, positive};
use crate::clock;
use crate::environment::Environment;
use crate::stop::Stop;
use crate::trials::published::{TRIALS, Trial};
use crate::trials::{self, Trials, tables};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  castor-loadtest trials --time-scale 60 --cluster castor-demo/cluster.json --accounts accounts.toml --json trials.json
  castor-loadtest trials --time-scale 60 --only 03,04 --minutes-at-most 20 --url https://sso.example.org/cas \\
      --ca ca.pem --accounts accounts.toml --i-own-this-target

In real time the six take 17 hours and a quarter, at time scale 60 as many minutes. Compressed sign-ins need hashes that
cost little, and a server without throttling: see loadtest/README.md.
Exits with 1 when an answer was wrong, when events per minute are off, or when a file could not be written.")]
pub(super) struct TrialsArgs {
    /// Only these trials: 01,02,03,04,05,06
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// No trial lasts longer, in minutes of the population
    #[arg(long, value_name = "MINUTES")]
    minutes_at_most: Option<f64>,
    /// How many times faster than the clock the population lives
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    time_scale: f64,
    /// By how many per cent events per minute may be off
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0)]
    within: f64,
    /// Seed of all choices; a fresh one when absent
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl TrialsArgs {
    fn trials(&self) -> anyhow::Result<Vec<Trial>> {
        for name in &self.only {
            if !TRIALS.iter().any(|trial| trial.name == name) {
                bail!(
                    "there is no trial {name:?}; there are {}",
                    TRIALS.map(|trial| trial.name).join(", ")
                );
            }
        }
        let wanted =
            |trial: &Trial| self.only.is_empty() || self.only.iter().any(|name| name == trial.name);
        Ok(TRIALS.into_iter().filter(wanted).collect())
    }
}

pub(super) async fn run(arguments: TrialsArgs) -> anyhow::Result<bool> {
    let plan = Trials {
        trials: arguments.trials().map_err(Usage)?,
        minutes_at_most: match arguments.minutes_at_most {
            Some(minutes) => Some(positive("minutes-at-most", minutes)?),
            None => None,
        },
        seed: arguments.seed.unwrap_or_else(clock::fresh_seed),
        time_scale: scale(arguments.time_scale)?,
        replay_share: arguments.target.replay()?,
    };
    let within = positive("within", arguments.within)?;
    let services = match plan.trials.first() {
        Some(trial) => {
            trials::population(trial, plan.minutes_at_most)
                .map_err(Usage)?
                .services
        }
        None => 1,
    };
    let environment = Environment::find(plan.seed);
    let mut target = arguments.target.open(services)?;
    let history = arguments.output.start(&mut target)?;
    let stop = Stop::on_signals()?;
    let tried = trials::run(&plan, target, &stop).await?;
    let record = tables::record(tried, within, stop.is_set(), environment);
    arguments.output.finish(&record, history)
}
