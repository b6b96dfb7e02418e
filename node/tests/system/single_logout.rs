//! Applications hear of a logout: from the node, from a survivor, from the browser.

use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::support::demo::Demo;
use crate::support::listener::Listener;
use crate::support::person::login_url;
use crate::support::wait;
use crate::support::webdriver::{Browser, Look};

/// Time for a death to be noticed and the survivor's attempt.
const SURVIVOR: Duration = Duration::from_secs(30);

const FRONT: &str = r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 77,
    "name": "Front", "serviceId": "^http://127\\.0\\.0\\.1:\\d+/front.*", "evaluationOrder": 0,
    "logoutType": "FRONT_CHANNEL"}"#;

/// The logout requests that were posted, decoded.
fn posted(application: &Listener) -> Vec<String> {
    let requests = application.requests("POST ");
    let requests = requests.iter().map(|(text, reads)| {
        assert_eq!(*reads, 1, "head and body arrive at once: {text}");
        let (_, body) = text.split_once("\r\n\r\n").expect("a whole request");
        assert!(body.len() <= 1023, "{} bytes", body.len());
        let value = body.strip_prefix("logoutRequest=").expect("the parameter");
        let decoded = percent_decode_str(value).decode_utf8();
        decoded.expect("UTF-8").into_owned()
    });
    requests.collect()
}

/// A cluster that has told the demo's own application of the demo's own session: the demo signs in
/// and out once when it starts.
fn settled() -> Demo {
    let demo = Demo::start();
    wait::until("the demo's own logout is told", SURVIVOR, || {
        (told(&demo, 0..3) == 1.0).then_some(())
    });
    demo
}

/// Applications told by these nodes.
fn told(demo: &Demo, nodes: std::ops::Range<usize>) -> f64 {
    nodes
        .map(|node| demo.metric_of(node, "castor_slo_requests_total", "told"))
        .sum()
}

fn told_of(request: &str, ticket: &str) -> bool {
    request.contains(&format!(
        "<samlp:SessionIndex>{ticket}</samlp:SessionIndex>"
    ))
}

#[test]
fn applications_are_told_by_the_node_that_took_the_logout_or_ended_the_session() {
    let demo = settled();
    let cluster = &demo.cluster;
    let application = Listener::start();
    let service = application.url("/app");
    let before = told(&demo, 0..3);
    let mut person = demo.person();
    let ticket = person.sign_in(cluster, &cluster.front, &service);
    let page = person.get(&format!("{}/logout", cluster.front));
    assert_eq!(page.status, 200);
    wait::until("the application is told", SURVIVOR, || {
        (posted(&application).len() == 1).then_some(())
    });
    assert!(told_of(&posted(&application)[0], &ticket));

    let second = person.sign_in(cluster, &cluster.front, &service);
    let ended = demo.admin(1, &["sessions", "end", "--user", &cluster.username]);
    assert!(ended.status.success(), "{ended:?}");
    wait::until("the application is told", SURVIVOR, || {
        (posted(&application).len() == 2).then_some(())
    });
    assert!(told_of(&posted(&application)[1], &second));
    assert_eq!(told(&demo, 0..3) - before, 2.0);
}

#[test]
fn a_node_killed_before_it_told_anybody_is_succeeded_by_a_survivor() {
    let mut demo = settled();
    let node = demo.cluster.nodes[0].url.clone();
    let before = told(&demo, 1..3);
    let application = Listener::nobody();
    let mut person = demo.person();
    let ticket = person.sign_in(&demo.cluster, &node, &application.url("/app"));
    let page = person.get(&format!("{node}/logout"));
    assert_eq!(page.status, 200);
    demo.kill(0);
    application.listen();
    wait::until("a survivor tells", SURVIVOR, || {
        (!posted(&application).is_empty()).then_some(())
    });
    assert!(told_of(&posted(&application)[0], &ticket));
    let taken = || -> f64 {
        (1..3)
            .map(|node| demo.metric_of(node, "castor_slo_sessions_total", "taken_over"))
            .sum()
    };
    assert_eq!(taken(), 1.0, "one survivor, not both");
    wait::until("it is counted", SURVIVOR, || {
        (told(&demo, 1..3) - before == 1.0).then_some(())
    });
    assert_eq!(posted(&application).len(), 1);
}

#[test]
fn the_browser_tells_with_scripts_and_without_and_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("Front-77.json"), FRONT).expect("a definition");
    let application = Listener::start();
    let next = application.url("/bye");
    let redirect = format!("logout.redirect_url={next}");
    let services = folder.path().to_str().expect("UTF-8").to_owned();
    let demo = Demo::start_with(&["--services", &services, "--set", &redirect]);
    let cluster = &demo.cluster;
    for scripts in [true, false] {
        let browser = Browser::open(&Look {
            width: 1000,
            height: 800,
            scripts,
        });
        let path = format!("/front/{scripts}");
        browser.go(&login_url(&cluster.front, &application.url(&path)));
        browser.type_into("input[name=username]", &cluster.username);
        browser.type_into("input[name=password]", &cluster.password);
        browser.click("button[type=submit]");
        let arrived = wait::until("signed in", SURVIVOR, || {
            let requests = application.requests(&format!("GET {path}?ticket="));
            requests.into_iter().next()
        });
        let (_, rest) = arrived.0.split_once("ticket=").expect("a ticket");
        let ticket = rest.split(' ').next().expect("a word");
        browser.go(&format!("{}/logout", cluster.front));
        let (told, _) = wait::until("the browser tells", SURVIVOR, || {
            let head = format!("GET {path}?callback=castor&logoutRequest=");
            application.requests(&head).into_iter().next()
        });
        // One stored block: the request stands in it as it is.
        let line = told.lines().next().expect("a line");
        let (_, packed) = line.split_once("logoutRequest=").expect("the parameter");
        let packed = packed.split('&').next().expect("a value");
        let packed = percent_decode_str(packed).decode_utf8_lossy().into_owned();
        let request = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, packed);
        let request = String::from_utf8_lossy(&request.expect("base64")).into_owned();
        assert!(told_of(&request, ticket), "{request}");
        wait::until("the browser goes on", SURVIVOR, || {
            browser.url().starts_with(&next).then_some(())
        });
        let complaints = browser.complaints();
        let policy = complaints
            .iter()
            .find(|c| c.contains("Content Security Policy"));
        assert!(policy.is_none(), "{complaints:#?}");
    }
    assert!(application.requests("POST ").is_empty());
}
