//! `/samlValidate`.

use axum::body::Body;
use axum::http::Method;

use super::{BARE_SERVICE, SERVICE, closed, encode, expect, forget_definitions, open};
use crate::util::{Answer, Browser, Cluster};

async fn ask(cluster: &Cluster, query: &str, ticket: &str) -> Answer {
    let body = format!(
        "<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\">\
         <SOAP-ENV:Body><samlp:Request xmlns:samlp=\"urn:oasis:names:tc:SAML:1.0:protocol\" \
         MajorVersion=\"1\" MinorVersion=\"1\" RequestID=\"_r&quot;1\">\
         <samlp:AssertionArtifact>{ticket}</samlp:AssertionArtifact></samlp:Request>\
         </SOAP-ENV:Body></SOAP-ENV:Envelope>"
    );
    let path = format!("/cas/samlValidate?{query}");
    let router = &cluster.nodes[0].router;
    let body = Body::from(body);
    Browser::new().send(router, Method::POST, &path, body).await
}

fn target(service: &str) -> String {
    format!("TARGET={}", encode(service))
}

fn compare(case: &str, answer: &Answer) {
    expect(&format!("saml.{case}.xml"), answer);
}

#[tokio::test]
async fn an_assertion_and_each_refusal() {
    let mut scene = open().await;
    let ticket = scene.ticket(SERVICE).await;
    let good = ask(&scene.cluster, &target(SERVICE), &ticket).await;
    compare("success", &good);
    let ticket = scene.ticket(BARE_SERVICE).await;
    let bare = ask(&scene.cluster, &target(BARE_SERVICE), &ticket).await;
    compare("success-without-attributes", &bare);

    let ticket = scene.ticket(SERVICE).await;
    compare("INVALID_REQUEST", &ask(&scene.cluster, "", &ticket).await);
    let nested = ask(&scene.cluster, &target(SERVICE), "<x/>").await;
    compare("INVALID_REQUEST-body", &nested);
    let made_up = ask(&scene.cluster, &target(SERVICE), "ST-1-&lt;b&gt;").await;
    compare("INVALID_TICKET", &made_up);
    let renew = format!("{}&renew=true", target(SERVICE));
    compare(
        "INVALID_TICKET-renew",
        &ask(&scene.cluster, &renew, &ticket).await,
    );
    let ticket = scene.ticket(SERVICE).await;
    let elsewhere = ask(&scene.cluster, &target(BARE_SERVICE), &ticket).await;
    compare("INVALID_SERVICE", &elsewhere);

    let ticket = scene.ticket(SERVICE).await;
    forget_definitions(&scene);
    let gone = ask(&scene.cluster, &target(SERVICE), &ticket).await;
    compare("UNAUTHORIZED_SERVICE", &gone);
    let closed = closed().await;
    // Whatever is asked, so that a proxy asks another node.
    for (query, ticket) in [(target(SERVICE).as_str(), ticket.as_str()), ("", "<x/>")] {
        let answer = ask(&closed, query, ticket).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.body.contains("saml1p:RequestDenied"), "{answer:?}");
    }
    compare(
        "INTERNAL_ERROR",
        &ask(&closed, &target(SERVICE), &ticket).await,
    );
}
