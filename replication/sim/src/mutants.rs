//! Planted defects: for each, seeds are run until one breaks the invariant that the defect is meant to break.
//! A kill by a side effect does not count: it would hide that the rule itself is not watched. A defect that
//! survives its budget is a hole in the workload or in the invariants, and fails the check.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use castor_replication::engine::Mutant;

use crate::fleet::{self, Bounds};
use crate::invariants::NAMES;
use crate::plan::{Plan, contended};
use crate::progress::{Progress, say, tell};
use crate::run::{self, Outcome, Until};
use crate::world::Story;

/// For each defect the invariant that it must break, and a seed that shows it.
const KEPT: &str = include_str!("../mutants.txt");

/// A line of that file.
#[derive(Debug, Clone, Copy)]
struct Kept {
    mutant: Mutant,
    /// What it must break.
    breaks: &'static str,
    seed: Option<u64>,
}

fn by_name(name: &str) -> Option<Mutant> {
    let mut all = Mutant::ALL.iter().copied();
    all.find(|mutant| mutant.name() == name)
}

fn invariant(name: &str) -> Option<&'static str> {
    NAMES.iter().copied().find(|known| *known == name)
}

/// Name, invariant, and a seed where one is known.
fn read(line: &str) -> Option<Kept> {
    let mut words = line.split_whitespace();
    Some(Kept {
        mutant: by_name(words.next()?)?,
        breaks: invariant(words.next()?)?,
        seed: words.next().and_then(|seed| seed.parse().ok()),
    })
}

fn kept(mutant: Mutant) -> Option<Kept> {
    let mut lines = KEPT.lines().filter_map(read);
    lines.find(|kept| kept.mutant == mutant)
}

/// Runs a seed with a defect in every engine; without one when there is none of that name.
pub(crate) fn play(name: &str, seed: u64, story: Story) -> Outcome {
    let mutant = by_name(name);
    let until = mutant.and_then(kept).map(|kept| Until::This(kept.breaks));
    plant(mutant, seed, story, until.unwrap_or_default())
}

fn plant(mutant: Option<Mutant>, seed: u64, story: Story, until: Until) -> Outcome {
    let plan = Plan::of(seed);
    run::play(&plan, story, until, move |config| config.mutant = mutant)
}

fn planted(mutant: Mutant, seed: u64, until: Until) -> Outcome {
    fleet::guarded(seed, |seed| {
        plant(Some(mutant), seed, Story::default(), until)
    })
}

/// The defects to plant; none when there is none of that name.
fn chosen(only: Option<&str>) -> Option<Vec<Kept>> {
    let Some(name) = only else {
        return Some(Mutant::ALL.iter().filter_map(|m| kept(*m)).collect());
    };
    let found = by_name(name).and_then(kept);
    if found.is_none() {
        say(&format!("castor-sim: there is no defect {name}"));
    }
    Some(vec![found?])
}

/// Plants all: first with the seeds that are known to find them, then, where such a seed does not any more,
/// with one seed after another. True when all were found; `None` when there is none of that name.
pub(crate) fn check(jobs: usize, budget: u64, only: Option<&str>) -> Option<bool> {
    let chosen = chosen(only)?;
    let mut found = try_known(&chosen, jobs);
    for kept in &chosen {
        let name = kept.mutant.name();
        let outcome = found.remove(name);
        if let Some(outcome) = outcome.or_else(|| hunt(*kept, jobs, budget)) {
            tell(&killed(*kept, &outcome));
            found.insert(name, outcome);
        } else {
            let story = kept.mutant.story().trim();
            tell(&format!("{name:20} SURVIVED {budget} seeds: {story}"));
        }
    }
    let (killed, all) = (found.len(), chosen.len());
    tell(&format!("{killed} of {all} mutants killed"));
    Some(killed == all)
}

fn killed(kept: Kept, outcome: &Outcome) -> String {
    let others = outcome.broken.iter().map(|violation| violation.invariant);
    let others: Vec<&str> = others.filter(|name| *name != kept.breaks).collect();
    let others = if others.is_empty() {
        String::new()
    } else {
        format!(", after {}", others.join(", "))
    };
    format!(
        "{:20} seed {:<5} {}{others}: {}",
        kept.mutant.name(),
        outcome.seed,
        kept.breaks,
        kept.mutant.story().trim(),
    )
}

fn has_killed(kept: &Kept, outcome: &Outcome) -> bool {
    let broken = outcome.violation.as_ref();
    broken.is_some_and(|violation| violation.invariant == kept.breaks)
}

/// The known seeds of all, side by side.
fn try_known(chosen: &[Kept], jobs: usize) -> BTreeMap<&'static str, Outcome> {
    let stop = AtomicBool::new(false);
    let bounds = Bounds {
        jobs,
        until: None,
        stop: &stop,
    };
    let work: Vec<(Kept, u64)> = chosen
        .iter()
        .filter_map(|kept| Some((*kept, kept.seed?)))
        .collect();
    let mut found = BTreeMap::new();
    fleet::run(
        &bounds,
        |at| work.get(usize::try_from(at).ok()?).copied(),
        |(kept, seed)| (kept, planted(kept.mutant, seed, Until::This(kept.breaks))),
        |(kept, outcome)| {
            if has_killed(&kept, &outcome) {
                found.insert(kept.mutant.name(), outcome);
            }
        },
    );
    found
}

/// The first seed, in the order of trying, that finds a defect.
fn hunt(kept: Kept, jobs: usize, budget: u64) -> Option<Outcome> {
    let stop = AtomicBool::new(false);
    let bounds = Bounds {
        jobs,
        until: None,
        stop: &stop,
    };
    let name = kept.mutant.name();
    let mut progress = Progress::new(Some(budget));
    let mut tried = 0;
    let mut found: Option<Outcome> = None;
    fleet::run(
        &bounds,
        // Every other one is of a kind in which votes collide.
        |at| {
            (at < budget).then(|| {
                if at % 2 == 0 {
                    at / 2
                } else {
                    contended(at / 2)
                }
            })
        },
        |seed| planted(kept.mutant, seed, Until::This(kept.breaks)),
        |outcome| {
            tried += 1;
            progress.tick(|| format!("{name}: {tried} seeds"));
            if has_killed(&kept, &outcome) {
                stop.store(true, Relaxed);
                found = found.take().or(Some(outcome));
            }
        },
    );
    progress.finish();
    if let Some(outcome) = &found {
        let (breaks, seed) = (kept.breaks, outcome.seed);
        say(&format!("for mutants.txt: {name} {breaks} {seed}"));
    }
    found
}

/// For each defect, in how many of the first `seeds` seeds it breaks which invariant when nothing ends a run
/// before its time; and for each invariant the defects that it found in seeds in which no other did.
pub(crate) fn table(jobs: usize, seeds: u64, only: Option<&str>) -> Option<bool> {
    let chosen = chosen(only)?;
    let stop = AtomicBool::new(false);
    let bounds = Bounds {
        jobs,
        until: None,
        stop: &stop,
    };
    let mut alone: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    for kept in &chosen {
        let name = kept.mutant.name();
        let mut broken: BTreeMap<&str, u64> = BTreeMap::new();
        fleet::run(
            &bounds,
            |at| (at < seeds).then_some(at),
            |seed| planted(kept.mutant, seed, Until::Never),
            |outcome| {
                for violation in &outcome.broken {
                    *broken.entry(violation.invariant).or_default() += 1;
                }
                if let [only] = &outcome.broken[..] {
                    let seeds = alone.entry(only.invariant).or_default();
                    *seeds.entry(name).or_default() += 1;
                }
            },
        );
        let counts: Vec<String> = broken.iter().map(|(i, n)| format!("{i} {n}")).collect();
        tell(&format!("{name:20} {}", counts.join(", ")));
    }
    for name in NAMES {
        let mutants = alone.get(name).into_iter().flatten();
        let mutants: Vec<String> = mutants.map(|(m, n)| format!("{m} {n}")).collect();
        tell(&format!("{name} alone finds: {}", mutants.join(", ")));
    }
    Some(NAMES.iter().all(|name| alone.contains_key(name)))
}

#[test]
fn every_defect_has_a_name_a_story_and_an_invariant_of_its_own() {
    let names: std::collections::BTreeSet<&str> = Mutant::ALL.iter().map(|m| m.name()).collect();
    assert_eq!(names.len(), Mutant::ALL.len());
    assert!(Mutant::ALL.iter().all(|m| m.story().len() > 10));
    let lines = KEPT.lines().filter(|line| !line.starts_with('#'));
    for line in lines.clone() {
        assert!(read(line).is_some(), "no defect and invariant: {line}");
    }
    assert_eq!(lines.count(), names.len());
    assert!(Mutant::ALL.iter().all(|mutant| kept(*mutant).is_some()));
}
