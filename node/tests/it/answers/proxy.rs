//! `/proxy`.

use super::{SERVICE, ask, closed, encode, expect, forget_definitions, open};
use crate::util::Cluster;

const FORMATS: [(&str, &str); 2] = [("xml", ""), ("json", "&format=JSON")];

/// Asks in both formats, and compares.
async fn compare(cluster: &Cluster, case: &str, query: &str) {
    for (ending, format) in FORMATS {
        let answer = ask(cluster, &format!("/proxy?{query}{format}")).await;
        expect(&format!("proxy.{case}.{ending}"), &answer);
    }
}

#[tokio::test]
async fn a_proxy_ticket_and_each_refusal() {
    let mut scene = open().await;
    let pgt = scene.pgt(SERVICE).await.0;
    let good = format!("pgt={pgt}&targetService={}", encode(SERVICE));
    let cluster = &scene.cluster;
    compare(cluster, "success", &good).await;
    compare(cluster, "INVALID_REQUEST", &format!("pgt={pgt}")).await;
    let made_up = format!("pgt=PGT-1-x&targetService={}", encode(SERVICE));
    compare(cluster, "INVALID_TICKET", &made_up).await;
    let elsewhere = format!("pgt={pgt}&targetService=https://nowhere.example/");
    compare(cluster, "UNAUTHORIZED_SERVICE", &elsewhere).await;
    forget_definitions(&scene);
    compare(&scene.cluster, "UNAUTHORIZED_SERVICE_PROXY", &good).await;
    let closed = closed().await;
    compare(&closed, "INTERNAL_ERROR", &good).await;
}
