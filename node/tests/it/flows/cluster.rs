//! Three nodes: any request may reach any of them.

use std::sync::Arc;

use crate::util::{Browser, Cluster};

const SERVICE: &str = "https://portal.example.edu/home";

fn validation(ticket: &str) -> String {
    format!("/cas/serviceValidate?service={SERVICE}&ticket={ticket}")
}

#[tokio::test]
async fn every_step_may_reach_another_node() {
    let cluster = Cluster::three().await;
    let [a, b, c] = cluster.nodes.as_slice() else {
        panic!("three nodes")
    };
    for (form, post, validate) in [(a, b, c), (b, c, a), (c, a, b)] {
        let mut browser = Browser::new();
        let path = format!("/cas/login?service={SERVICE}");
        let execution = browser.get(&form.router, &path).await.execution();
        let fields = [
            ("username", "casuser"),
            ("password", "Mellon"),
            ("execution", execution.as_str()),
            ("_eventId", "submit"),
        ];
        let answer = browser.post(&post.router, "/cas/login", &fields).await;
        let ticket = answer.ticket().unwrap_or_else(|| panic!("{answer:?}"));
        let valid = Browser::new()
            .get(&validate.router, &validation(&ticket))
            .await;
        assert!(
            valid.body.contains("<cas:user>casuser</cas:user>"),
            "{}",
            valid.body
        );
        for node in &cluster.nodes {
            let second = Browser::new().get(&node.router, &validation(&ticket)).await;
            assert!(second.body.contains("INVALID_TICKET"));
            let sso = browser.get(&node.router, &path).await;
            assert!(
                sso.ticket().is_some(),
                "single sign-on on every node: {sso:?}"
            );
        }
        browser.get(&validate.router, "/cas/logout").await;
        let out = browser.get(&form.router, &path).await;
        assert!(out.body.contains("name=\"password\""));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issued_here_validated_there_at_once_and_only_once() {
    let cluster = Arc::new(Cluster::three().await);
    let mut browser = Browser::new();
    browser
        .sign_in(&cluster.nodes[0].router, "/cas/login")
        .await;
    for round in 0..300 {
        let issuer = &cluster.nodes[round % 3].router;
        let path = format!("/cas/login?service={SERVICE}");
        let ticket = browser.get(issuer, &path).await.ticket().unwrap();
        let claims: Vec<_> = (0..3)
            .map(|index| {
                let cluster = Arc::clone(&cluster);
                let path = validation(&ticket);
                tokio::spawn(async move {
                    Browser::new()
                        .get(&cluster.nodes[index].router, &path)
                        .await
                })
            })
            .collect();
        let mut good = 0;
        for claim in claims {
            let answer = claim.await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.body);
            if answer.body.contains("<cas:authenticationSuccess>") {
                good += 1;
            } else {
                assert!(answer.body.contains("INVALID_TICKET"), "{}", answer.body);
            }
        }
        assert_eq!(good, 1, "round {round}");
    }
}

#[tokio::test]
async fn a_request_that_the_proxy_sends_again_gets_the_same_answer() {
    let cluster = Cluster::three().await;
    let mut browser = Browser::new();
    browser
        .sign_in(&cluster.nodes[0].router, "/cas/login")
        .await;
    let login = format!("/cas/login?service={SERVICE}");
    let id = ("castor-request-id", "0123456789abcdef");

    let ticket = browser
        .get(&cluster.nodes[0].router, &login)
        .await
        .ticket()
        .unwrap();
    let mut bodies = Vec::new();
    for node in &cluster.nodes {
        let mut proxy = Browser::new().with(id.0, id.1);
        bodies.push(proxy.get(&node.router, &validation(&ticket)).await.body);
    }
    assert!(bodies[0].contains("<cas:authenticationSuccess>"));
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    let mut other = Browser::new().with(id.0, id.1);
    let changed = format!("{}&renew=true", validation(&ticket));
    let answer = other.get(&cluster.nodes[0].router, &changed).await;
    assert!(
        answer.body.contains("INVALID_TICKET"),
        "another question is another claim"
    );

    // The same header from a stranger means nothing: one success.
    let ticket = browser
        .get(&cluster.nodes[0].router, &login)
        .await
        .ticket()
        .unwrap();
    let mut good = 0;
    for node in &cluster.nodes {
        let mut stranger = Browser::from("192.0.2.66:1").with(id.0, id.1);
        let answer = stranger.get(&node.router, &validation(&ticket)).await;
        good += usize::from(answer.body.contains("<cas:authenticationSuccess>"));
    }
    assert_eq!(good, 1);
}
