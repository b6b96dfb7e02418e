//! A single-use ticket is consumed once (rules 4 to 9).

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use castor_proto::message::PeerMessage;
use castor_proto::ticket::TicketBody;
use castor_replication::engine::{ClaimOutcome, Input};

use castor_sim::world::{MS, STORM, World, is_valid};

#[test]
fn every_node_accepts_a_ticket_once() {
    for validator in 0..3 {
        let mut world = World::new(3, validator as u64);
        let session = world.sign_in(0);
        let ticket = world.issue(0, session);
        assert_eq!(ticket.view.len(), 3);
        let outcome = world.claim(validator, &ticket.id, 1);
        assert!(matches!(outcome, ClaimOutcome::Won(_)), "{outcome:?}");
        for again in 0..3 {
            let outcome = world.claim(again, &ticket.id, 2);
            assert!(matches!(outcome, ClaimOutcome::Lost), "{outcome:?}");
        }
    }
}

#[test]
fn the_common_case_takes_one_round_trip() {
    for validator in 0..3 {
        let mut world = World::new(3, 7);
        world.weather.delay = (1_000, 1_000);
        let session = world.sign_in(0);
        let ticket = world.issue(0, session);
        let began = world.now;
        assert!(is_valid(&world.claim(validator, &ticket.id, 1)));
        assert_eq!(world.now - began, 2_000, "microseconds at node {validator}");
    }
}

#[test]
fn rivals_at_three_nodes_have_one_winner() {
    for seed in 0..300 {
        let mut world = World::new(3, seed);
        let session = world.sign_in(0);
        let ticket = world.issue(seed as usize % 3, session);
        let claims: Vec<u64> = (0..3)
            .map(|i| world.start_claim(i, &ticket.id, i as u8))
            .collect();
        let valid = claims
            .into_iter()
            .filter(|number| is_valid(&world.claimed(*number)))
            .count();
        assert_eq!(valid, 1, "seed {seed}");
    }
}

#[test]
fn rivals_in_a_storm_have_at_most_one_winner() {
    let mut winners = 0;
    for seed in 0..200 {
        let mut world = World::new(3, seed);
        let session = world.sign_in(0);
        let ticket = world.issue(0, session);
        world.weather = STORM;
        let claims: Vec<u64> = (0..6)
            .map(|i| world.start_claim(i % 3, &ticket.id, i as u8))
            .collect();
        let valid = claims
            .into_iter()
            .filter(|number| is_valid(&world.claimed(*number)))
            .count();
        assert!(
            valid <= 1,
            "seed {seed}: {valid} claims were answered valid"
        );
        winners += valid;
    }
    assert!(
        winners > 150,
        "only {winners} of 200 tickets found a winner"
    );
}

#[test]
fn a_request_sent_again_to_another_node_gets_the_same_answer() {
    for seed in 0..100 {
        let mut world = World::new(3, seed);
        let session = world.sign_in(0);
        let ticket = world.issue(0, session);
        let first = world.start_claim(1, &ticket.id, 9);
        world.run_for(seed * 10);
        let second = world.start_claim(2, &ticket.id, 9);
        assert!(is_valid(&world.claimed(first)), "seed {seed}");
        assert!(is_valid(&world.claimed(second)), "seed {seed}");
        world.run_for(6_000 * MS);
        let late = world.claim(0, &ticket.id, 9);
        assert!(
            matches!(late, ClaimOutcome::Lost),
            "after five seconds: {late:?}"
        );
    }
}

#[test]
fn a_dead_issuer_does_not_keep_its_tickets_from_being_used() {
    let mut world = World::new(3, 5);
    let session = world.sign_in(0);
    let ticket = world.issue(0, session);
    world.crash(0);
    assert!(is_valid(&world.claim(1, &ticket.id, 1)));
    assert!(matches!(world.claim(2, &ticket.id, 2), ClaimOutcome::Lost));
    assert!(world.node(1).stats.claim_fallback.load(Relaxed) > 0);
}

#[test]
fn a_lost_majority_is_an_honest_refusal() {
    let mut world = World::new(3, 5);
    let session = world.sign_in(0);
    let ticket = world.issue(0, session);
    world.crash(0);
    world.crash(1);
    let outcome = world.claim(2, &ticket.id, 1);
    assert!(matches!(outcome, ClaimOutcome::NoQuorum), "{outcome:?}");
    world.run_for(3_000 * MS);
    let next = world.issue(2, session);
    assert_eq!(next.view.len(), 1, "the survivor decides alone");
    assert!(is_valid(&world.claim(2, &next.id, 1)));
}

#[test]
fn restarted_members_do_not_vote_again() {
    for seed in 0..50 {
        let mut world = World::new(3, seed);
        let session = world.sign_in(0);
        let ticket = world.issue(0, session);
        assert!(is_valid(&world.claim(1, &ticket.id, 1)));
        // Everyone who knows of the decision but node 2 forgets it.
        world.cut(0, 2);
        world.cut(1, 2);
        world.crash(0);
        world.crash(1);
        world.start(0);
        world.start(1);
        world.heal();
        for (claim, node) in [(2, 0), (3, 1), (4, 2)] {
            let outcome = world.claim(node, &ticket.id, claim);
            assert!(!is_valid(&outcome), "seed {seed}: {outcome:?}");
        }
    }
}

#[test]
fn two_nodes_issue_alone() {
    let mut world = World::new(2, 1);
    let session = world.sign_in(0);
    let ticket = world.issue(0, session);
    assert_eq!(ticket.view.len(), 1);
    assert!(is_valid(&world.claim(1, &ticket.id, 1)));
    assert!(matches!(world.claim(0, &ticket.id, 2), ClaimOutcome::Lost));
}

#[test]
fn nodes_outside_the_view_can_validate() {
    let mut world = World::new(5, 3);
    let session = world.sign_in(0);
    let ticket = world.issue(0, session);
    assert_eq!(ticket.view.len(), 3);
    let outside = (0..5)
        .find(|i| !ticket.view.iter().any(|m| m.node == World::name(*i)))
        .unwrap();
    assert!(is_valid(&world.claim(outside, &ticket.id, 1)));
    assert!(matches!(world.claim(0, &ticket.id, 2), ClaimOutcome::Lost));
}

#[test]
fn an_expired_ticket_is_expired_everywhere() {
    let mut world = World::new(3, 3);
    let session = world.sign_in(0);
    let ticket = world.issue(0, session);
    world.run_for(10_001 * MS);
    for node in 0..3 {
        let outcome = world.claim(node, &ticket.id, 1);
        assert!(matches!(outcome, ClaimOutcome::Expired), "{outcome:?}");
    }
    world.run_for(10_000 * MS);
    let forgotten = world.claim(1, &ticket.id, 1);
    assert!(matches!(forgotten, ClaimOutcome::Unknown), "{forgotten:?}");
    assert_eq!(world.node(0).engine.status().singles, 0);
}

#[test]
fn a_failed_store_makes_a_new_id_with_those_who_answered() {
    let mut world = World::new(3, 4);
    let session = world.sign_in(0);
    world.crash(1);
    world.crash(2);
    let began = world.now;
    let ticket = world.issue(0, session);
    assert_eq!(ticket.view.len(), 1);
    assert!(
        world.now - began <= 2_000 * MS,
        "{} microseconds",
        world.now - began
    );
    assert!(world.node(0).stats.view_degraded.load(Relaxed) > 0);
    assert!(is_valid(&world.claim(0, &ticket.id, 1)));
}

#[test]
fn an_old_ticket_is_refused_also_while_a_node_that_it_names_is_down() {
    let mut world = World::new(3, 4);
    let session = world.sign_in(0);
    let ticket = world.issue(0, session);
    world.run_for(30_000 * MS);
    world.crash(0);
    for node in [1, 2] {
        let outcome = world.claim(node, &ticket.id, 1);
        assert!(matches!(outcome, ClaimOutcome::Unknown), "{outcome:?}");
    }
}

/// A node that lacks the body may know the decision. How old that is only the view can tell, and a request
/// that is sent again is answered again.
#[test]
fn a_decision_heard_without_the_body_does_not_spoil_the_second_answer() {
    use castor_proto::ids::ClaimId;

    let mut met = 0;
    for seed in 0..40 {
        let mut world = World::new(5, seed);
        let session = world.sign_in(0);
        let ignorant = 1 + seed as usize % 4;
        world.cut_one_way(0, ignorant);
        let ticket = world.issue(0, session);
        let named = |i: usize| ticket.view.contains(&world.node(i).member);
        let (lacks, outside) = (named(ignorant), (1..5).find(|i| !named(*i)));
        assert!(is_valid(&world.claim(0, &ticket.id, 9)), "seed {seed}");
        world.mend(0, ignorant);
        let (true, Some(outside)) = (lacks, outside) else {
            continue;
        };
        met += 1;
        let fact = PeerMessage::Decided {
            key: ticket.key(),
            kind: ticket.kind(),
            hard_expiry: ticket.hard_expiry,
            claim: ClaimId([9; 16]),
        };
        let issuer = world.node(0).member.clone();
        world.input(ignorant, Input::Message(issuer, fact));
        let again = world.claim(outside, &ticket.id, 9);
        assert!(is_valid(&again), "seed {seed}: {again:?}");
    }
    assert!(met > 5, "{met}");
}

/// A ticket that came through without its session, at a node that then hears only those of `linked`.
fn without_its_session(seed: u64, linked: &[usize]) -> Option<(World, Arc<TicketBody>)> {
    let mut world = World::new(4, seed);
    for ignorant in [2, 3] {
        world.cut_one_way(0, ignorant);
    }
    let session = world.sign_in(0);
    let ticket = world.issue(0, session);
    let names = |i: usize| ticket.view.contains(&world.node(i).member);
    if !names(2) || names(3) {
        return None;
    }
    for other in (0..4).filter(|i| *i != 2 && !linked.contains(i)) {
        let member = world.node(other).member.clone();
        world.input(2, Input::LinkDown(member));
    }
    let issuer = world.node(0).member.clone();
    let body = ticket.encode().into();
    world.input(
        2,
        Input::Message(issuer, PeerMessage::Store { rpc: 1, body }),
    );
    Some((world, ticket))
}

#[test]
fn a_ticket_whose_session_may_be_with_a_node_out_of_reach_is_not_refused() {
    for linked in [&[][..], &[3]] {
        let mut met = 0;
        for seed in 0..60 {
            let Some((mut world, ticket)) = without_its_session(seed, linked) else {
                continue;
            };
            met += 1;
            let outcome = world.claim(2, &ticket.id, 1);
            assert!(matches!(outcome, ClaimOutcome::NoQuorum), "{outcome:?}");
            world.heal();
            world.run_for(1_000 * MS);
            let outcome = world.claim(2, &ticket.id, 2);
            assert!(is_valid(&outcome), "seed {seed}: {outcome:?}");
        }
        assert!(met > 3, "{met} with {linked:?}");
    }
}
