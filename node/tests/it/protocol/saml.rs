//! 4.2 `/samlValidate`: the requests that clients really send.

use axum::body::Body;
use axum::http::Method;

use super::{BACK_END, SERVICE, Scene, open};
use crate::util::{Answer, Browser};

const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const SAMLP: &str = "urn:oasis:names:tc:SAML:1.0:protocol";

async fn post(scene: &Scene, body: String) -> Answer {
    let path = format!("/cas/samlValidate?TARGET={SERVICE}");
    let router = &scene.cluster.nodes[0].router;
    let body = Body::from(body);
    Browser::new().send(router, Method::POST, &path, body).await
}

#[tokio::test]
async fn section_4_2_writings_of_the_same_request() {
    let mut scene = open().await;
    let head = "MajorVersion=\"1\" MinorVersion=\"1\" RequestID=\"r1\"";
    let time = "IssueInstant=\"2026-11-20T17:30:00.123Z\"";
    for (row, request) in [
        (
            "prefixes and an empty header",
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"{SOAP}\"><SOAP-ENV:Header/><SOAP-ENV:Body><samlp:Request xmlns:samlp=\"{SAMLP}\" {head} {time}><samlp:AssertionArtifact>TICKET</samlp:AssertionArtifact></samlp:Request></SOAP-ENV:Body></SOAP-ENV:Envelope>"
            ),
        ),
        (
            "no time of issue",
            format!(
                "<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"{SOAP}\"><SOAP-ENV:Header/><SOAP-ENV:Body><samlp:Request xmlns:samlp=\"{SAMLP}\" {head}><samlp:AssertionArtifact>TICKET</samlp:AssertionArtifact></samlp:Request></SOAP-ENV:Body></SOAP-ENV:Envelope>"
            ),
        ),
        (
            "a comment first, namespaces without prefixes, blanks around the ticket",
            format!(
                "<!-- by a client -->\n<Envelope xmlns=\"{SOAP}\">\n  <Body>\n    <Request xmlns=\"{SAMLP}\" {head} {time}>\n      <AssertionArtifact>\n        TICKET\n      </AssertionArtifact>\n    </Request>\n  </Body>\n</Envelope>"
            ),
        ),
    ] {
        let ticket = scene.ticket(SERVICE).await;
        let answer = post(&scene, request.replace("TICKET", &ticket)).await;
        assert!(
            answer.body.contains("saml1p:Success"),
            "{row}: {}",
            answer.body
        );
        assert!(answer.body.contains(" InResponseTo=\"r1\""), "{row}");
    }
}

#[tokio::test]
async fn section_4_2_no_proxying() {
    let mut scene = open().await;
    let pt = scene.proxy_ticket(SERVICE, BACK_END).await;
    let body = format!(
        "<e:Envelope xmlns:e=\"{SOAP}\"><e:Body><Request xmlns=\"{SAMLP}\" RequestID=\"r\"><AssertionArtifact>{pt}</AssertionArtifact></Request></e:Body></e:Envelope>"
    );
    let answer = post(&scene, body).await;
    assert!(
        answer.body.contains("saml1p:RequestDenied"),
        "{}",
        answer.body
    );
}
