//! The actuator endpoints of a real node: both listeners, its own metrics, its log.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use crate::support::{House, LIMIT, get, send, sign_in};

const TOKEN: &str = "0123456789abcdef-token";
const BASE: &str = "/cas/actuator";

#[test]
fn the_listeners_show_to_each_what_is_theirs() {
    let house = House::new();
    let node = house.node("cas1").start();
    node.until_ready();
    sign_in(&node);
    for path in ["", "/health", "/info", "/statistics", "/prometheus"] {
        let (code, text) = get(&node.ops, &format!("{BASE}{path}"));
        assert_eq!(code, 200, "{path}: {text}");
        assert!(!text.contains("casuser"), "{path}: {text}");
    }
    let (_, text) = get(&node.ops, &format!("{BASE}/prometheus"));
    for line in ["castor_ready 1", "castor_tickets{kind=\"tgt\"} 1"] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
    let (code, text) = get(&node.ops, &format!("{BASE}/ssoSessions"));
    assert_eq!(code, 403, "{text}");
    assert!(text.contains("ops.token_file"), "{text}");
    // On the listener for people and applications there are the two words for proxies only.
    for path in ["", "/health", "/info", "/ssoSessions", "/prometheus"] {
        assert_eq!(get(&node.http, &format!("{BASE}{path}")).0, 404, "{path}");
    }
    let mut socket = UnixStream::connect(node.socket()).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    let request =
        format!("GET {BASE}/ssoSessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("casuser"),
        "{answer}"
    );
}

#[test]
fn levels_of_log_lines_are_changed_until_log_level_changes() {
    let house = House::new();
    house.write("token", TOKEN);
    let set = format!("ops.token_file={}", house.shown("token"));
    let node = house.node("cas1").set(&set).start();
    node.until_ready();
    let ask = |what: &str, json: &str| send(&node.ops, TOKEN, what, json);
    let level = |name: &str| {
        let (code, text) = ask(&format!("GET {BASE}/loggers/{name}"), "");
        assert_eq!(code, 200, "{text}");
        let level: serde_json::Value = serde_json::from_str(&text).unwrap();
        level["effectiveLevel"].as_str().unwrap().to_owned()
    };
    let login = || get(&node.http, "/cas/login").0;
    assert_eq!(
        (login(), level("castor_node::cas")),
        (200, "INFO".to_owned())
    );
    assert!(!node.log().contains("\"answered\""), "{}", node.log());

    let path = format!("POST {BASE}/loggers/castor_node::cas");
    assert_eq!(ask(&path, r#"{"configuredLevel":"DEBUG"}"#).0, 204);
    assert_eq!(level("castor_node::cas::visit"), "DEBUG");
    login();
    node.until("logged", || node.log().contains("\"answered\""));
    let (_, all) = ask(&format!("GET {BASE}/loggers"), "");
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert_eq!(
        all["loggers"]["castor_node::cas"]["configuredLevel"],
        "DEBUG"
    );
    assert_eq!(all["loggers"]["ROOT"]["configuredLevel"], "INFO");
    assert_eq!(all["levels"].as_array().unwrap().len(), 6);

    for (name, json) in [
        ("castor_node::cas", r#"{"configuredLevel":"LOUD"}"#),
        ("castor_node::cas", "{"),
        ("castor_node::cas", r#"{"level":"INFO"}"#),
        ("org.apereo.cas", r#"{"configuredLevel":"DEBUG"}"#),
        ("a=trace,b", r#"{"configuredLevel":"DEBUG"}"#),
    ] {
        let (code, text) = ask(&format!("POST {BASE}/loggers/{name}"), json);
        assert_eq!(code, 400, "{name} {json}: {text}");
    }
    assert_eq!(level("castor_node::cas"), "DEBUG");

    let good = house.read("cas1/castor.toml");
    house.write(
        "cas1/castor.toml",
        &format!("{good}\n[log]\nlevel = \"warn\"\n"),
    );
    node.until("reloaded", || level("castor_node::cas") == "WARN");
    assert_eq!(ask(&path, r#"{"configuredLevel":"ERROR"}"#).0, 204);
    assert_eq!(ask(&path, r#"{"configuredLevel":null}"#).0, 204);
    assert_eq!(level("castor_node::cas"), "WARN");
    let record = house.read("cas1/audit.log");
    node.until("recorded", || {
        house
            .read("cas1/audit.log")
            .contains("castor_node::cas as configured")
    });
    assert!(record.contains("LOG_LEVEL_CHANGED"), "{record}");
}
