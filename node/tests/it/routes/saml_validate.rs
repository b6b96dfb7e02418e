//! `/samlValidate` (SAML 1.1).

use axum::body::Body;
use axum::http::Method;

use crate::util::{Answer, Browser, Cluster};

const SERVICE: &str = "https://portal.example.edu/home";

fn envelope(ticket: &str) -> String {
    format!(
        "<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\">\
         <SOAP-ENV:Header/><SOAP-ENV:Body><samlp:Request \
         xmlns:samlp=\"urn:oasis:names:tc:SAML:1.0:protocol\" MajorVersion=\"1\" \
         MinorVersion=\"1\" RequestID=\"_r1\"><samlp:AssertionArtifact>{ticket}\
         </samlp:AssertionArtifact></samlp:Request></SOAP-ENV:Body></SOAP-ENV:Envelope>"
    )
}

async fn ask(cluster: &Cluster, query: &str, body: String) -> Answer {
    let path = format!("/cas/samlValidate?{query}");
    Browser::new()
        .send(
            &cluster.nodes[0].router,
            Method::POST,
            &path,
            Body::from(body),
        )
        .await
}

async fn person(cluster: &Cluster) -> Browser {
    let mut browser = Browser::new();
    browser
        .sign_in(&cluster.nodes[0].router, "/cas/login")
        .await;
    browser
}

async fn ticket(cluster: &Cluster, browser: &mut Browser) -> String {
    let path = format!("/cas/login?service={SERVICE}");
    let answer = browser.get(&cluster.nodes[0].router, &path).await;
    answer.ticket().unwrap()
}

#[tokio::test]
async fn a_ticket_is_good_once_and_tells_what_may_be_told() {
    let cluster = Cluster::one().await;
    let mut browser = person(&cluster).await;
    let ticket = ticket(&cluster, &mut browser).await;
    let query = format!("TARGET={SERVICE}");
    let answer = ask(&cluster, &query, envelope(&ticket)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/xml;charset=UTF-8");
    for part in [
        "InResponseTo=\"_r1\"",
        "<saml1p:StatusCode Value=\"saml1p:Success\"/>",
        "Issuer=\"localhost\"",
        "<saml1:Audience>https://portal.example.edu/home</saml1:Audience>",
        "AuthenticationMethod=\"urn:oasis:names:tc:SAML:1.0:am:password\"",
        "<saml1:NameIdentifier>casuser</saml1:NameIdentifier>",
        "<saml1:Attribute AttributeName=\"memberOf\" \
         AttributeNamespace=\"http://www.ja-sig.org/products/cas/\">\
         <saml1:AttributeValue>staff</saml1:AttributeValue>\
         <saml1:AttributeValue>R&amp;D</saml1:AttributeValue></saml1:Attribute>",
    ] {
        assert!(answer.body.contains(part), "{part}\n{}", answer.body);
    }
    assert!(!answer.body.contains("ssn"));
    let again = ask(&cluster, &query, envelope(&ticket)).await;
    assert_eq!(again.status, 200);
    assert!(
        again.body.contains("Value=\"saml1p:RequestDenied\""),
        "{}",
        again.body
    );
    assert!(!again.body.contains("Assertion>"));
}

#[tokio::test]
async fn without_attributes_there_is_no_statement_about_them() {
    let cluster = Cluster::one().await;
    let mut browser = Browser::new();
    let path = "/cas/login?service=https://payroll.example.edu/x";
    let answer = browser.sign_in(&cluster.nodes[0].router, path).await;
    let ticket = answer.ticket().unwrap();
    let query = "TARGET=https://payroll.example.edu/x&renew=true";
    let answer = ask(&cluster, query, envelope(&ticket)).await;
    assert!(answer.body.contains("saml1p:Success"), "{}", answer.body);
    assert!(!answer.body.contains("AttributeStatement"));
}

#[tokio::test]
async fn what_is_wrong_is_said_in_the_protocol() {
    let cluster = Cluster::one().await;
    let mut browser = person(&cluster).await;
    let target = format!("TARGET={SERVICE}");
    let good = ticket(&cluster, &mut browser).await;
    let sso = ticket(&cluster, &mut browser).await;
    let other = ticket(&cluster, &mut browser).await;
    let doctype = format!("<!DOCTYPE a [<!ENTITY x \"y\">]>{}", envelope(&good));
    for (query, body) in [
        (String::new(), envelope(&good)),
        (format!("{target}&{target}"), envelope(&good)),
        (target.clone(), String::new()),
        (target.clone(), doctype),
        (target.clone(), envelope("<x/>")),
        (target.clone(), envelope("&lt;script&gt;")),
        (target.clone(), "<a>".repeat(100_000)),
        (
            target.clone(),
            format!("{}{}", envelope(&good), " ".repeat(2_000_000)),
        ),
        (format!("{target}&renew=true"), envelope(&sso)),
        (
            "TARGET=https://faculty.example.edu/".to_owned(),
            envelope(&other),
        ),
    ] {
        let answer = ask(&cluster, &query, body).await;
        assert_eq!(answer.status, 200, "{query}");
        let denied = answer.body.contains("Value=\"saml1p:RequestDenied\"");
        assert!(denied, "{query}: {}", answer.body);
        assert!(!answer.body.contains("<script>"));
        let (_, message) = answer.body.split_once("<saml1p:StatusMessage>").unwrap();
        assert!(!message.starts_with('<'), "a refusal says why");
    }
    // Each is on record, also what could not be read.
    let actions = cluster.actions(0);
    let failed = actions
        .iter()
        .filter(|a| *a == "SERVICE_TICKET_VALIDATE_FAILED");
    assert_eq!(failed.count(), 10, "{actions:?}");
    // What never reached the ticket has not used it up.
    let answer = ask(&cluster, &target, envelope(&good)).await;
    assert!(answer.body.contains("saml1p:Success"), "{}", answer.body);
}

#[tokio::test]
async fn a_ticket_asked_for_with_target_comes_back_as_an_artifact() {
    let cluster = Cluster::one().await;
    let mut browser = Browser::new();
    let path = format!("/cas/login?TARGET={SERVICE}");
    let answer = browser.sign_in(&cluster.nodes[0].router, &path).await;
    let location = answer.header("location").to_owned();
    let (base, query) = location.split_once('?').unwrap();
    assert_eq!(base, SERVICE);
    let artifact = query.strip_prefix("SAMLart=").unwrap();
    let (artifact, rest) = artifact.split_once('&').unwrap();
    assert_eq!(rest, "TARGET=https%3A%2F%2Fportal.example.edu%2Fhome");
    let target = format!("TARGET={SERVICE}");
    let answer = ask(&cluster, &target, envelope(artifact)).await;
    assert!(answer.body.contains("saml1p:Success"), "{}", answer.body);
}
