//! What somebody on the wire between the nodes sees, and can do: nothing.

use std::net::UdpSocket;
use std::time::Duration;

use crate::support::capture::{Capture, seen};
use crate::support::demo::Demo;
use crate::support::person::{login_url, validate_url};
use crate::support::wait;

const LIMIT: Duration = Duration::from_secs(10);
const APP: &str = "http://127.0.0.1:8001/wire-capture";

/// UDP ports of all nodes, from their own configuration.
fn cluster_ports(demo: &Demo) -> Vec<u16> {
    let nodes = 0..demo.cluster.nodes.len();
    nodes.map(|i| demo.cluster_address(i).port()).collect()
}

#[test]
fn a_capture_of_the_cluster_ports_shows_nothing_in_clear() {
    let demo = Demo::start();
    let cluster = &demo.cluster;
    let ports = cluster_ports(&demo);
    let capture = Capture::start(ports.clone());
    let mut person = demo.person();
    let first = person.sign_in(cluster, &cluster.nodes[0].url, APP);
    let answer = demo
        .person()
        .get(&validate_url(&cluster.nodes[1].url, APP, &first));
    assert_eq!(answer.verdict().as_ref(), Ok(&cluster.username));
    let second = person.next_ticket(&cluster.nodes[2].url, APP);
    let marker = b"a marker that the capture must see";
    let own = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    own.send_to(marker, ("127.0.0.1", ports[0]))
        .expect("a packet to ourselves");
    let packets = capture.stop();

    assert!(
        seen(&packets, marker),
        "the capture saw not even our own packet"
    );
    let bytes: usize = packets.iter().map(Vec::len).sum();
    assert!(
        packets.len() > 20 && bytes > 4_000,
        "{} packets, {bytes} bytes",
        packets.len()
    );
    let mut secrets = vec![
        cluster.username.clone(),
        cluster.password.clone(),
        "wire-capture".to_owned(),
        first,
        second,
    ];
    // Shorter words would turn up by chance in so many random bytes.
    secrets.push("TGT-".to_owned());
    secrets.extend(
        cluster
            .nodes
            .iter()
            .map(|n| n.name.clone())
            .filter(|n| n.len() > 4),
    );
    // Keys under which gossip carries what a node says of itself.
    secrets.extend(["heartbeat", "incarnation", "replication", "ready"].map(str::to_owned));
    for secret in secrets {
        assert!(
            !seen(&packets, secret.as_bytes()),
            "{secret:?} is on the wire in clear"
        );
    }
}

#[test]
fn packets_of_strangers_change_nothing() {
    let demo = Demo::start();
    let cluster = &demo.cluster;
    let ports = cluster_ports(&demo);
    let mut person = demo.person();
    person.sign_in(cluster, &cluster.front, APP);
    let nodes = 0..cluster.nodes.len();
    let rejected = |index| demo.metric(index, "castor_replication_rejected_total");
    let before: Vec<f64> = nodes.clone().map(rejected).collect();
    let own = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    // A long header with a version nobody speaks, a short header, and bytes that are neither.
    let mut greeting = vec![0xc3, 0xfa, 0xfa, 0xfa, 0xfa, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0];
    greeting.resize(1_200, 0);
    let short = [0x40; 64].to_vec();
    let junk: Vec<u8> = (0..1_400u32).map(|i| (i * 7 % 251) as u8).collect();
    for round in 0..200 {
        for port in &ports {
            let packet = [&greeting, &short, &junk][round % 3];
            own.send_to(packet, ("127.0.0.1", *port))
                .expect("a packet to a node");
        }
    }
    for index in nodes {
        wait::until("what was refused is counted", LIMIT, || {
            (rejected(index) > before[index]).then_some(())
        });
    }
    for (index, node) in cluster.nodes.iter().enumerate() {
        assert!(demo.is_ready(index), "{} after junk", node.name);
        let ticket = person.next_ticket(&node.url, APP);
        let answer = demo
            .person()
            .get(&validate_url(&cluster.front, APP, &ticket));
        assert_eq!(answer.verdict().as_ref(), Ok(&cluster.username));
    }
    let page = demo.person().get(&login_url(&cluster.front, APP));
    assert!(page.asks_for_password());
}
