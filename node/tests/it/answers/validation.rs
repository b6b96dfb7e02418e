//! `/validate`, `/serviceValidate`, `/proxyValidate` and both below `/p3`.

use super::{BARE_SERVICE, SERVICE, ask, closed, encode, expect, forget_definitions, open};
use crate::util::{Answer, Browser, Cluster};

/// An endpoint in a format: the file's ending, the path, what is added to the query.
type Voice = (&'static str, &'static str, &'static str);

const TEXT: Voice = ("txt", "/validate", "");
/// Endpoints that take service tickets only; the answers of one format are the same bytes.
const SERVICE_ONLY: [Voice; 4] = [
    ("xml", "/serviceValidate", ""),
    ("xml", "/p3/serviceValidate", ""),
    ("json", "/serviceValidate", "&format=JSON"),
    ("json", "/p3/serviceValidate", "&format=JSON"),
];
/// Endpoints that take proxy tickets too.
const PROXIED: [Voice; 4] = [
    ("xml", "/proxyValidate", ""),
    ("xml", "/p3/proxyValidate", ""),
    ("json", "/proxyValidate", "&format=JSON"),
    ("json", "/p3/proxyValidate", "&format=JSON"),
];

fn every() -> impl Iterator<Item = Voice> {
    [TEXT].into_iter().chain(SERVICE_ONLY).chain(PROXIED)
}

async fn say(cluster: &Cluster, (_, path, format): Voice, query: &str) -> Answer {
    ask(cluster, &format!("{path}?{query}{format}")).await
}

fn compare(case: &str, voice: Voice, answer: &Answer) {
    expect(&format!("validation.{case}.{}", voice.0), answer);
}

fn query(service: &str, ticket: &str) -> String {
    format!("service={}&ticket={ticket}", encode(service))
}

#[tokio::test]
async fn a_good_ticket() {
    let mut scene = open().await;
    for voice in every() {
        let query = query(SERVICE, &scene.ticket(SERVICE).await);
        let answer = say(&scene.cluster, voice, &query).await;
        compare("success", voice, &answer);
    }
    for voice in every() {
        let query = query(BARE_SERVICE, &scene.ticket(BARE_SERVICE).await);
        let answer = say(&scene.cluster, voice, &query).await;
        compare("success-without-attributes", voice, &answer);
    }
    let path = format!("/cas/login?service={}", encode(SERVICE));
    for voice in every() {
        let router = &scene.cluster.nodes[0].router;
        let ticket = Browser::new().sign_in(router, &path).await.ticket();
        let query = format!("{}&renew=true", query(SERVICE, &ticket.unwrap()));
        let answer = say(&scene.cluster, voice, &query).await;
        compare("success-from-credentials", voice, &answer);
    }
}

#[tokio::test]
async fn with_a_proxy_granting_ticket_and_with_proxies() {
    let mut scene = open().await;
    let pgt_url = encode(&scene.pgt_url());
    for voice in SERVICE_ONLY.into_iter().chain(PROXIED) {
        let query = query(SERVICE, &scene.ticket(SERVICE).await);
        let query = format!("{query}&pgtUrl={pgt_url}");
        let answer = say(&scene.cluster, voice, &query).await;
        compare("success-with-pgt", voice, &answer);
    }
    for voice in PROXIED {
        let query = query(SERVICE, &scene.proxy_ticket(SERVICE, SERVICE).await);
        let answer = say(&scene.cluster, voice, &query).await;
        compare("success-of-a-proxy", voice, &answer);
    }
}

#[tokio::test]
async fn invalid_request() {
    let scene = open().await;
    for voice in every() {
        let answer = say(&scene.cluster, voice, "service=https://wiki.example.edu/").await;
        compare("INVALID_REQUEST", voice, &answer);
        let repeated = "ticket=ST-1-a&ticket=ST-1-b&service=https://wiki.example.edu/";
        let answer = say(&scene.cluster, voice, repeated).await;
        compare("INVALID_REQUEST-repeated", voice, &answer);
    }
}

#[tokio::test]
async fn invalid_ticket() {
    let mut scene = open().await;
    for voice in every() {
        let made_up = query(SERVICE, "ST-1-%3Cb%3E%22made%26up%22");
        let answer = say(&scene.cluster, voice, &made_up).await;
        compare("INVALID_TICKET", voice, &answer);
        let renewed = query(SERVICE, &scene.ticket(SERVICE).await);
        let renewed = format!("{renewed}&renew=true");
        let answer = say(&scene.cluster, voice, &renewed).await;
        compare("INVALID_TICKET-renew", voice, &answer);
    }
    for voice in [TEXT].into_iter().chain(SERVICE_ONLY) {
        let query = query(SERVICE, &scene.proxy_ticket(SERVICE, SERVICE).await);
        let answer = say(&scene.cluster, voice, &query).await;
        compare("INVALID_TICKET-kind", voice, &answer);
    }
}

#[tokio::test]
async fn invalid_service() {
    let mut scene = open().await;
    for voice in every() {
        let ticket = scene.ticket(SERVICE).await;
        let query = query("https://wiki.example.edu/other", &ticket);
        let answer = say(&scene.cluster, voice, &query).await;
        compare("INVALID_SERVICE", voice, &answer);
    }
}

#[tokio::test]
async fn unauthorized_service() {
    let mut scene = open().await;
    let mut asked = Vec::new();
    for voice in every() {
        asked.push((voice, query(SERVICE, &scene.ticket(SERVICE).await)));
    }
    forget_definitions(&scene);
    for (voice, query) in asked {
        let answer = say(&scene.cluster, voice, &query).await;
        compare("UNAUTHORIZED_SERVICE", voice, &answer);
    }
}

#[tokio::test]
async fn invalid_proxy_callback() {
    let mut scene = open().await;
    for voice in SERVICE_ONLY.into_iter().chain(PROXIED) {
        let query = query(SERVICE, &scene.ticket(SERVICE).await);
        // Nobody listens on port 1.
        let query = format!("{query}&pgtUrl=https://localhost:1/pgt");
        let answer = say(&scene.cluster, voice, &query).await;
        compare("INVALID_PROXY_CALLBACK", voice, &answer);
    }
}

#[tokio::test]
async fn internal_error() {
    let cluster = closed().await;
    for voice in every() {
        let answer = say(&cluster, voice, &query(SERVICE, "ST-1-any")).await;
        compare("INTERNAL_ERROR", voice, &answer);
    }
}
