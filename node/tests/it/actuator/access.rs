//! What shows people or changes something is for the socket and the token, and every such request is
//! recorded.

use crate::util::operators::{Operators, Who};
use crate::util::{Browser, Cluster};

/// Every endpoint that is not for everybody, with a body where it takes one.
const GUARDED: [(&str, &str, &str); 26] = [
    ("GET", "/ssoSessions", ""),
    ("DELETE", "/ssoSessions?type=ALL", ""),
    ("DELETE", "/ssoSessions?username=casuser", ""),
    ("GET", "/ssoSessions/users/casuser", ""),
    ("DELETE", "/ssoSessions/users/casuser", ""),
    ("DELETE", "/ssoSessions/0123456789abcdef0123", ""),
    ("GET", "/ticketRegistry/query?type=TGT", ""),
    ("DELETE", "/ticketRegistry/clean", ""),
    ("GET", "/registeredServices", ""),
    ("POST", "/registeredServices", "{}"),
    ("GET", "/registeredServices/1", ""),
    ("DELETE", "/registeredServices/1", ""),
    ("POST", "/registeredServices/import", "{}"),
    ("GET", "/auditLog", ""),
    ("GET", "/auditLog/PT1H", ""),
    ("POST", "/auditLog", "{}"),
    ("GET", "/auditevents", ""),
    ("GET", "/throttles", ""),
    ("DELETE", "/throttles", ""),
    (
        "GET",
        "/releaseAttributes?username=casuser&service=https://portal.example.edu/",
        "",
    ),
    (
        "POST",
        "/releaseAttributes",
        "username=casuser&service=https://portal.example.edu/",
    ),
    ("POST", "/releaseAttributes", "{"),
    ("GET", "/loggers", ""),
    ("GET", "/loggers/ROOT", ""),
    ("POST", "/loggers/ROOT", "{\"configuredLevel\":\"DEBUG\"}"),
    ("PUT", "/ssoSessions", ""),
];

#[tokio::test]
async fn nobody_gets_in_without_the_token_or_the_socket_and_nothing_is_changed() {
    let cluster = Cluster::one().await;
    let node = &cluster.nodes[0];
    Browser::new().sign_in(&node.router, "/cas/login").await;
    let operators = Operators::of(node);
    for (method, path, body) in GUARDED {
        for (who, expected) in [
            (Who::Local, 401),
            (Who::WrongToken, 401),
            (Who::Closed, 403),
            (Who::Foreign, 403),
        ] {
            let (code, text) = operators.ask(who, method, path, body).await;
            // A method that is not there is so for everybody.
            let expected = if method == "PUT" && who != Who::Foreign {
                [405, expected]
            } else {
                [expected; 2]
            };
            assert!(
                expected.contains(&code),
                "{method} {path} {who:?}: {code} {text}"
            );
            for personal in ["casuser", "Portal", "AUTHENTICATION_SUCCESS"] {
                assert!(!text.contains(personal), "{method} {path} {who:?}: {text}");
            }
            if who == Who::Closed && code == 403 {
                assert!(text.contains("ops.token_file"), "{text}");
            }
        }
    }
    let (_, sessions) = operators.json("GET", "/ssoSessions", "").await;
    assert_eq!(sessions["totalSsoSessions"], 1, "{sessions}");
    let operators_did =
        |action: &String| !action.starts_with("TICKET") && !action.starts_with("AUTH");
    let actions: Vec<_> = cluster
        .actions(0)
        .into_iter()
        .filter(operators_did)
        .collect();
    assert_eq!(actions, ["SESSIONS_LISTED"], "what was refused is no look");
}

#[tokio::test]
async fn who_looked_and_changed_is_in_the_record() {
    let cluster = Cluster::one().await;
    let node = &cluster.nodes[0];
    Browser::new().sign_in(&node.router, "/cas/login").await;
    let operators = Operators::of(node);
    let portal = "username=casuser&service=https://portal.example.edu/";
    for (who, method, path, body) in [
        (Who::Token, "GET", "/ssoSessions?username=casuser", ""),
        (Who::Socket, "GET", "/ticketRegistry/query?type=PGT", ""),
        (Who::Token, "GET", "/auditLog/PT1H", ""),
        (
            Who::Socket,
            "GET",
            "/auditevents?type=AUTHENTICATION_SUCCESS",
            "",
        ),
        (Who::Socket, "POST", "/releaseAttributes", portal),
        (Who::Token, "GET", "/throttles", ""),
        (Who::Token, "DELETE", "/ssoSessions?username=casuser", ""),
    ] {
        let (code, text) = operators.ask(who, method, path, body).await;
        assert_eq!(code, 200, "{method} {path}: {text}");
    }
    let record = cluster.audit(0);
    let text = |event: &serde_json::Value, key: &str| event[key].as_str().unwrap().to_owned();
    let by = |event: &&serde_json::Value| {
        let who = event["who"].as_str().unwrap();
        who == "token" || who.starts_with("uid 0")
    };
    let done: Vec<_> = record
        .iter()
        .filter(by)
        .map(|event| {
            (
                text(event, "action"),
                text(event, "who"),
                text(event, "what"),
            )
        })
        .collect();
    let unix = done[1].1.clone();
    assert!(unix.ends_with(", pid 4711"), "{unix}");
    let expected = [
        ("SESSIONS_LISTED", "token", "user=casuser"),
        ("TICKETS_LISTED", &unix, "all PGT"),
        ("AUDIT_LISTED", "token", "interval=PT1H"),
        ("AUDIT_LISTED", &unix, "type=AUTHENTICATION_SUCCESS"),
        (
            "ATTRIBUTES_SHOWN",
            &unix,
            "casuser for https://portal.example.edu/: file: shown",
        ),
        ("THROTTLES_LISTED", "token", "refused"),
    ];
    for (found, expected) in done.iter().zip(expected) {
        assert_eq!(
            (found.0.as_str(), found.1.as_str(), found.2.as_str()),
            expected
        );
    }
    let last = done.last().unwrap();
    assert_eq!(
        (last.0.as_str(), last.1.as_str()),
        ("TICKET_GRANTING_TICKET_DESTROYED", "token")
    );
    assert!(
        last.2.starts_with("TGT-") && last.2.ends_with(" of casuser"),
        "{last:?}"
    );
}
