//! Planted defects: for each, seeds are run until one is found by an invariant. A defect that survives its
//! budget is a hole in the workload or in the invariants, and fails the check.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use castor_replication::engine::Mutant;

use crate::fleet::{self, Bounds};
use crate::plan::Plan;
use crate::progress::{say, tell};
use crate::run::{self, Outcome};
use crate::world::Story;

/// Seeds that have found a defect fastest, so that the check is short; the others follow.
const PROVEN: &str = include_str!("../mutants.txt");

fn by_name(name: &str) -> Option<Mutant> {
    Mutant::ALL
        .iter()
        .copied()
        .find(|mutant| mutant.name() == name)
}

/// Runs a seed with a defect in every engine; without one when there is none of that name.
pub(crate) fn play(name: &str, seed: u64, story: Story) -> Outcome {
    planted(by_name(name), seed, story)
}

fn planted(mutant: Option<Mutant>, seed: u64, story: Story) -> Outcome {
    run::play(&Plan::of(seed), story, move |config| config.mutant = mutant)
}

/// The seed that is tried first.
fn proven(mutant: Mutant) -> Option<u64> {
    let mut lines = PROVEN.lines().map(str::split_whitespace);
    lines.find_map(|mut line| (line.next()? == mutant.name()).then(|| line.next()?.parse().ok())?)
}

/// Plants one after another. True when all were found; `None` when there is none of that name.
pub(crate) fn check(jobs: usize, budget: u64, only: Option<&str>) -> Option<bool> {
    let chosen: Vec<Mutant> = match only {
        Some(name) => match by_name(name) {
            Some(mutant) => vec![mutant],
            None => {
                say(&format!("castor-sim: there is no defect {name}"));
                return None;
            }
        },
        None => Mutant::ALL.to_vec(),
    };
    let mut killed = 0;
    for mutant in &chosen {
        let story = mutant.story().trim();
        match hunt(*mutant, jobs, budget) {
            Some((seeds, outcome)) => {
                killed += 1;
                let invariant = outcome
                    .violation
                    .map_or("", |violation| violation.invariant);
                let seed = outcome.seed;
                tell(&format!(
                    "{:20} seed {seed:<6} {invariant:16} after {seeds:>3} seeds: {story}",
                    mutant.name()
                ));
            }
            None => {
                tell(&format!(
                    "{:20} SURVIVED {budget} seeds: {story}",
                    mutant.name()
                ));
            }
        }
    }
    tell(&format!("{killed} of {} mutants killed", chosen.len()));
    Some(killed == chosen.len())
}

/// The first seed, in the order of trying, that finds a defect, and how many were tried.
fn hunt(mutant: Mutant, jobs: usize, budget: u64) -> Option<(u64, Outcome)> {
    let stop = AtomicBool::new(false);
    let bounds = Bounds {
        jobs,
        until: None,
        stop: &stop,
    };
    let first = proven(mutant);
    let mut tried = 0;
    let mut found: Option<Outcome> = None;
    fleet::run(
        &bounds,
        |at| match (first, at) {
            (Some(seed), 0) => Some(seed),
            (Some(_), at) => (at <= budget).then(|| at - 1),
            (None, at) => (at < budget).then_some(at),
        },
        |seed| planted(Some(mutant), seed, Story::default()),
        |outcome| {
            tried += 1;
            if outcome.violation.is_some() {
                stop.store(true, Relaxed);
                found = found.take().or(Some(outcome));
            }
        },
    );
    found.map(|outcome| (tried, outcome))
}

#[test]
fn every_defect_has_a_name_and_a_story_of_its_own() {
    let names: std::collections::BTreeSet<&str> = Mutant::ALL.iter().map(|m| m.name()).collect();
    assert_eq!(names.len(), Mutant::ALL.len());
    assert!(Mutant::ALL.iter().all(|m| m.story().len() > 10));
    let lines = PROVEN
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    for line in lines {
        let name = line.split_whitespace().next().unwrap_or_default();
        let mutant = by_name(name);
        assert!(
            mutant.and_then(proven).is_some(),
            "no defect and seed: {line}"
        );
    }
}
