//! Links that work: all lanes, order, bounds, renewed keys and certificates.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use castor_proto::ids::Member;
use castor_proto::message::{PeerMessage, Phase};
use castor_proto::seal::KeyRing;
use castor_proto::version::VersionRange;
use castor_replication::driver::NetEvent;
use castor_replication::driver::network::SendError;

use crate::world::{PATIENCE, World, bulk, fast, key, stream};

#[test]
fn three_nodes_find_each_other_through_one_seed_and_every_lane_works() {
    let world = World::new("blue");
    let mut nodes = world.cluster(3);
    let members: Vec<_> = nodes.iter().map(|node| node.me.clone()).collect();
    for (from, sender) in nodes.iter().enumerate() {
        for (to, member) in members.iter().enumerate().filter(|(to, _)| *to != from) {
            let number = (from * 10 + to) as u64;
            for message in [fast(number), stream(number), bulk(number)] {
                sender.network.post(member, &message).unwrap();
            }
        }
    }
    for (to, node) in nodes.iter_mut().enumerate() {
        // Lanes and peers overtake each other; what matters is that each message arrives once.
        let mut received: BTreeMap<Member, Vec<PeerMessage>> = BTreeMap::new();
        while received.values().map(Vec::len).sum::<usize>() < 6 {
            let (from, messages) = node.expect("messages", PATIENCE, |event| match event {
                NetEvent::Messages(from, messages) => Some((from, messages)),
                _ => None,
            });
            received.entry(from).or_default().extend(messages);
        }
        for (from, member) in members.iter().enumerate().filter(|(from, _)| *from != to) {
            let number = (from * 10 + to) as u64;
            for message in [fast(number), stream(number), bulk(number)] {
                assert!(
                    received[member].contains(&message),
                    "{message:?} of {from} at {to}"
                );
            }
            node.until_alive(member, true, PATIENCE);
        }
        assert_eq!(node.network.links().len(), 2);
        assert_eq!(node.metrics.rejected_count("replay"), 0);
    }
}

#[test]
fn a_lane_keeps_its_order_under_load() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let to = nodes[1].me.clone();
    let from = nodes[0].me.clone();
    for number in 0..10_000 {
        nodes[0].network.post(&to, &stream(number)).unwrap();
    }
    let received = nodes[1].messages(&from, 10_000);
    let expected: Vec<PeerMessage> = (0..10_000).map(stream).collect();
    assert!(received == expected, "lost, doubled or out of order");
}

#[test]
fn a_receiver_that_is_behind_fills_the_senders_queue_and_nothing_is_lost_or_grows() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let to = nodes[1].me.clone();
    let from = nodes[0].me.clone();
    // Nobody takes events at the second node now; each message is a largest ticket body.
    let body: Arc<[u8]> = vec![7; 64 << 10].into();
    let message = |number| PeerMessage::Store {
        rpc: number,
        body: Arc::clone(&body),
    };
    let end = Instant::now() + PATIENCE;
    let (mut sent, mut full) = (0, 0);
    while full < 1_000 {
        assert!(Instant::now() < end, "{sent} messages of 64 KiB found room");
        match nodes[0].network.post(&to, &message(sent)) {
            Ok(()) => {
                sent += 1;
                full = 0;
            }
            Err(SendError::Full) => {
                full += 1;
                std::thread::yield_now();
            }
            Err(error) => panic!("{error}"),
        }
    }
    // The queue (8 MiB), what QUIC has under way, and the events that wait: all bounded.
    assert!(sent < 256 * 8 * 2, "{sent} messages of 64 KiB under way");
    let received = nodes[1].messages(&from, sent as usize);
    let mut numbers: Vec<u64> = received
        .iter()
        .map(|message| match message {
            PeerMessage::Store { rpc, .. } => *rpc,
            other => panic!("{other:?}"),
        })
        .collect();
    // Streams of the fast lane overtake each other.
    numbers.sort_unstable();
    assert_eq!(numbers, (0..sent).collect::<Vec<u64>>());
}

#[test]
fn a_message_beyond_every_batch_is_refused_counted_and_costs_no_link() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let (to, from) = (nodes[1].me.clone(), nodes[0].me.clone());
    let message = |bytes: usize| PeerMessage::Store {
        rpc: 1,
        body: vec![7; bytes].into(),
    };
    let posted = nodes[0]
        .network
        .post(&to, &message(castor_proto::limits::DECODE_MAX));
    assert_eq!(posted, Err(SendError::TooLarge));
    let lane = match message(0).lane() {
        castor_proto::message::Lane::Fast => "fast",
        castor_proto::message::Lane::Stream => "stream",
        castor_proto::message::Lane::Bulk => "bulk",
    };
    assert_eq!(nodes[0].metrics.oversize("n2", lane).get(), 1);
    nodes[0].network.post(&to, &message(1)).unwrap();
    assert_eq!(nodes[1].messages(&from, 1), [message(1)]);
    nodes[0].expect_none(Duration::from_millis(1), |event| {
        matches!(event, NetEvent::LinkDown(_))
    });
}

#[test]
fn a_key_installed_everywhere_as_next_can_be_used_without_a_pause() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let (to, from) = (nodes[1].me.clone(), nodes[0].me.clone());
    let ring = |previous, current, next| Arc::new(KeyRing::new(previous, current, next).unwrap());
    nodes[0].network.post(&to, &stream(1)).unwrap();
    assert_eq!(nodes[1].messages(&from, 1), [stream(1)]);
    for node in &nodes {
        node.network.set_ring(ring(None, key(1), Some(key(2))));
    }
    // The sender is ahead of the receiver, as in every change.
    nodes[0].network.set_ring(ring(Some(key(1)), key(2), None));
    nodes[0].network.post(&to, &stream(2)).unwrap();
    assert_eq!(nodes[1].messages(&from, 1), [stream(2)]);
    nodes[1].network.set_ring(ring(Some(key(1)), key(2), None));
    nodes[1].network.post(&from, &stream(3)).unwrap();
    assert_eq!(nodes[0].messages(&to, 1), [stream(3)]);
    // A node that missed the change is refused by name of the key, not by silence.
    nodes[0].network.set_ring(ring(None, key(3), None));
    nodes[0].network.post(&to, &stream(4)).unwrap();
    nodes[1].until_rejected("unknown_key", 1);
}

#[test]
fn a_renewed_certificate_is_taken_up_without_losing_a_message_or_a_link() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let (to, from) = (nodes[1].me.clone(), nodes[0].me.clone());
    let mut next = 0;
    let mut received = Vec::new();
    for _round in 0..3 {
        // Another key too: envelopes of the new link are signed with it.
        nodes[0]
            .network
            .set_identity(&world.identity("n1"))
            .unwrap();
        let end = Instant::now() + Duration::from_millis(700);
        while Instant::now() < end {
            if nodes[0].network.post(&to, &stream(next)).is_ok() {
                next += 1;
            }
            let messages = nodes[1].expect("messages", PATIENCE, |event| match event {
                NetEvent::Messages(member, messages) if member == from => Some(messages),
                NetEvent::LinkDown(member) => panic!("link to {member:?} went down"),
                _ => None,
            });
            received.extend(messages);
        }
    }
    let missing = next as usize - received.len();
    received.extend(if missing > 0 {
        nodes[1].messages(&from, missing)
    } else {
        vec![]
    });
    let expected: Vec<PeerMessage> = (0..next).map(stream).collect();
    assert!(received == expected, "lost, doubled or out of order");
    assert!(
        nodes
            .iter()
            .all(|node| node.metrics.rejected_count("replay") == 0)
    );
    nodes[0].expect_none(Duration::from_millis(1), |event| {
        matches!(event, NetEvent::LinkDown(_) | NetEvent::LinkUp(_))
    });
}

#[test]
fn phases_and_facts_travel_by_gossip() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let first = nodes[0].me.clone();
    nodes[1].until_alive(&first, true, PATIENCE);
    nodes[0].network.set_phase(Phase::Ready);
    let end = Instant::now() + PATIENCE;
    loop {
        let seen = nodes[1].network.members();
        let info = seen.iter().find(|info| info.member == first).unwrap();
        if info.phase == Some(Phase::Ready) {
            assert_eq!(info.wire, Some(VersionRange::SUPPORTED.to_string()));
            break;
        }
        assert!(Instant::now() < end, "{info:?}");
        std::thread::yield_now();
    }
    let network = nodes[0].network.clone();
    let refused = crate::world::runtime().block_on(network.publish("Ä", "x"));
    assert!(refused.is_err());
}

#[test]
fn a_farewell_is_noticed_at_once() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let leaving = nodes.remove(0);
    let member = leaving.me.clone();
    leaving.network.post(&nodes[0].me, &stream(1)).unwrap();
    let network = leaving.network.clone();
    let runtime = leaving.runtime.as_ref().unwrap();
    runtime.block_on(network.shutdown());
    let mut said = false;
    nodes[0].expect("farewell", Duration::from_secs(1), |event| match event {
        NetEvent::Messages(_, messages) => {
            said |= messages.contains(&stream(1));
            None
        }
        NetEvent::LinkDown(down) if down == member => Some(()),
        _ => None,
    });
    assert!(said, "what was queued was sent first");
}

#[test]
fn a_banned_node_is_refused_and_told() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let (first, second) = (nodes[0].me.clone(), nodes[1].me.clone());
    nodes[0].network.ban(&second.node);
    let down = |event: NetEvent, who: &Member| match event {
        NetEvent::LinkDown(member) if member == *who => Some(()),
        _ => None,
    };
    nodes[0].expect("end of the link", PATIENCE, |event| down(event, &second));
    let why = nodes[1].expect("end of the process", PATIENCE, |event| match event {
        NetEvent::Fatal(why) => Some(why),
        _ => None,
    });
    assert!(why.contains("banned"), "{why}");
    assert!(nodes[0].metrics.rejected_count("banned") > 0);
    nodes[0].network.unban(&second.node);
    nodes[0].until_linked(&second);
    nodes[1].until_linked(&first);
}
