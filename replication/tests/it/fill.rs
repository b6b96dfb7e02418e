//! Filling, cold start and drain (rules 20 and 21).

use std::sync::atomic::Ordering::Relaxed;

use castor_proto::message::Phase;
use castor_replication::engine::{Command, Denied, Event, Input, Reply};

use castor_sim::world::{CALM, MS, World, is_valid};

#[test]
fn nodes_started_together_form_one_cluster_at_once() {
    for seed in 0..50 {
        let mut world = World::empty(3, seed, |_| {});
        let began = world.now;
        (0..3).for_each(|i| world.start(i));
        world.until("all are ready", |w| (0..3).all(|i| w.is_ready(i)));
        assert!(
            world.now - began < 1_000 * MS,
            "seed {seed}: {}",
            world.now - began
        );
    }
}

#[test]
fn a_lonely_node_starts_after_the_wait() {
    let mut world = World::empty(3, 1, |_| {});
    let began = world.now;
    world.start(0);
    world.until("it is ready", |w| w.is_ready(0));
    let waited = world.now - began;
    assert!((5_000 * MS..5_100 * MS).contains(&waited), "{waited}");
}

#[test]
fn a_restarted_node_is_not_ready_before_it_has_everything() {
    for seed in 0..20 {
        let mut world = World::with(3, seed, |config| config.batch_bytes = 2_000);
        let mut sessions: Vec<_> = (0..200).map(|i| world.sign_in(i % 3)).collect();
        world.crash(1);
        world.run_for(2_500 * MS);
        world.start(1);
        // Writes go on while it fills.
        while !world.is_ready(1) {
            sessions.push(world.sign_in(0));
            sessions.push(world.sign_in(2));
        }
        for session in &sessions {
            assert!(
                world.node(1).store.find(session).is_some(),
                "seed {seed}: a hole"
            );
        }
    }
}

#[test]
fn a_donor_that_dies_is_replaced() {
    for seed in 0..20 {
        let mut world = World::with(3, seed, |config| config.batch_bytes = 500);
        let sessions: Vec<_> = (0..200).map(|i| world.sign_in(i % 3)).collect();
        world.crash(1);
        world.run_for(2_500 * MS);
        world.start(1);
        let some = |w: &World| w.node(1).engine.status().bootstrap.shards > 20;
        world.until("filling is under way", some);
        let told = world.node(1).engine.status().bootstrap;
        assert!(told.left.is_some_and(|left| left > 0) && !told.done);
        world.crash(0);
        world.until("it is ready", |w| w.is_ready(1));
        for session in &sessions {
            assert!(world.node(1).store.find(session).is_some(), "seed {seed}");
        }
    }
}

#[test]
fn the_last_survivor_fills_all_others() {
    let mut world = World::new(3, 3);
    let sessions: Vec<_> = (0..50).map(|i| world.sign_in(i % 3)).collect();
    world.crash(0);
    world.crash(1);
    world.run_for(3_000 * MS);
    let ticket = world.issue(2, sessions[0]);
    assert!(is_valid(&world.claim(2, &ticket.id, 1)));
    world.start(0);
    world.start(1);
    world.until("all are ready", |w| (0..3).all(|i| w.is_ready(i)));
    assert!(world.converged());
    assert_eq!(world.node(0).store.len(), 50);
    world.run_for(1_000 * MS);
    assert_eq!(
        world.issue(0, sessions[1]).view.len(),
        3,
        "views are whole again"
    );
}

#[test]
fn two_halves_that_both_served_become_one() {
    let mut world = World::new(4, 3);
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        world.cut(a, b);
    }
    world.run_for(3_000 * MS);
    let left: Vec<_> = (0..20).map(|_| world.sign_in(0)).collect();
    let right: Vec<_> = (0..20).map(|_| world.sign_in(2)).collect();
    world.sign_out(1, left[0]);
    world.heal();
    let healed = world.now;
    world.until("all nodes are equal", World::converged);
    assert!(world.now - healed < 10_000 * MS, "{}", world.now - healed);
    assert!(
        right
            .iter()
            .all(|session| world.node(0).store.find(session).is_some())
    );
    assert!((0..4).all(|i| world.node(i).store.is_destroyed(&left[0])));
}

#[test]
fn a_rolling_restart_with_drain_loses_no_ticket() {
    let mut world = World::new(3, 5);
    let session = world.sign_in(0);
    let mut refused = 0;
    for node in 0..3 {
        let others: Vec<usize> = (0..3).filter(|i| *i != node).collect();
        let before = world.issue(node, session);
        let number = world.command(node, Command::Drain);
        world.answer(number);
        // Tickets go on being issued and used at the others while it drains.
        let drained = |w: &World| {
            w.node(node)
                .events
                .iter()
                .any(|e| matches!(e, Event::Drained))
        };
        refused += usize::from(!is_valid(&world.claim(others[0], &before.id, 1)));
        while !drained(&world) {
            world.run_for(200 * MS);
            let ticket = world.issue(others[0], session);
            assert!(world.node(node).engine.phase() == Phase::Draining);
            refused += usize::from(!is_valid(&world.claim(others[1], &ticket.id, 2)));
        }
        world.crash(node);
        world.run_for(2_000 * MS);
        world.start(node);
        world.until("it is back", |w| w.is_ready(node));
        world.run_for(1_000 * MS);
    }
    assert_eq!(refused, 0);
}

#[test]
fn a_drain_waits_for_outstanding_tickets_but_not_for_ever() {
    let mut world = World::new(3, 5);
    let session = world.sign_in(0);
    world.issue(0, session);
    let began = world.now;
    let number = world.command(0, Command::Drain);
    world.answer(number);
    world.until("drained", |w| {
        w.node(0).events.iter().any(|e| matches!(e, Event::Drained))
    });
    let took = world.now - began;
    assert!(
        (9_000 * MS..13_000 * MS).contains(&took),
        "{took}: the life of a service ticket"
    );
}

#[test]
fn a_drained_node_that_resumes_is_ready_again() {
    let mut world = World::new(3, 5);
    let number = world.command(0, Command::Drain);
    world.answer(number);
    assert_eq!(world.node(0).engine.phase(), Phase::Draining);
    let number = world.command(0, Command::Resume);
    world.answer(number);
    assert!(world.is_ready(0));
}

#[test]
fn a_filling_node_does_not_start_cold_because_its_donors_blink() {
    for seed in 0..20 {
        let mut world = World::with(3, seed, |config| config.batch_bytes = 500);
        let sessions: Vec<_> = (0..200).map(|i| world.sign_in(i % 3)).collect();
        world.crash(1);
        world.run_for(2_500 * MS);
        world.start(1);
        let some = |w: &World| w.node(1).engine.status().bootstrap.shards > 20;
        world.until("filling is under way", some);
        let donors = [0, 2].map(|i| world.node(i).member.clone());
        for donor in &donors {
            world.input(1, Input::LinkDown(donor.clone()));
        }
        world.run_for(300 * MS);
        assert!(!world.is_ready(1), "seed {seed}: ready with a part");
        for donor in donors {
            world.input(1, Input::LinkUp(donor));
        }
        world.until("it is ready", |w| w.is_ready(1));
        for session in &sessions {
            assert!(
                world.node(1).store.find(session).is_some(),
                "seed {seed}: a hole"
            );
        }
    }
}

/// Filling goes on where it was when its only donor is not heard for a moment, or its link is made anew.
#[test]
fn filling_goes_on_where_it_was_when_its_only_donor_is_back() {
    for (seed, link_breaks) in (0..20).flat_map(|seed| [(seed, false), (seed, true)]) {
        let mut world = World::with(2, seed, |config| config.batch_bytes = 500);
        let sessions: Vec<_> = (0..200).map(|i| world.sign_in(i % 2)).collect();
        world.crash(1);
        world.run_for(2_500 * MS);
        world.start(1);
        let filled = |w: &World| w.node(1).engine.status().bootstrap.shards;
        world.until("filling is under way", |w| filled(w) > 20);
        let before = filled(&world);
        let late = world.sign_in(0);
        if link_breaks {
            let donor = world.node(0).member.clone();
            world.input(1, Input::LinkDown(donor.clone()));
            world.run_for(300 * MS);
            world.input(1, Input::LinkUp(donor));
        } else {
            world.cut(0, 1);
            world.run_for(1_200 * MS);
            world.heal();
        }
        while !world.is_ready(1) {
            assert!(filled(&world) >= before, "seed {seed}: begun again");
            world.run_for(MS);
        }
        for session in sessions.iter().chain([&late]) {
            let found = world.node(1).store.find(session);
            assert!(found.is_some(), "seed {seed}: a hole");
        }
    }
}

#[test]
fn a_stopped_process_is_not_ready_before_it_has_caught_up() {
    for seed in 0..20 {
        let mut world = World::new(3, seed);
        world.freeze(2, 4_000 * MS);
        world.run_for(100 * MS);
        let missed = world.sign_in(0);
        world.run_for(3_899 * MS);
        world.until("it is ready again", |w| w.is_ready(2));
        assert!(world.node(2).store.find(&missed).is_some(), "seed {seed}");
        let phases = world
            .node(2)
            .events
            .iter()
            .filter(|e| matches!(e, Event::Phase(_)));
        assert_eq!(phases.count(), 3, "ready, filling, ready");
    }
}

fn link_again(world: &mut World, a: usize, b: usize) {
    let [at, to] = [a, b].map(|i| world.node(i).member.clone());
    world.input(a, Input::LinkUp(to));
    world.input(b, Input::LinkUp(at));
}

/// The others go on; what comes next is the first thing that happens to the node after its stop.
fn stays_stopped(world: &mut World, micros: u64) {
    world.run_for(micros - MS);
    world.now += MS;
}

/// Everything the node heard of the others while it was stopped: they are gone.
fn finds_everybody_gone(world: &mut World, node: usize) {
    for other in (0..3).filter(|i| *i != node) {
        let member = world.node(other).member.clone();
        world.input(node, Input::LinkDown(member));
    }
    world.input(node, Input::Gossip(Vec::new()));
}

/// While a process is stopped its links run out and gossip gives everybody up. When it goes on, it is
/// alone for a moment, and must not take that for the cluster.
#[test]
fn a_stopped_process_that_finds_everybody_gone_waits_for_them() {
    for seed in 0..20 {
        let mut world = World::new(3, seed);
        let session = world.sign_in(2);
        let members: Vec<_> = (0..3).map(|i| world.node(i).member.clone()).collect();
        let thaw = world.now + 5_000 * MS;
        world.freeze(2, 5_000 * MS);
        world.run_for(3_000 * MS);
        for other in 0..2 {
            world.input(other, Input::LinkDown(members[2].clone()));
        }
        let missed = world.sign_in(0);
        let rest = thaw - world.now;
        stays_stopped(&mut world, rest);
        // The first thing it does is a request; then it notices.
        let number = world.command(2, World::new_ticket(session, "https://a.example/"));
        assert!(
            matches!(world.answer(number), Reply::Issued(Err(Denied::NotReady))),
            "seed {seed}"
        );
        finds_everybody_gone(&mut world, 2);
        let find = Command::Find {
            key: missed,
            everyone: false,
        };
        let number = world.command(2, find);
        assert!(
            matches!(
                world.answer(number),
                Reply::Found {
                    complete: false,
                    ..
                }
            ),
            "seed {seed}: nobody is there who could say that it is unknown"
        );
        for other in 0..2 {
            world.run_for(400 * MS);
            assert!(!world.is_ready(2), "seed {seed}: ready before {other}");
            link_again(&mut world, other, 2);
        }
        world.until("it is ready again", |w| w.is_ready(2));
        assert!(world.node(2).store.find(&missed).is_some(), "seed {seed}");
        assert_eq!(world.issue(2, session).view.len(), 3, "seed {seed}");
    }
}

#[test]
fn a_stopped_process_whose_peers_died_meanwhile_goes_on_alone_after_the_wait() {
    let mut world = World::new(3, 1);
    let session = world.sign_in(2);
    world.freeze(2, 5_000 * MS);
    world.crash(0);
    world.crash(1);
    world.run_for(5_000 * MS);
    world.run_for(2_000 * MS);
    let thawed = world.now - 2_000 * MS;
    world.until("it is ready again", |w| w.is_ready(2));
    let waited = world.now - thawed;
    assert!((4_900 * MS..5_200 * MS).contains(&waited), "{waited}");
    assert_eq!(world.issue(2, session).view.len(), 1);
}

#[test]
fn a_process_that_is_stopped_again_waits_again() {
    let mut world = World::new(3, 1);
    for _ in 0..2 {
        world.freeze(2, 6_000 * MS);
        stays_stopped(&mut world, 6_000 * MS);
        world.input(2, Input::Tick);
        assert!(!world.is_ready(2));
    }
    finds_everybody_gone(&mut world, 2);
    for _ in 0..10 {
        world.run_for(100 * MS);
        assert!(!world.is_ready(2), "alone");
    }
    link_again(&mut world, 0, 2);
    link_again(&mut world, 1, 2);
    world.until("it is ready again", |w| w.is_ready(2));
}

#[test]
fn a_process_that_is_stopped_before_it_has_met_anybody_does_not_start_cold() {
    let mut world = World::empty(3, 1, |_| {});
    world.start(0);
    world.until("the first is ready", |w| w.is_ready(0));
    let session = world.sign_in(0);
    world.start(2);
    world.freeze(2, 6_000 * MS);
    stays_stopped(&mut world, 6_000 * MS);
    world.input(2, Input::Tick);
    assert!(!world.is_ready(2), "empty beside a full one");
    world.until("it is ready", |w| w.is_ready(2));
    assert!(world.node(2).store.find(&session).is_some());
}

#[test]
fn a_draining_process_that_was_stopped_forgets_nothing_and_creates_nothing() {
    let mut world = World::new(3, 1);
    let number = world.command(2, Command::Drain);
    world.answer(number);
    let missed = world.sign_in(0);
    world.freeze(2, 5_000 * MS);
    stays_stopped(&mut world, 5_000 * MS);
    world.input(2, Input::Tick);
    finds_everybody_gone(&mut world, 2);
    let find = Command::Find {
        key: missed,
        everyone: false,
    };
    let number = world.command(2, find);
    let found = world.answer(number);
    assert!(matches!(
        found,
        Reply::Found {
            complete: false,
            ..
        }
    ));
    let number = world.command(2, World::new_session("late", 60_000, 60_000));
    let created = world.answer(number);
    assert!(matches!(created, Reply::Created(Err(Denied::NotReady))));
    assert!(!world.node(2).engine.is_serving());
    link_again(&mut world, 0, 2);
    link_again(&mut world, 1, 2);
    world.until("it drains on", |w| w.node(2).engine.is_serving());
    assert_eq!(world.node(2).engine.phase(), Phase::Draining);
}

#[test]
fn a_peer_that_does_not_answer_behind_its_link_is_given_up_after_the_wait() {
    let mut world = World::new(3, 1);
    world.freeze(0, 60_000 * MS);
    world.freeze(2, 2_000 * MS);
    world.run_for(2_000 * MS);
    let thawed = world.now;
    world.until("it is ready again", |w| w.is_ready(2));
    let waited = world.now - thawed;
    assert!((4_900 * MS..12_000 * MS).contains(&waited), "{waited}");
}

/// A node that is cut off while it fills itself goes on alone after the wait, because the others may be
/// gone for ever. It has a part then; nothing of it is a session whose end everybody knew before.
#[test]
fn a_node_cut_off_while_it_fills_brings_nothing_back() {
    for seed in 0..40 {
        let mut world = World::with(3, seed, |config| config.batch_bytes = 500);
        let sessions: Vec<_> = (0..60).map(|i| world.sign_in(i % 2)).collect();
        for session in &sessions {
            assert_eq!(world.sign_out(2, *session).missing, 0);
        }
        world.crash(1);
        world.run_for(2_500 * MS);
        // Node 1 meets node 0 alone, who has made the sessions and not their ends, and loses it too.
        world.cut(1, 2);
        world.start(1);
        let lives = |w: &World| {
            let of = |session| w.node(1).store.find(session);
            let lives = |session| of(session).is_some_and(|known| known.destroyed.is_none());
            sessions.iter().filter(|session| lives(session)).count()
        };
        // At the worst moment, or at any.
        let cut_at = world.now + 100 * MS + seed * 50 * MS;
        while lives(&world) == 0 && world.now < cut_at {
            assert!(world.step());
        }
        world.cut(0, 1);
        world.until("it goes on alone", |w| w.is_ready(1));
        assert_eq!(lives(&world), 0, "seed {seed}: sessions came back");
        world.sign_in(1);
    }
}

/// The wait counts from when the last donor was lost, not from the start.
#[test]
fn a_node_that_loses_its_donors_late_waits_for_them() {
    let mut world = World::with(3, 1, |config| {
        config.batch_bytes = 500;
        config.bootstrap_wait = 1_500 * MS;
    });
    (0..400).for_each(|i| {
        world.sign_in(i % 3);
    });
    world.crash(1);
    world.run_for(2_500 * MS);
    world.weather.delay = (60 * MS, 60 * MS);
    world.start(1);
    world.run_for(1_600 * MS);
    let part = world.node(1).engine.status().bootstrap;
    assert!(part.shards > 0 && !part.done, "{part:?}");
    world.cut(0, 1);
    world.cut(1, 2);
    let linked = |w: &World| w.node(1).engine.status().peers.iter().any(|p| p.link);
    world.until("the links are gone", |w| !linked(w));
    let lost = world.now;
    world.until("it goes on alone", |w| w.is_ready(1));
    let waited = world.now - lost;
    assert!((700 * MS..2_500 * MS).contains(&waited), "{waited}");
}

/// A sign-in that is under way while a node subscribes does not wait for it in vain.
#[test]
fn what_is_awaited_of_a_newcomer_is_sent_to_it() {
    for seed in 0..40 {
        let mut world = World::with(3, seed, |config| config.ring_max = 16);
        (0..100).for_each(|_| {
            world.sign_in(0);
        });
        world.crash(1);
        world.run_for(2_500 * MS);
        world.start(1);
        while !world.is_ready(1) {
            let began = world.now;
            world.sign_in(0);
            let took = world.now - began;
            assert!(took < 900 * MS, "seed {seed}: {took}");
        }
        assert_eq!(world.node(0).stats.create_partial.load(Relaxed), 0);
    }
}

/// Two nodes do not hear each other, and one of them alone has made a logout. Whoever fills itself from both
/// is ready with it, though the one who has it comes second and its own heartbeats come much later.
#[test]
fn a_node_that_fills_beside_a_cut_has_what_either_side_has() {
    for seed in 0..60 {
        let mut world = World::new(3, seed);
        let session = world.sign_in(0);
        world.crash(0);
        world.cut(1, 2);
        world.run_for(2_500 * MS);
        world.sign_out(1, session);
        assert!(!world.node(2).store.is_destroyed(&session));
        // In every other world heartbeats and their answers are slow as well, and filling is not.
        if seed % 2 == 1 {
            (world.stream, world.bulk) = (Some(CALM), Some(CALM));
            world.weather.delay = (100, 100 * MS);
        }
        world.start(0);
        world.until("it is ready", |w| w.is_ready(0));
        assert!(world.node(0).store.is_destroyed(&session), "seed {seed}");
    }
}

/// Whoever does not answer behind its link holds nobody up for long.
#[test]
fn a_silent_peer_holds_up_filling_for_a_second_at_most() {
    let mut world = World::new(3, 1);
    let session = world.sign_in(0);
    world.crash(1);
    world.run_for(2_500 * MS);
    let silent = world.node(0).member.clone();
    world.freeze(0, 60_000 * MS);
    world.start(1);
    world.until("it is linked with the other", |w| {
        w.node(1).engine.status().peers.iter().any(|p| p.link)
    });
    let linked = world.now;
    world.input(1, Input::LinkUp(silent));
    world.input(1, Input::SilentSeeds(0));
    world.until("it is ready", |w| w.is_ready(1));
    assert!(world.node(1).store.find(&session).is_some());
    let waited = world.now - linked;
    assert!((700 * MS..2_100 * MS).contains(&waited), "{waited}");
}

/// Nobody can tell that the others have missed nothing either, without asking them; that takes no longer than asking.
#[test]
fn a_cluster_that_stood_still_as_a_whole_serves_again_within_a_tenth_of_a_second() {
    for seed in 0..20 {
        let mut world = World::new(3, seed);
        let session = world.sign_in(0);
        world.run_for(1_000 * MS);
        (0..3).for_each(|i| world.freeze(i, 2_000 * MS));
        world.run_for(2_000 * MS);
        world.until("one has noticed", |w| (0..3).any(|i| !w.is_ready(i)));
        world.until_within(100 * MS, "all have noticed and serve", |w| {
            let paused = |i| w.node(i).stats.pauses.load(Relaxed) == 1;
            (0..3).all(|i| paused(i) && w.is_ready(i))
        });
        assert!(world.node(2).store.find(&session).is_some());
    }
}
