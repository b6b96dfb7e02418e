//! How many sessions a person may have, in the whole cluster.

use castor_node::tickets::Look;
use castor_node::web::form;

use crate::util::application::Application;
use crate::util::{Browser, Cluster, Options};

/// Any application on loopback hears of logouts.
const LOOPBACK: &str = r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 22,
    "name": "Loopback", "serviceId": "^http://127\\.0\\.0\\.1:\\d+/.*", "evaluationOrder": 22}"#;

const PORTAL: &str = "/cas/login?service=https://portal.example.edu/";

async fn limited(size: usize, most: &'static str, beyond: &'static str) -> Cluster {
    let options = Options {
        services: vec![LOOPBACK],
        set: vec![
            ("tickets.max_sessions_per_user", most),
            ("tickets.at_user_limit", beyond),
            ("http.rest", "true"),
        ],
        tune: Some(|engine| engine.index_people = true),
        ..Options::default()
    };
    Cluster::start(size, options).await
}

impl Cluster {
    async fn sign_in(&self, node: usize) -> Browser {
        let mut browser = Browser::new();
        let answer = browser.sign_in(&self.nodes[node].router, PORTAL).await;
        assert!(answer.ticket().is_some(), "{answer:?}");
        browser
    }

    async fn is_signed_in(&self, node: usize, browser: &mut Browser) -> bool {
        let answer = browser.get(&self.nodes[node].router, PORTAL).await;
        assert!(answer.status == 302 || answer.body.contains("name=\"password\""));
        answer.ticket().is_some()
    }

    fn sessions(&self, node: usize) -> usize {
        let store = self.nodes[node].handle.store();
        store.count_sessions_of("casuser")
    }

    fn at_limit(&self, node: usize, outcome: &str) -> f64 {
        let families = self.nodes[node].metrics.gather();
        let family = families
            .iter()
            .find(|family| family.name() == "castor_tickets_user_limit_total");
        let mut metrics = family.unwrap().get_metric().iter();
        let metric = metrics.find(|metric| metric.get_label()[0].value() == outcome);
        metric.unwrap().get_counter().get_value()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_session_that_began_first_ends_and_its_applications_are_told() {
    let cluster = limited(3, "2", "end_oldest").await;
    let application = Application::start().await;
    let mut first = cluster.sign_in(0).await;
    let path = format!(
        "/cas/login?service={}",
        form::encode(&application.url("/x"))
    );
    let visit = first.get(&cluster.nodes[0].router, &path).await;
    assert!(visit.ticket().is_some(), "{visit:?}");
    let began = cluster.nodes[0].handle.now();
    let later = || cluster.nodes[1].handle.now() > began + 1;
    cluster.until("some milliseconds have passed", later).await;
    let mut second = cluster.sign_in(1).await;
    assert!(cluster.is_signed_in(2, &mut first).await, "two are allowed");
    let mut third = cluster.sign_in(2).await;
    assert!(!cluster.is_signed_in(1, &mut first).await);
    for browser in [&mut second, &mut third] {
        assert!(cluster.is_signed_in(0, browser).await);
    }
    let told = || application.requests().len() == 1;
    cluster.until("the application is told", told).await;
    let events = cluster.audit(2);
    let end = events
        .iter()
        .find(|event| event["action"] == "TICKET_GRANTING_TICKET_DESTROYED")
        .unwrap();
    assert_eq!(end["who"], "casuser");
    let what = end["what"].as_str().unwrap();
    assert!(what.ends_with("was one session too many"), "{what}");
    assert_eq!(cluster.at_limit(2, "ended"), 1.0);
    assert_eq!(cluster.at_limit(2, "refused"), 0.0);
    for node in 0..3 {
        assert_eq!(cluster.sessions(node), 2);
    }
}

#[tokio::test]
async fn a_browser_that_signs_in_again_ends_its_own_session_and_no_other() {
    let cluster = limited(2, "2", "end_oldest").await;
    let application = Application::start().await;
    let mut other = cluster.sign_in(1).await;
    let mut browser = cluster.sign_in(0).await;
    let path = format!("/cas/login?service={}", form::encode(&application.url("/")));
    browser.get(&cluster.nodes[1].router, &path).await;
    let renew = format!("{PORTAL}&renew=true");
    let renewed = browser.sign_in(&cluster.nodes[0].router, &renew).await;
    assert!(renewed.ticket().is_some(), "{renewed:?}");
    assert!(cluster.is_signed_in(0, &mut other).await);
    assert!(cluster.is_signed_in(1, &mut browser).await);
    let out = browser.get(&cluster.nodes[0].router, "/cas/logout").await;
    assert_eq!(out.status, 200);
    let told = || application.requests().len() == 1;
    cluster
        .until("the application went over to the new session", told)
        .await;
}

#[tokio::test]
async fn a_sign_in_too_many_is_refused_until_another_session_ends() {
    let cluster = limited(2, "1", "refuse").await;
    let mut first = cluster.sign_in(0).await;
    let mut second = Browser::new();
    let refused = second.sign_in(&cluster.nodes[1].router, PORTAL).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(
        refused.body.contains("signed in too often"),
        "{}",
        refused.body
    );
    assert!(refused.tgc().is_none(), "no session, no cookie");
    let mut program = Browser::new().with("Accept", "text/plain");
    let fields = [("username", "casuser"), ("password", "Mellon")];
    let answer = program
        .post(&cluster.nodes[1].router, "/cas/v1/tickets", &fields)
        .await;
    assert_eq!(answer.status, 403, "{answer:?}");
    let actions = cluster.actions(1);
    assert!(actions.contains(&"TICKET_GRANTING_TICKET_NOT_CREATED".to_owned()));
    assert_eq!(cluster.at_limit(1, "refused"), 2.0);
    // The same browser may give fresh credentials: its new session takes the place of the old one.
    let renew = format!("{PORTAL}&renew=true");
    let renewed = first.sign_in(&cluster.nodes[1].router, &renew).await;
    assert!(renewed.ticket().is_some(), "{renewed:?}");
    assert!(cluster.is_signed_in(0, &mut first).await);
    first.get(&cluster.nodes[1].router, "/cas/logout").await;
    let granted = second.sign_in(&cluster.nodes[0].router, PORTAL).await;
    assert!(granted.ticket().is_some(), "{granted:?}");
}

#[tokio::test]
async fn who_comes_from_another_address_replaces_the_session_of_a_bound_cookie() {
    let options = Options {
        set: vec![
            ("tickets.max_sessions_per_user", "1"),
            ("tickets.at_user_limit", "refuse"),
            ("web.cookie.pin_to_address", "true"),
        ],
        tune: Some(|engine| engine.index_people = true),
        ..Options::default()
    };
    let cluster = Cluster::start(2, options).await;
    let at = |address| Browser::new().with("x-forwarded-for", address);
    let mut home = at("203.0.113.9");
    home.sign_in(&cluster.nodes[0].router, PORTAL).await;
    let before = home.cookies.clone();
    let mut away = at("203.0.113.8");
    away.cookies = before.clone();
    let granted = away.sign_in(&cluster.nodes[1].router, PORTAL).await;
    assert!(granted.ticket().is_some(), "{granted:?}");
    assert_ne!(
        away.cookies, before,
        "what is bound to elsewhere is not gone on with"
    );
    assert!(cluster.is_signed_in(0, &mut away).await);
    assert!(!cluster.is_signed_in(0, &mut home).await, "replaced");
    // Without the cookie it is one session too many, and with somebody else's too.
    let refused = at("203.0.113.8")
        .sign_in(&cluster.nodes[1].router, PORTAL)
        .await;
    assert_eq!(refused.status, 403);
    let mut other = at("203.0.113.7");
    other.cookies = away.cookies.clone();
    let router = &cluster.nodes[1].router;
    let execution = other.get(router, PORTAL).await.execution();
    let fields = [
        ("username", "professor"),
        ("password", "Chair"),
        ("execution", execution.as_str()),
        ("_eventId", "submit"),
    ];
    let granted = other.post(router, PORTAL, &fields).await;
    assert!(granted.ticket().is_some(), "{granted:?}");
    assert!(
        cluster.is_signed_in(0, &mut away).await,
        "not theirs to replace"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sign_ins_at_one_moment_on_two_nodes_one_session_is_left() {
    for beyond in ["end_oldest", "refuse"] {
        let cluster = limited(2, "1", beyond).await;
        for round in 0..20 {
            let form = |node: usize| {
                let router = cluster.nodes[node].router.clone();
                async move {
                    let mut browser = Browser::new();
                    let form = browser.get(&router, PORTAL).await;
                    let fields = [
                        ("username", "casuser".to_owned()),
                        ("password", "Mellon".to_owned()),
                        ("execution", form.execution()),
                    ];
                    let fields = fields
                        .each_ref()
                        .map(|(name, value)| (*name, value.as_str()));
                    browser.post(&router, PORTAL, &fields).await;
                    browser
                }
            };
            let (mut a, mut b) = tokio::join!(tokio::spawn(form(0)), tokio::spawn(form(1)));
            let one = || (0..2).all(|node| cluster.sessions(node) <= 1);
            cluster.until("at most one session is left", one).await;
            let mut signed_in = 0;
            for browser in [a.as_mut().unwrap(), b.as_mut().unwrap()] {
                signed_in += usize::from(cluster.is_signed_in(0, browser).await);
            }
            assert!(signed_in <= 1, "{beyond}, round {round}");
            for browser in [a.as_mut().unwrap(), b.as_mut().unwrap()] {
                browser.get(&cluster.nodes[1].router, "/cas/logout").await;
            }
        }
        let ended = cluster.at_limit(0, "ended") + cluster.at_limit(1, "ended");
        let refused = cluster.at_limit(0, "refused") + cluster.at_limit(1, "refused");
        assert!(ended + refused >= 20.0, "{beyond}: {ended} {refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_sides_of_a_partition_began_is_ended_at_the_first_use_after_the_heal() {
    let cluster = limited(2, "1", "end_oldest").await;
    let [a, b] = cluster.nodes.as_slice() else {
        panic!("two nodes")
    };
    cluster.net.cut(&a.member, &b.member);
    let mut first = cluster.sign_in(0).await;
    let began = a.handle.now();
    cluster
        .until("some milliseconds have passed", || {
            b.handle.now() > began + 1
        })
        .await;
    let mut second = cluster.sign_in(1).await;
    assert!(cluster.is_signed_in(0, &mut first).await);
    assert!(cluster.is_signed_in(1, &mut second).await);
    cluster.net.mend(&a.member, &b.member);
    let both = || cluster.sessions(0) == 2 && cluster.sessions(1) == 2;
    cluster.until("both sides know both", both).await;
    let settled = || {
        let look = Look::BeforeUse;
        !a.cas.tickets.too_many("casuser", look).is_empty()
            && !b.cas.tickets.too_many("casuser", look).is_empty()
    };
    cluster.until("neither session is brand new", settled).await;
    assert!(
        cluster.is_signed_in(0, &mut second).await,
        "the newer one stays"
    );
    assert!(!cluster.is_signed_in(1, &mut first).await);
    assert_eq!((cluster.sessions(0), cluster.sessions(1)), (1, 1));
    assert_eq!(cluster.at_limit(0, "ended"), 1.0);
}

#[tokio::test]
async fn without_a_limit_nobody_is_counted() {
    let cluster = Cluster::one().await;
    for _ in 0..3 {
        cluster.sign_in(0).await;
    }
    assert_eq!(cluster.sessions(0), 0, "no index is kept");
}
