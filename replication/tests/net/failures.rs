//! Processes that die, stop, and come back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use castor_proto::ids::Member;
use castor_proto::seal::KeyRing;
use castor_replication::driver::{NetEvent, NetworkConfig, fresh_incarnation};

use crate::world::{PATIENCE, World, key, name, stream};

#[test]
fn a_killed_node_is_back_within_a_second_of_its_return() {
    let world = World::new("blue");
    let mut nodes = world.cluster(3);
    for _round in 0..3 {
        let killed = nodes.remove(1);
        let old = killed.me.clone();
        let address = killed.kill();
        let seed = nodes[0].address();
        let began = Instant::now();
        let mut back = world.start_at(old.node.as_str(), address, &[seed]);
        let new = back.me.clone();
        for node in &mut nodes {
            node.until_linked_within(&new, Duration::from_secs(1));
            back.until_linked_within(&node.me, Duration::from_secs(1));
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
        for node in &nodes {
            node.network.post(&new, &stream(7)).unwrap();
            assert!(
                node.network.post(&old, &stream(7)).is_err(),
                "the old process is gone"
            );
        }
        nodes.insert(1, back);
    }
}

#[test]
fn a_dead_node_is_found_within_two_seconds_and_stays_dead_to_gossip_until_its_return() {
    let world = World::new("blue");
    let mut nodes = world.cluster(3);
    let dead = nodes[2].me.clone();
    for node in &mut nodes[..2] {
        node.until_alive(&dead, true, PATIENCE);
    }
    let began = Instant::now();
    nodes.remove(2).kill();
    for node in &mut nodes {
        node.until_alive(&dead, false, Duration::from_millis(2_500));
    }
    let took = began.elapsed();
    eprintln!("found dead after {took:?}");
    assert!(took <= Duration::from_secs(2), "{took:?}");
}

#[test]
fn busy_processors_make_nobody_look_dead() {
    let world = World::new("blue");
    let mut nodes = world.cluster(3);
    let members: Vec<_> = nodes.iter().map(|node| node.me.clone()).collect();
    for node in &mut nodes {
        let me = node.me.clone();
        for member in members.iter().filter(|member| **member != me) {
            node.until_alive(member, true, PATIENCE);
        }
    }
    let busy = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut sum = 0u64;
                while busy.load(Ordering::Relaxed) {
                    sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(1));
                }
            });
        }
        let end = Instant::now() + Duration::from_secs(8);
        let bad = |event: &NetEvent| match event {
            NetEvent::Gossip(members) => members.iter().any(|member| !member.alive),
            NetEvent::LinkDown(_) => true,
            _ => false,
        };
        let mut suspected = Vec::new();
        while Instant::now() < end {
            for node in &mut nodes {
                while let Ok(event) = node.events.try_recv() {
                    if bad(&event) {
                        suspected.push(format!("{}: {event:?}", node.me.node));
                    }
                }
            }
            std::thread::yield_now();
        }
        busy.store(false, Ordering::Relaxed);
        assert!(suspected.is_empty(), "{suspected:?}");
    });
}

#[test]
fn a_second_process_of_a_name_is_told_where_the_first_is_and_changes_nothing() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let (first, peer) = (nodes[0].me.clone(), nodes[1].me.clone());
    let address = nodes[0].address();
    let mut double = world.start("n1", &[nodes[1].address()]);
    let began = Instant::now();
    let why = double.expect("fatal", PATIENCE, |event| match event {
        NetEvent::Fatal(why) => Some(why),
        NetEvent::LinkUp(member) => panic!("linked to {member:?}"),
        _ => None,
    });
    assert!(why.contains(&address.to_string()), "{why}");
    assert!(
        began.elapsed() >= Duration::from_secs(2),
        "retried for the detection time"
    );
    assert!(nodes[1].metrics.rejected_count("name_in_use") > 1);
    nodes[0].network.post(&peer, &stream(1)).unwrap();
    assert_eq!(nodes[1].messages(&first, 1), [stream(1)]);
    nodes[0].expect_none(Duration::from_millis(1), |event| {
        matches!(event, NetEvent::LinkDown(_) | NetEvent::Fatal(_))
    });
}

#[test]
fn a_frozen_process_gives_its_name_away_and_learns_of_it_when_it_wakes() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let frozen = nodes.remove(0);
    let thaw = frozen.freeze();
    let mut heir = world.start("n1", &[nodes[0].address()]);
    let (heir_member, peer) = (heir.me.clone(), nodes[0].me.clone());
    nodes[0].until_linked_within(&heir_member, Duration::from_secs(5));
    heir.until_linked(&peer);
    drop(thaw);
    let mut woken = frozen;
    let why = woken.expect("fatal", PATIENCE, |event| match event {
        NetEvent::Fatal(why) => Some(why),
        _ => None,
    });
    assert!(why.contains(&heir.address().to_string()), "{why}");
    heir.network.post(&peer, &stream(1)).unwrap();
    assert_eq!(nodes[0].messages(&heir_member, 1), [stream(1)]);
}

#[test]
fn a_process_that_lost_its_name_to_a_newer_one_is_reported_down() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let frozen = nodes.remove(0);
    let thaw = frozen.freeze();
    let mut heir = world.start("n1", &[nodes[0].address()]);
    let (old, new) = (frozen.me.clone(), heir.me.clone());
    let (mut down, mut up) = (false, false);
    nodes[0].expect("change of processes", PATIENCE, |event| {
        match event {
            NetEvent::LinkDown(member) if member == old => down = true,
            NetEvent::LinkUp(member) if member == new => up = true,
            NetEvent::LinkDown(member) => panic!("{member:?} is up"),
            _ => {}
        }
        (down && up).then_some(())
    });
    heir.until_linked(&nodes[0].me);
    let links = nodes[0].network.links();
    assert_eq!(links.len(), 1, "{links:?}");
    assert_eq!(links[0].member, new);
    drop(thaw);
}

#[test]
fn a_stopped_peer_does_not_disturb_the_others() {
    let world = World::new("blue");
    let mut nodes = world.cluster(3);
    let thaw = nodes[2].freeze();
    let (first, second) = (nodes[0].me.clone(), nodes[1].me.clone());
    let end = Instant::now() + Duration::from_secs(3);
    let mut number = 0;
    while Instant::now() < end {
        nodes[0].network.post(&second, &stream(number)).unwrap();
        let sent = Instant::now();
        assert_eq!(nodes[1].messages(&first, 1), [stream(number)]);
        assert!(
            sent.elapsed() < Duration::from_secs(1),
            "{:?}",
            sent.elapsed()
        );
        number += 1;
    }
    assert!(number > 50, "only {number} messages in three seconds");
    drop(thaw);
    let third = nodes[2].me.clone();
    nodes[0].until_linked(&third);
}

#[test]
fn seeds_that_never_answered_are_counted() {
    let world = World::new("blue");
    let free = std::net::UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let seed = world.start("n1", &[]);
    let mut node = world.start("n2", &[seed.address(), free]);
    let silent = |event: NetEvent, wanted: usize| match event {
        NetEvent::SilentSeeds(count) => (count == wanted).then_some(()),
        _ => None,
    };
    node.expect("two silent seeds", PATIENCE, |event| silent(event, 2));
    node.expect("one silent seed", PATIENCE, |event| silent(event, 1));
    let _late = world.start_at("n3", free, &[]);
    node.expect("no silent seed", PATIENCE, |event| silent(event, 0));
}

#[test]
fn a_seed_that_refuses_has_not_answered() {
    let world = World::new("blue");
    let seed = world.start("n1", &[]);
    // Same authority, same name: only the keys have nothing in common.
    let other = World {
        ring: std::sync::Arc::new(KeyRing::new(None, key(7), None).unwrap()),
        ..world
    };
    let mut node = other.start("n2", &[seed.address()]);
    seed.until_refused_at_least("unknown_key", 2);
    node.expect_none(Duration::from_millis(1), |event| {
        matches!(event, NetEvent::SilentSeeds(0) | NetEvent::LinkUp(_))
    });
    // Neither has one that belongs to another process of the same name.
    let mut double = other.start("n2", &[node.address()]);
    double.expect("fatal", PATIENCE, |event| match event {
        NetEvent::Fatal(why) => Some(why),
        NetEvent::SilentSeeds(0) => panic!("a refusal counted as an answer"),
        _ => None,
    });
    // Its own address does count.
    let mut alone = world_of_its_own();
    alone.expect("no silent seed", PATIENCE, |event| match event {
        NetEvent::SilentSeeds(0) => Some(()),
        _ => None,
    });
}

/// A node whose only seed is itself, by an address that it does not advertise.
fn world_of_its_own() -> crate::world::Process {
    let free = std::net::UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let advertised = ([127, 0, 0, 2], free.port()).into();
    let me = Member {
        node: name("n1"),
        incarnation: fresh_incarnation().unwrap(),
    };
    let listen = ([0, 0, 0, 0], free.port()).into();
    let config = NetworkConfig::new(me, listen, advertised, vec![free.to_string()]);
    World::new("blue").start_with(config)
}
