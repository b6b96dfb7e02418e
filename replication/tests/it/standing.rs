//! Who is there, as a node tells it to people: gossip and the links do not always say the same.

use castor_replication::engine::{Command, GossipMember, Input, PeerStatus, Removal, Reply};
use castor_sim::world::{MS, World};

fn seen(world: &World, by: usize, of: usize) -> PeerStatus {
    let member = &world.node(of).member;
    let peers = world.node(by).engine.status().peers;
    peers
        .into_iter()
        .find(|peer| peer.node == member.node)
        .unwrap()
}

/// Tells the first node what gossip believes of the second; the third is alive.
fn gossip(world: &mut World, alive: bool) {
    let members = [(1, alive), (2, true)].map(|(i, alive)| GossipMember {
        member: world.node(i).member.clone(),
        alive,
    });
    world.input(0, Input::Gossip(members.to_vec()));
}

/// The link to a killed process lasts until it has been idle for long enough; gossip knows sooner.
#[test]
fn a_peer_is_gone_when_gossip_says_so_though_its_link_lasts() {
    for seed in 0..20 {
        let mut world = World::new(3, seed);
        world.run_for(1_000 * MS);
        assert!(seen(&world, 0, 1).there, "seed {seed}");
        world.freeze(1, 10_000 * MS);
        world.run_for(1_500 * MS);
        assert!(
            seen(&world, 0, 1).there,
            "seed {seed}: a pause alone tells nothing"
        );
        gossip(&mut world, false);
        let gone = seen(&world, 0, 1);
        assert!(gone.link && !gone.there, "seed {seed}: {gone:?}");
        world.run_for(500 * MS);
        assert!(!seen(&world, 0, 1).there, "seed {seed}");
        world.until("it is a member again", |w| seen(w, 0, 2).there);
    }
}

/// Gossip's word comes late after this process was stopped for a while: an answer is newer.
#[test]
fn a_peer_that_answers_is_there_whatever_gossip_says() {
    for seed in 0..20 {
        let mut world = World::new(3, seed);
        world.run_for(1_000 * MS);
        gossip(&mut world, false);
        assert!(!seen(&world, 0, 1).there, "seed {seed}");
        let answered = |w: &World| seen(w, 0, 1).there;
        world.until("it has answered a heartbeat", answered);
        assert_eq!(seen(&world, 0, 1).alive, Some(false), "seed {seed}");
        gossip(&mut world, true);
        assert!(seen(&world, 0, 1).there, "seed {seed}");
    }
}

/// A process that has just started is linked before gossip has met it.
#[test]
fn a_peer_that_is_linked_before_gossip_knows_it_is_there() {
    for seed in 0..20 {
        let mut world = World::new(3, seed);
        world.crash(1);
        world.run_for(2_500 * MS);
        gossip_without_second(&mut world);
        world.start(1);
        let member = world.node(1).member.clone();
        let linked = |w: &World| {
            let now = seen(w, 0, 1);
            now.link && now.member.as_ref() == Some(&member)
        };
        world.until("the new one is linked", linked);
        let peer = seen(&world, 0, 1);
        assert!(peer.there, "seed {seed}: {peer:?}");
    }
}

fn gossip_without_second(world: &mut World) {
    let third = GossipMember {
        member: world.node(2).member.clone(),
        alive: true,
    };
    world.input(0, Input::Gossip(vec![third]));
}

fn knows(world: &World, by: usize, of: usize) -> bool {
    let name = World::name(of);
    world.node(by).engine.known_nodes().contains(&name)
}

fn is_gone(world: &World, by: usize, of: usize) -> bool {
    let peers = world.node(by).engine.status().peers;
    let peer = peers.into_iter().find(|peer| peer.node == World::name(of));
    peer.is_some_and(|peer| !peer.there && !peer.link)
}

fn remove(world: &mut World, at: usize, node: castor_proto::ids::NodeName) -> Removal {
    let number = world.command(at, Command::Remove(node));
    match world.answer(number) {
        Reply::Removal(removal) => removal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_a_node_that_is_gone_is_removed() {
    let mut world = World::new(3, 7);
    let third = world.node(2).member.clone();
    assert_eq!(remove(&mut world, 0, World::name(2)), Removal::There);
    assert_eq!(remove(&mut world, 0, World::name(0)), Removal::Own);
    let stranger = castor_proto::ids::NodeName::parse("stranger").unwrap();
    assert_eq!(remove(&mut world, 0, stranger), Removal::Unknown);
    // Another node's operator may be mistaken, or this side of a cut may know better.
    world.input(0, Input::Removed(third.clone()));
    assert!(knows(&world, 0, 2));

    world.crash(2);
    world.until("it is gone", |w| is_gone(w, 0, 2) && is_gone(w, 1, 2));
    assert_eq!(
        remove(&mut world, 0, World::name(2)),
        Removal::Done(third.clone())
    );
    assert!(!knows(&world, 0, 2) && knows(&world, 1, 2));
    world.input(1, Input::Removed(third.clone()));
    assert!(!knows(&world, 1, 2));
    assert_eq!(remove(&mut world, 0, World::name(2)), Removal::Unknown);

    // The node is set up again: a word of its earlier process means nothing.
    world.start(2);
    world.until("it is ready", |w| w.is_ready(2));
    world.input(0, Input::Removed(third));
    assert!(knows(&world, 0, 2) && knows(&world, 1, 2));
}

/// The operator took a cut for the end of a node: after the heal nothing is missing on either side.
#[test]
fn a_removed_node_that_was_only_cut_off_is_a_member_again_and_complete() {
    for seed in 0..20 {
        let mut world = World::new(3, seed);
        let before = world.sign_in(0);
        world.cut(0, 2);
        world.cut(1, 2);
        world.until("it seems gone", |w| is_gone(w, 0, 2));
        let removal = remove(&mut world, 0, World::name(2));
        assert!(
            matches!(removal, Removal::Done(_)),
            "seed {seed}: {removal:?}"
        );
        world.sign_out(0, before);
        let here = world.sign_in(1);
        let there = world.sign_in(2);
        world.heal();
        world.until("all is everywhere", |w| {
            let complete = |i: usize| {
                let store = &w.node(i).store;
                store.is_destroyed(&before)
                    && store.find(&here).is_some()
                    && store.find(&there).is_some()
            };
            (0..3).all(complete) && w.converged()
        });
        world.until("it is a member again", |w| seen(w, 0, 2).there);
    }
}
