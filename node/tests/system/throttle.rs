//! Failed sign-ins at three real nodes are one count, and any node's operator can forgive them.

use std::time::Duration;

use crate::support::answer::Answer;
use crate::support::demo::Demo;
use crate::support::wait;

const SERVICE: &str = "http://127.0.0.1:8000/throttle";
/// A failure is everywhere within this time, on a busy machine.
const HEARD: Duration = Duration::from_secs(5);
const HERE: &str = "192.0.2.7";
const ELSEWHERE: &str = "198.51.100.7";

fn attempt(demo: &Demo, node: usize, address: &str, right: bool) -> Answer {
    let cluster = &demo.cluster;
    let password = if right {
        &cluster.password
    } else {
        &cluster.wrong_password
    };
    let url = &cluster.nodes[node].url;
    let mut person = demo.person().at(address);
    person.sign_in_as(url, SERVICE, &cluster.username, password)
}

/// What a node's operator sees of the demo's user: failures and whether sign-ins are refused.
fn listed(demo: &Demo, node: usize) -> (u64, bool) {
    let user = demo.cluster.username.as_str();
    let command = ["throttle", "list", "--all", "--user", user, "--json"];
    let output = demo.admin(node, &command);
    assert!(output.status.success(), "{output:?}");
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = list["throttles"].as_array().expect("a list");
    let row = rows.iter().find(|row| row["by"] == "user");
    row.map_or((0, false), |row| {
        assert_eq!(row["address"], HERE);
        let failures = row["failures"].as_u64().expect("a number");
        (failures, row["until"].is_string())
    })
}

fn wait_for(demo: &Demo, node: usize, expected: (u64, bool)) {
    let what = format!("node {node} counts {expected:?}");
    wait::until(&what, HEARD, || {
        (listed(demo, node) == expected).then_some(())
    });
}

#[test]
fn wrong_passwords_at_three_nodes_add_up_and_an_operator_forgives_them() {
    let limits = ["user_failures=3", "first_delay=5m"];
    let limits = limits.map(|limit| format!("authn.throttle.{limit}"));
    let demo = Demo::start_with(&["--set", &limits[0], "--set", &limits[1]]);
    for node in 0..3 {
        assert_eq!(attempt(&demo, node, HERE, false).status, 401);
    }
    for node in 0..3 {
        wait_for(&demo, node, (3, true));
        let refused = attempt(&demo, node, HERE, true);
        assert_eq!(refused.status, 423, "the right password, too");
        assert!(!refused.header("retry-after").is_empty());
        assert!(refused.body.contains("type=\"password\""), "the form again");
        let metric = "castor_authn_throttled_total";
        assert!(demo.metric_of(node, metric, "by=\"user\"") >= 1.0);
        let owner = attempt(&demo, node, ELSEWHERE, true);
        assert_eq!(owner.status, 302, "the owner, from another address");
    }
    let plain = demo.admin(0, &["throttle", "list"]);
    let plain = String::from_utf8_lossy(&plain.stdout).into_owned();
    assert!(
        plain.contains(&demo.cluster.username) && plain.contains(HERE),
        "{plain}"
    );

    let user = demo.cluster.username.as_str();
    let cleared = demo.admin(1, &["throttle", "clear", "--user", user]);
    assert!(cleared.status.success(), "{cleared:?}");
    for node in 0..3 {
        wait_for(&demo, node, (0, false));
    }
    assert_eq!(attempt(&demo, 2, HERE, true).status, 302);
}
