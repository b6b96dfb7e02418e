//! Nodes that drain, or cannot reach the others.

use axum::body::Body;
use axum::http::Method;

use crate::util::{Browser, Cluster, Options};

const SERVICE: &str = "https://portal.example.edu/home";

#[tokio::test]
async fn a_draining_node_finishes_what_was_begun_and_receives_nobody() {
    let cluster = Cluster::three().await;
    let node = &cluster.nodes[0];
    let login = format!("/cas/login?service={SERVICE}");
    let mut browser = Browser::new();
    let execution = browser.get(&node.router, &login).await.execution();
    let mut other = Browser::new();
    other.sign_in(&node.router, "/cas/login").await;
    let ticket = other.get(&node.router, &login).await.ticket().unwrap();

    node.handle.drain().await.unwrap();
    let page = Browser::new().get(&node.router, &login).await;
    assert_eq!(page.status, 503);
    assert!(page.body.contains("Not ready yet"), "{}", page.body);
    let fields = [
        ("username", "casuser"),
        ("password", "Mellon"),
        ("execution", execution.as_str()),
    ];
    let answer = browser.post(&node.router, "/cas/login", &fields).await;
    assert_eq!(
        answer.status, 302,
        "a form that was delivered is finished: {answer:?}"
    );
    let path = format!("/cas/serviceValidate?service={SERVICE}&ticket={ticket}");
    let valid = Browser::new().get(&node.router, &path).await;
    assert!(
        valid.body.contains("<cas:authenticationSuccess>"),
        "{}",
        valid.body
    );
    let out = other.get(&node.router, "/cas/logout").await;
    assert!(out.body.contains("You are signed out"));

    node.handle.resume().await.unwrap();
    assert_eq!(Browser::new().get(&node.router, &login).await.status, 200);
}

#[tokio::test]
async fn no_quorum_is_an_honest_503_in_the_words_of_the_protocol() {
    let cluster = Cluster::three().await;
    let [a, b, c] = cluster.nodes.as_slice() else {
        panic!("three nodes")
    };
    let mut browser = Browser::new();
    browser.sign_in(&a.router, "/cas/login").await;
    let login = format!("/cas/login?service={SERVICE}");
    let ticket = browser.get(&a.router, &login).await.ticket().unwrap();
    for (one, other) in [(a, b), (a, c), (b, c)] {
        cluster.net.cut(&one.member, &other.member);
    }
    let path = format!("/cas/serviceValidate?service={SERVICE}&ticket={ticket}");
    let answer = Browser::new().get(&b.router, &path).await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.body.contains("code=\"INTERNAL_ERROR\">"),
        "{}",
        answer.body
    );
    let plain = path.replace("serviceValidate", "validate");
    let answer = Browser::new().get(&b.router, &plain).await;
    assert_eq!(
        (answer.status.as_u16(), answer.body.as_str()),
        (503, "no\n\n")
    );
    for (one, other) in [(a, b), (a, c), (b, c)] {
        cluster.net.mend(&one.member, &other.member);
    }
}

#[tokio::test]
async fn a_node_that_is_not_ready_answers_503_whatever_is_asked() {
    let options = Options {
        silent_seeds: 1,
        // It waits for its silent seed until the test is long over.
        tune: Some(|engine| engine.bootstrap_wait = 3_600_000_000),
        ..Options::default()
    };
    let cluster = Cluster::begin(1, options);
    let router = &cluster.nodes[0].router;
    for path in [
        "/cas",
        "/cas/",
        "/cas/login",
        "/cas/logout",
        "/cas/validate",
        "/cas/serviceValidate",
        "/cas/p3/serviceValidate",
        "/cas/proxyValidate",
        "/cas/nothing",
        "/",
    ] {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT] {
            let mut browser = Browser::new();
            let asked = format!("{method} {path}");
            let answer = browser.send(router, method, path, Body::empty()).await;
            assert_eq!(answer.status, 503, "{asked}");
        }
    }
    let validation = Browser::new().get(router, "/cas/serviceValidate").await;
    assert!(validation.body.contains("code=\"INTERNAL_ERROR\">"));
    let plain = Browser::new().get(router, "/cas/validate").await;
    assert_eq!(plain.body, "no\n\n");
    let page = Browser::new().get(router, "/cas/nothing").await;
    let sheet = page.body.split('"').find(|s| s.contains("/assets/"));
    let sheet = Browser::new().get(router, sheet.unwrap()).await;
    assert_eq!(sheet.status, 200, "the page can be shown");
}

/// A proxy counts 503 against the node and asks the next one, which is as full.
#[tokio::test]
async fn full_is_not_unready() {
    let options = Options {
        tune: Some(|engine| engine.entries_max = 0),
        ..Options::default()
    };
    let sessions = Cluster::start(1, options).await;
    let answer = Browser::new()
        .sign_in(&sessions.nodes[0].router, "/cas/login")
        .await;
    assert_eq!(answer.status, 507, "{answer:?}");
    assert!(answer.body.contains("There is no room"), "{}", answer.body);
    assert_eq!(answer.header("retry-after"), "2");

    let options = Options {
        tune: Some(|engine| engine.singles_max = 0),
        ..Options::default()
    };
    let tickets = Cluster::start(1, options).await;
    let router = &tickets.nodes[0].router;
    let mut browser = Browser::new();
    let login = format!("/cas/login?service={SERVICE}");
    assert_eq!(browser.sign_in(router, &login).await.status, 507);
    assert_eq!(browser.get(router, &login).await.status, 507);
    assert_eq!(browser.get(router, "/cas/login").await.status, 200);
}
