//! A whole run of a population: hatch, watch, end, try the old tickets a last time.
//!
//! Promises: ends when its minutes are over, when it is interrupted, or when nothing is answered rightly
//! any more; whatever was seen is handed back in each case. One task for each user, one more that watches.
//! Does not: print or write.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::counts::{Counts, per_minute};
use super::gauge::{Reading, cpu_between};
use super::preflight::Needs;
use super::scenario::Scenario;
use super::seen::Seen;
use super::slices::Slice;
use super::target::Target;
use super::world::{Early, World};
use super::{life, preflight, slices, steps, visits};
use crate::clock;
use crate::progress::Progress;
use crate::run::bounds::POINTS_MAX;
use crate::stop::Stop;

/// Old tickets that are tried at the same time when the run has ended.
const LAST_REPLAYS_AT_ONCE: usize = 8;

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name for people.
    pub name: String,
    /// What users are like.
    pub scenario: Scenario,
    /// Seed of all choices.
    pub seed: u64,
    /// How many times faster than the clock the population lives.
    pub time_scale: f64,
    /// Share of used tickets that are tried again.
    pub replay_share: f64,
}

/// What came of it.
pub struct Outcome {
    /// What was run.
    pub plan: Plan,
    /// Processor seconds of all nodes for password hashes, when every node tells.
    pub hashing: Option<f64>,
    /// What was done before it, to look whether the server has what the scenario needs.
    pub before: Counts,
    /// What users saw.
    pub seen: Seen,
    /// Minutes that the population lived.
    pub minutes: f64,
    /// Seconds on the clock.
    pub seconds: f64,
    /// Why it ended before its time.
    pub early: Option<Early>,
    /// Accounts that there were to draw from.
    pub accounts: usize,
    /// Names of the nodes whose use of the machine is known.
    pub nodes: Vec<String>,
    /// What was sampled while it ran.
    pub samples: Vec<Sample>,
}

/// One look at a run.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Seconds on the clock since the beginning.
    pub at: f64,
    /// What had happened by then.
    pub counts: Counts,
    /// What the nodes had used by then.
    pub nodes: Vec<Option<Reading>>,
    /// What came since the last slice, where one ends.
    pub slice: Option<Slice>,
}

impl Outcome {
    /// All that happened, also what was done too late.
    pub fn everything(&self) -> Counts {
        let mut all = self.seen.minutes.total();
        all += self.seen.too_late;
        all
    }

    /// Events in each minute of the population.
    pub fn events_per_minute(&self) -> f64 {
        per_minute(self.seen.minutes.total().events(), self.minutes)
    }

    /// Net sessions in each minute of the population.
    pub fn net_per_minute(&self) -> f64 {
        if self.minutes > 0.0 {
            self.seen.minutes.total().net_sessions() / self.minutes
        } else {
            0.0
        }
    }

    /// Processor seconds of all nodes.
    pub fn cpu_seconds(&self) -> Option<f64> {
        let (first, last) = (self.samples.first()?, self.samples.last()?);
        cpu_between(&first.nodes, &last.nodes)
    }

    /// Processor seconds of all nodes for anything but password hashes.
    pub fn cpu_without_hashing(&self) -> Option<f64> {
        let (all, hashing) = self.cpu_seconds().zip(self.hashing)?;
        Some((all - hashing).max(0.0))
    }

    /// `used` processor seconds for each 100 seconds of the population.
    pub fn percent_of_a_core(&self, used: Option<f64>) -> Option<f64> {
        let lived = self.minutes * 60.0;
        used.filter(|_| lived > 0.0)
            .map(|used| used / lived * 100.0)
    }
}

/// Runs `plan` against `target`, which is handed back.
///
/// # Errors
/// When the target cannot be used; nobody has hatched then.
pub async fn run(plan: Plan, target: Target, stop: &Stop) -> anyhow::Result<(Target, Outcome)> {
    let before = preflight::look(&target, Needs::of(&plan.scenario), stop).await?;
    let world = Arc::new(World::new(&plan, target));
    let real = Duration::try_from_secs_f64(world.ends_at() / plan.time_scale)
        .context("the run is too long")?;
    let progress = Progress::timed(&plan.name, real);
    let hashed = world.target.gauges.hashing().await;
    let first = world.target.gauges.read().await;
    let mut samples = vec![Sample {
        at: 0.0,
        counts: Counts::default(),
        nodes: first,
        slice: None,
    }];
    let mut users = tokio::task::JoinSet::new();
    match &plan.scenario {
        Scenario::Population(population) => {
            let population = Arc::new(population.clone());
            for index in 0..population.users {
                let (world, population) = (Arc::clone(&world), Arc::clone(&population));
                users.spawn(life::live(world, population, index));
            }
        }
        Scenario::Day(day) => {
            users.spawn(visits::all(Arc::clone(&world), day.clone()));
        }
    }
    let all = async { while users.join_next().await.is_some() {} };
    tokio::select! {
        () = all => {}
        () = watch(&world, plan.time_scale, &progress, &mut samples) => {}
        () = stop.wait() => world.stop(Early::Interrupted),
    }
    // Whoever is in the middle of a request sees its answer, in the time that a request may take.
    while users.join_next().await.is_some() {}
    let lived = (world.now() / 60.0).min(plan.scenario.minutes());
    let last = sample(&world, plan.time_scale, true).await;
    let hashing = hashed.zip(world.target.gauges.hashing().await);
    let shown = samples.last().map_or(0, |sample| sample.counts.requests);
    progress.advance(last.counts.requests.saturating_sub(shown));
    samples.push(last);
    let early = world.stopped();
    if !matches!(early, Some(Early::Hopeless(_))) {
        last_replays(&world).await;
    }
    progress.finish();
    let seconds = samples.last().map_or(0.0, |sample| sample.at);
    let nodes = world.target.gauges.names();
    let world = Arc::into_inner(world).context("somebody still uses the world")?;
    let (target, seen) = world.end();
    let outcome = Outcome {
        minutes: if early.is_some() {
            lived
        } else {
            plan.scenario.minutes()
        },
        plan,
        // A node that was started again counts from nothing.
        hashing: hashing
            .map(|(before, after)| after - before)
            .filter(|spent| *spent >= 0.0),
        before,
        seen,
        seconds,
        early,
        accounts: target.accounts.len(),
        nodes,
        samples,
    };
    Ok((target, outcome))
}

/// Looks at the run once a second, or as often as a record can hold; never ends.
async fn watch(world: &World, scale: f64, progress: &Progress, samples: &mut Vec<Sample>) {
    let real = world.ends_at() / scale;
    let most = f64::from(u32::try_from(POINTS_MAX / 2).unwrap_or(u32::MAX));
    let every = (real / most).max(1.0);
    let length = slices::length(real);
    let mut sliced = 0.0;
    let mut shown = (0, 0);
    loop {
        clock::pause(Duration::from_secs_f64(every)).await;
        let whole = world.now() / scale - sliced >= length;
        let now = sample(world, scale, whole).await;
        if whole {
            sliced = now.at;
        }
        let wrong = world.note(|seen| seen.tally.wrong());
        progress.advance(now.counts.requests.saturating_sub(shown.0));
        progress.wrong(wrong.saturating_sub(shown.1));
        progress.refresh();
        shown = (now.counts.requests, wrong);
        samples.push(now);
    }
}

/// One look; with the slice that ends here.
async fn sample(world: &World, scale: f64, slice: bool) -> Sample {
    let lag = if slice {
        world.target.lags.read().await
    } else {
        Vec::new()
    };
    let nodes = world.target.gauges.read().await;
    Sample {
        at: world.now() / scale,
        counts: world.note(|seen| seen.minutes.total()),
        nodes,
        slice: slice.then(|| world.note(|seen| seen.lately.take(lag))),
    }
}

/// Every ticket that was kept is tried at the nodes once more.
async fn last_replays(world: &Arc<World>) {
    let mut tasks = tokio::task::JoinSet::new();
    for old in world.note(Seen::take_old) {
        if tasks.len() >= LAST_REPLAYS_AT_ONCE {
            tasks.join_next().await;
        }
        let world = Arc::clone(world);
        tasks.spawn(async move { steps::replay(&world, &old).await });
    }
    while tasks.join_next().await.is_some() {}
}
