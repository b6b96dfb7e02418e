//! `bench ceiling`: the share of the possible that a cluster reaches. The same load, from the same
//! generator, goes in turn to the cluster and to bare servers that give answers of the same bytes:
//! through the same nginx, or, at one node, straight.
//!
//! Promises: rounds alternate, so that whatever else the machine does hits both; ratios are those of
//! the sums. Does not: know how the server under load works.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::constant::Answers;
use super::load::target::{Target, Way};
use super::load::{Measured, Operation, Plan};
use super::saturate::{Step, round, step, table};
use super::stand_in::StandIns;
use super::usage::{self, Group};
use super::{Wanted, compare, want};
use crate::clock;
use crate::environment::Environment;
use crate::lab::Lab;
use crate::progress::say;
use crate::run::{Kind, Run};
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
    /// Folder for the stand-ins' files.
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
}

/// Compares.
///
/// # Errors
/// When the cluster is not healthy, or the stand-ins cannot be started.
pub async fn run(
    lab: &Lab,
    settings: &Settings,
    groups: &[Group],
    environment: Environment,
) -> anyhow::Result<Run> {
    let began = clock::monotonic();
    let stop = &lab.stop;
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
        cluster_groups: groups.to_vec(),
        constant_groups,
    };
    let title = match way {
        Way::Front => "Issue and validation against the ceiling of nginx",
        Way::Nodes => "One node against a bare handler",
    };
    let mut run = Run::new(Kind::Bench, title, environment);
    let done = match way {
        Way::Front => through_nginx(&mut run, &sides, settings, stop).await,
        Way::Nodes => straight(&mut run, &sides, settings, stop).await,
    };
    stand_ins.stop().await;
    done?;
    run.lasted_s = clock::monotonic().duration_since(began).as_secs_f64();
    run.ended = stop.ended();
    Ok(run)
}

async fn through_nginx(
    run: &mut Run,
    sides: &Sides,
    settings: &Settings,
    stop: &Stop,
) -> anyhow::Result<()> {
    let mut plan = plan_of(settings, Operation::Pair);
    let both = rounds(sides, &plan, settings.rounds, stop).await?;
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
    plan.rate = Some((both.cluster.rate() / 2.0).max(1.0));
    plan.time = settings.time * 2;
    let half = step(&sides.cluster, &plan, &sides.cluster_groups, stop).await?;
    let p99 = half.measured.validate.percentile_ms(99.0);
    run.figure("validate_p99_at_half_load", p99, "ms");
    want(
        run,
        "validate_p99_at_half_load",
        p99,
        Wanted::AtMost(P99_MS),
    );
    judged(run, &both, Some(&half.measured));
    run.latency("pair, at most", &both.cluster.whole);
    run.latency("issue, half load", &half.measured.issue);
    run.latency("validate, half load", &half.measured.validate);
    let mut steps = both.steps;
    steps.push(half);
    run.tables.push(table("Rounds", &steps, Operation::Pair));
    Ok(())
}

async fn straight(
    run: &mut Run,
    sides: &Sides,
    settings: &Settings,
    stop: &Stop,
) -> anyhow::Result<()> {
    for operation in [Operation::Issue, Operation::Validate] {
        let plan = plan_of(settings, operation);
        let both = rounds(sides, &plan, settings.rounds, stop).await?;
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
    }
    Ok(())
}

fn plan_of(settings: &Settings, operation: Operation) -> Plan {
    Plan {
        operation,
        connections: settings.connections,
        rate: None,
        warm: WARM,
        time: settings.time,
        replay_every: settings.replay_every,
    }
}

async fn rounds(sides: &Sides, plan: &Plan, count: u32, stop: &Stop) -> anyhow::Result<Both> {
    let mut both = Both::default();
    for _ in 0..count.max(1) {
        if stop.is_set() {
            break;
        }
        let cluster = step(&sides.cluster, plan, &sides.cluster_groups, stop).await?;
        let constant = step(&sides.constant, plan, &sides.constant_groups, stop).await?;
        say(&format!(
            "{}: {:.0}/s, constant answers {:.0}/s",
            plan.operation.name(),
            cluster.measured.rate(),
            constant.measured.rate()
        ));
        both.cluster.append(&cluster.measured);
        both.constant.append(&constant.measured);
        both.steps.extend([cluster, constant]);
    }
    if both.constant.operations == 0 {
        anyhow::bail!("the constant answers were not measured");
    }
    Ok(both)
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
