//! One nemesis from a fresh cluster to its verdict.
//!
//! Promises: what was started is ended, also when something fails in between; what a fault did is
//! judged by the history, by the load, by readiness and by the sessions at the end.
//! Does not: make hosts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};

use super::inject::{Injection, prepare};
use super::ready::Watch;
use super::report::{Outcome, Report};
use super::{Nemesis, Plan};
use crate::check::{self, Limits};
use crate::clock;
use crate::faults::course::Course;
use crate::faults::load::{Load, Window};
use crate::faults::races::{Ended, Races};
use crate::faults::report::millis;
use crate::faults::{self, sessions};
use crate::history::{Header, Phase, Recorder};
use crate::judge::Sin;
use crate::lab::Lab;
use crate::progress::say;
use crate::site::cluster::READY_WITHIN;
use crate::site::{Hosts, Site};

/// After a fault, one cluster must be there within this.
pub const CONVERGED_WITHIN: Duration = Duration::from_secs(10);
/// Longest time in which a connected group may have no node that says it is ready.
pub const NOT_READY_MAX: Duration = Duration::from_secs(1);
const BEFORE: Duration = Duration::from_secs(3);
/// Longer than the checker forgives after a fault, so that what stays wrong is seen.
const AFTER: Duration = Duration::from_secs(7);
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Of a hundred races that nothing excuses, so many may end without a winner, and [`LEFT_OVER`] more.
const UNWON_PERCENT_MAX: u64 = 2;
/// Races that are under way when the fault begins or ends, or meet a connection that it has closed.
const LEFT_OVER: u64 = 3;
const SERVICE: &str = "http://127.0.0.1/castor-loadtest/app{n}";
const TICKET_LIFE_MS: u64 = 10_000;
const SESSION_LIFE_MS: u64 = 8 * 3_600_000;

/// Runs all of `plan` in `hosts`, with files in `dir`; what is done is put into `report` one by one, so
/// that it is there when the rest is given up.
///
/// # Errors
/// When a cluster cannot be made at all; what a nemesis breaks is in the report.
pub async fn all(
    hosts: &Hosts,
    plan: &Plan,
    dir: &Path,
    report: &Mutex<Report>,
) -> anyhow::Result<()> {
    for nemesis in &plan.names {
        if plan.nodes < nemesis.nodes_min() {
            say(&format!(
                "{} needs {} nodes",
                nemesis.name(),
                nemesis.nodes_min()
            ));
            continue;
        }
        say(&format!("{}: {}", nemesis.name(), nemesis.says()));
        let outcome = one(hosts, plan, *nemesis, &dir.join(nemesis.name())).await;
        let outcome = outcome.with_context(|| nemesis.name())?;
        say(outcome.text().trim_end());
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        report.push(outcome);
    }
    Ok(())
}

async fn one(hosts: &Hosts, plan: &Plan, nemesis: Nemesis, dir: &Path) -> anyhow::Result<Outcome> {
    hosts.switch()?.heal();
    let spare = usize::from(nemesis == Nemesis::AddRemove);
    let counts = [plan.nodes + spare, plan.nodes];
    let mut site = Site::make(hosts, dir, &plan.castor, counts, plan.seed)?;
    let outcome = in_site(&mut site, plan, nemesis, dir).await;
    keep_logs(plan, nemesis, dir, counts[0]);
    site.stop().await;
    outcome
}

async fn in_site(
    site: &mut Site<'_>,
    plan: &Plan,
    nemesis: Nemesis,
    dir: &Path,
) -> anyhow::Result<Outcome> {
    let members: Vec<usize> = (0..plan.nodes).collect();
    bring_up(site, nemesis, &members).await?;

    let mut lab = Lab::of(site.cluster(plan.nodes), CALL_TIMEOUT, SERVICE, 3)?;
    let file = history_file(plan, nemesis, dir);
    let lives = Header {
        ticket_life_ms: Some(TICKET_LIFE_MS),
        session_life_ms: Some(SESSION_LIFE_MS),
        ..Header::default()
    };
    let recorder = Recorder::create(&file, &lab.cluster, lives)?;
    lab.history = recorder.history();
    let sessions = lab.sign_in_many(plan.sessions).await?;
    let people = sessions.clone();
    let load = Load::start(&lab, &load_plan(plan), sessions);
    let races = plan.races_per_second;
    let touched = nemesis.touches(plan.nodes);
    let races = races.map(|per_second| Races::start(&lab, per_second, people, touched));
    let faulty = |is: bool| races.iter().for_each(|races| races.faulty(is));
    let watch = Watch::start(&lab.cluster)?;
    clock::pause(BEFORE).await;
    let calm = load.window();

    load.nemesis(nemesis.name(), Phase::Begin);
    faulty(true);
    let mut injection = Injection {
        site: &mut *site,
        watch: &watch,
        plan,
    };
    let injected = injection.inject(nemesis).await;
    let ended = clock::monotonic();
    let converged = until_converged(site, &members).await;
    let converged_ms = converged
        .as_ref()
        .ok()
        .map(|()| millis(clock::monotonic().duration_since(ended)));
    faulty(converged.is_err() || !nemesis.restores());
    let not_ready = watch.longest_gap();
    load.nemesis(nemesis.name(), Phase::End);
    let during = load.window();

    clock::pause(AFTER).await;
    let nodes: Vec<_> = lab.cluster.nodes.iter().collect();
    let checked = if nemesis.forgets() {
        sessions::Checked::default()
    } else {
        sessions::check(&lab, load.sessions(), &nodes).await
    };
    let races = match races {
        Some(races) => Some(races.stop().await),
        None => None,
    };
    let course = load.course();
    let after = load.stop().await;
    drop(watch);
    recorder.close()?;

    let seen = Seen {
        errors: vec![injected.err(), converged.err()],
        calm,
        during,
        after,
        checked,
        not_ready,
        converged_ms,
        races,
        course,
    };
    Judged::new(nemesis, plan.nodes).outcome(&seen, &file)
}

/// What a run leaves to judge, beside its history.
struct Seen {
    errors: Vec<Option<anyhow::Error>>,
    calm: Window,
    during: Window,
    after: Window,
    checked: sessions::Checked,
    not_ready: Duration,
    converged_ms: Option<u64>,
    races: Option<Ended>,
    course: Arc<Course>,
}

async fn bring_up(site: &mut Site<'_>, nemesis: Nemesis, members: &[usize]) -> anyhow::Result<()> {
    prepare(nemesis, site)?;
    for index in members {
        site.start(*index)?;
    }
    for index in members {
        site.until_ready(*index, READY_WITHIN).await?;
    }
    site.front(members)?;
    site.until_front().await?;
    until_converged(site, members).await
}

struct Judged {
    nemesis: Nemesis,
    nodes: usize,
    failures: Vec<String>,
}

impl Judged {
    fn new(nemesis: Nemesis, nodes: usize) -> Self {
        Self {
            nemesis,
            nodes,
            failures: Vec::new(),
        }
    }

    fn outcome(mut self, seen: &Seen, file: &Path) -> anyhow::Result<Outcome> {
        let errors = seen.errors.iter().flatten();
        self.failures
            .extend(errors.map(|error| format!("{error:#}")));
        self.load(seen);
        self.lost(&seen.checked);
        self.races(seen.races.as_ref());
        let verdict = self.history(file)?;
        if seen.not_ready > NOT_READY_MAX {
            let says = "a connected group of nodes had none that was ready";
            self.failures.push(says.to_owned());
        }
        let windows = [&seen.calm, &seen.during, &seen.after];
        let lost = verdict.b3.beyond;
        Ok(Outcome {
            nemesis: self.nemesis.name(),
            nodes: self.nodes,
            lost: if self.nemesis.forgets() { 0 } else { lost },
            passed: self.failures.is_empty(),
            failures: self.failures,
            answers: seen.during.tally.right + seen.during.tally.wrong(),
            clients: seen.during.tally.sins_text(),
            clients_after: seen.after.tally.sins_text(),
            pair_time: seen.during.pair_time.clone(),
            right: windows.iter().map(|window| window.tally.right).sum(),
            not_ready_ms: millis(seen.not_ready),
            converged_ms: seen.converged_ms,
            races: seen.races.clone(),
            verdict: Some(verdict),
            course: Some(Arc::clone(&seen.course)),
        })
    }

    fn load(&mut self, seen: &Seen) {
        let (calm, during, after) = (&seen.calm, &seen.during, &seen.after);
        if calm.tally.wrong() > 0 {
            let says = format!("before the fault: {}", calm.tally.sins_text());
            self.failures.push(says);
        }
        let forgiven = match self.nemesis.reloads_front() {
            true => during.tally.count(Sin::Unanswered),
            false => 0,
        };
        let answers = during.tally.right + during.tally.wrong();
        let may_fail = self.nemesis.failed_percent_max();
        let may_fail = may_fail.map(|percent| answers * percent / 100 + forgiven);
        if may_fail.is_some_and(|most| during.tally.wrong() > most) {
            let says = format!("of {answers} requests failed: {}", during.tally.sins_text());
            self.failures.push(says);
            self.failures.extend(during.tally.examples.iter().cloned());
        }
        for window in [calm, after] {
            if window.pairs == 0 {
                let says = "not one pair went right before or after the fault";
                self.failures.push(says.to_owned());
            }
        }
        if during.pairs == 0 && !self.nemesis.forgets() {
            let says = "not one pair went right during the fault";
            self.failures.push(says.to_owned());
        }
    }

    fn races(&mut self, races: Option<&Ended>) {
        let Some(races) = races else {
            return;
        };
        if races.won == 0 {
            self.failures.push("not one race was won".to_owned());
        }
        if races.twice > 0 {
            let says = format!("{} races were won twice", races.twice);
            self.failures.push(says);
        }
        if races.refused > 0 && !self.nemesis.may_refuse(self.nodes) {
            let says = format!("in {} races both were refused", races.refused);
            self.failures.push(says);
        }
        if races.unexcused > unwon_max(races.due) {
            let says = format!(
                "of {} races that the fault does not touch {} were undecided or not begun",
                races.due, races.unexcused
            );
            self.failures.push(says);
        }
    }

    fn lost(&mut self, checked: &sessions::Checked) {
        if !checked.all_alive() {
            let (lost, unsettled) = (checked.lost, checked.unsettled);
            let says = format!("at the end {lost} sessions lost, {unsettled} not settled");
            self.failures.push(says);
        }
    }

    fn history(&mut self, file: &Path) -> anyhow::Result<check::Verdict> {
        let many = u64::MAX;
        let limits = Limits {
            refused_max: if self.nemesis.may_refuse(self.nodes) {
                many
            } else {
                0
            },
            lost_max: if self.nemesis == Nemesis::StartTogether {
                many
            } else {
                0
            },
            ..Limits::default()
        };
        let verdict = check::run(file, &limits)?;
        if !verdict.passed {
            self.failures.extend(verdict.failures.iter().cloned());
            let examples = verdict.examples.values().flatten();
            let bounded = verdict.b1.examples.iter().chain(&verdict.b3.examples);
            let examples = examples.chain(bounded).chain(&verdict.refused_examples);
            self.failures.extend(examples.take(8).cloned());
        }
        Ok(verdict)
    }
}

/// How many of so many races that nothing excuses may end without a winner (docs/internals/claims.md).
fn unwon_max(due: u64) -> u64 {
    due * UNWON_PERCENT_MAX / 100 + LEFT_OVER
}

/// Waits until each of `members` says that it and all others are ready, and knows as many.
///
/// # Errors
/// When that takes too long, with what they say.
pub(super) async fn until_converged(site: &Site<'_>, members: &[usize]) -> anyhow::Result<()> {
    let deadline = clock::monotonic() + CONVERGED_WITHIN;
    loop {
        let mut says = Vec::new();
        for index in members {
            match site.status(*index).await {
                Ok(status) if is_whole(&status, members.len()) => {}
                Ok(status) => says.push(status["members"].to_string()),
                Err(error) => says.push(format!("{error:#}")),
            }
        }
        if says.is_empty() {
            return Ok(());
        }
        if clock::monotonic() > deadline {
            bail!(
                "not one cluster after {CONVERGED_WITHIN:?}: {}",
                says.join("; ")
            );
        }
        clock::pause(Duration::from_millis(50)).await;
    }
}

/// `members` in the answer are the others; who has left may still be among them.
fn is_whole(status: &serde_json::Value, members: usize) -> bool {
    let others = status["members"].as_array().into_iter().flatten();
    let near = |other: &&serde_json::Value| other["state"] == "ready" && other["link"] == true;
    status["state"] == "ready" && others.filter(near).count() + 1 == members
}

fn load_plan(plan: &Plan) -> faults::Plan {
    faults::Plan {
        castor: plan.castor.clone(),
        sessions: plan.sessions,
        pairs_per_second: plan.pairs_per_second,
        sign_ins_per_second: 2.0,
        observe: AFTER,
        ready_within: READY_WITHIN,
        seed: plan.seed,
    }
}

fn history_file(plan: &Plan, nemesis: Nemesis, dir: &Path) -> PathBuf {
    let folder = plan.histories.as_deref().unwrap_or(dir);
    folder.join(format!("{}.jsonl", nemesis.name()))
}

/// Logs of the nodes and of nginx beside the histories, when there is a place for them.
fn keep_logs(plan: &Plan, nemesis: Nemesis, dir: &Path, count: usize) {
    let Some(folder) = &plan.histories else {
        return;
    };
    for index in 0..count {
        let node = crate::site::files::node_name(index);
        let log = dir.join(&node).join("castor.log");
        let kept = folder.join(format!("{}-{node}.log", nemesis.name()));
        // A node that was never started has none.
        let _ = std::fs::copy(log, kept);
    }
    for log in ["access", "error"] {
        let kept = folder.join(format!("{}-nginx-{log}.log", nemesis.name()));
        let _ = std::fs::copy(dir.join(format!("nginx/logs/{log}.log")), kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(nemesis: Nemesis, races: &Ended) -> Vec<String> {
        let mut judged = Judged::new(nemesis, 3);
        judged.races(Some(races));
        judged.failures
    }

    #[test]
    fn races_without_a_winner_are_bounded() {
        let mut races = Ended {
            won: 1_000,
            not_begun: 900,
            due: 1_000,
            unexcused: 23,
            ..Ended::default()
        };
        assert!(judged(Nemesis::KillOne, &races).is_empty());
        races.unexcused += 1;
        assert_eq!(judged(Nemesis::KillOne, &races).len(), 1);
    }

    #[test]
    fn no_fault_excuses_every_race() {
        for nemesis in Nemesis::ALL {
            for nodes in nemesis.nodes_min()..=5 {
                let touched = nemesis.touches(nodes);
                assert!(touched.iter().all(|node| *node < nodes), "{nemesis:?}");
                let later = nemesis.restores() || nemesis.forgets();
                assert!(later || touched.len() < nodes, "{nemesis:?}");
            }
        }
    }
}
