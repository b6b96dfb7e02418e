//! One real node as a process: start, health, administration, reload, stop, and the exit codes.
//!
//! No proxy and no second machine; ports are the system's choice. What a cluster does behind nginx is
//! in `tests/system`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod actuator;
mod support;

use support::{House, Node, castor, get};

#[test]
fn a_node_starts_alone_serves_and_stops_with_zero() {
    let house = House::new();
    let mut node = house.node("cas1").start();
    node.until_ready();
    assert_eq!(get(&node.http, "/cas/actuator/health/readiness").0, 200);
    let (code, page) = get(&node.http, "/cas/login");
    assert!(code == 200 && page.contains("<form"), "{code} {page}");
    assert_eq!(get(&node.ops, "/live").0, 200);
    assert_eq!(get(&node.ops, "/started").0, 200);
    let status = castor(&["status", "--json", "--socket", node.socket()]);
    assert_eq!(status.code, 0, "{}", status.err);
    let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!(status["node"], "cas1");
    node.signal("TERM");
    assert_eq!(node.exit_code(), 0);
    assert!(!house.at("cas1/admin.sock").exists(), "the socket is gone");
}

#[test]
fn every_promised_metric_is_exposed_and_documented() {
    let house = House::new();
    let node = house.node("cas1").start();
    node.until_ready();
    let (_, text) = get(&node.ops, "/metrics");
    let page = include_str!("../../../docs/reference/metrics.md");
    for name in text
        .lines()
        .filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next())
        .filter(|name| !name.starts_with("process_"))
    {
        assert!(page.contains(&format!("`{name}")), "{name} has no row");
    }
    for name in [
        "castor_build_info",
        "castor_ready",
        "castor_claims_total",
        "castor_claim_duration_seconds",
        "castor_claim_fallback_total",
        "castor_claim_decided_conflict_total",
        "castor_view_degraded_total",
        "castor_logout_partial_total",
        "castor_bootstrap_duration_seconds",
        "castor_bootstrap_tickets_total",
        "castor_cluster_members",
        "castor_cluster_key_created_timestamp_seconds",
        "castor_certificate_expiry_timestamp_seconds",
        "castor_tickets",
        "castor_ticket_store_bytes",
        "castor_audit_events_total",
        "castor_audit_dropped_total",
        "castor_config_reload_success",
        "process_resident_memory_bytes",
    ] {
        assert!(text.contains(&format!("\n{name}")), "{name} is not there");
    }
}

#[test]
fn draining_and_resuming_over_the_socket() {
    let house = House::new();
    let node = house.node("cas1").start();
    node.until_ready();
    let socket = node.socket();
    assert_eq!(castor(&["drain", "--socket", socket]).code, 0);
    node.until("draining", || get(&node.ops, "/ready").1 == "draining\n");
    assert_eq!(get(&node.http, "/cas/login").0, 503);
    assert_eq!(castor(&["status", "--socket", socket]).code, 3);
    assert_eq!(castor(&["resume", "--socket", socket]).code, 0);
    node.until_ready();
    assert_eq!(castor(&["status", "--socket", socket]).code, 0);
    let keys = castor(&["keys", "list", "--json", "--socket", socket]);
    assert!(keys.out.contains("\"current\""), "{}", keys.out);
    assert_eq!(castor(&["sessions", "list", "--socket", socket]).code, 0);
    let end = castor(&["sessions", "end", "--socket", socket]);
    assert_eq!(end.code, 2, "a search must be given: {}", end.err);
    let record = house.read("cas1/audit.log");
    for action in ["NODE_DRAINED", "NODE_RESUMED", "SESSIONS_LISTED"] {
        assert!(record.contains(action), "{action} is not in {record}");
    }
}

fn reload_success(node: &Node) -> bool {
    let (_, text) = get(&node.ops, "/metrics");
    text.contains("\ncastor_config_reload_success 1\n")
}

#[test]
fn a_broken_file_leaves_the_old_one_in_force_until_it_is_mended() {
    let house = House::new();
    let node = house.node("cas1").start();
    node.until_ready();
    let good = house.read("cas1/castor.toml");
    house.write("cas1/castor.toml", &format!("{good}\n[log]\nlevel = 1\n"));
    node.until("refused", || !reload_success(&node));
    assert!(
        node.log().contains("castor.toml:") && node.log().contains("log.level: expected a level"),
        "{}",
        node.log()
    );
    house.write(
        "cas1/castor.toml",
        &format!("{good}\n[log]\nlevel = \"debug\"\n"),
    );
    node.until("taken", || reload_success(&node));
    house.write("users.toml", "[[user]]\nname = 1\n");
    node.until("refused", || !reload_success(&node));
    assert_eq!(get(&node.http, "/cas/login").0, 200);
}

#[test]
fn a_hangup_opens_the_rotated_record_again() {
    let house = House::new();
    let node = house.node("cas1").start();
    node.until_ready();
    let (file, old) = (house.at("cas1/audit.log"), house.at("cas1/audit.log.1"));
    std::fs::rename(&file, &old).unwrap();
    node.signal("HUP");
    node.until("opened", || file.exists());
    castor(&["sessions", "list", "--socket", node.socket()]);
    node.until("recorded", || {
        house.read("cas1/audit.log").contains("SESSIONS_LISTED")
    });
}

#[test]
fn a_second_signal_stops_at_once() {
    use std::io::Write as _;
    let house = House::new();
    let mut node = house.node("cas1").start();
    node.until_ready();
    // A request that never ends holds up a soft stop for its whole grace.
    let mut stuck = std::net::TcpStream::connect(&node.http).unwrap();
    let head = b"POST /cas/login HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\
        Content-Type: application/x-www-form-urlencoded\r\n\r\na=";
    stuck.write_all(head).unwrap();
    node.until("connected", || {
        let (_, text) = get(&node.ops, "/metrics");
        text.contains("\ncastor_http_connections{listener=\"http\"} 1\n")
    });
    node.signal("TERM");
    node.until("draining", || node.log().contains("\"draining\""));
    node.signal("TERM");
    assert_eq!(node.exit_code(), 0);
    assert!(node.log().contains("stopping at once"), "{}", node.log());
}

#[test]
fn a_request_under_way_is_answered_before_the_node_stops() {
    use std::io::{Read as _, Write as _};
    let house = House::new();
    let mut node = house.node("cas1").start();
    node.until_ready();
    let mut slow = std::net::TcpStream::connect(&node.http).unwrap();
    let head = b"POST /cas/login HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\
        Content-Type: application/x-www-form-urlencoded\r\n\r\na=";
    slow.write_all(head).unwrap();
    node.until("connected", || {
        let (_, text) = get(&node.ops, "/metrics");
        text.contains("\ncastor_http_connections{listener=\"http\"} 1\n")
    });
    node.signal("TERM");
    node.until("drained", || node.log().contains("\"drained\""));
    // As long as a sign-in may wait for its turn on a busy machine.
    let drained = castor_node::clock::monotonic();
    node.until("some seconds later", || drained.elapsed().as_secs() >= 5);
    slow.write_all(b"1234567").unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 "), "{answer:?}");
    assert_eq!(node.exit_code(), 0);
    assert!(!node.log().contains("did not finish"), "{}", node.log());
}

#[test]
fn a_port_in_use_is_one_line_and_exit_code_one() {
    let house = House::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let cluster = udp.local_addr().unwrap().to_string();
    let node = house.node("cas1");
    for (key, address) in [
        ("http.listen", &address),
        ("ops.listen", &address),
        ("cluster.listen", &cluster),
    ] {
        let said = node.refused(&format!("{key}={address}"));
        assert_eq!(said.code, 1, "{key}: {}", said.err);
        let lines = said.errors();
        assert!(
            lines.len() == 1 && lines[0].contains(address.as_str()),
            "{key}: {lines:?}"
        );
    }
}

#[test]
fn what_is_wrong_is_told_line_by_line_with_exit_code_two() {
    let house = House::new();
    let node = house.node("cas1");
    house.node("cas2");
    for (set, key, remedy) in [
        ("http.lisen=1", "http.lisen", "did you mean http.listen?"),
        ("http.listen=5", "http.listen", "expected an address"),
        (
            "http.listen=0.0.0.0:0",
            "http.listen",
            "http.tls.certificate",
        ),
        ("cluster.key=/none", "cluster.key: /none", "castor pki"),
        ("cluster.key=CAS2", "cluster.key", "does not fit its key"),
        (
            "cluster.keyring_file=/none",
            "cluster.keyring_file",
            "castor pki",
        ),
        ("cluster.name=other", "cluster.certificate", "other"),
        (
            "authn.file.path=/none",
            "authn.file.path: /none",
            "cannot read",
        ),
        (
            "services.folder=/none",
            "services.folder: /none",
            "cannot read",
        ),
        (
            "ops.admin_group=no-such-group",
            "ops.admin_group",
            "/etc/group",
        ),
        ("audit.file=/none/a", "audit.file: /none/a", "writable"),
    ] {
        let other = house.at("cas2/node.key");
        let set = set.replace("CAS2", other.to_str().unwrap());
        let said = node.refused(&set);
        assert_eq!(said.code, 2, "{set}: {}", said.err);
        let lines = said.errors();
        assert!(
            lines.len() == 1 && lines[0].contains(key) && lines[0].contains(remedy),
            "{set}: {lines:?}"
        );
    }
    let check = castor(&["config", "check", "--config", node.config()]);
    assert_eq!(check.code, 0, "{}", check.err);
}

#[test]
fn a_name_in_use_is_refused_with_the_others_address() {
    let house = House::new();
    let first = house.node("cas1").start();
    first.until_ready();
    let again = house.node("cas1");
    let mut again = again
        .set(&format!("cluster.seeds={}", first.cluster))
        .set(&format!("ops.admin_socket={}", house.shown("again.sock")))
        .start();
    assert_eq!(again.exit_code(), 1);
    assert!(
        again.log().contains(&first.cluster) && again.log().contains("name is in use"),
        "{}",
        again.log()
    );
    assert_eq!(get(&first.ops, "/ready").0, 200, "the first goes on");
}

#[test]
fn two_nodes_share_a_session_and_one_ends_it_for_both() {
    let house = House::new();
    let first = house.node("cas1").start();
    first.until_ready();
    let second = house.node("cas2");
    let second = second
        .set(&format!("cluster.seeds={}", first.cluster))
        .start();
    second.until_ready();
    let both = |node: &Node| {
        castor(&["status", "--socket", node.socket()]).code == 0
            && castor(&["members", "list", "--socket", node.socket()])
                .out
                .contains("cas2")
    };
    first.until("joined", || both(&first));
    support::sign_in(&first);
    let list = |node: &Node| castor(&["sessions", "list", "--socket", node.socket()]).out;
    second.until("replicated", || list(&second).contains("casuser"));
    let ended = castor(&[
        "sessions",
        "end",
        "--user",
        "casuser",
        "--socket",
        second.socket(),
    ]);
    assert!(ended.out.contains("1 session ended"), "{ended:?}");
    assert!(!list(&first).contains("casuser"));
}

#[test]
fn a_password_is_read_from_standard_input_only() {
    let hash = support::castor_with_input(&["password", "hash"], "secret horse\n");
    assert!(hash.out.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    let empty = support::castor_with_input(&["password", "hash"], "\n");
    assert_eq!(empty.code, 2);
    let argument = castor(&["password", "hash", "secret"]);
    assert_eq!(argument.code, 2);
}

#[test]
fn a_node_that_is_not_there_is_told_with_the_remedy() {
    let house = House::new();
    let socket = house.shown("none.sock");
    let said = castor(&["status", "--socket", &socket]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains(&socket) && said.err.contains("--socket"));
    assert_eq!(castor(&["stauts"]).code, 2);
}
