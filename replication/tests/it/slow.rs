//! Slow ways: who is far away gets the time that the way takes, and no rule is bent for it.

use std::sync::atomic::Ordering::Relaxed;

use castor_replication::engine::ClaimOutcome;

use castor_sim::world::{MS, World, is_valid};

/// One way of a slow line that has just sent a lost packet again: a round trip takes 0.7 s.
const SLOW: (u64, u64) = (350 * MS, 350 * MS);

/// Nodes that have known for a while how far apart they are.
fn far_apart(seed: u64) -> World {
    let mut world = World::new(3, seed);
    world.weather.delay = SLOW;
    world.run_for(5_000 * MS);
    world
}

#[test]
fn a_claim_over_slow_ways_takes_one_round_trip_and_suspects_nobody() {
    for validator in 0..3 {
        let mut world = far_apart(validator as u64);
        let session = world.sign_in(0);
        let ticket = world.issue(0, session);
        assert_eq!(ticket.view.len(), 3);
        let began = world.now;
        let outcome = world.claim(validator, &ticket.id, 1);
        assert!(is_valid(&outcome), "at node {validator}: {outcome:?}");
        assert!(world.now - began <= 800 * MS, "{}", world.now - began);
        let stats = &world.node(validator).stats;
        assert_eq!(stats.claim_fallback.load(Relaxed), 0);
        let again = world.claim(0, &ticket.id, 2);
        assert!(matches!(again, ClaimOutcome::Lost), "{again:?}");
    }
}

/// The way becomes slow between the measurement, which is rare here, and the claim: the nodes expect an
/// answer in a few milliseconds, and must still find one in the two seconds that a claim has.
#[test]
fn a_claim_survives_the_moment_in_which_ways_become_slow() {
    for seed in 0..60 {
        let mut world = World::with(3, seed, |config| config.ping_interval = 20_000 * MS);
        let session = world.sign_in(0);
        let ticket = world.issue(0, session);
        world.weather.delay = (100 * MS, 120 * MS);
        let outcome = world.claim(1 + seed as usize % 2, &ticket.id, 1);
        assert!(is_valid(&outcome), "seed {seed}: {outcome:?}");
    }
}

#[test]
fn a_ticket_is_found_over_slow_ways() {
    let mut world = far_apart(3);
    let session = world.sign_in(0);
    // Node 2 is not reached by the issuer while the ticket is stored, and has to ask for it.
    world.cut_one_way(0, 2);
    let ticket = world.issue(0, session);
    world.mend(0, 2);
    let outcome = world.claim(2, &ticket.id, 1);
    assert!(is_valid(&outcome), "{outcome:?}");
}

/// Quick ways stay quick: a member that has just died costs tens of milliseconds, not a second.
#[test]
fn a_dead_issuer_costs_little_where_ways_are_short() {
    let mut world = World::new(3, 5);
    let session = world.sign_in(0);
    world.run_for(3_000 * MS);
    let ticket = world.issue(0, session);
    world.crash(0);
    let began = world.now;
    assert!(is_valid(&world.claim(1, &ticket.id, 1)));
    assert!(world.now - began < 150 * MS, "{}", world.now - began);
}
