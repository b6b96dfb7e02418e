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

use crate::util::{Answer, Browser, Callback, Cluster, Options};

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

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split(after).next()
}

/// Replaces ids by the kind of ticket.
fn without_ids(text: &str) -> String {
    let id = regex::Regex::new(r"\b(ST|PT)-[0-9]+-[A-Za-z0-9-]{20,}").unwrap();
    id.replace_all(text, "$1").into_owned()
}

fn encode(value: &str) -> String {
    castor_node::web::form::encode(value)
}

/// GETs the path below `/cas` and compares; a finding names the row.
async fn check(cluster: &Cluster, browser: &mut Browser, row: &str, path: &str, expected: &str) {
    let router = &cluster.nodes[0].router;
    let answer = browser.get(router, &format!("/cas{path}")).await;
    assert_eq!(says(&answer), expected, "{row}: {path}\n{}", answer.body);
}

/// One node where [`PROXY`] and [`MAIL`] are registered, and a person who has signed in.
struct Scene {
    cluster: Cluster,
    browser: Browser,
    callback: Callback,
}

impl Scene {
    async fn open() -> Self {
        let options = Options {
            services: vec![PROXY, MAIL],
            ..Options::default()
        };
        let cluster = Cluster::start(1, options).await;
        let callback = Callback::start("200 OK").await;
        callback.is_trusted_by(&cluster);
        let mut browser = Browser::new();
        let router = &cluster.nodes[0].router;
        browser.sign_in(router, "/cas/login").await;
        Self {
            cluster,
            browser,
            callback,
        }
    }

    async fn get(&self, path: &str) -> Answer {
        let router = &self.cluster.nodes[0].router;
        Browser::new().get(router, &format!("/cas{path}")).await
    }

    /// A service ticket of the session.
    async fn st(&mut self) -> String {
        let path = format!("/cas/login?service={SERVICE}");
        let router = &self.cluster.nodes[0].router;
        let answer = self.browser.get(router, &path).await;
        answer.ticket().unwrap()
    }

    /// A service ticket granted on presentation of credentials.
    async fn fresh_st(&self) -> String {
        let path = format!("/cas/login?service={SERVICE}");
        let router = &self.cluster.nodes[0].router;
        let answer = Browser::new().sign_in(router, &path).await;
        answer.ticket().unwrap()
    }

    /// A proxy-granting ticket and its IOU, by the callback.
    async fn pgt(&mut self) -> (String, String) {
        let ticket = self.st().await;
        let url = encode(&format!("https://localhost:{}/pgt", self.callback.port));
        let path = format!("/serviceValidate?service={SERVICE}&ticket={ticket}&pgtUrl={url}");
        let answer = self.get(&path).await;
        let iou = between(&answer.body, "<cas:proxyGrantingTicket>", "<").unwrap();
        assert_eq!(self.callback.parameter("pgtIou"), iou);
        (self.callback.parameter("pgtId"), iou.to_owned())
    }

    /// A proxy ticket for the back end.
    async fn pt(&mut self) -> String {
        let (pgt, _) = self.pgt().await;
        let path = format!("/proxy?pgt={pgt}&targetService={BACK_END}");
        let answer = self.get(&path).await;
        between(&answer.body, "<cas:proxyTicket>", "<")
            .unwrap()
            .to_owned()
    }
}
