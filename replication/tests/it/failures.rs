//! Failed sign-ins (rule 25): what is counted at different nodes adds up at every node, whatever the
//! network does; it is bounded, and it ends.

use std::sync::atomic::Ordering::Relaxed;

use castor_proto::failures::{Counter, FailureKey};
use castor_proto::version::WireVersion::V1;
use castor_replication::engine::{Command, Config, Tally, WALK_EVERY};

use castor_sim::world::{CALM, MS, STORM, World};

const SECOND: u64 = 1_000 * MS;

fn key(number: u16) -> FailureKey {
    let mut address = [0; 16];
    address[..2].copy_from_slice(&number.to_be_bytes());
    FailureKey {
        address,
        user: None,
    }
}

fn fail(world: &mut World, node: usize, number: u16) {
    world.command(node, Command::Failed(vec![key(number)]));
}

fn tally(world: &World, node: usize, number: u16) -> Tally {
    let own = world.node(node).store.own_time(world.mono(node));
    let since = own.saturating_sub(900_000);
    world
        .node(node)
        .store
        .failures()
        .of(&key(number), since, own)
}

fn counters(world: &World, node: usize) -> Vec<Counter> {
    world.node(node).store.failures().counters()
}

/// Every node holds the same.
fn agree(world: &World) -> bool {
    let mut all = world.running().map(|(i, _)| counters(world, i));
    let first = all.next();
    all.all(|next| Some(next) == first)
}

#[test]
fn failures_at_different_nodes_add_up_at_every_node() {
    let mut world = World::new(3, 1);
    for round in 0..6 {
        fail(&mut world, round % 3, 7);
    }
    fail(&mut world, 0, 8);
    // One way is at most a few milliseconds here, and nothing is waited for.
    world.run_for(50 * MS);
    for node in 0..3 {
        assert_eq!(tally(&world, node, 7).failures, 6, "node {node}");
        assert_eq!(tally(&world, node, 8).failures, 1, "node {node}");
    }
    world.command(2, Command::Forgive(vec![key(7)]));
    world.run_for(50 * MS);
    for node in 0..3 {
        assert_eq!(tally(&world, node, 7), Tally::default(), "node {node}");
        assert_eq!(tally(&world, node, 8).failures, 1, "node {node}");
    }
    fail(&mut world, 1, 7);
    world.run_for(50 * MS);
    assert!((0..3).all(|node| tally(&world, node, 7).failures == 1));
}

#[test]
fn what_a_network_loses_is_made_up_for() {
    for seed in 0..20 {
        let mut world = World::new(3, seed);
        world.weather = STORM;
        world.cut(0, 1);
        for round in 0..60u16 {
            let node = world.below(3) as usize;
            fail(&mut world, node, round % 5);
            if round % 17 == 0 {
                let number = world.below(5) as u16;
                world.command(node, Command::Forgive(vec![key(number)]));
            }
            world.run_for(SECOND / 2);
        }
        // Nodes 0 and 1 do not see each other: the third tells both.
        world.weather = CALM;
        world.run_for(2 * WALK_EVERY + SECOND);
        assert!(agree(&world), "seed {seed}: behind a cut");
        assert!(!counters(&world, 0).is_empty());
        world.heal();
        world.run_for(2 * WALK_EVERY + SECOND);
        assert!(agree(&world), "seed {seed}: healed");
        let all: u32 = counters(&world, 0)
            .iter()
            .map(|(_, failed)| failed.count)
            .sum();
        assert_eq!(all, 60, "seed {seed}: every failure is counted once");
    }
}

#[test]
fn a_restarted_node_learns_what_it_had_counted_itself() {
    let mut world = World::new(3, 3);
    for _ in 0..4 {
        fail(&mut world, 1, 7);
    }
    world.run_for(50 * MS);
    world.crash(1);
    world.start(1);
    world.until("it is back", |w| w.is_ready(1));
    world.until_within(2 * SECOND, "it knows", |w| tally(w, 1, 7).failures == 4);
    fail(&mut world, 1, 7);
    world.run_for(50 * MS);
    assert!((0..3).all(|node| tally(&world, node, 7).failures == 5));
}

#[test]
fn there_are_never_more_counters_than_there_may_be() {
    const MOST: usize = 64;
    let mut world = World::with(3, 4, |config: &mut Config| config.failures_max = MOST);
    for number in 0..600 {
        let node = world.below(3) as usize;
        fail(&mut world, node, number);
        world.run_for(SECOND / 4);
        assert!((0..3).all(|node| counters(&world, node).len() <= MOST));
    }
    world.run_for(2 * WALK_EVERY);
    assert!(
        agree(&world),
        "which ones are kept does not depend on the order"
    );
    assert_eq!(counters(&world, 0).len(), MOST);
    assert_eq!(tally(&world, 2, 599).failures, 1, "the newest is kept");
    let evicted = |node| world.node(node).stats.failures_evicted.load(Relaxed);
    assert!((0..3).all(|node| evicted(node) >= 600 - MOST as u64));
}

#[test]
fn failures_are_forgotten_when_their_time_is_over() {
    let mut world = World::with(3, 5, |config: &mut Config| {
        config.failures_keep_ms = 120_000
    });
    fail(&mut world, 0, 7);
    world.run_for(60 * SECOND);
    assert!((0..3).all(|node| counters(&world, node).len() == 1));
    fail(&mut world, 1, 7);
    world.run_for(150 * SECOND);
    assert!((0..3).all(|node| counters(&world, node).len() <= 1));
    world.run_for(60 * SECOND);
    assert!((0..3).all(|node| counters(&world, node).is_empty()));
}

#[test]
fn a_node_of_the_first_version_is_told_nothing_and_counts_for_itself() {
    let mut world = World::empty(3, 6, |_| {});
    world.wire[2] = V1;
    (0..3).for_each(|i| world.start(i));
    world.until("all are ready", |w| (0..3).all(|i| w.is_ready(i)));
    world.run_for(600 * MS);
    (0..3).for_each(|node| fail(&mut world, node, 7));
    // The world checks every message against the version of its link.
    world.run_for(3 * WALK_EVERY);
    let counted = [0, 1, 2].map(|node| tally(&world, node, 7).failures);
    assert_eq!(counted, [2, 2, 1]);
}

/// What happens to a cluster of five in one step of a bad day.
fn trouble(world: &mut World, told: &mut u32) {
    let (node, other) = (world.below(5) as usize, world.below(5) as usize);
    match world.below(40) {
        0 if world.running().count() > 3 => world.crash(node),
        30..38 if world.nodes[node].is_none() => world.start(node),
        2 => world.freeze(node, 3 * SECOND),
        3 if node != other => world.cut(node, other),
        4 => world.heal(),
        5 => {
            let number = world.below(6) as u16;
            world.command_if_up(node, Command::Forgive(vec![key(number)]));
        }
        6..30 => {
            let number = world.below(6) as u16;
            *told += u32::from(world.command_if_up(node, Command::Failed(vec![key(number)])));
        }
        _ => {}
    }
}

trait IfUp {
    fn command_if_up(&mut self, node: usize, command: Command) -> bool;
}

impl IfUp for World {
    fn command_if_up(&mut self, node: usize, command: Command) -> bool {
        let up = self.nodes[node].is_some();
        if up {
            self.command(node, command);
        }
        up
    }
}

#[test]
fn after_a_bad_day_all_nodes_hold_the_same_and_nothing_is_counted_twice() {
    for seed in 0..10 {
        let mut world = World::new(5, seed);
        world.skew_ms = vec![0, 900, -900, 400, -400];
        world.weather = STORM;
        let mut told = 0;
        for _ in 0..200 {
            trouble(&mut world, &mut told);
            world.run_for(SECOND / 4);
        }
        world.weather = CALM;
        world.heal();
        (0..5).for_each(|node| {
            if world.nodes[node].is_none() {
                world.start(node);
            }
        });
        world.until("all are ready", |w| (0..5).all(|node| w.is_ready(node)));
        world.run_for(2 * WALK_EVERY + SECOND);
        assert!(agree(&world), "seed {seed}");
        let counted = counters(&world, 0);
        let all: u32 = counted.iter().map(|(_, failed)| failed.count).sum();
        // What only a crashed node knew is lost, and nothing else.
        assert!(
            all <= told && 2 * all > told,
            "seed {seed}: {all} of {told}"
        );
        assert!(counted.iter().all(|(_, f)| f.forgiven <= f.count));
    }
}
