//! Who is there, as a node tells it to people: gossip and the links do not always say the same.

use castor_replication::engine::{GossipMember, Input, PeerStatus};
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
        assert!(seen(&world, 0, 2).there, "seed {seed}");
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
