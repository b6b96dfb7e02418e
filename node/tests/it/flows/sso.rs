//! One person, several applications, one node.

use crate::util::{Browser, Cluster};

#[tokio::test]
async fn signing_in_again_keeps_the_session_and_another_person_replaces_it() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    // The form of another tab, opened before.
    let execution = browser.get(router, "/cas/login").await.execution();
    browser.sign_in(router, "/cas/login").await;
    let fields = [
        ("username", "casuser"),
        ("password", "Mellon"),
        ("execution", execution.as_str()),
    ];
    let again = browser.post(router, "/cas/login", &fields).await;
    assert!(again.tgc().is_some(), "{again:?}");
    let created = |actions: Vec<String>| {
        let wanted = "TICKET_GRANTING_TICKET_CREATED";
        actions.into_iter().filter(|a| a == wanted).count()
    };
    assert_eq!(created(cluster.actions(0)), 1, "one session for one person");
    let old = browser.cookies.clone();

    let execution = browser
        .get(router, "/cas/login?renew=true")
        .await
        .execution();
    let fields = [
        ("username", "professor"),
        ("password", "Chair"),
        ("execution", execution.as_str()),
        ("_eventId", "submit"),
    ];
    let answer = browser.post(router, "/cas/login", &fields).await;
    assert!(answer.body.contains("professor"));
    let mut before = Browser::new();
    before.cookies = old;
    let page = before.get(router, "/cas/login").await;
    assert!(
        page.body.contains("name=\"password\""),
        "the replaced session is over"
    );
    let actions = cluster.actions(0);
    assert!(actions.contains(&"TICKET_GRANTING_TICKET_DESTROYED".to_owned()));
}

#[tokio::test]
async fn demanded_credentials_begin_a_session_of_their_own() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    for path in [
        "/cas/login?renew=true&service=https://portal.example.edu/",
        "/cas/login?service=https://payroll.example.edu/",
    ] {
        let mut browser = Browser::new();
        browser.sign_in(router, "/cas/login").await;
        let before = browser.cookies.clone();
        let handle = &cluster.nodes[0].handle;
        let signed_in = handle.now();
        let later = || handle.now() > signed_in;
        cluster.until("a millisecond has passed", later).await;
        let began = handle.now();
        let answer = browser.sign_in(router, path).await;
        let ticket = answer.ticket().unwrap();
        let service = path.split("service=").nth(1).unwrap();
        let query = format!("format=JSON&service={service}&ticket={ticket}");
        let path = format!("/cas/p3/serviceValidate?{query}");
        let valid = Browser::new().get(router, &path).await;
        let parsed: serde_json::Value = serde_json::from_str(&valid.body).unwrap();
        let facts = &parsed["serviceResponse"]["authenticationSuccess"]["attributes"];
        let date = facts["authenticationDate"][0].as_str().unwrap();
        let earliest = format!("{:.3}", castor_node::clock::timestamp(began));
        assert!(date >= earliest.as_str(), "{date} is before {earliest}");
        assert_eq!(facts["isFromNewLogin"][0], true, "{facts}");
        let mut old = Browser::new();
        old.cookies = before;
        let page = old.get(router, "/cas/login").await;
        assert!(page.body.contains("name=\"password\""), "replaced");
    }
}

#[tokio::test]
async fn the_audit_names_people_addresses_and_masked_tickets() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new().with("x-forwarded-for", "203.0.113.9");
    let path = "/cas/login?service=https://portal.example.edu/";
    let ticket = browser.sign_in(router, path).await.ticket().unwrap();
    let mut application = Browser::from("192.0.2.80:4000").with("x-forwarded-for", "6.6.6.6");
    let path = format!("/cas/serviceValidate?service=https://portal.example.edu/&ticket={ticket}");
    application.get(router, &path).await;
    let events = cluster.audit(0);
    let find = |action: &str| {
        let found = events.iter().find(|event| event["action"] == action);
        found.unwrap_or_else(|| panic!("{action}: {events:?}"))
    };
    let triggered = find("AUTHENTICATION_EVENT_TRIGGERED");
    assert_eq!(triggered["who"], "audit:unknown");
    let success = find("AUTHENTICATION_SUCCESS");
    assert_eq!(success["who"], "casuser");
    assert_eq!(success["clientIpAddress"], "203.0.113.9");
    let validated = find("SERVICE_TICKET_VALIDATED");
    assert_eq!(
        validated["clientIpAddress"], "192.0.2.80",
        "no header of a stranger"
    );
    let text = serde_json::to_string(&events).unwrap();
    assert!(!text.contains(&ticket) && text.contains("*****"), "{text}");
    assert!(!text.contains("Mellon"));
}

#[tokio::test]
async fn requests_and_attempts_are_counted() {
    let cluster = Cluster::one().await;
    let node = &cluster.nodes[0];
    Browser::new().sign_in(&node.router, "/cas/login").await;
    let families = node.metrics.gather();
    let count = |name: &str, labels: &[(&str, &str)]| -> f64 {
        let family = families.iter().find(|family| family.name() == name);
        let family = family.unwrap_or_else(|| panic!("{name}"));
        let matching = family.get_metric().iter().filter(|metric| {
            labels.iter().all(|(label, value)| {
                let mut pairs = metric.get_label().iter();
                pairs.any(|pair| pair.name() == *label && pair.value() == *value)
            })
        });
        matching
            .map(|metric| metric.get_counter().get_value())
            .sum()
    };
    let post = [
        ("endpoint", "/cas/login"),
        ("method", "POST"),
        ("code", "200"),
    ];
    assert_eq!(count("castor_http_requests_total", &post), 1.0);
    let accepted = [("handler", "file"), ("outcome", "accepted")];
    assert_eq!(count("castor_authn_attempts_total", &accepted), 1.0);
    let created = [("action", "TICKET_GRANTING_TICKET_CREATED")];
    assert_eq!(count("castor_audit_events_total", &created), 1.0);
}
