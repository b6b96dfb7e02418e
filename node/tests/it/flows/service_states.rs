//! Nodes that drain, or cannot reach the others.

use crate::util::{Browser, Cluster};

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
