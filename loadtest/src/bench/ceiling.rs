//! `bench ceiling`: the share of the possible that a cluster reaches. The same load, from the same
//! generator, goes in turn to the cluster and to bare servers that give answers of the same bytes:
//! through the same nginx, or, at one node, straight.
//!
//! Promises: rounds alternate, so that whatever else the machine does hits both; ratios are those of
//! the sums; what was measured before an error stays. Does not: know how the server under load works.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::constant::Answers;
use super::load::target::{Target, Way};
use super::load::{Measured, Operation, Plan};
use super::saturate::{Step, kept, round, step, table};
use super::stand_in::StandIns;
use super::usage::{self, Group};
use super::{Bed, Wanted, compare, want};
use crate::clock;
use crate::progress::Progress;
use crate::run::{Ended, Kind, Run};
use crate::stop::Stop;

const WARM: Duration = Duration::from_secs(1);
/// Issue and validation through nginx: share of the ceiling, requests per second, and the 99th
/// percentile of validations at half that load, in ms.
const SHARE: f64 = 0.5;
const REQUESTS: f64 = 10_000.0;
const P99_MS: f64 = 10.0;
/// Share of a bare handler's rate that one node reaches without nginx.
const SHARE_DIRECT: f64 = 0.7;

/// What to do.
#[derive(Debug, Clone)]
pub struct Settings {
    /// nginx's configuration before the cluster; straight to one node when absent.
    pub nginx: Option<PathBuf>,
    /// Folder within which the stand-ins' files get one of their own.
    pub folder: PathBuf,
    /// Connections.
    pub connections: usize,
    /// Time of each round.
    pub time: Duration,
    /// Rounds for each side.
    pub rounds: u32,
    /// Every how many tickets the used ticket is tried again.
    pub replay_every: u64,
}

/// Both sides of a comparison.
struct Sides {
    cluster: Arc<Target>,
    cluster_groups: Vec<Group>,
    constant: Arc<Target>,
    constant_groups: Vec<Group>,
}

/// What both sides did.
#[derive(Default)]
struct Both {
    cluster: Measured,
    constant: Measured,
    steps: Vec<Step>,
    /// What ended the rounds before their time.
    broke: Option<anyhow::Error>,
}

/// Compares.
///
/// # Errors
/// When the cluster is not healthy, or the stand-ins cannot be started.
pub async fn run(bed: &Bed, settings: &Settings) -> anyhow::Result<Run> {
    let began = clock::monotonic();
    let (lab, stop) = (&bed.lab, &bed.lab.stop);
    let way = match settings.nginx {
        Some(_) => Way::Front,
        None => Way::Nodes,
    };
    let cluster = Target::cluster(lab, way, settings.connections).await?;
    let answers = Answers::of(&cluster).await?;
    let stand_ins = StandIns::start(
        &settings.folder,
        &answers,
        &lab.cluster,
        settings.nginx.as_deref(),
    )
    .await?;
    let doors = match &stand_ins.front {
        Some(front) => vec![front.clone()],
        None => stand_ins.urls.clone(),
    };
    let mut constant_groups = vec![usage::own()];
    constant_groups.extend(stand_ins.groups());
    let sides = Sides {
        constant: Target::constant(&cluster, doors),
        cluster,
        cluster_groups: bed.groups.clone(),
        constant_groups,
    };
    let title = match way {
        Way::Front => "Issue and validation against the ceiling of nginx",
        Way::Nodes => "One node against a bare handler",
    };
    let mut run = Run::new(Kind::Bench, title, bed.environment.clone());
    let rounds = settings.rounds.max(1);
    let progress = Arc::new(match way {
        Way::Front => {
            let half = WARM + settings.time * 2;
            Progress::timed("ceiling", (WARM + settings.time) * 2 * rounds + half)
        }
        Way::Nodes => Progress::timed("bare server", (WARM + settings.time) * 4 * rounds),
    });
    let broke = match way {
        Way::Front => through_nginx(&mut run, &sides, settings, &progress, stop).await,
        Way::Nodes => straight(&mut run, &sides, settings, &progress, stop).await,
    };
    stand_ins.stop().await;
    progress.finish();
    run.lasted_s = clock::monotonic().duration_since(began).as_secs_f64();
    if let Some(error) = broke {
        run.broke_off(&error);
    }
    Ok(run)
}

/// What ended it before its time, if anything did.
async fn through_nginx(
    run: &mut Run,
    sides: &Sides,
    settings: &Settings,
    progress: &Arc<Progress>,
    stop: &Stop,
) -> Option<anyhow::Error> {
    let mut plan = plan_of(settings, Operation::Pair, progress);
    let mut both = rounds(sides, &plan, settings.rounds, stop).await;
    plan.rate = Some((both.cluster.rate() / 2.0).max(1.0));
    plan.time = settings.time * 2;
    let mut half = None;
    if both.broke.is_none() && !stop.is_set() {
        match step(&sides.cluster, &plan, &sides.cluster_groups, stop).await {
            Ok(done) => half = Some(done),
            Err(error) => both.broke = Some(error),
        }
    }
    ended(run, &both, stop);
    let requests = both.cluster.rate() * 2.0;
    let share = both.cluster.rate() / both.constant.rate();
    run.figure("issue_validate_requests", round(requests, 1), "1/s");
    let ceiling = both.constant.rate() * 2.0;
    run.figure("ceiling_requests", round(ceiling, 1), "1/s");
    compare(run, ("issue_validate_of_ceiling", "1/s"), requests, share);
    want(
        run,
        "issue_validate_of_ceiling",
        share,
        Wanted::AtLeast(SHARE),
    );
    want(
        run,
        "issue_validate_requests",
        requests,
        Wanted::AtLeast(REQUESTS),
    );
    judged(run, &both, half.as_ref().map(|half| &half.measured));
    run.latency("pair, at most", &both.cluster.whole);
    if let Some(half) = &half {
        at_half_load(run, half);
    }
    let mut steps = both.steps;
    steps.extend(half);
    run.tables.push(table("Rounds", &steps, Operation::Pair));
    both.broke
}

fn at_half_load(run: &mut Run, half: &Step) {
    let p99 = half.measured.validate.percentile_ms(99.0);
    if p99.is_finite() {
        run.figure("validate_p99_at_half_load", p99, "ms");
    }
    want(
        run,
        "validate_p99_at_half_load",
        p99,
        Wanted::AtMost(P99_MS),
    );
    let asked = half.measured.asked.percentile_ms(99.0);
    run.figure("validate_p99_from_its_ticket_at_half_load", asked, "ms");
    kept(run, half);
    run.latency("issue, half load", &half.measured.issue);
    run.latency("validate, half load", &half.measured.validate);
    run.latency("validate from its ticket, half load", &half.measured.asked);
}

/// What ended it before its time, if anything did.
async fn straight(
    run: &mut Run,
    sides: &Sides,
    settings: &Settings,
    progress: &Arc<Progress>,
    stop: &Stop,
) -> Option<anyhow::Error> {
    for operation in [Operation::Issue, Operation::Validate] {
        let plan = plan_of(settings, operation, progress);
        let both = rounds(sides, &plan, settings.rounds, stop).await;
        ended(run, &both, stop);
        let name = operation.name();
        let rate = both.cluster.rate();
        run.figure(&format!("{name}_requests"), round(rate, 1), "1/s");
        let bare = both.constant.rate();
        run.figure(&format!("{name}_bare_axum_requests"), round(bare, 1), "1/s");
        let of = format!("{name}_of_bare_axum");
        compare(run, (&of, "1/s"), rate, rate / bare);
        want(run, &of, rate / bare, Wanted::AtLeast(SHARE_DIRECT));
        judged(run, &both, None);
        run.latency(name, &both.cluster.whole);
        run.latency(&format!("{name}, bare axum"), &both.constant.whole);
        run.tables.push(table(name, &both.steps, operation));
        if both.broke.is_some() {
            return both.broke;
        }
    }
    None
}

fn ended(run: &mut Run, both: &Both, stop: &Stop) {
    run.ended = match &both.broke {
        Some(_) => Ended::Interrupted,
        None => stop.ended(),
    };
}

fn plan_of(settings: &Settings, operation: Operation, progress: &Arc<Progress>) -> Plan {
    Plan {
        operation,
        connections: settings.connections,
        rate: None,
        warm: WARM,
        time: settings.time,
        replay_every: settings.replay_every,
        progress: Some(Arc::clone(progress)),
    }
}

async fn rounds(sides: &Sides, plan: &Plan, count: u32, stop: &Stop) -> Both {
    let mut both = Both::default();
    for _ in 0..count.max(1) {
        if stop.is_set() {
            break;
        }
        if let Err(error) = one_round(&mut both, sides, plan, stop).await {
            both.broke = Some(error);
            break;
        }
    }
    both
}

async fn one_round(both: &mut Both, sides: &Sides, plan: &Plan, stop: &Stop) -> anyhow::Result<()> {
    let cluster = step(&sides.cluster, plan, &sides.cluster_groups, stop).await?;
    let rate = cluster.measured.rate();
    both.cluster.append(&cluster.measured);
    both.steps.push(cluster);
    if stop.is_set() {
        return Ok(());
    }
    let constant = step(&sides.constant, plan, &sides.constant_groups, stop).await?;
    if let Some(progress) = &plan.progress {
        progress.say(&format!(
            "{}: {rate:.0}/s, constant answers {:.0}/s",
            plan.operation.name(),
            constant.measured.rate()
        ));
    }
    both.constant.append(&constant.measured);
    both.steps.push(constant);
    Ok(())
}

fn judged(run: &mut Run, both: &Both, also: Option<&Measured>) {
    let mut tally = both.cluster.tally.clone();
    tally.merge(both.constant.tally.clone());
    if let Some(also) = also {
        tally.merge(also.tally.clone());
    }
    let verdict: crate::run::Verdict = (&tally).into();
    run.verdict.judged += verdict.judged;
    run.verdict.wrong += verdict.wrong;
    run.verdict.kinds.extend(verdict.kinds);
    run.verdict.examples.extend(verdict.examples);
}

/// The folder of nginx's process before a cluster, from its configuration.
///
/// # Errors
/// When nginx does not run there.
pub fn nginx_pid(configuration: &std::path::Path) -> anyhow::Result<u32> {
    let file = configuration.with_file_name("nginx.pid");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    text.trim().parse().context("nginx.pid")
}
