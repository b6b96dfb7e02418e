//! Taking a node out of service and back, and stopping the whole demo.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::process::Stdio;
use std::time::Duration;

use crate::support::demo::{Demo, READY_LIMIT, START_LIMIT, castor, signal};
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

/// Processes that `pid` started.
fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let text = text.unwrap_or_default();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_demo_interrupted_in_its_start_leaves_nothing_behind() {
    let directory = tempfile::tempdir().expect("a folder");
    let folder = directory.path().join("demo");
    let mut program = castor()
        .args(["demo", "--fill", "200000", "--dir"])
        .arg(&folder)
        .stdout(Stdio::null())
        .spawn()
        .expect("castor demo starts");
    let workers = wait::until("nginx has workers", START_LIMIT, || {
        let pid = fs::read_to_string(folder.join("nginx/nginx.pid")).ok()?;
        let workers = children(pid.trim().parse().ok()?);
        (!workers.is_empty()).then_some(workers)
    });
    assert!(
        !folder.join("cluster.json").exists(),
        "the start was over before it was interrupted"
    );
    let all = [children(program.id()), workers].concat();
    signal("INT", program.id());
    let status = wait::until("the demo stops", START_LIMIT, || {
        program.try_wait().ok().flatten()
    });
    assert!(status.success(), "{status}");
    let left: Vec<u32> = all.iter().copied().filter(|pid| runs(*pid)).collect();
    assert!(
        all.len() >= 5 && left.is_empty(),
        "{left:?} of {all:?} still run"
    );
}
