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
    let rejected = || {
        let counts = (0..demo.cluster.nodes.len())
            .map(|index| demo.metric(index, "castor_replication_rejected_total"));
        counts.sum::<f64>()
    };
    let before = rejected();
    let mut foreign = another(&demo, 0, &["cluster.name=elsewhere"]);
    wait::until("the refusal is counted", LIMIT, || {
        (rejected() > before).then_some(())
    });
    for index in 0..demo.cluster.nodes.len() {
        assert!(
            demo.is_ready(index),
            "node {index} suffered from the foreign one"
        );
        let page = demo
            .ops(index, "/status")
            .expect("a node that answers")
            .body;
        assert!(!page.contains("elsewhere"), "the foreign node is in {page}");
    }
    foreign.kill().expect("the foreign node is ours");
    foreign.wait().expect("and gone");
}
