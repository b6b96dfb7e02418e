//! `pgtUrl`, `/proxy`, `/proxyValidate`, `/p3/proxyValidate` (sections 2.5.4, 2.6 and 2.7 of the
//! specification).

use std::time::Duration;

use castor_node::services::RegisteredService;
use castor_node::services::access::{AccessStrategy, Rules};
use castor_node::services::registry::Snapshot;

use crate::util::{Answer, Browser, Callback, Cluster, Options};

/// May proxy, to a callback on `localhost`, whatever the port.
const PROXY: &str = r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 20,
    "name": "Proxy", "serviceId": "^https://proxy\\.example\\.edu/.*", "evaluationOrder": 5,
    "proxyPolicy": {
      "@class": "org.apereo.cas.services.RegexMatchingRegisteredServiceProxyPolicy",
      "pattern": "^https://localhost(:\\d+)?/pgt.*$"}}"#;

/// A back end; it may proxy on.
const MAIL: &str = r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 21,
    "name": "Mail", "serviceId": "^https://mail\\.example\\.edu/.*", "evaluationOrder": 6,
    "proxyPolicy": {
      "@class": "org.apereo.cas.services.RegexMatchingRegisteredServiceProxyPolicy",
      "pattern": "^https://localhost(:\\d+)?/pgt.*$"}}"#;

const SERVICE: &str = "https://proxy.example.edu/home";
const BACK_END: &str = "https://mail.example.edu/imap";

async fn cluster(size: usize) -> Cluster {
    let options = Options {
        services: vec![PROXY, MAIL],
        ..Options::default()
    };
    Cluster::start(size, options).await
}

async fn ask(cluster: &Cluster, node: usize, path: &str) -> Answer {
    let router = &cluster.nodes[node].router;
    Browser::new().get(router, &format!("/cas{path}")).await
}

/// The text of an element, if it is there.
fn element(body: &str, name: &str) -> Option<String> {
    let (_, rest) = body.split_once(&format!("<cas:{name}>"))?;
    Some(rest.split_once(&format!("</cas:{name}>"))?.0.to_owned())
}

struct Person {
    browser: Browser,
}

impl Person {
    async fn signed_in(cluster: &Cluster) -> Self {
        let mut browser = Browser::new();
        browser
            .sign_in(&cluster.nodes[0].router, "/cas/login")
            .await;
        Self { browser }
    }

    async fn ticket(&mut self, cluster: &Cluster, service: &str) -> String {
        let path = format!("/cas/login?service={service}");
        let answer = self.browser.get(&cluster.nodes[0].router, &path).await;
        answer.ticket().unwrap()
    }
}

/// Validates a fresh service ticket with a `pgtUrl`; the answer and the ticket delivered.
async fn granted(cluster: &Cluster, application: &Callback, person: &mut Person) -> String {
    let ticket = person.ticket(cluster, SERVICE).await;
    let callback = format!("https://localhost:{}/pgt", application.port);
    let path = format!("/serviceValidate?service={SERVICE}&ticket={ticket}&pgtUrl={callback}");
    let answer = ask(cluster, 0, &path).await;
    let iou = element(&answer.body, "proxyGrantingTicket").unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(application.parameter("pgtIou"), iou);
    assert!(iou.starts_with("PGTIOU-") && iou.len() <= 64, "{iou}");
    let pgt = application.parameter("pgtId");
    assert!(pgt.starts_with("PGT-") && pgt.len() <= 64, "{pgt}");
    assert!(
        !answer.body.contains(&pgt),
        "the id goes to the callback only"
    );
    pgt
}

#[tokio::test]
async fn a_chain_of_proxies_across_nodes() {
    let cluster = cluster(3).await;
    let application = Callback::start("200 OK").await;
    application.is_trusted_by(&cluster);
    let mut person = Person::signed_in(&cluster).await;
    let pgt = granted(&cluster, &application, &mut person).await;
    assert_eq!(application.requests().len(), 1);

    let path = format!("/proxy?pgt={pgt}&targetService={BACK_END}");
    let answer = ask(&cluster, 1, &path).await;
    assert_eq!(answer.status, 200);
    let pt = element(&answer.body, "proxyTicket").unwrap();
    assert!(pt.starts_with("PT-") && pt.len() <= 64, "{pt}");

    // The back end is a proxy itself.
    let second = format!("https://localhost:{}/pgt/2", application.port);
    let path = format!("/proxyValidate?service={BACK_END}&ticket={pt}&pgtUrl={second}");
    let answer = ask(&cluster, 2, &path).await;
    assert_eq!(element(&answer.body, "user").as_deref(), Some("casuser"));
    let first = format!("https://localhost:{}/pgt", application.port);
    assert_eq!(element(&answer.body, "proxy"), Some(first.clone()));
    let again = ask(&cluster, 0, &path).await;
    assert!(again.body.contains("INVALID_TICKET"), "{}", again.body);

    let pgt2 = application.parameter("pgtId");
    let path = format!("/proxy?pgt={pgt2}&targetService={BACK_END}&format=JSON");
    let answer = ask(&cluster, 0, &path).await;
    let json: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let pt2 = &json["serviceResponse"]["proxySuccess"]["proxyTicket"];
    let pt2 = pt2.as_str().unwrap();
    let path = format!("/p3/proxyValidate?service={BACK_END}&ticket={pt2}&format=JSON");
    let answer = ask(&cluster, 1, &path).await;
    let json: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let proxies = &json["serviceResponse"]["authenticationSuccess"]["proxies"];
    assert_eq!(*proxies, serde_json::json!([second, first]), "newest first");
}

#[tokio::test]
async fn a_callback_that_does_not_answer_is_given_up_before_a_proxy_asks_another_node() {
    let cluster = cluster(1).await;
    let application = Callback::start("").await;
    application.is_trusted_by(&cluster);
    let mut person = Person::signed_in(&cluster).await;
    let ticket = person.ticket(&cluster, SERVICE).await;
    let callback = format!("https://localhost:{}/pgt", application.port);
    let path = format!("/serviceValidate?service={SERVICE}&ticket={ticket}&pgtUrl={callback}");
    let answer = tokio::time::timeout(Duration::from_secs(3), ask(&cluster, 0, &path)).await;
    let answer = answer.expect("an answer while the proxy still waits");
    assert!(answer.body.contains("INVALID_PROXY_CALLBACK"), "{answer:?}");
    let not_created = "PROXY_GRANTING_TICKET_NOT_CREATED".to_owned();
    assert!(cluster.actions(0).contains(&not_created));
    let pgt = application.parameter("pgtId");
    let answer = ask(
        &cluster,
        0,
        &format!("/proxy?pgt={pgt}&targetService={BACK_END}"),
    )
    .await;
    assert!(
        answer.body.contains("INVALID_TICKET"),
        "taken back: {answer:?}"
    );
}

#[tokio::test]
async fn a_request_sent_twice_delivers_the_same_ticket() {
    let cluster = cluster(2).await;
    let application = Callback::start("200 OK").await;
    application.is_trusted_by(&cluster);
    let mut person = Person::signed_in(&cluster).await;
    let ticket = person.ticket(&cluster, SERVICE).await;
    let callback = format!("https://localhost:{}/pgt", application.port);
    let path = format!("/cas/serviceValidate?service={SERVICE}&ticket={ticket}&pgtUrl={callback}");
    let mut delivered = Vec::new();
    for node in &cluster.nodes {
        let mut proxy = Browser::new().with("Castor-Request-Id", "0123456789abcdef");
        let answer = proxy.get(&node.router, &path).await;
        let iou = element(&answer.body, "proxyGrantingTicket").unwrap();
        delivered.push((iou, application.parameter("pgtId")));
    }
    assert_eq!(delivered[0], delivered[1]);
    let path = format!("/proxy?pgt={}&targetService={BACK_END}", delivered[0].1);
    for node in 0..2 {
        let answer = ask(&cluster, node, &path).await;
        assert!(element(&answer.body, "proxyTicket").is_some(), "{answer:?}");
    }
}

#[tokio::test]
async fn a_logout_ends_everything_that_came_of_the_session() {
    let cluster = cluster(3).await;
    let application = Callback::start("200 OK").await;
    application.is_trusted_by(&cluster);
    let mut person = Person::signed_in(&cluster).await;
    let pgt = granted(&cluster, &application, &mut person).await;
    let path = format!("/proxy?pgt={pgt}&targetService={BACK_END}");
    let pt = element(&ask(&cluster, 0, &path).await.body, "proxyTicket").unwrap();
    person
        .browser
        .get(&cluster.nodes[1].router, "/cas/logout")
        .await;
    for node in 0..3 {
        let answer = ask(&cluster, node, &path).await;
        assert!(
            answer
                .body
                .contains("<cas:proxyFailure code=\"INVALID_TICKET\">")
        );
        let path = format!("/proxyValidate?service={BACK_END}&ticket={pt}");
        let answer = ask(&cluster, node, &path).await;
        assert!(answer.body.contains("INVALID_TICKET"), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_callback_that_fails_ends_the_validation_and_the_ticket() {
    let cluster = cluster(1).await;
    let mut person = Person::signed_in(&cluster).await;
    let trusted = Callback::start("500 Internal Server Error").await;
    let stranger = Callback::start("200 OK").await;
    trusted.is_trusted_by(&cluster);
    for port in [trusted.port, stranger.port, 1] {
        let ticket = person.ticket(&cluster, SERVICE).await;
        let path = format!(
            "/serviceValidate?service={SERVICE}&ticket={ticket}&pgtUrl=https://localhost:{port}/pgt"
        );
        let answer = ask(&cluster, 0, &path).await;
        assert_eq!(answer.status, 200);
        assert!(
            answer.body.contains("code=\"INVALID_PROXY_CALLBACK\""),
            "{}",
            answer.body
        );
        let answer = ask(&cluster, 0, &path).await;
        assert!(answer.body.contains("INVALID_TICKET"), "it is used up");
    }
    assert!(
        stranger.requests().is_empty(),
        "nothing was said to a stranger"
    );
    // What the answer of 500 has seen is worth nothing.
    let pgt = trusted.parameter("pgtId");
    let path = format!("/proxy?pgt={pgt}&targetService={BACK_END}");
    let answer = ask(&cluster, 0, &path).await;
    assert!(answer.body.contains("INVALID_TICKET"), "{}", answer.body);
}

#[tokio::test]
async fn a_url_that_the_policy_does_not_allow_gets_nothing_and_is_not_called() {
    let cluster = cluster(1).await;
    let application = Callback::start("200 OK").await;
    application.is_trusted_by(&cluster);
    let mut person = Person::signed_in(&cluster).await;
    let port = application.port;
    for (service, callback) in [
        (SERVICE, format!("https://localhost:{port}/elsewhere")),
        (SERVICE, format!("http://localhost:{port}/pgt")),
        (SERVICE, "not a URL".to_owned()),
        (
            SERVICE,
            format!("https://localhost:{port}/pgt{}", "x".repeat(3000)),
        ),
        (
            "https://portal.example.edu/",
            format!("https://localhost:{port}/pgt"),
        ),
    ] {
        let ticket = person.ticket(&cluster, service).await;
        let callback = castor_node::web::form::encode(&callback);
        let path = format!("/serviceValidate?service={service}&ticket={ticket}&pgtUrl={callback}");
        let answer = ask(&cluster, 0, &path).await;
        assert_eq!(element(&answer.body, "user").as_deref(), Some("casuser"));
        assert_eq!(element(&answer.body, "proxyGrantingTicket"), None);
    }
    assert!(application.requests().is_empty());
    let actions = cluster.actions(0);
    let refused = actions
        .iter()
        .filter(|action| *action == "PROXY_GRANTING_TICKET_NOT_CREATED");
    assert_eq!(refused.count(), 5);
}

#[tokio::test]
async fn proxy_tickets_are_for_proxy_validation_only() {
    let cluster = cluster(1).await;
    let application = Callback::start("200 OK").await;
    application.is_trusted_by(&cluster);
    let mut person = Person::signed_in(&cluster).await;
    let pgt = granted(&cluster, &application, &mut person).await;
    let path = format!("/proxy?pgt={pgt}&targetService={BACK_END}");
    for endpoint in ["/validate", "/serviceValidate", "/p3/serviceValidate"] {
        let pt = element(&ask(&cluster, 0, &path).await.body, "proxyTicket").unwrap();
        let path = format!("{endpoint}?service={BACK_END}&ticket={pt}");
        let answer = ask(&cluster, 0, &path).await;
        let refused = answer.body == "no\n\n" || answer.body.contains("INVALID_TICKET");
        assert!(refused, "{endpoint}: {}", answer.body);
    }
    let renewed = element(&ask(&cluster, 0, &path).await.body, "proxyTicket").unwrap();
    let path = format!("/proxyValidate?service={BACK_END}&ticket={renewed}&renew=true");
    let answer = ask(&cluster, 0, &path).await;
    assert!(
        answer.body.contains("INVALID_TICKET"),
        "nobody typed a password"
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_request_for_a_proxy_ticket() {
    let cluster = cluster(1).await;
    let application = Callback::start("200 OK").await;
    application.is_trusted_by(&cluster);
    let mut person = Person::signed_in(&cluster).await;
    let pgt = granted(&cluster, &application, &mut person).await;
    let st = person.ticket(&cluster, SERVICE).await;
    for (query, code) in [
        (String::new(), "INVALID_REQUEST"),
        (format!("pgt={pgt}"), "INVALID_REQUEST"),
        (format!("targetService={BACK_END}"), "INVALID_REQUEST"),
        (
            format!("pgt={pgt}&pgt={pgt}&targetService={BACK_END}"),
            "INVALID_REQUEST",
        ),
        (
            format!("pgt=%ff&targetService={BACK_END}"),
            "INVALID_REQUEST",
        ),
        (
            format!("pgt={st}&targetService={BACK_END}"),
            "INVALID_TICKET",
        ),
        (
            format!("pgt={pgt}x&targetService={BACK_END}"),
            "INVALID_TICKET",
        ),
        (
            format!("pgt=%3Cb%3E&targetService={BACK_END}"),
            "INVALID_TICKET",
        ),
        (
            format!("pgt={pgt}&targetService=https://nowhere.example/"),
            "UNAUTHORIZED_SERVICE",
        ),
        (
            format!("pgt={pgt}&targetService=https://closed.example.edu/"),
            "UNAUTHORIZED_SERVICE",
        ),
        (
            format!("pgt={pgt}&targetService=https://faculty.example.edu/"),
            "UNAUTHORIZED_SERVICE",
        ),
        (
            // It wants fresh credentials (`ssoEnabled: false`).
            format!("pgt={pgt}&targetService=https://payroll.example.edu/x"),
            "UNAUTHORIZED_SERVICE",
        ),
        (
            format!("pgt={pgt}&targetService=javascript:alert(1)"),
            "UNAUTHORIZED_SERVICE",
        ),
    ] {
        let answer = ask(&cluster, 0, &format!("/proxy?{query}")).await;
        assert_eq!(answer.status, 200, "{query}");
        let failure = format!("<cas:proxyFailure code=\"{code}\">");
        assert!(answer.body.contains(&failure), "{query}: {}", answer.body);
        assert!(!answer.body.contains("<b>") && !answer.body.contains(&pgt));
        if query.contains("%ff") {
            // Nor can it be read which format is wanted.
            continue;
        }
        let json = ask(&cluster, 0, &format!("/proxy?{query}&format=JSON")).await;
        assert!(
            json.body.contains(&format!("\"code\":\"{code}\"")),
            "{query}: {}",
            json.body
        );
    }
    // Each is on record, also what could not be read, and nothing of what was sent.
    let actions = cluster.actions(0);
    let refused = actions.iter().filter(|a| *a == "PROXY_TICKET_NOT_CREATED");
    assert_eq!(refused.count(), 13 + 12);
    let text = serde_json::to_string(&cluster.audit(0)).unwrap();
    assert!(text.contains("INVALID_REQUEST: The request is malformed"));
    assert!(!text.contains(&pgt) && !text.contains("<b>"));
}

#[tokio::test]
async fn an_application_whose_definition_is_gone_or_disabled_proxies_no_more() {
    let cluster = cluster(1).await;
    let application = Callback::start("200 OK").await;
    application.is_trusted_by(&cluster);
    let mut person = Person::signed_in(&cluster).await;
    let pgt = granted(&cluster, &application, &mut person).await;
    let path = format!("/proxy?pgt={pgt}&targetService={BACK_END}");
    let registry = &cluster.nodes[0].cas.services;
    let before: Vec<RegisteredService> = registry
        .snapshot()
        .iter()
        .map(|service| RegisteredService::clone(service))
        .collect();
    let disabled = AccessStrategy::Rules(Box::new(Rules {
        enabled: false,
        ..Rules::default()
    }));
    let mut without = before.clone();
    without.retain(|service| service.id != 20);
    let mut closed = before.clone();
    for service in closed.iter_mut().filter(|service| service.id == 20) {
        service.access = disabled.clone();
    }
    // The policy of another application, which this person has not visited, covers the callback.
    for services in [without, closed] {
        registry.replace(Snapshot::new(services));
        let answer = ask(&cluster, 0, &path).await;
        assert_eq!(answer.status, 200);
        let refused = r#"<cas:proxyFailure code="UNAUTHORIZED_SERVICE_PROXY">"#;
        assert!(answer.body.contains(refused), "{}", answer.body);
    }
    registry.replace(Snapshot::new(before));
    let answer = ask(&cluster, 0, &path).await;
    assert!(element(&answer.body, "proxyTicket").is_some(), "{answer:?}");
}

#[tokio::test]
async fn a_callback_that_could_be_read_in_two_ways_is_not_called() {
    let cluster = cluster(1).await;
    let application = Callback::start("200 OK").await;
    application.is_trusted_by(&cluster);
    let mut person = Person::signed_in(&cluster).await;
    for odd in [
        "/../anything",
        "/%2e%2e/anything",
        "/..%2Fanything",
        "/..;/anything",
        "/..\\x",
        "/a b\r\nX: y",
        "/\u{7f}",
    ] {
        let ticket = person.ticket(&cluster, SERVICE).await;
        let callback = format!("https://localhost:{}/pgt{odd}", application.port);
        let callback = castor_node::web::form::encode(&callback);
        let path = format!("/serviceValidate?service={SERVICE}&ticket={ticket}&pgtUrl={callback}");
        let answer = ask(&cluster, 0, &path).await;
        assert!(
            answer.body.contains("INVALID_PROXY_CALLBACK"),
            "{odd:?}: {answer:?}"
        );
        assert!(application.requests().is_empty(), "{odd:?}");
        let again = ask(&cluster, 0, &path).await;
        assert!(again.body.contains("INVALID_TICKET"), "used up: {again:?}");
    }
    let audited = cluster.audit(0);
    let refused = audited
        .iter()
        .filter(|event| event["action"] == "PROXY_GRANTING_TICKET_NOT_CREATED");
    let said: Vec<_> = refused
        .map(|event| event["what"].as_str().unwrap())
        .collect();
    assert_eq!(said.len(), 7, "{said:?}");
    let host = format!("https://localhost:{}", application.port);
    assert!(said.iter().all(|what| what.ends_with(&host)), "{said:?}");
}
