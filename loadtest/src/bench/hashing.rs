//! `bench logins`: password logins against the bare Argon2id rate of the machine, alone and with
//! validations beside them.
//!
//! Promises: the bare rate is that of the same cost, on every processor, with memory that is used
//! again; the load of validations is the same with and without logins; what was measured before an error
//! stays.
//! Does not: know how the server hashes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use argon2::{Algorithm, Argon2, Block, Params, Version};

use super::load::target::{Target, Way};
use super::load::{Operation, Plan};
use super::saturate::{Step, kept, round, step, table};
use super::usage::Group;
use super::{Bed, Wanted, compare, ended, want};
use crate::clock;
use crate::judge::Tally;
use crate::progress::Progress;
use crate::run::{Kind, Run};
use crate::stop::Stop;

const WARM: Duration = Duration::from_secs(1);
/// Connections that validate.
const VALIDATORS: usize = 16;
/// Shares of the bare rate, alone and with validations; how many times slower these may become.
const ALONE: f64 = 0.75;
const BESIDE: f64 = 0.5;
const SLOWER: f64 = 5.0;

/// What to do.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Memory of a hash in KiB, passes, lanes: those of the user's hash.
    pub cost: (u32, u32, u32),
    /// Sign-ins under way at a time.
    pub connections: usize,
    /// Validations per second beside them.
    pub validations: f64,
    /// Time of each part.
    pub time: Duration,
}

/// What was measured; an error ends it where it stands.
#[derive(Default)]
struct Parts {
    /// Hashes per second, before and after.
    bare: Vec<f64>,
    /// Logins, alone and with validations.
    logins: Vec<Step>,
    /// Validations, alone and with logins.
    pairs: Vec<Step>,
}

/// Compares.
///
/// # Errors
/// When the cluster is not healthy or the cost cannot be used; nothing was measured then.
pub async fn run(bed: &Bed, settings: &Settings) -> anyhow::Result<Run> {
    let began = clock::monotonic();
    let (lab, stop) = (&bed.lab, &bed.lab.stop);
    let target = Target::cluster(lab, Way::Front, VALIDATORS).await?;
    let mut run = Run::new(Kind::Bench, "Password logins", bed.environment.clone());
    let progress = Arc::new(Progress::timed("logins", settings.time * 4 + WARM * 3));
    let mut parts = Parts {
        bare: vec![bare(settings.cost, settings.time / 2).await?],
        ..Parts::default()
    };
    let done = measure(
        &mut parts,
        &target,
        settings,
        &bed.groups,
        (&progress, stop),
    )
    .await;
    progress.finish();
    ended(&mut run, began, stop);
    if let Err(error) = done {
        run.broke_off(&error);
    }
    describe(&mut run, &parts);
    Ok(run)
}

async fn measure(
    parts: &mut Parts,
    target: &Arc<Target>,
    settings: &Settings,
    groups: &[Group],
    (progress, stop): (&Arc<Progress>, &Stop),
) -> anyhow::Result<()> {
    let plan = |operation, connections, rate| Plan {
        operation,
        connections,
        rate,
        warm: WARM,
        time: settings.time,
        replay_every: 0,
        progress: Some(Arc::clone(progress)),
    };
    let logins = plan(Operation::Login, settings.connections, None);
    let pairs = plan(Operation::Pair, VALIDATORS, Some(settings.validations));
    let alone = step(target, &logins, groups, stop).await?;
    parts.logins.push(alone);
    if stop.is_set() {
        return Ok(());
    }
    let quiet = step(target, &pairs, groups, stop).await?;
    parts.pairs.push(quiet);
    if stop.is_set() {
        return Ok(());
    }
    let (beside, slowed) = tokio::join!(
        step(target, &logins, groups, stop),
        step(target, &pairs, groups, stop)
    );
    parts.logins.push(beside?);
    parts.pairs.push(slowed?);
    if !stop.is_set() {
        let after = bare(settings.cost, settings.time / 2).await?;
        parts.bare.push(after);
    }
    Ok(())
}

fn describe(run: &mut Run, parts: &Parts) {
    let count = u32::try_from(parts.bare.len()).unwrap_or(1);
    let bare = parts.bare.iter().sum::<f64>() / f64::from(count.max(1));
    let rate = |number: usize| {
        let step = parts.logins.get(number);
        step.map_or(f64::NAN, |step| step.measured.rate())
    };
    let p99 = |number: usize| {
        let step = parts.pairs.get(number);
        step.map_or(f64::NAN, |step| step.measured.validate.percentile_ms(99.0))
    };
    run.figure("bare_argon2", round(bare, 1), "1/s");
    share(run, "logins_of_bare_argon2", rate(0), bare, ALONE);
    let name = "logins_with_validations_of_bare_argon2";
    share(run, name, rate(1), bare, BESIDE);
    let (own, with) = (p99(0), p99(1));
    run.figure("validate_p99_alone", own, "ms");
    let name = "validate_p99_with_logins";
    compare(run, (name, "ms"), with, with / own);
    want(run, name, with / own, Wanted::AtMost(SLOWER));
    let mut tally = Tally::default();
    for part in parts.logins.iter().chain(&parts.pairs) {
        tally.merge(part.measured.tally.clone());
    }
    let failures = std::mem::take(&mut run.verdict.failures);
    run.verdict = (&tally).into();
    run.verdict.failures = failures;
    for (step, beside) in parts.logins.iter().zip(["", ", with validations"]) {
        run.latency(&format!("login{beside}"), &step.measured.whole);
    }
    for (step, beside) in parts.pairs.iter().zip(["", ", with logins"]) {
        run.latency(&format!("validate{beside}"), &step.measured.validate);
        let name = format!("validate from its ticket{beside}");
        run.latency(&name, &step.measured.asked);
        kept(run, step);
    }
    let logins = "Logins: alone, with validations";
    run.tables
        .push(table(logins, &parts.logins, Operation::Login));
    let pairs = "Pairs: alone, with logins";
    run.tables.push(table(pairs, &parts.pairs, Operation::Pair));
}

fn share(run: &mut Run, name: &str, rate: f64, bare: f64, wanted: f64) {
    compare(run, (name, "1/s"), rate, rate / bare);
    want(run, name, rate / bare, Wanted::AtLeast(wanted));
}

/// Hashes per second on all processors together.
async fn bare((memory, passes, lanes): (u32, u32, u32), time: Duration) -> anyhow::Result<f64> {
    let params = Params::new(memory, passes, lanes, Some(32))
        .map_err(|error| anyhow::anyhow!("--cost: {error}"))?;
    let argon = Arc::new(Argon2::new(Algorithm::Argon2id, Version::V0x13, params));
    let until = clock::monotonic() + time;
    let began = clock::monotonic();
    let threads: Vec<_> = (0..std::thread::available_parallelism().map_or(1, usize::from))
        .map(|_| {
            let argon = Arc::clone(&argon);
            tokio::task::spawn_blocking(move || hashes(&argon, until))
        })
        .collect();
    let mut count = 0;
    for thread in threads {
        count += thread.await.context("a thread ended")??;
    }
    let seconds = clock::monotonic().duration_since(began).as_secs_f64();
    Ok(f64::from(count) / seconds)
}

fn hashes(argon: &Argon2<'_>, until: Instant) -> anyhow::Result<u32> {
    let mut memory = vec![Block::default(); argon.params().block_count()];
    let mut out = [0; 32];
    let mut count = 0;
    while clock::monotonic() < until {
        argon
            .hash_password_into_with_memory(b"Mellon", b"saltsaltsaltsalt", &mut out, &mut memory)
            .map_err(|error| anyhow::anyhow!("argon2: {error}"))?;
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_bare_rate_follows_the_cost() {
        let time = Duration::from_millis(100);
        let cheap = bare((64, 1, 1), time).await.unwrap();
        let dear = bare((4096, 2, 1), time).await.unwrap();
        assert!(cheap > dear, "{cheap} {dear}");
        assert!(bare((1, 1, 1), time).await.is_err());
    }
}
