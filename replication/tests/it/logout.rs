//! Sessions: created everywhere, gone everywhere (rules 13 to 17).

use std::sync::atomic::Ordering::Relaxed;

use castor_replication::engine::{
    ClaimOutcome, Command, Denied, Event, GossipMember, Input, Liveness, Reply,
};

use castor_sim::world::{MS, World};

#[test]
fn an_acknowledged_session_is_on_every_node() {
    let mut world = World::new(3, 1);
    let session = world.sign_in(1);
    for node in 0..3 {
        assert!(
            world.node(node).store.find(&session).is_some(),
            "node {node}"
        );
    }
}

#[test]
fn after_the_answer_nothing_validates_anywhere() {
    for seed in 0..100 {
        let mut world = World::new(3, seed);
        let session = world.sign_in(0);
        let ticket = world.issue(1, session);
        let destroyed = world.sign_out(2, session);
        assert_eq!((destroyed.acked, destroyed.missing), (2, 0));
        for node in 0..3 {
            let outcome = world.claim(node, &ticket.id, node as u8);
            assert!(
                matches!(outcome, ClaimOutcome::Destroyed),
                "seed {seed}: {outcome:?}"
            );
            let number = world.command(node, World::new_ticket(session, "https://b.example/"));
            let issued = world.answer(number);
            assert!(
                matches!(issued, Reply::Issued(Err(Denied::SessionEnded))),
                "{issued:?}"
            );
        }
    }
}

#[test]
fn the_logout_knows_applications_that_another_node_served_a_moment_ago() {
    for seed in 0..100 {
        let mut world = World::new(3, seed);
        let session = world.sign_in(0);
        let at_0 = world.command(0, World::new_ticket(session, "https://a.example/"));
        let at_1 = world.command(1, World::new_ticket(session, "https://b.example/"));
        world.run_for(world.now % 400);
        let destroyed = world.sign_out(2, session);
        let issued = [at_0, at_1].map(|number| world.answer(number));
        for (reply, url) in issued
            .iter()
            .zip(["https://a.example/", "https://b.example/"])
        {
            if matches!(reply, Reply::Issued(Ok(_))) {
                let listed = destroyed
                    .services
                    .iter()
                    .any(|(_, service)| service.url == url);
                assert!(
                    listed,
                    "seed {seed}: {url} got a ticket and would not be told"
                );
            }
        }
    }
}

#[test]
fn a_logout_that_a_cut_off_node_missed_reaches_it_after_the_heal() {
    let mut world = World::new(3, 2);
    let session = world.sign_in(0);
    world.cut(0, 2);
    world.cut(1, 2);
    let destroyed = world.sign_out(0, session);
    assert_eq!(destroyed.missing, 1);
    assert_eq!(world.node(0).stats.logout_partial.load(Relaxed), 1);
    assert!(!world.node(2).store.is_destroyed(&session));
    world.heal();
    world.until("the logout arrives", |w| {
        w.node(2).store.is_destroyed(&session)
    });
}

#[test]
fn a_logout_hops_over_a_node_that_both_sides_reach() {
    let mut world = World::new(3, 2);
    let session = world.sign_in(0);
    // Only the link between the logout's node and one other is cut.
    world.cut(0, 2);
    let destroyed = world.sign_out(0, session);
    assert_eq!(destroyed.missing, 1);
    world.until("the neighbour passes it on", |w| {
        w.node(2).store.is_destroyed(&session)
    });
}

#[test]
fn a_logout_goes_around_a_link_that_has_been_down_for_long() {
    let mut world = World::new(3, 2);
    let session = world.sign_in(0);
    world.cut(0, 2);
    world.run_for(30_000 * MS);
    let destroyed = world.sign_out(0, session);
    assert_eq!(destroyed.missing, 1);
    let began = world.now;
    world.until("the neighbour passes it on", |w| {
        w.node(2).store.is_destroyed(&session)
    });
    assert!(
        world.now - began < 2_500 * MS,
        "{} microseconds",
        world.now - began
    );
}

#[test]
fn a_stopped_peer_delays_sessions_once_only() {
    let mut world = World::new(3, 6);
    world.cut(0, 2);
    world.cut(1, 2);
    let began = world.now;
    world.sign_in(0);
    let first = world.now - began;
    assert!(first <= 1_000 * MS, "{first} microseconds");
    let began = world.now;
    world.sign_in(0);
    assert!(
        world.now - began < 10 * MS,
        "the second sign-in waited for a peer known to lag"
    );
    assert_eq!(world.node(0).stats.create_partial.load(Relaxed), 2);
}

#[test]
fn a_session_used_elsewhere_is_not_idle() {
    let mut world = World::new(3, 8);
    let number = world.command(0, World::new_session("eve", 28_800_000, 60_000));
    let Reply::Created(Ok(created)) = world.answer(number) else {
        panic!("not created")
    };
    let session = created.body.key();
    world.run_for(50_000 * MS);
    world.issue(1, session);
    world.run_for(30_000 * MS);
    let own = world.node(2).store.own_time(world.now);
    assert_eq!(
        world.node(2).store.find(&session).unwrap().liveness(own),
        Liveness::Live
    );
    world.run_for(60_000 * MS);
    let own = world.node(2).store.own_time(world.now);
    assert_eq!(
        world.node(2).store.find(&session).unwrap().liveness(own),
        Liveness::Idle
    );
    let number = world.command(
        2,
        Command::Find {
            key: session,
            everyone: true,
        },
    );
    world.answer(number);
    assert!(
        !world.node(2).store.is_destroyed(&session),
        "idleness never writes a tombstone"
    );
    world.run_for(700_000 * MS);
    assert!(
        world.node(2).store.find(&session).is_none(),
        "forgotten after the grace"
    );
}

/// How often nodes have been told to go on with a logout.
fn duties(world: &World) -> usize {
    let events = world.nodes.iter().flatten().flat_map(|node| &node.events);
    let duty = |event: &&Event| matches!(event, Event::LogoutDuty { .. });
    events.filter(duty).count()
}

/// Gossip gives up a process that had no turn for a while, on a busy machine; its links outlast that. The
/// node that took the logout is at work, so nobody else may tell its applications.
#[test]
fn a_logout_stays_with_a_node_that_gossip_alone_believes_dead() {
    for seed in 0..20 {
        let mut world = World::new(3, seed);
        let session = world.sign_in(0);
        world.issue(0, session);
        world.sign_out(0, session);
        let member = world.node(0).member.clone();
        let here = |alive| {
            let member = member.clone();
            vec![GossipMember { member, alive }]
        };
        for (at, said) in [
            (1, here(false)),
            (2, vec![]),
            (1, here(true)),
            (2, here(true)),
        ] {
            world.input(at, Input::Gossip(said));
            world.run_for(3_000 * MS);
        }
        assert_eq!(duties(&world), 0, "seed {seed}");
        // Nor is it lost: whichever is noticed first, that it is dead or that the link is down.
        world.crash(0);
        world.until("somebody takes over", |w| duties(w) > 0);
        world.run_for(5_000 * MS);
        assert_eq!(duties(&world), 1, "seed {seed}");
    }
}

/// A link that breaks says nothing about the process behind it.
#[test]
fn a_logout_stays_with_a_node_whose_links_break() {
    let mut world = World::new(3, 9);
    let session = world.sign_in(0);
    world.issue(0, session);
    world.sign_out(0, session);
    for at in [1, 2] {
        world.blink(at, 0, 500 * MS);
    }
    world.run_for(5_000 * MS);
    assert_eq!(duties(&world), 0);
}

#[test]
fn a_logout_taken_by_a_node_that_comes_back_as_another_is_carried_on_once() {
    for seed in 0..20 {
        let mut world = World::new(3, seed);
        let session = world.sign_in(0);
        world.issue(0, session);
        world.sign_out(0, session);
        world.crash(0);
        world.start(0);
        world.run_for(8_000 * MS);
        assert_eq!(duties(&world), 1, "seed {seed}");
    }
}

#[test]
fn a_logout_taken_by_a_node_that_dies_is_carried_on_by_one_other() {
    let mut world = World::new(3, 9);
    let session = world.sign_in(0);
    world.issue(0, session);
    let destroyed = world.sign_out(0, session);
    assert_eq!(destroyed.services.len(), 1);
    world.crash(0);
    world.until("somebody takes over", |w| duties(w) > 0);
    world.run_for(5_000 * MS);
    assert_eq!(duties(&world), 1);
}

#[test]
fn what_was_told_is_not_told_again() {
    let mut world = World::new(3, 9);
    let session = world.sign_in(0);
    world.issue(0, session);
    let destroyed = world.sign_out(0, session);
    let told = destroyed
        .services
        .iter()
        .map(|(key, service)| (*key, service.stamp))
        .collect();
    let number = world.command(
        0,
        Command::Told {
            key: session,
            services: told,
        },
    );
    world.answer(number);
    world.run_for(100 * MS);
    world.crash(0);
    world.run_for(10_000 * MS);
    let duty = |event: &Event| matches!(event, Event::LogoutDuty { .. });
    assert!(
        !world
            .nodes
            .iter()
            .flatten()
            .any(|node| node.events.iter().any(duty))
    );
}

#[test]
fn a_child_never_outlives_its_root() {
    let mut world = World::new(3, 1);
    let number = world.command(0, World::new_session("bob", 4_000, 0));
    let Reply::Created(Ok(created)) = world.answer(number) else {
        panic!("not created")
    };
    let ticket = world.issue(0, created.body.key());
    assert_eq!(ticket.hard_expiry, created.body.hard_expiry);
}

#[test]
fn the_applications_of_an_expired_session_are_told_by_one_node_and_only_when_configured() {
    for tell in [true, false] {
        let mut world = World::with(3, 5, move |config| config.tell_expired = tell);
        let number = world.command(0, World::new_session("eve", 60_000, 0));
        let Reply::Created(Ok(created)) = world.answer(number) else {
            panic!("not created")
        };
        let session = created.body.key();
        world.issue(1, session);
        let silent = world.sign_in(2);
        world.run_for(80_000 * MS);
        assert!(world.node(0).store.entry(&session).is_none(), "forgotten");
        assert!(world.node(0).store.entry(&silent).is_some());
        let events = world.nodes.iter().flatten().flat_map(|node| &node.events);
        let told: Vec<_> = events
            .filter_map(|event| match event {
                Event::LogoutDuty { entry } => Some((entry.key, entry.services.len())),
                _ => None,
            })
            .collect();
        let expected = if tell { vec![(session, 1)] } else { vec![] };
        assert_eq!(told, expected);
    }
}

#[test]
fn a_session_that_takes_anothers_place_tells_its_applications_too() {
    let mut world = World::new(3, 4);
    let (old, new) = (world.sign_in(0), world.sign_in(1));
    world.issue(0, old);
    world.run_for(50 * MS);
    let services = world.node(1).store.services(&old);
    let number = world.command(1, Command::Adopt { key: new, services });
    world.answer(number);
    world.until("the others know", |w| {
        (0..3).all(|node| w.node(node).store.services(&new).len() == 1)
    });
    assert_eq!(world.sign_out(2, new).services.len(), 1);
}

/// That a link is down is what ends waiting for a peer that has subscribed: gossip alone would leave it
/// subscribed, and every logout would wait a second for the dead and count as partial.
#[test]
fn a_logout_does_not_wait_for_a_peer_whose_link_is_down_and_who_is_dead() {
    for seed in 0..10 {
        let mut world = World::new(3, seed);
        let session = world.sign_in(0);
        world.crash(2);
        world.run_for(4_000 * MS);
        let began = world.now;
        let destroyed = world.sign_out(0, session);
        assert_eq!((destroyed.acked, destroyed.missing), (1, 0), "seed {seed}");
        assert!(world.now - began < 10 * MS, "{}", world.now - began);
        assert_eq!(world.node(0).stats.logout_partial.load(Relaxed), 0);
    }
}
