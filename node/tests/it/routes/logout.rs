//! `/logout`.

use crate::util::{Browser, Cluster, Options};

#[tokio::test]
async fn logging_out_ends_the_session_and_its_outstanding_tickets() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    browser.sign_in(router, "/cas/login").await;
    let kept = browser.cookies.clone();
    let login = "/cas/login?service=https://portal.example.edu/";
    let ticket = browser.get(router, login).await.ticket().unwrap();
    let answer = browser
        .get(router, "/cas/logout?url=https://evil.example/")
        .await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("You are signed out"));
    assert!(answer.tgc().unwrap().contains("Max-Age=0"));

    let mut thief = Browser::new();
    thief.cookies = kept;
    let again = thief.get(router, login).await;
    assert!(
        again.body.contains("name=\"password\""),
        "the old cookie is worth nothing"
    );
    let validation =
        format!("/cas/serviceValidate?service=https://portal.example.edu/&ticket={ticket}");
    let refused = browser.get(router, &validation).await;
    assert!(refused.body.contains("INVALID_TICKET"), "{}", refused.body);
    let actions = cluster.actions(0);
    let ended = actions
        .iter()
        .filter(|a| *a == "TICKET_GRANTING_TICKET_DESTROYED");
    assert_eq!(ended.count(), 1);
}

#[tokio::test]
async fn without_a_session_it_is_just_a_page() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    let answer = browser.get(router, "/cas/logout").await;
    assert!(answer.status == 200 && answer.body.contains("You were not signed in"));
    assert!(answer.tgc().is_none());
    assert!(cluster.actions(0).is_empty());
}

#[tokio::test]
async fn the_service_is_followed_only_when_configured_and_registered() {
    let service = "/cas/logout?service=https://portal.example.edu/bye%3Fx";
    let plain = Cluster::one().await;
    let answer = Browser::new().get(&plain.nodes[0].router, service).await;
    assert_eq!(answer.status, 200);

    let options = Options {
        set: vec![("logout.follow_service_redirects", "true")],
        ..Options::default()
    };
    let following = Cluster::start(1, options).await;
    let router = &following.nodes[0].router;
    let answer = Browser::new().get(router, service).await;
    assert_eq!(answer.status, 302);
    assert_eq!(
        answer.header("location"),
        "https://portal.example.edu/bye?x"
    );
    for other in [
        "https://evil.example/",
        "https://closed.example.edu/",
        "https://portal.example.edu;jsession@evil.example/",
        "https://evil.example%5c@portal.example.edu/",
        "x%0d%0ay",
        "%ff",
    ] {
        let path = format!("/cas/logout?service={other}");
        assert_eq!(
            Browser::new().get(router, &path).await.status,
            200,
            "{other}"
        );
    }
}

#[tokio::test]
async fn a_bound_cookie_signs_out_from_wherever_it_comes() {
    let login = "/cas/login?service=https://portal.example.edu/";
    for confirm in ["false", "true"] {
        let options = Options {
            set: vec![
                ("web.cookie.pin_to_address", "true"),
                ("logout.confirm", confirm),
            ],
            ..Options::default()
        };
        let cluster = Cluster::start(1, options).await;
        let router = &cluster.nodes[0].router;
        let at = |address| Browser::new().with("x-forwarded-for", address);
        let mut home = at("203.0.113.9");
        home.sign_in(router, "/cas/login").await;
        let mut away = at("203.0.113.8");
        away.cookies = home.cookies.clone();
        let form = away.get(router, login).await;
        assert!(form.body.contains("name=\"password\""), "{form:?}");
        let mut answer = away.get(router, "/cas/logout").await;
        if confirm == "true" {
            assert!(!answer.body.contains("You are signed out"), "asked first");
            answer = away.post(router, "/cas/logout", &[]).await;
        }
        assert!(answer.body.contains("You are signed out"), "{answer:?}");
        assert!(away.cookies.is_empty());
        let again = home.get(router, login).await;
        assert!(again.body.contains("name=\"password\""), "it has ended");
    }
}
