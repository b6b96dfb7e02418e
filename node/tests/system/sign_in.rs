//! Signing in, single sign-on, signing out, from node to node.

use crate::support::demo::Demo;
use crate::support::person::{login_url, validate_url};

const ONE: &str = "http://127.0.0.1:8001/one";
const TWO: &str = "http://127.0.0.1:8002/two?view=all";

#[test]
fn a_ticket_works_at_once_on_every_other_node() {
    let demo = Demo::start();
    let cluster = &demo.cluster;
    for issuing in &cluster.nodes {
        for validating in &cluster.nodes {
            let mut person = demo.person();
            let ticket = person.sign_in(cluster, &issuing.url, ONE);
            let answer = demo
                .person()
                .get(&validate_url(&validating.url, ONE, &ticket));
            let pair = format!("{} to {}", issuing.name, validating.name);
            assert_eq!(answer.verdict().as_ref(), Ok(&cluster.username), "{pair}");
        }
    }
}

#[test]
fn a_second_application_needs_no_password() {
    let demo = Demo::start();
    let cluster = &demo.cluster;
    let mut person = demo.person();
    person.sign_in(cluster, &cluster.front, ONE);
    // More often than there are nodes, so that the front has asked each of them.
    for _ in 0..6 {
        let ticket = person.next_ticket(&cluster.front, TWO);
        let answer = demo
            .person()
            .get(&validate_url(&cluster.front, TWO, &ticket));
        assert_eq!(answer.verdict().as_ref(), Ok(&cluster.username));
    }
}

#[test]
fn a_wrong_password_opens_nothing() {
    let demo = Demo::start();
    let cluster = &demo.cluster;
    let mut person = demo.person();
    let name = &cluster.username;
    let answer = person.sign_in_as(&cluster.front, ONE, name, &cluster.wrong_password);
    assert!(
        answer.body.contains("type=\"password\""),
        "{} {}",
        answer.status,
        answer.body
    );
    assert!(
        !person.cookies.contains_key("TGC"),
        "a cookie for a wrong password"
    );
    assert!(
        !answer.body.contains(&cluster.wrong_password),
        "the page repeats the password"
    );
    assert!(
        person
            .get(&login_url(&cluster.front, ONE))
            .asks_for_password()
    );
}

#[test]
fn logged_out_is_logged_out_on_every_node() {
    let demo = Demo::start();
    let cluster = &demo.cluster;
    let mut person = demo.person();
    person.sign_in(cluster, &cluster.front, ONE);
    let pending = person.next_ticket(&cluster.front, TWO);
    let cookies = person.cookies.clone();
    let out = person.get(&format!("{}/logout", cluster.front));
    assert_eq!(out.status, 200, "{}", out.body);
    for node in &cluster.nodes {
        let mut thief = demo.person();
        thief.cookies.clone_from(&cookies);
        let page = thief.get(&login_url(&node.url, ONE));
        assert!(
            page.asks_for_password(),
            "{}: {} {}",
            node.name,
            page.status,
            page.body
        );
        let answer = demo.person().get(&validate_url(&node.url, TWO, &pending));
        assert_eq!(
            answer.verdict(),
            Err("INVALID_TICKET".to_owned()),
            "{}",
            node.name
        );
    }
}
