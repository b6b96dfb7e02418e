//! Changed files on running nodes: good ones are taken, bad ones leave the old ones in force.

use std::fs;
use std::time::Duration;

use crate::support::demo::Demo;
use crate::support::person::{login_url, validate_url};
use crate::support::wait;

const LIMIT: Duration = Duration::from_secs(15);
const APP: &str = "http://127.0.0.1:8001/reload";
const NEW: &str = "https://new.example.org/start";
const DEFINITION: &str = r#"{
  "@class": "org.apereo.cas.services.RegexRegisteredService",
  "serviceId": "^https://new\\.example\\.org/.*",
  "name": "New",
  "id": 7001,
  "evaluationOrder": 1
}"#;

#[test]
fn definitions_are_taken_when_good_and_named_when_broken() {
    let demo = Demo::start();
    let cluster = &demo.cluster;
    let mut person = demo.person();
    person.sign_in(cluster, &cluster.front, APP);
    let folder = demo.folder().join("services");
    let refused = person.get(&login_url(&cluster.front, NEW));
    assert_eq!(
        refused.header("location"),
        "",
        "a ticket for an application nobody knows"
    );

    fs::write(folder.join("New-7001.json"), DEFINITION).expect("a writable folder");
    for node in &cluster.nodes {
        wait::until("the new application is known", LIMIT, || {
            let answer = person.get(&login_url(&node.url, NEW));
            answer.header("location").contains("ticket=").then_some(())
        });
    }

    fs::write(folder.join("Broken-7002.json"), "{\n  \"serviceId\": \n").expect("writable");
    for index in 0..cluster.nodes.len() {
        wait::until("the broken definition is reported", LIMIT, || {
            (demo.metric(index, "castor_config_reload_success") == 0.0).then_some(())
        });
    }
    assert!(
        demo.log().contains("Broken-7002.json"),
        "the log does not name the file"
    );
    let ticket = person.next_ticket(&cluster.front, NEW);
    let answer = demo
        .person()
        .get(&validate_url(&cluster.front, NEW, &ticket));
    assert_eq!(
        answer.verdict().as_ref(),
        Ok(&cluster.username),
        "the last good set"
    );

    fs::remove_file(folder.join("Broken-7002.json")).expect("the file is there");
    for index in 0..cluster.nodes.len() {
        wait::until("all is well again", LIMIT, || {
            (demo.metric(index, "castor_config_reload_success") == 1.0).then_some(())
        });
    }
}
