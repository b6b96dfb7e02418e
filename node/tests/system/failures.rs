//! Nodes that die, stop and return, and what a person notices of it: nothing.

use std::time::Duration;

use crate::support::demo::{Demo, READY_LIMIT, signal};
use crate::support::person::{Person, login_url, validate_url};
use crate::support::wait;

const APP: &str = "http://127.0.0.1:8001/failures";

/// Single sign-on through the front, validated through the front.
fn single_sign_on_works(demo: &Demo, person: &mut Person) {
    let front = &demo.cluster.front;
    let ticket = person.next_ticket(front, APP);
    let answer = demo.person().get(&validate_url(front, APP, &ticket));
    assert_eq!(answer.verdict().as_ref(), Ok(&demo.cluster.username));
}

#[test]
fn the_killed_issuer_takes_neither_session_nor_ticket_along() {
    let mut demo = Demo::start();
    let node = demo.cluster.nodes[0].url.clone();
    let mut person = demo.person();
    person.sign_in(&demo.cluster, &node, APP);
    let pending = person.next_ticket(&node, APP);
    demo.kill(0);
    let answer = demo
        .person()
        .get(&validate_url(&demo.cluster.front, APP, &pending));
    assert_eq!(
        answer.verdict().as_ref(),
        Ok(&demo.cluster.username),
        "the pending ticket"
    );
    for _ in 0..6 {
        single_sign_on_works(&demo, &mut person);
    }
}

#[test]
fn a_restarted_node_fills_itself_and_alone_keeps_every_session() {
    let mut demo = Demo::start();
    let front = demo.cluster.front.clone();
    let mut people: Vec<Person> = (0..5).map(|_| demo.person()).collect();
    for person in &mut people {
        person.sign_in(&demo.cluster, &front, APP);
    }
    demo.kill(1);
    for person in &mut people {
        single_sign_on_works(&demo, person);
    }
    demo.restart(1);
    demo.wait_ready(1);
    let sessions = demo.metric(1, "castor_tickets");
    assert!(sessions >= 5.0, "ready with {sessions} tickets");
    demo.kill(0);
    demo.kill(2);
    // Within three seconds of the loss, by the promise; tickets may be refused until then.
    let survivor = demo.cluster.nodes[1].url.clone();
    wait::until(
        "the last node signs people in",
        Duration::from_secs(3),
        || {
            let answer = demo.person().try_get(&login_url(&survivor, APP)).ok()?;
            answer.asks_for_password().then_some(())
        },
    );
    for person in &mut people {
        single_sign_on_works(&demo, person);
    }
    let mut newcomer = demo.person();
    newcomer.sign_in(&demo.cluster, &survivor, APP);
}

#[test]
fn a_stopped_node_does_not_make_the_others_unready() {
    let demo = Demo::start();
    let stopped = demo.cluster.nodes[2].pid;
    let mut person = demo.person();
    let node = demo.cluster.nodes[0].url.clone();
    signal("STOP", stopped);
    // Long enough for the death to be noticed; the others are looked at all the while.
    let noticed = wait::poll(READY_LIMIT, || {
        assert!(
            demo.is_ready(0) && demo.is_ready(1),
            "an unready node beside a stopped one"
        );
        let page = demo.ops(0, "/metrics")?.body;
        let dead = page
            .lines()
            .find(|l| l.starts_with("castor_cluster_members{state=\"dead\"}"));
        dead.is_some_and(|line| line.ends_with(" 1")).then_some(())
    });
    person.sign_in(&demo.cluster, &node, APP);
    let ready = demo.is_ready(0) && demo.is_ready(1);
    signal("CONT", stopped);
    assert!(ready, "an unready node beside a stopped one");
    assert!(
        noticed.is_some(),
        "the stopped node was never declared dead"
    );
    demo.wait_ready(2);
}
