//! Every answer that applications read, byte for byte, as `node/testdata/answers` has it: success and each code of
//! failure, in text, XML, JSON and SAML 1.1, with status and headers.
//!
//! What differs from run to run (ticket ids, times, ports) is replaced by a word. An answer that changes on purpose
//! is written anew with `CASTOR_WRITE_ANSWERS=1 cargo test -p castor-node --test it answers`, which fails because nothing
//! was compared; the difference is then there to be read. Does not judge pages for people.

mod clients;
mod proxy;
mod saml;
mod validation;

use std::path::{Path, PathBuf};

use regex::Regex;

use crate::util::scene::encode;
use crate::util::{Answer, Browser, Cluster, Options, Scene};

/// Has attributes, and may proxy to a callback on `localhost`.
const WIKI: &str = r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 30,
    "name": "Wiki", "serviceId": "^https://wiki\\.example\\.edu/.*", "evaluationOrder": 5,
    "attributeReleasePolicy": {
      "@class": "org.apereo.cas.services.ReturnAllowedAttributeReleasePolicy",
      "allowedAttributes": ["java.util.ArrayList", ["mail", "memberOf"]]},
    "proxyPolicy": {
      "@class": "org.apereo.cas.services.RegexMatchingRegisteredServiceProxyPolicy",
      "pattern": "^https://localhost(:\\d+)?/pgt.*$"}}"#;

/// Is told nothing but the name.
const BARE: &str = r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 31,
    "name": "Bare", "serviceId": "^https://bare\\.example\\.edu/.*", "evaluationOrder": 6,
    "attributeReleasePolicy": {
      "@class": "org.apereo.cas.services.DenyAllAttributeReleasePolicy",
      "authorizedToReleaseAuthenticationAttributes": false}}"#;

const SERVICE: &str = "https://wiki.example.edu/page?id=1";
const BARE_SERVICE: &str = "https://bare.example.edu/";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/answers")
}

fn writes() -> bool {
    std::env::var_os("CASTOR_WRITE_ANSWERS").is_some()
}

/// Compares an answer with the file of this name.
fn expect(name: &str, answer: &Answer) {
    let shown = show(answer);
    let file = folder().join(name);
    if writes() {
        std::fs::write(&file, &shown).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(shown, expected, "{name} is not as it was");
}

/// Status, headers in order, an empty line, the body. The length differs with the length of the ids.
fn show(answer: &Answer) -> String {
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "content-length")
        .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
        .collect();
    headers.sort();
    let mut text = format!(
        "{}\n{}\n{}",
        answer.status.as_u16(),
        headers.concat(),
        answer.body
    );
    for (pattern, word) in [
        (r"\b(ST|PT|PGT|PGTIOU)-[0-9]+-[A-Za-z0-9-]{20,}", "$1-ID"),
        (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME"),
        (r"\b_[0-9a-f]{64}\b", "_ID"),
        (r"\blocalhost:\d+", "localhost:PORT"),
    ] {
        let pattern = Regex::new(pattern).unwrap();
        text = pattern.replace_all(&text, word).into_owned();
    }
    text
}

async fn open() -> Scene {
    Scene::with(&[WIKI, BARE]).await
}

/// A node that is not ready: nothing can be decided there.
async fn closed() -> Cluster {
    let options = Options {
        silent_seeds: 1,
        tune: Some(|engine| engine.bootstrap_wait = 3_600_000_000),
        ..Options::default()
    };
    Cluster::begin(1, options)
}

/// From now on no application is registered.
fn forget_definitions(scene: &Scene) {
    let services = &scene.cluster.nodes[0].cas.services;
    services.replace(Default::default());
}

async fn ask(cluster: &Cluster, path: &str) -> Answer {
    let router = &cluster.nodes[0].router;
    Browser::new().get(router, &format!("/cas{path}")).await
}

/// A file that no test compares with would look like a promise.
#[test]
fn every_recorded_answer_is_compared() {
    assert!(!writes(), "written, not compared");
    let sources = [
        include_str!("validation.rs"),
        include_str!("proxy.rs"),
        include_str!("saml.rs"),
    ];
    let mut count = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (stem, _) = name.rsplit_once('.').unwrap();
        let (room, case) = stem.split_once('.').unwrap();
        assert!(["validation", "proxy", "saml"].contains(&room), "{name}");
        let quoted = format!("\"{case}\"");
        assert!(sources.iter().any(|text| text.contains(&quoted)), "{name}");
        count += 1;
    }
    assert!(count > 30, "{count} files");
}
