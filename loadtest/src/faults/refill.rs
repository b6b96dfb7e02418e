//! `faults refill`: a node is killed under load and started again, and must hold every session within
//! a bound; from all other nodes, from a single one, and while one of those it fills itself from dies.
//!
//! Promises: the clock runs from just before the process is started until `/ready` says 200, asked every
//! 5 ms; a node that says so before it holds what the others held when it was started fails the step; so
//! does one whose `/status` and `castor status` did not tell how far it was. When every step could be made, all nodes run
//! at the end; a run that breaks off with an error leaves those dead that it had killed.
//! Does not: create the sessions (`castor demo --fill`).

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use super::load::Load;
use super::nodes::NodeProcess;
use super::report::{Allowed, Report, Step, millis};
use super::{Plan, first_sign_in, sessions};
use crate::clock;
use crate::cluster::Node;
use crate::environment::Environment;
use crate::history::Phase;
use crate::http::Call;
use crate::lab::Lab;
use crate::progress::say;

/// Pause between two looks at `/ready`.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Pause between two looks at `/status`.
const STATUS_EVERY: Duration = Duration::from_millis(100);
/// A donor is killed when the filling node has this many of its 256 shards.
const KILL_AT: u64 = 64;
/// A fill this long must have told of its progress.
const TELLS_AFTER: Duration = Duration::from_secs(1);

/// What is asked of every fill.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Longest time from the start of the process until it is ready.
    pub within: Duration,
    /// Fills from all other nodes.
    pub times: u32,
}

/// What a start showed.
#[derive(Default)]
struct Filled {
    took: Duration,
    /// Sessions that the node held when it said that it was ready.
    held: u64,
    /// Different figures of progress that `/status` told.
    told: usize,
    /// Some of what `castor status` printed meanwhile.
    said: Option<String>,
    /// Whether a donor was killed meanwhile.
    donor_died: bool,
}

struct Run<'a> {
    lab: &'a Lab,
    plan: &'a Plan,
    wanted: Wanted,
    load: &'a Load,
    processes: Vec<NodeProcess>,
    steps: Vec<Step>,
}

/// Runs the plan.
///
/// # Errors
/// When the cluster is not healthy before the run, or a node cannot be killed or started.
pub async fn run(
    lab: &Lab,
    plan: &Plan,
    wanted: Wanted,
    environment: Environment,
) -> anyhow::Result<Report> {
    lab.preflight().await?;
    if lab.cluster.nodes.len() < 3 {
        bail!("a donor can die only where there are two: start three nodes (castor demo)");
    }
    let find = |node: &Node| NodeProcess::find(node);
    let processes = lab.cluster.nodes.iter().map(find);
    let processes = processes.collect::<Result<_, _>>()?;
    let people = lab.sign_in_many(plan.sessions).await?;
    let load = Load::start(lab, plan, people);
    let mut run = Run {
        lab,
        plan,
        wanted,
        load: &load,
        processes,
        steps: Vec::new(),
    };
    let result = run.all_steps().await;
    let steps = run.steps;
    let course = load.course();
    load.stop().await;
    result?;
    let mut report = Report::new("faults refill", plan, steps, environment);
    report.ran(&course, lab.stop.ended());
    Ok(report)
}

impl Run<'_> {
    async fn all_steps(&mut self) -> anyhow::Result<()> {
        let last = self.processes.len() - 1;
        self.observe(clock::monotonic()).await;
        let checked = self.check(&[]).await;
        self.push(Step::new("before any fault", self.load.window(), checked).judge());
        for _ in 0..self.wanted.times {
            if self.lab.stop.is_set() {
                return Ok(());
            }
            self.kill(&[last]).await?;
            let filled = self.start(last, None).await?;
            self.filled(last, &[], &filled).await;
        }
        if self.lab.stop.is_set() {
            return Ok(());
        }
        // All but the first: the next one has a single donor, the others have more and more.
        let others: Vec<usize> = (1..=last).rev().collect();
        self.kill(&others).await?;
        for (started, at) in others.iter().enumerate() {
            let filled = self.start(*at, None).await?;
            let still_dead = others.get(started + 1..).unwrap_or_default();
            self.filled(*at, still_dead, &filled).await;
        }
        if self.lab.stop.is_set() {
            return Ok(());
        }
        self.kill(&[last]).await?;
        let filled = self.start(last, Some(1)).await?;
        self.filled(last, &[1], &filled).await;
        let again = self.start(1, None).await?;
        self.filled(1, &[], &again).await;
        Ok(())
    }

    async fn kill(&mut self, victims: &[usize]) -> anyhow::Result<()> {
        self.load.window();
        let names = self.names(victims);
        let nemesis = format!("kill -9 {names}");
        self.load.nemesis(&nemesis, Phase::Begin);
        for at in victims {
            self.processes[*at].kill()?;
        }
        let killed = clock::monotonic();
        let first = first_sign_in(self.lab, killed, self.plan.ready_within).await;
        self.observe(killed).await;
        self.load.nemesis(&nemesis, Phase::End);
        let checked = self.check(victims).await;
        let mut step = Step::new(nemesis, self.load.window(), checked);
        step.allowed = self.allowed(victims.len());
        step.sign_ins(killed, first);
        self.push(step.judge());
        Ok(())
    }

    /// Starts a node and watches it until it is ready; `donor` is killed on the way.
    async fn start(&mut self, at: usize, donor: Option<usize>) -> anyhow::Result<Filled> {
        let expected = self.held(0).await.context("the first node tells nothing")?;
        let node = self.processes[at].node.clone();
        let nemesis = format!("start {}", node.name);
        self.load.nemesis(&nemesis, Phase::Begin);
        let began = clock::monotonic();
        self.processes[at].spawn(&self.plan.castor)?;
        let mut seen = Filled::default();
        let (mut next_status, mut last) = (began, 0);
        loop {
            let ready = format!("{}/ready", node.ops_url);
            let answer = self.lab.client.call(Call::get(ready)).await;
            if answer.is_ok_and(|answer| answer.status == 200) {
                seen.took = clock::monotonic().duration_since(began);
                break;
            }
            let now = clock::monotonic();
            if now.duration_since(began) > self.plan.ready_within {
                bail!(
                    "{} is not ready after {:?}",
                    node.name,
                    self.plan.ready_within
                );
            }
            if now >= next_status {
                next_status = now + STATUS_EVERY;
                let (shards, entries) = self.progress(&node).await;
                seen.told += usize::from(entries > last);
                last = last.max(entries);
                if entries > 0 && seen.said.is_none() {
                    seen.said = said(&self.plan.castor, &node).await;
                }
                if let Some(donor) = donor.filter(|_| !seen.donor_died && shards >= KILL_AT) {
                    self.processes[donor].kill()?;
                    seen.donor_died = true;
                    say(&format!(
                        "{} killed at {shards} of 256 shards",
                        self.names(&[donor])
                    ));
                }
            }
            clock::pause(LOOK_EVERY).await;
        }
        self.load.nemesis(&nemesis, Phase::End);
        seen.held = self.held(at).await.context("a ready node tells nothing")?;
        // Who signed out meanwhile is gone from both.
        let expected = expected.min(self.held(0).await.unwrap_or(expected));
        say(&format!(
            "{} ready after {} ms with {} of {expected} sessions; {}",
            node.name,
            millis(seen.took),
            seen.held,
            seen.said
                .as_deref()
                .unwrap_or("castor status was not asked in time"),
        ));
        if seen.held < expected {
            bail!("{} said too early that it was ready", node.name);
        }
        if donor.is_some() && !seen.donor_died {
            bail!("{} was filled before a donor could be killed", node.name);
        }
        Ok(seen)
    }

    /// Shards and entries, as the filling node tells.
    async fn progress(&self, node: &Node) -> (u64, u64) {
        let status = status(self.lab, node).await.unwrap_or_default();
        let number = |key: &str| status["bootstrap"][key].as_u64().unwrap_or(0);
        (number("shards"), number("entries"))
    }

    /// Sessions at a node.
    async fn held(&self, at: usize) -> Option<u64> {
        let status = status(self.lab, &self.processes[at].node).await?;
        status["tickets"]["tgt"].as_u64()
    }

    async fn filled(&mut self, at: usize, dead: &[usize], filled: &Filled) {
        self.observe(clock::monotonic()).await;
        let checked = self.check(dead).await;
        let donors = self.processes.len() - 1 - dead.len();
        let name = format!(
            "{} filled with {} sessions from {donors}{}",
            self.processes[at].node.name,
            filled.held,
            if filled.donor_died {
                " after a donor died"
            } else {
                ""
            },
        );
        let mut step = Step::new(name, self.load.window(), checked);
        step.ready_after_ms = Some(millis(filled.took));
        if filled.donor_died {
            step.allowed = self.allowed(self.processes.len());
        }
        let mut step = step.judge();
        if filled.took > self.wanted.within {
            let (took, within) = (millis(filled.took), millis(self.wanted.within));
            let says = format!("ready after {took} ms instead of {within} ms");
            step.failures.push(says);
        }
        if filled.took > TELLS_AFTER && (filled.told < 2 || filled.said.is_none()) {
            let says = "/status or castor status did not tell how far it was";
            step.failures.push(says.to_owned());
        }
        self.push(step);
    }

    fn allowed(&self, dead: usize) -> Allowed {
        if dead * 2 >= self.processes.len() {
            Allowed::Majority
        } else {
            Allowed::Minority
        }
    }

    fn names(&self, at: &[usize]) -> String {
        let name = |at: &usize| self.processes[*at].node.name.as_str();
        at.iter().map(name).collect::<Vec<_>>().join(" and ")
    }

    async fn observe(&self, since: Instant) {
        clock::sleep_until(since + self.plan.observe).await;
    }

    async fn check(&self, dead: &[usize]) -> sessions::Checked {
        let alive = self.processes.iter().enumerate();
        let alive = alive.filter(|(at, _)| !dead.contains(at));
        let alive: Vec<&Node> = alive.map(|(_, process)| &process.node).collect();
        sessions::check(self.lab, self.load.sessions(), &alive).await
    }

    fn push(&mut self, step: Step) {
        say(&format!(
            "{}: {} sessions of people, {} lost; seen by clients: {}{}",
            step.name,
            step.checked.sessions,
            step.checked.lost + step.checked.unsettled,
            step.seen.tally.sins_text(),
            if step.failures.is_empty() {
                ""
            } else {
                " -- FAILED"
            },
        ));
        self.steps.push(step);
    }
}

async fn status(lab: &Lab, node: &Node) -> Option<Value> {
    let call = Call::get(format!("{}/status", node.ops_url));
    let answer = lab.client.call(call).await.ok()?;
    serde_json::from_slice(&answer.body).ok()
}

/// The line of `castor status` about a node that fills itself.
async fn said(castor: &Path, node: &Node) -> Option<String> {
    let mut command = tokio::process::Command::new(castor);
    command
        .arg("status")
        .arg("--config")
        .arg(node.config.as_ref()?);
    let output = command.output().await.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.contains("shards"));
    line.map(|line| line.trim().to_owned())
}
