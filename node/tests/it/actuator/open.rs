//! What everybody who may ask the operations listener sees.

use axum::http::StatusCode;
use castor_node::clock::monotonic;
use castor_replication::driver::Readiness;
use serde_json::Value;

use crate::util::operators::{Operators, Who};
use crate::util::{Browser, Cluster};

const OPEN: [&str; 10] = [
    "",
    "/",
    "/health",
    "/health/liveness",
    "/health/readiness",
    "/health/session",
    "/health/cluster",
    "/info",
    "/prometheus",
    "/statistics",
];

async fn open(operators: &Operators, path: &str) -> (u16, Value) {
    let (code, text) = operators.ask(Who::Local, "GET", path, "").await;
    (code, serde_json::from_str(&text).unwrap_or_default())
}

#[tokio::test]
async fn they_have_no_personal_data_and_are_for_allowed_addresses_only() {
    let cluster = Cluster::one().await;
    let node = &cluster.nodes[0];
    let mut browser = Browser::new().with("X-Forwarded-For", "198.51.100.7");
    let path = "/cas/login?service=https://portal.example.edu/";
    let signed_in = browser.sign_in(&node.router, path).await;
    assert_eq!(signed_in.status, StatusCode::FOUND, "{signed_in:?}");
    let operators = Operators::of(node);
    for path in OPEN {
        for who in [Who::Local, Who::Closed, Who::WrongToken, Who::Socket] {
            let (code, text) = operators.ask(who, "GET", path, "").await;
            assert_eq!(code, 200, "{path} {who:?}: {text}");
            for personal in ["casuser", "198.51.100.7", "portal.example.edu", "staff"] {
                assert!(!text.contains(personal), "{path}: {text}");
            }
        }
        let (code, _) = operators.ask(Who::Foreign, "GET", path, "").await;
        assert_eq!(code, 403, "{path}");
        let (code, _) = operators.ask(Who::Local, "POST", path, "").await;
        assert_eq!(code, 405, "{path}");
    }
    assert!(
        !cluster
            .actions(0)
            .iter()
            .any(|action| action.ends_with("_LISTED"))
    );
}

#[tokio::test]
async fn the_links_lead_to_what_there_is() {
    let cluster = Cluster::one().await;
    let operators = Operators::of(&cluster.nodes[0]);
    let (_, links) = open(&operators, "").await;
    let links = links["_links"].as_object().unwrap();
    for (name, link) in links {
        let href = link["href"].as_str().unwrap();
        let path = href
            .strip_prefix("http://127.0.0.1:8444/cas/actuator")
            .unwrap();
        assert_eq!(link["templated"], path.contains('{'), "{name}");
        let filled = path
            .replace("{interval}", "PT1H")
            .replace("{*path}", "session");
        let filled = filled.replace("{id}", "1").replace("{username}", "jane");
        let filled = filled.replace("{name}", "ROOT").replace("{ticket}", "none");
        let (code, text) = operators.ask(Who::Token, "GET", &filled, "").await;
        // A session can only be ended; a type must be given; this node writes no log.
        let expected = match name.as_str() {
            "ssoSessions-ticket" => 405,
            "ticketRegistry-query" | "releaseAttributes" => 400,
            "loggers" | "loggers-name" => 404,
            _ => 200,
        };
        assert_eq!(code, expected, "{name} {filled}: {text}");
    }
}

#[tokio::test]
async fn health_counts_sessions_and_shows_peers_and_lag() {
    let cluster = Cluster::three().await;
    let node = &cluster.nodes[0];
    Browser::new().sign_in(&node.router, "/cas/login").await;
    let operators = Operators::of(node);
    let (code, health) = open(&operators, "/health").await;
    assert_eq!((code, &health["status"]), (200, &"UP".into()));
    assert_eq!(
        health["groups"],
        serde_json::json!(["liveness", "readiness"])
    );
    let session = &health["components"]["session"];
    assert_eq!(session["status"], "UP");
    assert_eq!(session["details"]["sessionCount"], 1);
    assert_eq!(session["details"]["maximum"], 2_000_000);
    let cluster = &health["components"]["cluster"]["details"];
    let members = cluster["members"].as_array().unwrap();
    let names: Vec<_> = members
        .iter()
        .map(|m| m["node"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["n2", "n3"]);
    assert!(cluster["replicationLagSeconds"].is_number());
    assert!(
        members
            .iter()
            .all(|member| member["lagSeconds"].is_number())
    );
    let (code, answer) = open(&operators, "/health/nothing").await;
    assert_eq!(code, 404);
    assert!(answer["error"].is_string());
}

#[tokio::test]
async fn a_node_that_does_not_serve_is_out_of_service_and_alive() {
    let cluster = Cluster::one().await;
    let node = &cluster.nodes[0];
    node.handle.drain().await.unwrap();
    let draining = || node.handle.readiness() == Readiness::Draining;
    cluster.until("draining", draining).await;
    let operators = Operators::of(node);
    for (path, code, status) in [
        ("/health", 503, "OUT_OF_SERVICE"),
        ("/health/readiness", 503, "OUT_OF_SERVICE"),
        ("/health/readinessState", 503, "OUT_OF_SERVICE"),
        ("/health/liveness", 200, "UP"),
        ("/health/session", 200, "UP"),
    ] {
        let (found, health) = open(&operators, path).await;
        assert_eq!((found, &health["status"]), (code, &status.into()), "{path}");
    }
}

#[tokio::test]
async fn statistics_count_what_lives_and_what_was_ended() {
    let began = monotonic();
    let cluster = Cluster::one().await;
    let node = &cluster.nodes[0];
    let operators = Operators::of(node);
    let mut browser = Browser::new();
    let service = "/cas/login?service=https://portal.example.edu/";
    browser.sign_in(&node.router, service).await;
    Browser::new().sign_in(&node.router, "/cas/login").await;
    let (code, before) = open(&operators, "/statistics").await;
    assert_eq!(code, 200);
    assert_eq!(
        (&before["unexpiredTgts"], &before["unexpiredSts"]),
        (&2.into(), &1.into())
    );
    assert_eq!(
        (&before["expiredTgts"], &before["expiredSts"]),
        (&0.into(), &Value::Null)
    );
    assert!(before["upTime"].as_u64().unwrap() <= began.elapsed().as_secs());
    for memory in ["totalMemory", "maxMemory", "freeMemory"] {
        let text = before[memory].as_str().unwrap();
        assert!(
            text.split_once(' ')
                .is_some_and(|(number, _)| number.parse::<u64>().is_ok()),
            "{text}"
        );
    }
    browser.get(&node.router, "/cas/logout").await;
    let (_, after) = open(&operators, "/statistics").await;
    assert_eq!(
        (&after["unexpiredTgts"], &after["expiredTgts"]),
        (&1.into(), &1.into())
    );
    let (_, info) = open(&operators, "/info").await;
    assert_eq!(info["build"]["version"], env!("CARGO_PKG_VERSION"));
}
