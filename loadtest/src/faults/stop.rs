//! `faults stop`: each node in turn is stopped (SIGSTOP) for some seconds and continued.
//!
//! Promises: `/ready` of every other node is asked every 50 ms meanwhile and until the stopped one
//! is ready again; none may say anything but 200: a stopped peer must not take healthy nodes out
//! of service. Does not: leave a node stopped, also when the run fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::task::JoinSet;

use super::load::Load;
use super::nodes::NodeProcess;
use super::report::{Allowed, Report, Step, millis};
use super::{PROBE_EVERY, Plan, first_sign_in, sessions, until_ready};
use crate::clock;
use crate::cluster::Node;
use crate::environment::Environment;
use crate::history::Phase;
use crate::http::Call;
use crate::lab::Lab;
use crate::progress::say;

/// Runs the plan; each node is stopped for `stopped`.
///
/// # Errors
/// When the cluster is not healthy before the run, or a node does not come back.
pub async fn run(
    lab: &Lab,
    plan: &Plan,
    stopped: Duration,
    environment: Environment,
) -> anyhow::Result<Report> {
    lab.preflight().await?;
    if lab.cluster.nodes.len() < 2 {
        bail!("one node has no peers to watch: start at least two (castor demo --nodes 3)");
    }
    let processes: Vec<NodeProcess> = lab
        .cluster
        .nodes
        .iter()
        .map(NodeProcess::find)
        .collect::<Result<_, _>>()?;
    let sessions = lab.sign_in_many(plan.sessions).await?;
    let load = Load::start(lab, plan, sessions);
    let mut steps = Vec::new();
    let mut result = Ok(());
    for process in &processes {
        if lab.stop.is_set() {
            break;
        }
        match step(lab, plan, stopped, &load, process).await {
            Ok(step) => {
                say(&format!(
                    "{}: {} of {} readiness probes failed, {} sessions lost; seen by clients: {}",
                    step.name,
                    step.ready_failures,
                    step.ready_probes,
                    step.checked.lost + step.checked.unsettled,
                    step.seen.tally.sins_text()
                ));
                steps.push(step);
            }
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    let course = load.course();
    load.stop().await;
    result?;
    let mut report = Report::new("faults stop", plan, steps, environment);
    report.ran(&course, lab.stop.ended());
    Ok(report)
}

async fn step(
    lab: &Lab,
    plan: &Plan,
    stopped: Duration,
    load: &Load,
    process: &NodeProcess,
) -> anyhow::Result<Step> {
    let others: Vec<&Node> = lab
        .cluster
        .nodes
        .iter()
        .filter(|node| node.name != process.node.name)
        .collect();
    let watch = Watch::start(lab, &others);
    load.window();
    let nemesis = format!("stop {}", process.node.name);
    load.nemesis(&nemesis, Phase::Begin);
    let guard = process.stop()?;
    let since = clock::monotonic();
    let first = first_sign_in(lab, since, stopped).await;
    clock::sleep_until(since + stopped).await;
    drop(guard);
    let ready = until_ready(lab, &process.node.ops_url, plan.ready_within)
        .await
        .with_context(|| format!("{} did not become ready again", process.node.name))?;
    load.nemesis(&nemesis, Phase::End);
    let continued = clock::monotonic();
    clock::sleep_until(continued + plan.observe).await;
    let (probes, failures) = watch.stop().await;
    let everyone: Vec<&Node> = lab.cluster.nodes.iter().collect();
    let checked = sessions::check(lab, load.sessions(), &everyone).await;
    let name = format!("{} stopped for {} s", process.node.name, stopped.as_secs());
    let mut step = Step::new(name, load.window(), checked);
    step.allowed = Allowed::Minority;
    step.probed = true;
    step.ready_probes = probes;
    step.ready_failures = failures;
    step.ready_after_ms = Some(millis(ready));
    step.sign_ins(since, first);
    Ok(step.judge())
}

/// Asks nodes whether they are ready, again and again.
struct Watch {
    done: Arc<AtomicBool>,
    probes: Arc<AtomicU64>,
    failures: Arc<AtomicU64>,
    workers: JoinSet<()>,
}

impl Watch {
    fn start(lab: &Lab, nodes: &[&Node]) -> Self {
        let mut watch = Self {
            done: Arc::default(),
            probes: Arc::default(),
            failures: Arc::default(),
            workers: JoinSet::new(),
        };
        for node in nodes {
            let url = format!("{}/ready", node.ops_url);
            let client = lab.client.clone();
            let done = Arc::clone(&watch.done);
            let (probes, failures) = (Arc::clone(&watch.probes), Arc::clone(&watch.failures));
            watch.workers.spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let answer = client.call(Call::get(&url)).await;
                    probes.fetch_add(1, Ordering::Relaxed);
                    if !answer.is_ok_and(|answer| answer.status == 200) {
                        failures.fetch_add(1, Ordering::Relaxed);
                    }
                    clock::pause(PROBE_EVERY).await;
                }
            });
        }
        watch
    }

    async fn stop(mut self) -> (u64, u64) {
        self.done.store(true, Ordering::Relaxed);
        while self.workers.join_next().await.is_some() {}
        (
            self.probes.load(Ordering::Relaxed),
            self.failures.load(Ordering::Relaxed),
        )
    }
}
