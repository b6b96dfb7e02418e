//! Visited applications learn that a session has ended.

use std::time::Duration;

use castor_node::web::form;
use castor_proto::ticket::{Payload, Principal, St, Tgt, TicketKind};
use castor_replication::driver::NetEvent;
use castor_replication::engine::{GossipMember, NewReusable, NewSingleUse};

use crate::util::application::{Application, element, id};
use crate::util::{Browser, Cluster, Options};

/// Any application on loopback hears of logouts from us, below `/front` from the browser, below
/// `/quiet` not at all.
const LOOPBACK: [&str; 3] = [
    r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 20, "name": "Front",
    "serviceId": "^http://127\\.0\\.0\\.1:\\d+/front.*", "evaluationOrder": 20,
    "logoutType": "FRONT_CHANNEL"}"#,
    r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 21, "name": "Quiet",
    "serviceId": "^http://127\\.0\\.0\\.1:\\d+/quiet.*", "evaluationOrder": 21,
    "logoutType": "NONE"}"#,
    r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 22, "name": "Loopback",
    "serviceId": "^http://127\\.0\\.0\\.1:\\d+/.*", "evaluationOrder": 22,
    "usernameAttributeProvider": {
      "@class": "org.apereo.cas.services.DefaultRegisteredServiceUsernameProvider",
      "canonicalizationMode": "UPPER"}}"#,
];

async fn cluster(size: usize, set: Vec<(&'static str, &'static str)>) -> Cluster {
    let options = Options {
        services: LOOPBACK.to_vec(),
        set,
        ..Options::default()
    };
    Cluster::start(size, options).await
}

fn login(service: &str) -> String {
    format!("/cas/login?service={}", form::encode(service))
}

impl Cluster {
    /// The sum of a metric of a node over the labels that have this value.
    fn counted(&self, node: usize, name: &str, label: &str) -> f64 {
        let families = self.nodes[node].metrics.gather();
        let family = families.iter().filter(|family| family.name() == name);
        let metrics = family.flat_map(|family| family.get_metric());
        metrics
            .filter(|metric| metric.get_label().iter().any(|l| l.value() == label))
            .map(|metric| metric.get_counter().get_value())
            .sum()
    }

    fn gauge(&self, node: usize, name: &str) -> f64 {
        let families = self.nodes[node].metrics.gather();
        let family = families.iter().find(|family| family.name() == name);
        family.unwrap().get_metric()[0].get_gauge().get_value()
    }

    /// How many visits of applications a node knows of all sessions together.
    fn visits(&self, node: usize) -> usize {
        let mut visits = 0;
        let store = self.nodes[node].handle.store();
        store.visit(TicketKind::Tgt, &mut |entry| {
            visits += entry.services.len();
            true
        });
        visits
    }

    fn last_action(&self, node: usize) -> (String, String) {
        let events = self.audit(node);
        let event = events.last().unwrap();
        let text = |key: &str| event[key].as_str().unwrap().to_owned();
        (text("action"), text("what"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_application_is_told_once_of_its_newest_ticket_by_the_node_that_took_the_logout() {
    let cluster = cluster(3, vec![]).await;
    let [a, b, c] = cluster.nodes.as_slice() else {
        panic!("three nodes")
    };
    let (one, two, quiet) = (
        Application::start().await,
        Application::start().await,
        Application::start().await,
    );
    let mut browser = Browser::new();
    browser.sign_in(&a.router, "/cas/login").await;
    let ticket = |answer: crate::util::Answer| answer.ticket().unwrap();
    ticket(browser.get(&a.router, &login(&one.url("/x?first"))).await);
    // What comes after it comes after it on another node's clock too.
    cluster
        .until("the other node has the first visit", || {
            cluster.visits(1) == 1
        })
        .await;
    let newest = ticket(browser.get(&b.router, &login(&one.url("/x?second"))).await);
    let other = ticket(browser.get(&c.router, &login(&two.url("/"))).await);
    ticket(browser.get(&b.router, &login(&quiet.url("/quiet"))).await);

    let page = browser.get(&c.router, "/cas/logout").await;
    assert!(page.status == 200 && page.body.contains("You are signed out"));
    cluster
        .until("both are told", || {
            one.requests().len() + two.requests().len() == 2
        })
        .await;
    for (application, ticket) in [(&one, &newest), (&two, &other)] {
        let request = &application.requests()[0];
        assert_eq!(element(request, "samlp:SessionIndex"), ticket);
        assert_eq!(element(request, "saml:NameID"), "CASUSER");
    }
    cluster
        .until("the record has it", || {
            cluster.counted(2, "castor_audit_events_total", "LOGOUT_SUCCESS") == 1.0
        })
        .await;
    assert_eq!(cluster.last_action(2).0, "LOGOUT_SUCCESS");
    assert!(cluster.last_action(2).1.ends_with(": 2 told"));
    assert_eq!(cluster.counted(2, "castor_slo_requests_total", "told"), 2.0);
    // Signing out again tells nobody again, on whatever node.
    browser.get(&a.router, "/cas/logout").await;
    for node in 0..3 {
        let waiting = || cluster.gauge(node, "castor_slo_sessions_waiting");
        cluster
            .until("nobody is left to be told", || waiting() == 0.0)
            .await;
    }
    let begun = |node| cluster.counted(node, "castor_slo_sessions_total", "logout");
    assert_eq!([begun(0), begun(1), begun(2)], [0.0, 0.0, 1.0]);
    assert_eq!((one.requests().len(), quiet.requests().len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signs_out_and_goes_away_before_the_answer_has_signed_out_all_the_same() {
    let cluster = cluster(3, vec![]).await;
    let [here, silent, _] = cluster.nodes.as_slice() else {
        panic!("three nodes")
    };
    let application = Application::start().await;
    let mut browser = Browser::new();
    browser.sign_in(&here.router, "/cas/login").await;
    browser
        .get(&here.router, &login(&application.url("/")))
        .await;
    // The answer waits for this node.
    cluster.net.cut(&here.member, &silent.member);
    let answer = browser.get(&here.router, "/cas/logout");
    let answer = tokio::time::timeout(Duration::from_millis(100), answer).await;
    assert!(answer.is_err(), "the browser went away before: {answer:?}");
    cluster
        .until("the application is told", || {
            application.requests().len() == 1
        })
        .await;
    cluster
        .until("the record has it", || {
            cluster.counted(0, "castor_audit_events_total", "LOGOUT_SUCCESS") == 1.0
        })
        .await;
    let destroyed = "TICKET_GRANTING_TICKET_DESTROYED".to_owned();
    assert!(cluster.actions(0).contains(&destroyed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_is_away_delays_nobody_and_is_told_later() {
    let cluster = cluster(1, vec![("outbound.timeout", "500ms")]).await;
    let router = &cluster.nodes[0].router;
    let (slow, fine) = (Application::start().await, Application::start().await);
    slow.will_answer(&[0, 503]);
    let mut browser = Browser::new();
    browser.sign_in(router, "/cas/login").await;
    for application in [&slow, &fine] {
        browser.get(router, &login(&application.url("/"))).await;
    }
    let began = castor_node::clock::monotonic();
    browser.get(router, "/cas/logout").await;
    assert!(
        began.elapsed() < Duration::from_millis(400),
        "{:?}",
        began.elapsed()
    );
    cluster
        .until("the slow one is told", || slow.requests().len() == 3)
        .await;
    let requests = slow.requests();
    assert!(
        requests
            .iter()
            .all(|request| id(request) == id(&requests[0]))
    );
    cluster
        .until("counted", || {
            cluster.counted(0, "castor_slo_requests_total", "told") == 2.0
        })
        .await;
    assert_eq!(
        cluster.counted(0, "castor_slo_requests_total", "retried"),
        2.0
    );
    assert_eq!(fine.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_refuses_or_is_never_reached_is_recorded() {
    let cluster = cluster(1, vec![("logout.retries", "0")]).await;
    let router = &cluster.nodes[0].router;
    let refusing = Application::start().await;
    refusing.will_answer(&[404]);
    let mut browser = Browser::new();
    browser.sign_in(router, "/cas/login").await;
    let service = refusing.url("/x;jsessionid=AB?token=1#z");
    browser.get(router, &login(&service)).await;
    browser.get(router, "/cas/logout").await;
    cluster
        .until("recorded", || {
            cluster.counted(0, "castor_audit_events_total", "LOGOUT_FAILED") == 1.0
        })
        .await;
    let (action, what) = cluster.last_action(0);
    assert_eq!(action, "LOGOUT_FAILED");
    let named = format!("Loopback at {} (status 404)", refusing.url("/x"));
    assert!(
        what.ends_with(&format!(": 0 told, not told: {named}")),
        "{what}"
    );
    assert_eq!(
        cluster.counted(0, "castor_slo_requests_total", "refused"),
        1.0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_node_that_took_the_logout_dies_another_one_tells() {
    let cluster = cluster(3, vec![("outbound.timeout", "2m")]).await;
    let application = Application::start().await;
    // The first node never learns whether it was told.
    application.will_answer(&[0]);
    let mut browser = Browser::new();
    browser
        .sign_in(&cluster.nodes[0].router, "/cas/login")
        .await;
    let path = login(&application.url("/"));
    let ticket = browser
        .get(&cluster.nodes[1].router, &path)
        .await
        .ticket()
        .unwrap();
    browser.get(&cluster.nodes[0].router, "/cas/logout").await;
    cluster
        .until("the first attempt", || application.requests().len() == 1)
        .await;
    let gone = cluster.nodes[0].member.clone();
    cluster.net.leave(&gone);
    for (node, other) in [(1, 2), (2, 1)] {
        let alive = GossipMember {
            member: cluster.nodes[other].member.clone(),
            alive: true,
        };
        let gossip = NetEvent::Gossip(vec![alive]);
        cluster.nodes[node].inject.send(gossip).await.unwrap();
    }
    cluster
        .until("the survivor tells", || application.requests().len() == 2)
        .await;
    let requests = application.requests();
    assert_eq!(
        id(&requests[0]),
        id(&requests[1]),
        "a double is recognisable"
    );
    assert_eq!(element(&requests[1], "samlp:SessionIndex"), ticket);
    assert_eq!(element(&requests[1], "saml:NameID"), "CASUSER");
    let taken: f64 = (1..3)
        .map(|node| cluster.counted(node, "castor_slo_sessions_total", "taken_over"))
        .sum();
    assert_eq!(taken, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_browser_tells_those_who_want_to_hear_it_from_there() {
    let options = vec![
        ("logout.redirect_url", "https://www.example.edu/"),
        ("logout.follow_service_redirects", "true"),
    ];
    let cluster = cluster(1, options).await;
    let router = &cluster.nodes[0].router;
    let front = Application::start().await;
    let mut browser = Browser::new();
    browser.sign_in(router, "/cas/login").await;
    let service = front.url("/front/app?x=1");
    let ticket = browser
        .get(router, &login(&service))
        .await
        .ticket()
        .unwrap();
    let page = browser.get(router, "/cas/logout").await;
    assert_eq!(page.status, 200, "it is the page that tells");
    let (_, rest) = page.body.split_once("<img class=\"tell\" src=\"").unwrap();
    let url = rest.split('"').next().unwrap();
    let url = url.replace("&amp;", "&").replace("&#x2f;", "/");
    assert!(
        url.starts_with(&format!("{service}&callback=castor&logoutRequest=")),
        "{url}"
    );
    let (_, query) = url.split_once('?').unwrap();
    let query = form::Form::parse(query.as_bytes()).unwrap();
    let packed = query.one("logoutRequest").unwrap().unwrap();
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, packed).unwrap();
    let request = String::from_utf8(bytes[5..].to_vec()).unwrap();
    assert_eq!(element(&request, "samlp:SessionIndex"), ticket);
    let policy = page.header("content-security-policy");
    let origin = format!("http://{}", front.address);
    assert!(
        policy.contains(&format!("img-src 'self' {origin};")),
        "{policy}"
    );
    assert!(policy.contains("script-src 'self';"), "{policy}");
    assert!(
        page.body.contains("id=\"continue\" href=\"https:"),
        "{}",
        page.body
    );
    assert!(page.tgc().unwrap().contains("Max-Age=0"));
    assert_eq!(front.requests().len(), 0, "nothing is sent by the node");
    assert_eq!(
        cluster.counted(0, "castor_slo_requests_total", "offered"),
        1.0
    );

    // Without such an application the browser goes on at once.
    let next = browser.get(router, "/cas/logout").await;
    assert_eq!(
        (next.status.as_u16(), next.header("location")),
        (302, "https://www.example.edu/")
    );
    let service = browser
        .get(router, "/cas/logout?service=https://portal.example.edu/")
        .await;
    assert_eq!(service.header("location"), "https://portal.example.edu/");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_else_at_the_browser_signs_the_first_one_out_and_the_same_person_does_not() {
    let cluster = cluster(1, vec![]).await;
    let router = &cluster.nodes[0].router;
    let application = Application::start().await;
    let mut browser = Browser::new();
    browser.sign_in(router, "/cas/login").await;
    let first = browser
        .get(router, &login(&application.url("/")))
        .await
        .ticket()
        .unwrap();
    // Fresh credentials of the same person: the applications go over to the new session.
    browser
        .sign_in(
            router,
            "/cas/login?renew=true&service=https://portal.example.edu/",
        )
        .await;
    assert_eq!(
        cluster.counted(0, "castor_slo_sessions_total", "replaced"),
        0.0
    );
    // Somebody else.
    let page = browser.get(router, "/cas/login?renew=true").await;
    let execution = page.execution();
    let fields = [
        ("username", "professor"),
        ("password", "Chair"),
        ("execution", execution.as_str()),
        ("_eventId", "submit"),
    ];
    browser.post(router, "/cas/login", &fields).await;
    cluster
        .until("told", || application.requests().len() == 1)
        .await;
    let request = &application.requests()[0];
    assert_eq!(element(request, "samlp:SessionIndex"), first);
    assert_eq!(element(request, "saml:NameID"), "CASUSER");
    assert_eq!(
        cluster.counted(0, "castor_slo_sessions_total", "replaced"),
        1.0
    );
}

#[tokio::test]
async fn people_are_asked_first_when_that_is_configured() {
    let cluster = cluster(1, vec![("logout.confirm", "true")]).await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    let page = browser.get(router, "/cas/logout").await;
    assert!(
        page.body.contains("You were not signed in"),
        "nothing to ask"
    );
    browser.sign_in(router, "/cas/login").await;
    let question = browser
        .get(router, "/cas/logout?service=https://portal.example.edu/")
        .await;
    assert!(question.body.contains("Sign out?"), "{}", question.body);
    let action = "action=\"/cas/logout?service=https://portal.example.edu/\"";
    let body = question.body.replace("&#x2f;", "/");
    assert!(body.contains(action), "{body}");
    let mut foreign = Browser::new().with("sec-fetch-site", "cross-site");
    foreign.cookies = browser.cookies.clone();
    let refused = foreign.post(router, "/cas/logout", &[]).await;
    assert!(
        refused.body.contains("Sign out?"),
        "another site cannot answer"
    );
    let done = browser.post(router, "/cas/logout", &[]).await;
    assert!(done.body.contains("You are signed out"), "{}", done.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_told_when_that_is_switched_off_or_the_definition_covers_everything() {
    let any = r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 30, "name": "Any",
        "serviceId": "^http://.*", "evaluationOrder": 30}"#;
    for (set, services, begun) in [
        (
            vec![("logout.tell_applications", "false")],
            LOOPBACK.to_vec(),
            0.0,
        ),
        (vec![], vec![any], 1.0),
    ] {
        let options = Options {
            services,
            set,
            ..Options::default()
        };
        let cluster = Cluster::start(1, options).await;
        let router = &cluster.nodes[0].router;
        let application = Application::start().await;
        let mut browser = Browser::new();
        browser.sign_in(router, "/cas/login").await;
        browser.get(router, &login(&application.url("/"))).await;
        browser.get(router, "/cas/logout").await;
        let ended = "TICKET_GRANTING_TICKET_DESTROYED".to_owned();
        assert!(cluster.actions(0).contains(&ended));
        // Telling begins before the page is answered, or never.
        let sessions = cluster.counted(0, "castor_slo_sessions_total", "logout");
        assert_eq!(sessions, begun);
        cluster
            .until("it has been given up", || {
                cluster.gauge(0, "castor_slo_sessions_waiting") == 0.0
                    && cluster.counted(0, "castor_outbound_requests_total", "private") == begun
            })
            .await;
        assert_eq!(application.requests().len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_waits_for_nobody_when_everybody_has_been_told() {
    let cluster = cluster(1, vec![("outbound.timeout", "60s")]).await;
    let node = &cluster.nodes[0];
    let long = Duration::from_secs(60);
    let at_once = tokio::time::timeout(Duration::from_secs(10), node.cas.slo.finish(long));
    assert!(at_once.await.is_ok(), "nobody is to be told");
    let slow = Application::start().await;
    slow.will_answer(&[0]);
    let mut browser = Browser::new();
    browser.sign_in(&node.router, "/cas/login").await;
    browser.get(&node.router, &login(&slow.url("/"))).await;
    browser.get(&node.router, "/cas/logout").await;
    cluster
        .until("it is being told", || slow.requests().len() == 1)
        .await;
    let waits = tokio::time::timeout(Duration::from_millis(300), node.cas.slo.finish(long));
    assert!(waits.await.is_err(), "somebody is being told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applications_of_an_expired_session_are_told_by_one_node() {
    let options = Options {
        services: LOOPBACK.to_vec(),
        tune: Some(|config| {
            config.tell_expired = true;
            config.tolerance_ms = 300;
        }),
        ..Options::default()
    };
    let cluster = Cluster::start(3, options).await;
    let application = Application::start().await;
    let url = application.url("/");
    let payload = Payload::Tgt(Tgt {
        principal: Principal {
            id: "casuser".to_owned(),
            attributes: Vec::new(),
        },
        authenticated_at: cluster.nodes[0].handle.now(),
        handler: "file".to_owned(),
        remember_me: false,
        client_address: String::new(),
    });
    let session = NewReusable {
        id: None,
        life_ms: 1_000,
        idle_ms: 0,
        ancestors: Vec::new(),
        payload,
        key_id: None,
    };
    let session = cluster.nodes[0].handle.create(session).await.unwrap();
    let service = St {
        service: url.clone(),
        registered_service: 22,
        from_new_login: true,
    };
    let ticket = NewSingleUse {
        ancestors: vec![session.body.key()],
        life_ms: 500,
        payload: Payload::St(service),
        service: Some((22, url)),
    };
    let ticket = cluster.nodes[1].handle.issue(ticket).await.unwrap();
    cluster
        .until("told", || application.requests().len() == 1)
        .await;
    let request = &application.requests()[0];
    assert_eq!(
        element(request, "samlp:SessionIndex"),
        ticket.body.id.as_str()
    );
    let expired: f64 = (0..3)
        .map(|node| cluster.counted(node, "castor_slo_sessions_total", "expired"))
        .sum();
    assert_eq!(expired, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_only_a_cut_off_node_knew_is_told_after_the_heal() {
    let cluster = cluster(3, vec![]).await;
    let [a, b, _] = cluster.nodes.as_slice() else {
        panic!("three nodes")
    };
    let application = Application::start().await;
    let mut browser = Browser::new();
    browser.sign_in(&a.router, "/cas/login").await;
    for other in &cluster.nodes[1..] {
        cluster.net.cut(&a.member, &other.member);
    }
    let path = login(&application.url("/"));
    let ticket = browser.get(&b.router, &path).await.ticket().unwrap();
    let page = browser.get(&a.router, "/cas/logout").await;
    assert!(page.body.contains("could not be told yet"), "{}", page.body);
    for other in &cluster.nodes[1..] {
        cluster.net.mend(&a.member, &other.member);
    }
    cluster
        .until("told", || application.requests().len() == 1)
        .await;
    let request = &application.requests()[0];
    assert_eq!(element(request, "samlp:SessionIndex"), ticket);
}
