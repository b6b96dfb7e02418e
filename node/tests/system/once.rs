//! Once means once: the same ticket at several nodes at the same moment, and re-sent requests.

use std::sync::Barrier;

use crate::support::demo::Demo;
use crate::support::person::validate_url;

const APP: &str = "http://127.0.0.1:8001/once";
const ROUNDS: usize = 50;

#[test]
fn a_ticket_offered_to_every_node_at_once_is_accepted_once() {
    let demo = Demo::start();
    let cluster = &demo.cluster;
    let mut person = demo.person();
    person.sign_in(cluster, &cluster.front, APP);
    for round in 0..ROUNDS {
        let ticket = person.next_ticket(&cluster.front, APP);
        let together = Barrier::new(cluster.nodes.len());
        let ask = |url: &str| {
            let mut application = demo.person();
            let url = validate_url(url, APP, &ticket);
            together.wait();
            application.get(&url).verdict()
        };
        let ask = &ask;
        let verdicts: Vec<_> = std::thread::scope(|scope| {
            let asking = cluster
                .nodes
                .iter()
                .map(|node| scope.spawn(|| ask(&node.url)));
            let asking: Vec<_> = asking.collect();
            asking
                .into_iter()
                .map(|asked| asked.join().expect("an answer"))
                .collect()
        });
        let accepted = verdicts.iter().filter(|v| v.is_ok()).count();
        assert_eq!(accepted, 1, "round {round}: {verdicts:?}");
    }
    for index in 0..cluster.nodes.len() {
        assert!(
            demo.metric(index, "castor_claims_total") > 0.0,
            "node {index} counts no claim"
        );
        assert_eq!(
            demo.metric(index, "castor_claim_decided_conflict_total"),
            0.0
        );
    }
}

#[test]
fn a_request_id_of_the_client_is_not_believed_behind_the_proxy() {
    let demo = Demo::start();
    let cluster = &demo.cluster;
    let mut person = demo.person();
    let ticket = person.sign_in(cluster, &cluster.front, APP);
    let url = validate_url(&cluster.front, APP, &ticket);
    let forged = [("Castor-Request-Id", "00000000000000000000000000000001")];
    let ask = || {
        demo.person()
            .get_with(&url, &forged)
            .expect("an answer")
            .verdict()
    };
    assert_eq!(ask().as_ref(), Ok(&cluster.username));
    assert_eq!(
        ask(),
        Err("INVALID_TICKET".to_owned()),
        "the forged id was believed"
    );
}
