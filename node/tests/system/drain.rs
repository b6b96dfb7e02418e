//! Taking a node out of service and back, and stopping the whole demo.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::time::Duration;

use crate::support::demo::{Demo, READY_LIMIT};
use crate::support::person::{login_url, validate_url};
use crate::support::wait;

const APP: &str = "http://127.0.0.1:8001/drain";

#[test]
fn a_draining_node_finishes_what_was_begun_and_takes_nothing_new() {
    let demo = Demo::start();
    let cluster = &demo.cluster;
    let node = cluster.nodes[0].url.clone();
    let mut person = demo.person();
    let before = person.sign_in(cluster, &node, APP);
    let output = demo.admin(0, &["drain"]);
    assert!(output.status.success(), "{output:?}");

    let refused = demo.person().get(&login_url(&node, APP));
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert_eq!(refused.header("connection"), "close");
    assert!(!demo.is_ready(0), "a draining node says ready");
    let answer = demo.person().get(&validate_url(&node, APP, &before));
    assert_eq!(
        answer.verdict().as_ref(),
        Ok(&cluster.username),
        "a validation while draining"
    );
    for _ in 0..12 {
        let ticket = person.next_ticket(&cluster.front, APP);
        let answer = demo
            .person()
            .get(&validate_url(&cluster.front, APP, &ticket));
        assert_eq!(
            answer.verdict().as_ref(),
            Ok(&cluster.username),
            "through the front"
        );
    }

    let output = demo.admin(0, &["resume"]);
    assert!(output.status.success(), "{output:?}");
    wait::until("the node is back", READY_LIMIT, || {
        demo.is_ready(0).then_some(())
    });
    person.next_ticket(&node, APP);
}

#[test]
fn the_administration_socket_is_for_the_service_and_its_group() {
    let demo = Demo::start();
    for node in &demo.cluster.nodes {
        let status = fs::metadata(&node.admin_socket).expect("the socket is there");
        assert!(
            status.file_type().is_socket(),
            "{}",
            node.admin_socket.display()
        );
        assert_eq!(status.permissions().mode() & 0o777, 0o660);
    }
    let listing = fs::metadata(demo.folder().join("cluster.json")).expect("cluster.json");
    assert_eq!(
        listing.permissions().mode() & 0o777,
        0o600,
        "it holds the password"
    );
}

#[test]
fn an_interrupted_demo_leaves_no_process() {
    let mut demo = Demo::start();
    let nodes: Vec<u32> = demo.cluster.nodes.iter().map(|n| n.pid).collect();
    let status = demo.interrupt();
    assert!(status.success(), "{status}");
    for pid in nodes {
        wait::until("the node is gone", Duration::from_secs(5), || {
            (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
        });
    }
}
