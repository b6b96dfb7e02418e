//! Audit events and definitions, as operators read them.

use serde_json::Value;

use crate::util::operators::Operators;
use crate::util::{Browser, Cluster};

const PORTAL: &str = "/cas/login?service=https://portal.example.edu/";

async fn signed_in() -> (Cluster, Operators) {
    let cluster = Cluster::one().await;
    Browser::new()
        .sign_in(&cluster.nodes[0].router, PORTAL)
        .await;
    // Everything is written, so that everything is kept.
    let actions = cluster.actions(0);
    assert_eq!(actions.last().unwrap(), "SERVICE_TICKET_CREATED");
    let operators = Operators::of(&cluster.nodes[0]);
    (cluster, operators)
}

fn actions(events: &Value) -> Vec<&str> {
    let events = events.as_array().unwrap().iter();
    events
        .map(|event| event["actionPerformed"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_audit_log_has_the_newest_first_and_masks_tickets() {
    let (_cluster, operators) = signed_in().await;
    for path in ["/auditLog", "/auditLog/PT1H", "/auditLog/p1d"] {
        let (code, events) = operators.json("GET", path, "").await;
        assert_eq!(code, 200, "{path}");
        let found: Vec<_> = actions(&events)
            .into_iter()
            .filter(|a| *a != "AUDIT_LISTED")
            .collect();
        let expected = [
            "SERVICE_TICKET_CREATED",
            "TICKET_GRANTING_TICKET_CREATED",
            "AUTHENTICATION_SUCCESS",
            "AUTHENTICATION_EVENT_TRIGGERED",
        ];
        assert_eq!(found, expected, "{path}");
    }
    let (_, events) = operators.json("GET", "/auditLog/PT1H", "").await;
    let created = |event: &&Value| event["actionPerformed"] == "SERVICE_TICKET_CREATED";
    let event = events.as_array().unwrap().iter().find(created).unwrap();
    assert_eq!(event["principal"], "casuser");
    assert_eq!(event["applicationCode"], "CAS");
    assert_eq!(
        event["clientIpAddress"],
        event["clientInfo"]["clientIpAddress"]
    );
    assert_eq!(event["node"], "n1");
    let resource = event["resourceOperatedUpon"].as_str().unwrap();
    assert!(resource.contains("*****") && resource.ends_with("https://portal.example.edu/"));
    for path in [
        "/auditLog/1h",
        "/auditLog/PT0S",
        "/auditLog/P400D",
        "/auditLog/-PT1H",
        "/auditLog/x",
    ] {
        let (code, answer) = operators.json("GET", path, "").await;
        assert_eq!(code, 400, "{path}");
        assert!(
            answer["error"].as_str().unwrap().contains("PT1H"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn the_audit_log_is_filtered_by_patterns() {
    let (_cluster, operators) = signed_in().await;
    for (body, count) in [
        (
            r#"{"interval":"PT1H","actionPerformed":"SERVICE_TICKET_CREATED"}"#,
            1,
        ),
        (
            r#"{"actionPerformed":"(SERVICE_TICKET|TICKET_GRANTING_TICKET)_CREATED","principal":"casuser"}"#,
            2,
        ),
        (r#"{"actionPerformed":"SERVICE.*","principal":"nobody"}"#, 0),
        (r#"{"actionPerformed":"SERVICE"}"#, 0),
        (
            r#"{"actionPerformed":"SERVICE.*","clientIpAddress":"127\\.0\\.0\\.1"}"#,
            1,
        ),
        (
            r#"{"actionPerformed":"SERVICE.*","resourceOperatedUpon":".*portal.*"}"#,
            1,
        ),
        (
            r#"{"actionPerformed":"SERVICE.*","principal":"","interval":null}"#,
            1,
        ),
        ("actionPerformed=SERVICE.*&principal=casuser", 1),
    ] {
        let (code, events) = operators.json("POST", "/auditLog", body).await;
        assert_eq!(code, 200, "{body}: {events}");
        assert_eq!(events.as_array().unwrap().len(), count, "{body}: {events}");
    }
    for body in [
        r#"{"actionPerformed":"("}"#,
        r#"{"interval":"soon"}"#,
        r#"{"action":"x"}"#,
        r#"{"principal":1}"#,
        "{",
        "principal=a&principal=b",
    ] {
        let (code, answer) = operators.json("POST", "/auditLog", body).await;
        assert_eq!(code, 400, "{body}");
        assert!(answer["error"].is_string(), "{body}: {answer}");
    }
    let hard = r#"{"resourceOperatedUpon":"(.|.)*(.|.)*(.|..)*\\1\\1\\1\\1\\1/"}"#;
    let (code, answer) = operators.json("POST", "/auditLog", hard).await;
    assert_eq!(code, 400, "{answer}");
    assert!(
        answer["error"].as_str().unwrap().contains("simpler"),
        "{answer}"
    );
    let long = format!("{{\"principal\":\"{}\"}}", "a".repeat(5_000));
    assert_eq!(operators.json("POST", "/auditLog", &long).await.0, 400);
    let huge = format!("{{\"principal\":\"{}\"}}", "a".repeat(80_000));
    assert_eq!(operators.json("POST", "/auditLog", &huge).await.0, 413);
}

#[tokio::test]
async fn audit_events_are_those_of_spring() {
    let (_cluster, operators) = signed_in().await;
    for (query, count) in [
        ("type=AUTHENTICATION_SUCCESS", 1),
        ("type=AUTHENTICATION_SUCCESS&principal=casuser", 1),
        ("type=AUTHENTICATION_SUCCESS&principal=nobody", 0),
        ("type=AUTHENTICATION_SUCCESS&after=2020-01-01T00:00:00Z", 1),
        (
            "type=AUTHENTICATION_SUCCESS&after=2020-01-01T00:00:00.000%2B02:00",
            1,
        ),
        ("type=AUTHENTICATION_SUCCESS&after=2999-01-01T00:00:00Z", 0),
    ] {
        let (code, answer) = operators
            .json("GET", &format!("/auditevents?{query}"), "")
            .await;
        assert_eq!(code, 200, "{query}");
        let events = answer["events"].as_array().unwrap();
        assert_eq!(events.len(), count, "{query}");
        for event in events {
            assert_eq!(event["principal"], "casuser");
            assert!(event["timestamp"].as_str().unwrap().ends_with('Z'));
            assert_eq!(event["data"]["resource"], "file: accepted");
        }
    }
    for query in ["after=yesterday", "kind=x", "after=2020-01-01"] {
        let (code, _) = operators
            .json("GET", &format!("/auditevents?{query}"), "")
            .await;
        assert_eq!(code, 400, "{query}");
    }
}

#[tokio::test]
async fn definitions_are_shown_as_written_and_changed_in_files_only() {
    let cluster = Cluster::one().await;
    let operators = Operators::of(&cluster.nodes[0]);
    let (code, all) = operators.json("GET", "/registeredServices", "").await;
    assert_eq!(code, 200);
    let names: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Portal", "Payroll", "Faculty", "Closed"]);
    let (code, one) = operators.json("GET", "/registeredServices/1", "").await;
    assert_eq!((code, &one), (200, &all[0]));
    assert_eq!(
        one["@class"],
        "org.apereo.cas.services.CasRegisteredService"
    );
    assert_eq!(
        one["attributeReleasePolicy"]["allowedAttributes"][1][0],
        "mail"
    );
    for (method, path, expected) in [
        ("GET", "/registeredServices/99", 404),
        ("GET", "/registeredServices/portal", 400),
        ("POST", "/registeredServices", 405),
        ("PUT", "/registeredServices", 405),
        ("DELETE", "/registeredServices/1", 405),
        ("POST", "/registeredServices/import", 405),
    ] {
        let (code, answer) = operators.json(method, path, "").await;
        assert_eq!(code, expected, "{method} {path}");
        let says = answer["error"].as_str().unwrap();
        assert!(code != 405 || says.contains("services.folder"), "{says}");
    }
    assert_eq!(cluster.nodes[0].cas.services.snapshot().len(), 4);
}
