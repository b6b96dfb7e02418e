//! `castor-loadtest swarm`: its arguments.
//!
//! Promises: what is given replaces what the scenario says, in the same range. Does not: run users.

use anyhow::bail;
use clap::Args;

use super::Usage;
use super::target::{OutputArgs, TargetArgs};
use crate::clock;
use crate::environment::Environment;
use crate::stop::Stop;
use crate::swarm::record;
use crate::swarm::run::{self, Plan};
use crate::swarm::scenario::{Scenario, name_of};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  castor-loadtest swarm --model --users 250
  castor-loadtest swarm --cluster castor-demo/cluster.json --minutes 30 --time-scale 10 --json swarm.json
  castor-loadtest swarm --scenario ha_guide --url https://sso.example.org/cas --ca ca.pem --accounts accounts.toml \\
      --service https://app.example.org/load --i-own-this-target
  castor-loadtest swarm --scenario new_school --time-scale 288 --cluster castor-demo/cluster.json --json day.json

Who fails to sign in counts at the server: switch its throttling off, in Castor with
authn.throttle.enabled = false. Ctrl-C ends the run and writes the record; once more ends at once.
Exits with 1 when an answer was wrong or a file could not be written, 2 for wrong usage or
files, 3 when the server does not show a login form, does not refuse a made-up ticket, refuses an
account or lacks what the scenario needs.")]
pub(super) struct SwarmArgs {
    /// lafayette, ha_guide, new_school, or a file like those in loadtest/scenarios
    #[arg(long, default_value = "lafayette")]
    scenario: String,
    /// Users at the same time, instead of the scenario's
    #[arg(long)]
    users: Option<u32>,
    /// Users who begin in each second
    #[arg(long, value_name = "RATE")]
    hatch_rate: Option<f64>,
    /// How long it lasts, in minutes of the population
    #[arg(long, alias = "duration")]
    minutes: Option<f64>,
    /// How many times faster than the clock the population lives
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    time_scale: f64,
    /// Seed of all choices; a fresh one when absent
    #[arg(long)]
    seed: Option<u64>,
    /// Ask no server: print what the model of the population says
    #[arg(long)]
    model: bool,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl SwarmArgs {
    fn scenario(&self) -> anyhow::Result<Scenario> {
        let mut population = match Scenario::open(&self.scenario)? {
            Scenario::Population(population) => population,
            day if self.users.or(self.minutes.map(|_| 0)).is_none() && !self.model => {
                return Ok(day);
            }
            Scenario::Day(_) => {
                bail!(
                    "{} is a day: it has no --users, --minutes or --model",
                    self.scenario
                )
            }
        };
        population.users = self.users.unwrap_or(population.users);
        population.hatch_rate = self.hatch_rate.unwrap_or(population.hatch_rate);
        population.minutes = self.minutes.unwrap_or(population.minutes);
        population.check()?;
        Ok(Scenario::Population(population))
    }
}

pub(super) async fn run(arguments: SwarmArgs) -> anyhow::Result<bool> {
    let scenario = arguments.scenario().map_err(Usage)?;
    let time_scale = scale(arguments.time_scale)?;
    let seed = arguments.seed.unwrap_or_else(clock::fresh_seed);
    let environment = Environment::find(seed);
    if let (true, Scenario::Population(population)) = (arguments.model, &scenario) {
        let model = record::of_model(population, seed, environment);
        return arguments.output.finish(&model, None);
    }
    let mut target = arguments.target.open(scenario.services())?;
    let history = arguments.output.start(&mut target)?;
    let plan = Plan {
        name: name_of(&arguments.scenario),
        replay_share: arguments.target.replay()?,
        scenario,
        seed,
        time_scale,
    };
    let stop = Stop::on_signals()?;
    let (_, outcome) = run::run(plan, target, &stop).await?;
    arguments
        .output
        .finish(&record::of(&outcome, environment), history)
}

/// A time scale in range.
pub(super) fn scale(scale: f64) -> anyhow::Result<f64> {
    if scale.is_finite() && (0.01..=10_000.0).contains(&scale) {
        return Ok(scale);
    }
    Err(Usage(anyhow::anyhow!("--time-scale must be 0.01 to 10000")).into())
}
