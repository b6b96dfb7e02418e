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
fn a_node_that_is_gone_for_good_is_removed_on_one_node_and_forgotten_on_all() {
    let mut demo = Demo::start();
    let name = demo.cluster.nodes[2].name.clone();
    let remove = |demo: &Demo| demo.admin(0, &["members", "remove", &name]);
    assert_eq!(remove(&demo).status.code(), Some(1), "it is there");
    demo.kill(2);
    wait::until("the dead node is removed", READY_LIMIT, || {
        remove(&demo).status.success().then_some(())
    });
    for node in 0..2 {
        wait::until("the others are healthy", READY_LIMIT, || {
            let status = demo.admin(node, &["status"]);
            status.status.success().then_some(())
        });
        let members = demo.status(node)["members"].as_array().map(Vec::len);
        assert_eq!(members, Some(1), "the other one is left");
    }
    demo.restart(2);
    demo.wait_ready(2);
    wait::until("it is a member again", READY_LIMIT, || {
        let members = demo.status(0)["members"].as_array()?.len();
        (members == 2).then_some(())
    });
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

/// What `/status` of one node says of another.
fn state_of(demo: &Demo, of: usize, by: usize) -> String {
    let name = demo.cluster.nodes[of].name.as_str();
    let status = demo.status(by);
    let mut members = status["members"].as_array().into_iter().flatten();
    let member = members.find(|member| member["node"] == name);
    let state = member.and_then(|member| member["state"].as_str());
    state.unwrap_or("forgotten").to_owned()
}

/// A link is given up after 5 s; gossip tells sooner, and the status with it.
#[test]
fn a_killed_node_is_dead_in_the_status_before_its_links_run_out_and_a_short_pause_is_no_death() {
    let mut demo = Demo::start();
    for gone in 0..3 {
        let others = [(gone + 1) % 3, (gone + 2) % 3];
        let paused = demo.cluster.nodes[gone].pid;
        signal("STOP", paused);
        let suspected = wait::poll(Duration::from_secs(1), || {
            let mut states = others.into_iter().map(|by| state_of(&demo, gone, by));
            states.find(|state| state == "dead")
        });
        signal("CONT", paused);
        assert_eq!(suspected, None, "after a pause of a second");
        demo.wait_ready(gone);
        let killed = wait::now();
        demo.kill(gone);
        wait::until("both others call it dead", Duration::from_secs(4), || {
            let mut states = others.into_iter().map(|by| state_of(&demo, gone, by));
            states.all(|state| state == "dead").then_some(())
        });
        println!("dead after {:?}", killed.elapsed());
        demo.restart(gone);
        demo.wait_ready(gone);
    }
}

/// Connections to the server of this address with something in them that it has not read yet.
fn unread(base: &str) -> usize {
    let port = base
        .rsplit(':')
        .next()
        .and_then(|rest| rest.split('/').next());
    let port: u16 = port.and_then(|port| port.parse().ok()).expect("a port");
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's connections");
    let fields = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = fields.filter(|f| {
        let here = f
            .get(1)
            .is_some_and(|local| local.ends_with(&format!(":{port:04X}")));
        let waiting = f
            .get(4)
            .is_some_and(|queues| !queues.ends_with(":00000000"));
        here && waiting && f.get(3) == Some(&"01")
    });
    ours.count()
}

/// What has queued up at a stopped node's door is answered when it goes on, before it has met the
/// others again: with 503, or with something that is true everywhere.
#[test]
fn a_node_that_goes_on_neither_forgets_a_session_nor_issues_what_others_cannot_decide() {
    let demo = Demo::start();
    let urls: Vec<String> = demo.cluster.nodes.iter().map(|n| n.url.clone()).collect();
    let stopped = demo.cluster.nodes[2].pid;
    let mut known = demo.person();
    known.sign_in(&demo.cluster, &urls[2], APP);
    signal("STOP", stopped);
    let mut missed = demo.person();
    missed.sign_in(&demo.cluster, &urls[0], APP);
    wait::until("the stopped node is declared dead", READY_LIMIT, || {
        let page = demo.ops(0, "/metrics")?.body;
        let dead = "castor_cluster_members{state=\"dead\"} 1";
        page.lines().any(|line| line == dead).then_some(())
    });
    let queued: Vec<_> = (0..16)
        .map(|turn| {
            let mut person = if turn % 2 == 0 { &known } else { &missed }.clone();
            let url = login_url(&urls[2], APP);
            std::thread::spawn(move || person.get(&url))
        })
        .collect();
    wait::until("the requests have arrived", READY_LIMIT, || {
        (unread(&urls[2]) >= queued.len()).then_some(())
    });
    signal("CONT", stopped);
    for (turn, answer) in queued.into_iter().enumerate() {
        let answer = answer.join().expect("the request was answered");
        if answer.status == 503 {
            continue;
        }
        assert!(
            !answer.asks_for_password(),
            "request {turn}: the session was forgotten"
        );
        let validation = validate_url(&urls[turn % 2], APP, &answer.ticket());
        let verdict = demo.person().get(&validation).verdict();
        assert_eq!(verdict.as_ref(), Ok(&demo.cluster.username), "{turn}");
    }
    demo.wait_ready(2);
    for person in [&mut known, &mut missed] {
        let ticket = person.next_ticket(&urls[2], APP);
        let verdict = demo.person().get(&validate_url(&urls[0], APP, &ticket));
        assert_eq!(verdict.verdict().as_ref(), Ok(&demo.cluster.username));
    }
}
