//! Who may not join: a second process under a name in use, a node of another cluster.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::support::demo::{Demo, castor};
use crate::support::wait;

const LIMIT: Duration = Duration::from_secs(30);

/// A further process with a node's configuration, on ports and a socket of its own.
fn another(demo: &Demo, index: usize, changes: &[&str]) -> Child {
    // Taken and given back at once; nothing else on this machine asks for ports by number.
    let http = TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port");
    let ops = TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port");
    let cluster = UdpSocket::bind("127.0.0.1:0")
        .and_then(|s| s.local_addr())
        .expect("a port");
    let log = fs::File::create(demo.folder().join("stranger.txt")).expect("a log");
    let mut command = castor();
    command
        .args(["serve", "--config"])
        .arg(&demo.cluster.nodes[index].config);
    let socket = demo.folder().join("stranger.sock");
    for set in [
        format!("http.listen={http}"),
        format!("ops.listen={ops}"),
        format!("cluster.listen={cluster}"),
        format!("cluster.advertise={cluster}"),
        format!("ops.admin_socket={}", socket.display()),
    ] {
        command.args(["--set", &set]);
    }
    for set in changes {
        command.args(["--set", set]);
    }
    command
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("castor serve starts")
}

/// Where a node listens for its peers.
fn address(demo: &Demo, index: usize) -> String {
    let config = fs::read_to_string(&demo.cluster.nodes[index].config).expect("a configuration");
    let table: toml::Table = config.parse().expect("the configuration is TOML");
    table["cluster"]["listen"]
        .as_str()
        .expect("cluster.listen")
        .to_owned()
}

fn said(demo: &Demo) -> String {
    fs::read_to_string(demo.folder().join("stranger.txt")).unwrap_or_default()
}

#[test]
fn a_name_in_use_is_refused_with_the_others_address() {
    let demo = Demo::start();
    let before: Vec<u32> = demo.cluster.nodes.iter().map(|n| n.pid).collect();
    let mut second = another(&demo, 0, &[]);
    let ended = wait::poll(LIMIT, || second.try_wait().expect("a child of ours"));
    let _ = second.kill();
    let ended = ended.unwrap_or_else(|| panic!("two nodes of one name:\n{}", said(&demo)));
    assert_eq!(ended.code(), Some(1), "{}", said(&demo));
    let config = fs::read_to_string(&demo.cluster.nodes[0].config).expect("a configuration");
    let table: toml::Table = config.parse().expect("the configuration is TOML");
    let address = table["cluster"]["listen"].as_str().expect("cluster.listen");
    assert!(
        said(&demo).contains(address),
        "no {address} in {}",
        said(&demo)
    );
    for index in 0..before.len() {
        assert!(
            demo.is_ready(index),
            "node {index} suffered from the second one"
        );
    }
}

#[test]
fn a_node_of_another_cluster_is_refused_and_counted() {
    let demo = Demo::start();
    // The same names, another authority: what somebody gets who sets up a second cluster.
    let mut elsewhere = Demo::start_with(&["--nodes", "1"]);
    elsewhere.interrupt();
    let rejected = || {
        let nodes = 0..demo.cluster.nodes.len();
        nodes
            .map(|index| demo.metric(index, "castor_replication_rejected_total"))
            .sum::<f64>()
    };
    let members = |index| demo.metric(index, "castor_cluster_members");
    assert_eq!(rejected(), 0.0);
    let before = members(0);
    let seeds: Vec<String> = (0..3).map(|index| address(&demo, index)).collect();
    let seeds = format!("cluster.seeds={}", seeds.join(","));
    let mut foreign = another(&elsewhere, 0, &[&seeds]);
    wait::until("the refusal is counted", LIMIT, || {
        (rejected() > 0.0).then_some(())
    });
    for index in 0..demo.cluster.nodes.len() {
        assert!(
            demo.is_ready(index),
            "node {index} suffered from the foreign one"
        );
        assert_eq!(members(index), before, "node {index} took it for a member");
    }
    foreign.kill().expect("the foreign node is ours");
    foreign.wait().expect("and gone");
}
