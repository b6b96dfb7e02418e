//! What is refused, and under which reason it is counted; nothing else changes.

use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use castor_proto::frame::{LAYOUT, MAGIC};
use castor_proto::hello::{HelloAnswer, Refusal};
use castor_proto::ids::Member;
use castor_proto::message::{Lane, PeerMessage};
use castor_proto::seal::{KeyRing, NodeSigner};
use castor_proto::version::VersionRange;
use castor_replication::driver::NetEvent;
use castor_replication::driver::network::MemberInfo;

use crate::stranger::{Change, Stranger, framed};
use crate::world::{PATIENCE, Process, World, key, name, runtime, some_incarnation, stream};

fn refusal(answer: Option<HelloAnswer>) -> Refusal {
    match answer {
        Some(HelloAnswer::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn header(kind: u16, length: u32) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&LAYOUT.to_le_bytes());
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes
}

#[test]
fn a_node_of_another_authority_is_refused_counted_and_changes_nothing() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    // The same cluster name, an authority of its own.
    let other = World::new("blue");
    let mut rogue = other.start("n3", &[nodes[0].address()]);
    rogue.expect_none(Duration::from_secs(2), |event| {
        matches!(
            event,
            NetEvent::LinkUp(_) | NetEvent::Gossip(_) | NetEvent::Messages(..)
        )
    });
    assert!(
        nodes[0].metrics.rejected_count("tls") > 0,
        "counted where it knocked"
    );
    assert!(
        rogue.metrics.rejected_count("tls") > 0,
        "and where it came from"
    );
    unharmed(&mut nodes);
}

#[test]
fn a_node_of_another_cluster_is_refused_by_name() {
    let blue = World::new("blue");
    let mut nodes = blue.cluster(2);
    let green = World::new("green");
    let mut rogue = green.start("n3", &[nodes[0].address()]);
    rogue.expect_none(Duration::from_secs(2), |event| {
        matches!(event, NetEvent::LinkUp(_))
    });
    assert!(nodes[0].metrics.rejected_count("tls") > 0);
    // With a certificate of this cluster, but talking of another.
    let stranger = Stranger::connect(&blue.identity("n3"), &blue.ring, nodes[0].address()).unwrap();
    let mut hello = stranger.own_hello();
    hello.cluster = castor_proto::hello::ClusterTag::of("green");
    assert_eq!(refusal(stranger.hello(&hello)), Refusal::OtherCluster);
    nodes[0].until_rejected("cluster", 1);
    unharmed(&mut nodes);
}

#[test]
fn a_hello_that_does_not_fit_is_refused_with_its_reason() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let at = nodes[0].address();
    let knock = |change: &dyn Fn(&mut castor_proto::hello::Hello)| {
        let stranger = Stranger::connect(&world.identity("n3"), &world.ring, at).unwrap();
        let mut hello = stranger.own_hello();
        change(&mut hello);
        refusal(stranger.hello(&hello))
    };
    assert_eq!(
        knock(&|hello| hello.node = name("n4")),
        Refusal::NotYourName
    );
    assert_eq!(
        knock(&|hello| hello.wire = VersionRange { min: 7, max: 9 }),
        Refusal::NoCommonVersion(VersionRange::SUPPORTED)
    );
    assert_eq!(knock(&|hello| hello.keys = vec![77]), Refusal::NoCommonKey);
    assert_eq!(
        knock(&|hello| hello.advertise = "nowhere".into()),
        Refusal::Malformed
    );
    assert_eq!(knock(&|hello| hello.keys = vec![1; 9]), Refusal::Malformed);
    for (reason, times) in [
        ("sender", 1),
        ("version", 1),
        ("unknown_key", 1),
        ("hello", 2),
    ] {
        nodes[0].until_rejected(reason, times);
    }
    // Its own name, from another process.
    let twin = Stranger::connect(&world.identity("n1"), &world.ring, at).unwrap();
    let refused = refusal(twin.hello(&twin.own_hello()));
    assert_eq!(
        refused,
        Refusal::NameInUse {
            address: at.to_string()
        }
    );
    unharmed(&mut nodes);
}

#[test]
fn junk_instead_of_a_hello_ends_the_connection_only() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let at = nodes[0].address();
    let knock = |bytes: &[u8]| {
        let stranger = Stranger::connect(&world.identity("n3"), &world.ring, at).unwrap();
        assert!(stranger.say(bytes).is_none());
    };
    knock(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    knock(&header(1, u32::MAX));
    knock(&header(3, 10));
    knock(&header(1, 10));
    let mut not_a_hello = header(1, 3);
    not_a_hello.extend_from_slice(&[0xff; 3]);
    knock(&not_a_hello);
    for (reason, times) in [
        ("frame", 2),
        ("oversize", 1),
        ("truncated", 1),
        ("hello", 1),
    ] {
        nodes[0].until_rejected(reason, times);
    }
    unharmed(&mut nodes);
}

#[test]
fn junk_datagrams_are_counted_and_dropped() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut junk: Vec<Vec<u8>> = (0..100u8)
        .map(|seed| (0..200u8).map(|at| at.wrapping_mul(seed) & 0x3f).collect())
        .collect();
    // A QUIC version that is not ours, and a connection id that nobody gave out.
    junk.push([[0xc0, 0xde, 0xad, 0xbe, 0xef].as_slice(), &[0; 1_200]].concat());
    junk.push([[0x40].as_slice(), &[0x55; 60]].concat());
    for datagram in &junk {
        socket.send_to(datagram, nodes[0].address()).unwrap();
    }
    nodes[0].until_rejected("junk", junk.len() as u64);
    unharmed(&mut nodes);
}

#[test]
fn altered_replayed_and_misdirected_envelopes_are_dropped_by_reason() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let node = &mut nodes[0];
    let stranger = Stranger::accepted(&world, "n9", node.address());
    let mut lane = stranger.open(Lane::Stream as u8);
    let from = Member {
        node: name("n9"),
        incarnation: some_incarnation(9),
    };
    let good = |sequence| framed(&stranger.envelope("n1", sequence, Change::default()));

    stranger.write(&mut lane, &good(5));
    assert_eq!(node.messages(&from, 1), [subscribe(5)]);

    let mut counts = std::collections::BTreeMap::new();
    for (reason, bytes) in bad_envelopes(&stranger) {
        stranger.write(&mut lane, &bytes);
        *counts.entry(reason).or_insert(0) += 1;
    }
    // The stream is still in step: what is good goes through, and only that.
    stranger.write(&mut lane, &good(100));
    assert_eq!(node.messages(&from, 1), [subscribe(100)]);
    for (reason, times) in counts {
        node.until_rejected(reason, times);
    }
    unharmed(&mut nodes);
}

/// Envelopes that are each wrong in one way, with the reason.
fn bad_envelopes(stranger: &Stranger) -> Vec<(&'static str, Vec<u8>)> {
    let good = |sequence| framed(&stranger.envelope("n1", sequence, Change::default()));
    let ring = |key| Some(Arc::new(KeyRing::new(None, key, None).unwrap()));
    let mut other_secret =
        castor_proto::seal::ClusterKey::new(castor_proto::seal::KeyId(1), [99; 32].into(), 0);
    let wrong_secret = ring(other_secret.clone());
    other_secret = key(2);
    vec![
        ("replay", good(5)),
        ("replay", good(4)),
        (
            "receiver",
            framed(&stranger.envelope("n2", 6, Change::default())),
        ),
        (
            "cluster",
            made(
                stranger,
                Change {
                    cluster: Some("green"),
                    ..Change::default()
                },
            ),
        ),
        (
            "sender",
            made(
                stranger,
                Change {
                    sender: Some("n2"),
                    ..Change::default()
                },
            ),
        ),
        (
            "sender",
            made(
                stranger,
                Change {
                    incarnation: Some(some_incarnation(8)),
                    ..Change::default()
                },
            ),
        ),
        (
            "replay",
            made(
                stranger,
                Change {
                    lane: Some(Lane::Fast),
                    ..Change::default()
                },
            ),
        ),
        (
            "unknown_key",
            made(
                stranger,
                Change {
                    ring: ring(other_secret),
                    ..Change::default()
                },
            ),
        ),
        (
            "aead",
            made(
                stranger,
                Change {
                    ring: wrong_secret,
                    ..Change::default()
                },
            ),
        ),
        (
            "signature",
            made(
                stranger,
                Change {
                    signer: Some(Arc::new(NodeSigner::from_seed(&[1; 32]).unwrap())),
                    ..Change::default()
                },
            ),
        ),
        ("signature", {
            let mut envelope = stranger.envelope("n1", 6, Change::default());
            let middle = envelope.len() - 70;
            envelope[middle] ^= 1;
            framed(&envelope)
        }),
        ("version", {
            let mut envelope = stranger.envelope("n1", 6, Change::default());
            envelope[0] = 9;
            framed(&envelope)
        }),
        (
            "truncated",
            framed(&stranger.envelope("n1", 6, Change::default())[..80]),
        ),
        (
            "decode",
            made(
                stranger,
                Change {
                    payload: Some(vec![0xff; 9]),
                    ..Change::default()
                },
            ),
        ),
    ]
}

fn made(stranger: &Stranger, change: Change) -> Vec<u8> {
    framed(&stranger.envelope("n1", 6, change))
}

fn subscribe(sequence: u64) -> PeerMessage {
    PeerMessage::Subscribe {
        nonce: sequence,
        have: 0,
    }
}

#[test]
fn a_message_on_a_lane_that_is_not_its_own_is_refused() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let stranger = Stranger::accepted(&world, "n9", nodes[0].address());
    let mut lane = stranger.open(Lane::Bulk as u8);
    // Sealed for the bulk lane, but a subscription belongs on the stream lane.
    let change = Change {
        lane: Some(Lane::Bulk),
        ..Change::default()
    };
    stranger.write(&mut lane, &made(&stranger, change));
    nodes[0].until_rejected("decode", 1);
    unharmed(&mut nodes);
}

/// Digests beyond what a message may hold, and a digest round on a link of wire version 1.
#[test]
fn oversized_digests_and_messages_of_a_newer_version_are_refused() {
    use castor_proto::limits::DIGEST_KEYS_MAX;
    use castor_proto::rounds::{Asked, Standing, Told};

    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let stranger = Stranger::accepted(&world, "n9", nodes[0].address());
    let mut lane = stranger.open(Lane::Bulk as u8);
    let mut sequence = 0;
    let mut say = |message: PeerMessage| {
        sequence += 1;
        let change = Change {
            lane: Some(Lane::Bulk),
            payload: Some(castor_proto::codec::encode(&vec![message])),
            ..Change::default()
        };
        stranger.write(
            &mut lane,
            &framed(&stranger.envelope("n1", sequence, change)),
        );
    };
    let round = |asked| PeerMessage::RoundRequest { rpc: 1, asked };
    let states = |count| Told::States(vec![1; count]);
    say(round(Asked::States(vec![
        castor_proto::ticket::TicketKey(
            [1; 16]
        );
        DIGEST_KEYS_MAX + 1
    ])));
    for told in [states(DIGEST_KEYS_MAX + 1), Told::Shards(0, vec![0; 255])] {
        say(PeerMessage::RoundReply {
            rpc: 1,
            standing: Standing::default(),
            told,
        });
    }
    nodes[0].until_rejected("limit", 3);
    unharmed(&mut nodes);

    let mut old =
        Stranger::connect(&world.identity("n8"), &world.ring, nodes[0].address()).unwrap();
    let mut hello = old.own_hello();
    hello.wire = VersionRange { min: 1, max: 1 };
    assert!(matches!(old.hello(&hello), Some(HelloAnswer::Accepted(_))));
    old.version = castor_proto::version::WireVersion::V1;
    let mut lane = old.open(Lane::Bulk as u8);
    let change = Change {
        lane: Some(Lane::Bulk),
        payload: Some(castor_proto::codec::encode(&vec![round(Asked::Shards(0))])),
        ..Change::default()
    };
    old.write(&mut lane, &framed(&old.envelope("n1", 1, change)));
    nodes[0].until_rejected("version", 1);
    unharmed(&mut nodes);
}

#[test]
fn a_peer_whose_envelopes_are_refused_again_and_again_is_reported_once() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let stranger = Stranger::accepted(&world, "n9", nodes[0].address());
    let mut lane = stranger.open(Lane::Stream as u8);
    let foreign = || Change {
        sender: Some("n2"),
        ..Change::default()
    };
    let lied = |event: &NetEvent| matches!(event, NetEvent::Lied(_, "sender"));
    for _ in 0..7 {
        stranger.write(&mut lane, &made(&stranger, foreign()));
    }
    nodes[0].until_rejected("sender", 7);
    nodes[0].expect_none(Duration::from_millis(300), lied);
    for _ in 0..20 {
        stranger.write(&mut lane, &made(&stranger, foreign()));
    }
    let member = nodes[0].expect("a report", PATIENCE, |event| match event {
        NetEvent::Lied(member, "sender") => Some(member),
        _ => None,
    });
    assert_eq!(member.node, name("n9"), "who lied, not whom it named");
    nodes[0].until_rejected("sender", 27);
    nodes[0].expect_none(Duration::from_millis(300), lied);
    unharmed(&mut nodes);
}

#[test]
fn a_frame_that_announces_4_gib_and_a_lane_opened_twice_close_the_link_only() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let closed = |stranger: &Stranger| {
        let closing = async { tokio::time::timeout(PATIENCE, stranger.connection.closed()).await };
        runtime().block_on(closing).unwrap();
    };
    let at = nodes[0].address();

    let stranger = Stranger::accepted(&world, "n9", at);
    let mut lane = stranger.open(Lane::Stream as u8);
    stranger.write(&mut lane, &header(3, u32::MAX));
    nodes[0].until_rejected("oversize", 1);
    closed(&stranger);

    let stranger = Stranger::accepted(&world, "n9", at);
    let _lane = stranger.open(Lane::Stream as u8);
    let _again = stranger.open(Lane::Stream as u8);
    nodes[0].until_rejected("stream", 1);
    closed(&stranger);

    let stranger = Stranger::accepted(&world, "n9", at);
    let mut gossip = stranger.open(255);
    let mut junk = header(4, 5);
    junk.extend_from_slice(b"hello");
    stranger.write(&mut gossip, &junk);
    nodes[0].until_rejected("gossip", 1);
    closed(&stranger);
    unharmed(&mut nodes);
}

/// A change of what a process says of itself, up to this version, as a peer passes it on.
fn word_of(info: &MemberInfo, version: u64) -> Vec<u8> {
    let name = info.member.node.as_str();
    let IpAddr::V4(host) = info.address.ip() else {
        panic!("the tests are on 127.0.0.1");
    };
    let mut word = vec![0];
    word.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
    word.extend(name.as_bytes());
    word.extend(info.generation.to_le_bytes());
    word.push(4);
    word.extend(host.octets());
    word.extend(info.address.port().to_le_bytes());
    word.extend([0; 16]);
    word.push(2);
    word.extend(version.to_le_bytes());
    let mut message = vec![0x53, 0xb0, 0, 2, 2];
    message.extend(u16::try_from(word.len()).unwrap().to_le_bytes());
    message.extend(word);
    message.push(0);
    message
}

#[test]
fn a_word_of_what_a_node_has_said_itself_keeps_the_link_and_a_newer_one_closes_it() {
    let world = World::new("blue");
    let mut nodes = world.cluster(2);
    let first = nodes[0].me.clone();
    nodes[1].until_alive(&first, true, PATIENCE);
    let members = nodes[1].network.members();
    let info = members.iter().find(|info| info.member == first).unwrap();
    let stranger = Stranger::accepted(&world, "n9", nodes[0].address());
    let say = |version| {
        let word = word_of(info, version);
        let mut gossip = stranger.open(255);
        let mut frame = header(4, u32::try_from(word.len()).unwrap());
        frame.extend(word);
        stranger.write(&mut gossip, &frame);
    };
    // Incarnation, phase and wire versions: three changes at least.
    say(3);
    let down = |event: &NetEvent| matches!(event, NetEvent::LinkDown(_));
    nodes[0].expect_none(Duration::from_millis(300), down);
    assert!(stranger.connection.close_reason().is_none());
    assert_eq!(nodes[0].metrics.rejected_count("gossip"), 0);
    say(1_000);
    nodes[0].until_rejected("gossip", 1);
    let closing = async { tokio::time::timeout(PATIENCE, stranger.connection.closed()).await };
    runtime().block_on(closing).unwrap();
    unharmed(&mut nodes);
}

#[test]
fn handshakes_stalled_by_one_source_keep_no_peer_out() {
    let world = World::new("blue");
    let free = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut node = world.start("n1", &[free]);
    let mut held = Vec::new();
    // They connect and say nothing; 64 at once would be all there is.
    let refused = (0..64).any(|_| {
        match Stranger::connect(&world.identity("n9"), &world.ring, node.address()) {
            Ok(stranger) => {
                held.push(stranger);
                false
            }
            Err(_) => true,
        }
    });
    assert!(refused, "{} stalled handshakes of one source", held.len());
    assert!(node.metrics.rejected_count("busy") > 0);
    let mut peer = world.start_at("n2", free, &[node.address()]);
    peer.until_linked(&node.me);
    node.until_linked(&peer.me);
}

/// Both nodes are linked, alive, and hear each other.
fn unharmed(nodes: &mut [Process]) {
    let members: Vec<Member> = nodes.iter().map(|node| node.me.clone()).collect();
    for (from, to) in [(0, 1), (1, 0)] {
        nodes[from]
            .network
            .post(&members[to], &stream(4_711))
            .unwrap();
        assert_eq!(nodes[to].messages(&members[from], 1), [stream(4_711)]);
        let other = members[to].clone();
        nodes[from].until_alive(&other, true, PATIENCE);
        assert_eq!(nodes[from].network.links().len(), 1);
    }
}
