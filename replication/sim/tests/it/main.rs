//! What the simulator itself promises: the same seed gives the same run, to the last byte; enough happens
//! for its days to count; and a cluster that is left alone breaks nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use castor_sim::plan::Plan;
use castor_sim::report::Sums;
use castor_sim::run::{Outcome, Until, play};
use castor_sim::world::{MS, Story};

/// A seed with a short safety phase.
fn short(seed: u64) -> Outcome {
    let mut plan = Plan::of(seed);
    plan.length = 15_000 * MS;
    play(&plan, Story::hashed(), Until::Any, |_| {})
}

#[test]
fn a_seed_replays_its_run() {
    let mut hashes = Vec::new();
    for seed in 0..6 {
        let (first, second) = (short(seed), short(seed));
        assert!(first.hash.is_some());
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert_eq!(first.operations, second.operations, "seed {seed}");
        hashes.push(first.hash);
    }
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), 6, "different seeds are different runs");
}

#[test]
fn threads_do_not_change_a_run() {
    let alone: Vec<_> = (10..14).map(|seed| short(seed).hash).collect();
    let threads: Vec<_> = (10..14)
        .map(|seed| std::thread::spawn(move || short(seed).hash))
        .collect();
    let together: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    assert_eq!(alone, together);
}

#[test]
fn enough_happens_and_nothing_is_broken() {
    let mut sums = Sums::default();
    for seed in 100..108 {
        let outcome = short(seed);
        assert_eq!(outcome.violation, None, "seed {seed}");
        sums.add(outcome);
    }
    // Healing, in which nobody asks for anything, is longer here than the safety phase.
    assert!(sums.operations > 8 * 15 * 10, "{}", sums.operations);
    assert!(sums.granted * 5 > sums.operations, "{}", sums.granted);
}

#[test]
fn without_faults_nobody_is_refused() {
    let mut plan = Plan::of(3);
    plan.fault_every = 1_000_000_000 * MS;
    plan.length = 20_000 * MS;
    let outcome = play(&plan, Story::default(), Until::Any, |_| {});
    assert_eq!(outcome.violation, None);
    assert!(outcome.faults.is_empty());
    assert!(outcome.granted * 3 > outcome.operations, "{outcome:?}");
}
