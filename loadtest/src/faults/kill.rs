//! `faults kill`: each node in turn is killed under load and started again, then all but one.
//!
//! Promises: SIGKILL, no warning; the next step begins when the started node is ready; at the end
//! all nodes run. Does not: restart a node it did not kill.

use std::time::Duration;

use anyhow::{Context, bail};

use super::load::Load;
use super::nodes::NodeProcess;
use super::report::{Allowed, Report, Step, millis};
use super::{Plan, first_sign_in, sessions};
use crate::clock;
use crate::cluster::Node;
use crate::environment::Environment;
use crate::history::Phase;
use crate::lab::Lab;
use crate::progress::say;

/// How long a first sign-in is waited for before the step is called failed.
const SIGN_IN_GIVE_UP: Duration = Duration::from_secs(30);

struct Run<'a> {
    lab: &'a Lab,
    plan: &'a Plan,
    load: &'a Load,
    processes: Vec<NodeProcess>,
    steps: Vec<Step>,
}

/// Runs the plan.
///
/// # Errors
/// When the cluster is not healthy before the run, or a node cannot be killed or started.
pub async fn run(lab: &Lab, plan: &Plan, environment: Environment) -> anyhow::Result<Report> {
    lab.preflight().await?;
    let count = lab.cluster.nodes.len();
    if count < 2 {
        bail!("one node cannot lose any: start at least two (castor demo --nodes 3)");
    }
    let processes = lab
        .cluster
        .nodes
        .iter()
        .map(NodeProcess::find)
        .collect::<Result<_, _>>()?;
    let sessions = lab.sign_in_many(plan.sessions).await?;
    let load = Load::start(lab, plan, sessions);
    let mut run = Run {
        lab,
        plan,
        load: &load,
        processes,
        steps: Vec::new(),
    };
    let result = run.all_steps(count).await;
    let steps = run.steps;
    let course = load.course();
    load.stop().await;
    result?;
    let mut report = Report::new("faults kill", plan, steps, environment);
    report.ran(&course, lab.stop.ended());
    Ok(report)
}

impl Run<'_> {
    async fn all_steps(&mut self, count: usize) -> anyhow::Result<()> {
        self.calm().await;
        for victim in 0..count {
            if self.lab.stop.is_set() {
                return Ok(());
            }
            self.kill_and_restart(&[victim]).await?;
        }
        if count > 2 && !self.lab.stop.is_set() {
            let victims: Vec<usize> = (0..count - 1).collect();
            self.kill_and_restart(&victims).await?;
        }
        Ok(())
    }

    async fn calm(&mut self) {
        clock::pause(self.plan.observe).await;
        let checked = self.check(&[]).await;
        self.push(Step::new("before any fault", self.load.window(), checked).judge());
    }

    async fn kill_and_restart(&mut self, victims: &[usize]) -> anyhow::Result<()> {
        let names: Vec<String> = victims
            .iter()
            .map(|at| self.processes[*at].node.name.clone())
            .collect();
        let names = names.join(" and ");
        self.load.window();
        let nemesis = format!("kill -9 {names}");
        self.load.nemesis(&nemesis, Phase::Begin);
        for at in victims {
            self.processes[*at].kill()?;
        }
        let killed = clock::monotonic();
        let observed_until = killed + self.plan.observe;
        let first = first_sign_in(self.lab, killed, SIGN_IN_GIVE_UP).await;
        clock::sleep_until(observed_until).await;
        let checked = self.check(victims).await;
        let mut step = Step::new(format!("kill -9 {names}"), self.load.window(), checked);
        // With half of the nodes or more gone, tickets they had to decide about may be refused.
        step.allowed = if victims.len() * 2 >= self.processes.len() {
            Allowed::Majority
        } else {
            Allowed::Minority
        };
        step.sign_ins(killed, first);
        self.push(step.judge());

        let mut slowest = Duration::ZERO;
        for at in victims {
            let process = &mut self.processes[*at];
            let ready = process
                .restart(self.lab, &self.plan.castor, self.plan.ready_within)
                .await
                .with_context(|| format!("after kill -9 {names}"))?;
            slowest = slowest.max(ready);
        }
        self.load.nemesis(&nemesis, Phase::End);
        let ready = clock::monotonic();
        clock::sleep_until(ready + self.plan.observe).await;
        let checked = self.check(&[]).await;
        let mut step = Step::new(
            format!("{names} started again"),
            self.load.window(),
            checked,
        );
        step.ready_after_ms = Some(millis(slowest));
        self.push(step.judge());
        Ok(())
    }

    /// Checks all sessions at the nodes that are not among `dead`.
    async fn check(&self, dead: &[usize]) -> sessions::Checked {
        let alive: Vec<&Node> = (0..self.processes.len())
            .filter(|at| !dead.contains(at))
            .map(|at| &self.processes[at].node)
            .collect();
        sessions::check(self.lab, self.load.sessions(), &alive).await
    }

    fn push(&mut self, step: Step) {
        say(&format!(
            "{}: {} sessions on {}, {} lost; seen by clients: {}{}",
            step.name,
            step.checked.sessions,
            step.checked.nodes.join(", "),
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
