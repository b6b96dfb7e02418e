//! The CAS protocol specification (3.0), section by section, as tables.
//!
//! A test is named after its section; a row says what is sent and, in the words of [`says`], what comes back.
//! Stories over several nodes are in `flows`, whole answers byte for byte in `answers`, and section 2.3.3 (single
//! logout) in `flows/single_logout.rs`.

mod login;
mod logout;
mod proxying;
mod saml;
mod tickets;
mod validation;

use crate::util::scene::{between, encode};
use crate::util::{Answer, Browser, Cluster, Scene};

const SERVICE: &str = "https://portal.example.edu/home";
const BACK_END: &str = "https://mail.example.edu/imap";

/// The portal, allowed to proxy; and what it calls.
const PROXY: &str = r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 40,
    "name": "Proxying portal", "serviceId": "^https://portal\\.example\\.edu/.*", "evaluationOrder": 0,
    "proxyPolicy": {
      "@class": "org.apereo.cas.services.RegexMatchingRegisteredServiceProxyPolicy",
      "pattern": "^https://localhost(:\\d+)?/pgt.*$"}}"#;
const MAIL: &str = r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 41,
    "name": "Mail", "serviceId": "^https://mail\\.example\\.edu/.*", "evaluationOrder": 6,
    "proxyPolicy": {
      "@class": "org.apereo.cas.services.RegexMatchingRegisteredServiceProxyPolicy",
      "pattern": "^https://localhost(:\\d+)?/pgt.*$"}}"#;

/// An answer in a few words: status, and where it leads or what it says. Tickets are shown by their kind.
fn says(answer: &Answer) -> String {
    let status = answer.status.as_u16();
    let location = answer.header("location");
    if !location.is_empty() {
        return format!("{status} to {}", without_ids(location));
    }
    let body = &answer.body;
    if let Some(code) = between(body, " code=\"", "\"") {
        return format!("{status} {code}");
    }
    for (name, word) in [("user", "user"), ("proxyTicket", "ticket")] {
        let element = between(body, &format!("<cas:{name}>"), "<");
        if let Some(value) = element {
            return format!("{status} {word} {}", without_ids(value));
        }
    }
    if answer.header("content-type").starts_with("text/plain") {
        return format!("{status} {}", body.replace('\n', "|"));
    }
    let what = if body.contains("name=\"password\"") {
        "form"
    } else if body.contains("name=\"ticket\"") {
        "form with the ticket"
    } else {
        "page"
    };
    format!("{status} {what}")
}

/// Replaces ids by the kind of ticket.
fn without_ids(text: &str) -> String {
    let id = regex::Regex::new(r"\b(ST|PT)-[0-9]+-[A-Za-z0-9-]{20,}").unwrap();
    id.replace_all(text, "$1").into_owned()
}

/// GETs the path below `/cas` and compares; a finding names the row.
async fn check(cluster: &Cluster, browser: &mut Browser, row: &str, path: &str, expected: &str) {
    let router = &cluster.nodes[0].router;
    let answer = browser.get(router, &format!("/cas{path}")).await;
    assert_eq!(says(&answer), expected, "{row}: {path}\n{}", answer.body);
}

/// One node where [`PROXY`] and [`MAIL`] are registered, and a person who has signed in.
async fn open() -> Scene {
    Scene::with(&[PROXY, MAIL]).await
}
