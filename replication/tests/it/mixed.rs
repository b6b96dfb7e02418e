//! Two wire versions side by side: a node that is held at the first one joins, works and leaves among
//! nodes of the second, and hears nothing that it would not understand (the world checks every
//! message that is sent).

use std::sync::atomic::Ordering::Relaxed;

use castor_proto::version::WireVersion::{V1, V2};
use castor_replication::engine::{Command, Event};

use crate::world::{MS, STORM, World, is_valid};

const SECOND: u64 = 1_000 * MS;

/// Nodes 0 and 1 speak the newest version, node 2 the first.
fn mixed(seed: u64) -> World {
    let mut world = World::empty(3, seed, |config| config.quiet = 0);
    world.wire[2] = V1;
    (0..3).for_each(|i| world.start(i));
    world.until("all are ready", |w| (0..3).all(|i| w.is_ready(i)));
    world.run_for(600 * MS);
    world
}

fn rounds(world: &World, node: usize) -> u64 {
    world.node(node).stats.rounds.load(Relaxed)
}

#[test]
fn a_node_of_the_first_version_works_among_nodes_of_the_second() {
    for seed in 0..10 {
        let mut world = mixed(seed);
        let sessions: Vec<_> = (0..30).map(|i| world.sign_in(i % 3)).collect();
        for (at, session) in sessions.iter().enumerate() {
            let ticket = world.issue(at % 3, *session);
            assert_eq!(ticket.view.len(), 3);
            assert!(is_valid(&world.claim((at + 1) % 3, &ticket.id, 1)));
            assert!(!is_valid(&world.claim((at + 2) % 3, &ticket.id, 2)));
        }
        assert_eq!(world.sign_out(2, sessions[0]).missing, 0);
        assert_eq!(world.sign_out(1, sessions[1]).missing, 0);
        world.run_for(20 * SECOND);
        assert!(world.converged(), "seed {seed}");
        // The two that can go round do so with each other.
        assert!(rounds(&world, 0) > 15 && rounds(&world, 1) > 15);
        assert_eq!(rounds(&world, 2), 0);
    }
}

#[test]
fn after_a_break_both_versions_repair_each_other() {
    for seed in 0..10 {
        let mut world = mixed(seed);
        world.cut(0, 2);
        world.cut(1, 2);
        world.run_for(3 * SECOND);
        let near: Vec<_> = (0..20).map(|i| world.sign_in(i % 2)).collect();
        let far: Vec<_> = (0..20).map(|_| world.sign_in(2)).collect();
        world.sign_out(2, far[0]);
        world.weather = STORM;
        world.heal();
        world.until("all are equal", World::converged);
        assert!(near.iter().all(|s| world.node(2).store.find(s).is_some()));
        assert!(far.iter().all(|s| world.node(0).store.has_body(s)));
        assert!((0..3).all(|i| world.node(i).store.is_destroyed(&far[0])));
    }
}

#[test]
fn what_a_dead_node_gave_to_the_old_one_alone_reaches_the_new_one() {
    for seed in 0..10 {
        let mut world = mixed(seed);
        world.cut(0, 1);
        let given = world.sign_in(0);
        assert!(world.node(1).store.find(&given).is_none());
        world.crash(0);
        world.until("the survivors agree", World::converged);
        assert!(world.node(1).store.find(&given).is_some(), "seed {seed}");
    }
}

#[test]
fn an_old_node_drains_and_comes_back_as_a_new_one() {
    for seed in 0..10 {
        let mut world = mixed(seed);
        let sessions: Vec<_> = (0..30).map(|i| world.sign_in(i % 3)).collect();
        let ticket = world.issue(2, sessions[0]);
        let number = world.command(2, Command::Drain);
        world.answer(number);
        assert!(is_valid(&world.claim(0, &ticket.id, 1)), "seed {seed}");
        world.until("it is drained", |w| {
            w.node(2).events.iter().any(|e| matches!(e, Event::Drained))
        });
        world.crash(2);
        world.run_for(2 * SECOND);
        world.wire[2] = V2;
        world.start(2);
        world.until("it is back", |w| w.is_ready(2));
        assert!(
            sessions
                .iter()
                .all(|s| world.node(2).store.find(s).is_some())
        );
        world.run_for(10 * SECOND);
        assert!(rounds(&world, 2) > 5, "it goes round like the others");
        let before = (rounds(&world, 0), rounds(&world, 1));
        world.run_for(10 * SECOND);
        assert!(rounds(&world, 0) > before.0 && rounds(&world, 1) > before.1);
        assert!(world.converged());
    }
}
