//! `/validate`, `/serviceValidate`, `/p3/serviceValidate`.

use axum::body::Body;
use axum::http::Method;
use castor_node::config::Config;
use serde_json::json;

use crate::util::{Browser, Cluster};

const SERVICE: &str = "https://portal.example.edu/home";

/// Signs in and fetches tickets for the portal.
struct Person<'a> {
    cluster: &'a Cluster,
    browser: Browser,
}

impl<'a> Person<'a> {
    async fn signed_in(cluster: &'a Cluster) -> Self {
        let mut browser = Browser::new();
        browser
            .sign_in(&cluster.nodes[0].router, "/cas/login")
            .await;
        Self { cluster, browser }
    }

    async fn ticket(&mut self) -> String {
        let path = format!("/cas/login?service={SERVICE}");
        let answer = self.browser.get(&self.cluster.nodes[0].router, &path).await;
        answer.ticket().unwrap()
    }

    async fn ask(&self, endpoint: &str, query: &str) -> crate::util::Answer {
        let path = format!("/cas{endpoint}?{query}");
        Browser::new()
            .get(&self.cluster.nodes[0].router, &path)
            .await
    }
}

#[tokio::test]
async fn a_ticket_is_good_once_and_tells_what_may_be_told() {
    let cluster = Cluster::one().await;
    let mut person = Person::signed_in(&cluster).await;
    for endpoint in ["/serviceValidate", "/p3/serviceValidate"] {
        let query = format!("service={SERVICE}&ticket={}", person.ticket().await);
        let answer = person.ask(endpoint, &query).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("content-type"),
            "application/xml;charset=UTF-8"
        );
        let lines: Vec<&str> = answer.body.lines().map(str::trim).collect();
        for line in [
            "<cas:authenticationSuccess>",
            "<cas:user>casuser</cas:user>",
            "<cas:isFromNewLogin>false</cas:isFromNewLogin>",
            "<cas:mail>casuser@example.edu</cas:mail>",
            "<cas:memberOf>R&amp;D</cas:memberOf>",
        ] {
            assert!(lines.contains(&line), "{line}\n{}", answer.body);
        }
        assert!(!answer.body.contains("ssn"), "not released");
        let again = person.ask(endpoint, &query).await;
        assert_eq!(again.status, 200);
        assert!(
            again.body.contains("code=\"INVALID_TICKET\""),
            "{}",
            again.body
        );
    }
    let actions = cluster.actions(0);
    let count = |name: &str| actions.iter().filter(|a| *a == name).count();
    assert_eq!(count("SERVICE_TICKET_CREATED"), 2);
    assert_eq!(count("SERVICE_TICKET_VALIDATED"), 2);
    assert_eq!(count("SERVICE_TICKET_VALIDATE_FAILED"), 2);
}

#[tokio::test]
async fn cas_1_answers_two_lines() {
    let cluster = Cluster::one().await;
    let mut person = Person::signed_in(&cluster).await;
    let query = format!("service={SERVICE}&ticket={}", person.ticket().await);
    let answer = person.ask("/validate", &query).await;
    assert_eq!(
        (answer.status.as_u16(), answer.body.as_str()),
        (200, "yes\ncasuser\n")
    );
    assert!(answer.header("content-type").starts_with("text/plain"));
    assert_eq!(person.ask("/validate", &query).await.body, "no\n\n");
    assert_eq!(person.ask("/validate", "").await.body, "no\n\n");
}

#[tokio::test]
async fn json_on_demand() {
    let cluster = Cluster::one().await;
    let mut person = Person::signed_in(&cluster).await;
    let query = format!(
        "service={SERVICE}&format=json&ticket={}",
        person.ticket().await
    );
    let answer = person.ask("/p3/serviceValidate", &query).await;
    assert_eq!(answer.header("content-type"), "application/json");
    let parsed: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let success = &parsed["serviceResponse"]["authenticationSuccess"];
    assert_eq!(success["user"], "casuser");
    assert_eq!(success["attributes"]["mail"][0], "casuser@example.edu");
    assert_eq!(
        success["attributes"]["memberOf"],
        serde_json::json!(["staff", "R&D"])
    );
    let date = success["attributes"]["authenticationDate"][0]
        .as_str()
        .unwrap();
    assert!(date.ends_with('Z') && date.len() == 24, "{date}");
    let again = person.ask("/p3/serviceValidate", &query).await;
    let parsed: serde_json::Value = serde_json::from_str(&again.body).unwrap();
    assert_eq!(
        parsed["serviceResponse"]["authenticationFailure"]["code"],
        "INVALID_TICKET"
    );
}

#[tokio::test]
async fn one_value_in_json_is_a_list_or_not_as_configured_now() {
    let cluster = Cluster::one().await;
    let mut person = Person::signed_in(&cluster).await;
    let mail = json!("casuser@example.edu");
    let groups = json!(["staff", "R&D"]);
    for (lists, expected) in [
        (true, json!([mail])),
        (false, mail),
        (true, json!(["casuser@example.edu"])),
    ] {
        let mut config = Config::clone(&cluster.nodes[0].cas.config.load());
        config.validation.json_lists = lists;
        cluster.nodes[0].cas.config.store(config);
        let query = format!(
            "service={SERVICE}&format=JSON&ticket={}",
            person.ticket().await
        );
        let answer = person.ask("/serviceValidate", &query).await;
        let parsed: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let attributes = &parsed["serviceResponse"]["authenticationSuccess"]["attributes"];
        assert_eq!(attributes["mail"], expected);
        assert_eq!(attributes["memberOf"], groups);
        assert_eq!(attributes["isFromNewLogin"].is_array(), lists);
    }
}

#[tokio::test]
async fn a_wrong_attempt_uses_the_ticket_up() {
    let cluster = Cluster::one().await;
    let mut person = Person::signed_in(&cluster).await;
    for (query, code) in [
        (
            "service=https://portal.example.edu/other",
            "INVALID_SERVICE",
        ),
        (
            "service=https://portal.example.edu/home%2F",
            "INVALID_SERVICE",
        ),
        (
            "service=https://portal.example.edu/home&renew=true",
            "INVALID_TICKET",
        ),
    ] {
        let ticket = person.ticket().await;
        let answer = person
            .ask("/serviceValidate", &format!("{query}&ticket={ticket}"))
            .await;
        assert_eq!(answer.status, 200);
        assert!(
            answer.body.contains(&format!("code=\"{code}\"")),
            "{query}\n{}",
            answer.body
        );
        let good = format!("service={SERVICE}&ticket={ticket}");
        let late = person.ask("/serviceValidate", &good).await;
        assert!(
            late.body.contains("INVALID_TICKET"),
            "{query}: {}",
            late.body
        );
    }
}

#[tokio::test]
async fn the_same_service_in_other_writing_is_the_same() {
    let cluster = Cluster::one().await;
    let mut person = Person::signed_in(&cluster).await;
    for service in [
        "HTTPS://PORTAL.example.edu/HOME",
        "https%3a%2f%2fportal.example.edu%2fhome%23part",
        "https://portal.example.edu/home;jsessionid=ABC",
    ] {
        let ticket = person.ticket().await;
        let query = format!("service={service}&ticket={ticket}");
        let answer = person.ask("/serviceValidate", &query).await;
        assert!(
            answer.body.contains("<cas:authenticationSuccess>"),
            "{service}: {}",
            answer.body
        );
    }
}

#[tokio::test]
async fn renew_is_met_by_a_ticket_from_credentials() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let path = format!("/cas/login?service={SERVICE}");
    let ticket = Browser::new()
        .sign_in(router, &path)
        .await
        .ticket()
        .unwrap();
    let path = format!("/cas/serviceValidate?service={SERVICE}&renew=true&ticket={ticket}");
    let answer = Browser::new().get(router, &path).await;
    assert!(
        answer
            .body
            .contains("<cas:isFromNewLogin>true</cas:isFromNewLogin>"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn requests_that_say_nothing_are_refused_with_200() {
    let cluster = Cluster::one().await;
    let person = Person::signed_in(&cluster).await;
    for (query, code) in [
        ("", "INVALID_REQUEST"),
        ("service=https://portal.example.edu/home", "INVALID_REQUEST"),
        ("ticket=ST-1-x", "INVALID_REQUEST"),
        ("service=&ticket=", "INVALID_REQUEST"),
        ("service=a&service=b&ticket=ST-1", "INVALID_REQUEST"),
        ("service=%ff&ticket=ST-1", "INVALID_REQUEST"),
        ("service=a&ticket=ST-1-made-up", "INVALID_TICKET"),
        (
            "service=a&ticket=ST-7-abcdefghijklmnopqrstuvwxyzabcdef-abcd",
            "INVALID_TICKET",
        ),
        (
            "service=a&ticket=TGT-7-abcdefghijklmnopqrstuvwxyzabcdef-abcd",
            "INVALID_TICKET",
        ),
        ("service=a&ticket=%3Cscript%3E", "INVALID_TICKET"),
    ] {
        let answer = person.ask("/serviceValidate", query).await;
        assert_eq!(answer.status, 200, "{query}");
        assert!(
            answer.body.contains(&format!("code=\"{code}\">")),
            "{query}: {}",
            answer.body
        );
        assert!(!answer.body.contains("\"></cas") && !answer.body.contains("<script"));
    }
}

#[tokio::test]
async fn only_get_reaches_a_validation() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut person = Person::signed_in(&cluster).await;
    let path = format!(
        "/cas/serviceValidate?service={SERVICE}&ticket={}",
        person.ticket().await
    );
    for method in [Method::HEAD, Method::POST, Method::PUT] {
        let answer = Browser::new()
            .send(router, method, &path, Body::empty())
            .await;
        assert_eq!(answer.status, 405);
    }
    let answer = Browser::new().get(router, &path).await;
    assert!(
        answer.body.contains("<cas:authenticationSuccess>"),
        "still unused"
    );
}

#[tokio::test]
async fn a_definition_that_has_gone_refuses_at_validation() {
    let cluster = Cluster::one().await;
    let mut person = Person::signed_in(&cluster).await;
    let ticket = person.ticket().await;
    cluster.nodes[0].cas.services.replace(Default::default());
    let query = format!("service={SERVICE}&ticket={ticket}");
    let answer = person.ask("/serviceValidate", &query).await;
    assert!(
        answer.body.contains("UNAUTHORIZED_SERVICE"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn requests_that_cannot_be_read_are_on_record_without_what_was_sent() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    for path in [
        "/cas/serviceValidate",
        "/cas/validate?ticket=ST-1-zzz",
        "/cas/p3/proxyValidate?service=a&service=zzz&ticket=ST-1-zzz",
        "/cas/serviceValidate?service=%ff&ticket=zzz",
    ] {
        assert_eq!(browser.get(router, path).await.status, 200, "{path}");
    }
    browser.get(router, "/cas/login?service=zzz%ff").await;
    browser.get(router, "/cas/login?service=zzz").await;
    let actions = cluster.actions(0);
    let count = |name: &str| actions.iter().filter(|action| *action == name).count();
    assert_eq!(count("SERVICE_TICKET_VALIDATE_FAILED"), 4, "{actions:?}");
    assert_eq!(count("SERVICE_ACCESS_ENFORCEMENT_TRIGGERED"), 2);
    let text = serde_json::to_string(&cluster.audit(0)).unwrap();
    assert!(!text.contains("zzz"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_the_format_that_was_asked_for() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    for (query, json) in [
        ("service=x&format=JSON&ticket=%ff", true),
        ("service=%ff&ticket=x&format=json", true),
        ("%ff=x&f%6Frmat=JSON", true),
        ("service=x&ticket=%ff", false),
        ("service=x&ticket=%ff&format=XML", false),
        ("service=x&ticket=%ff&format=JSON&format=JSON", false),
        ("service=x&format=JSON%ff", false),
    ] {
        for endpoint in ["serviceValidate", "p3/proxyValidate", "proxy"] {
            let path = format!("/cas/{endpoint}?{query}");
            let answer = Browser::new().get(router, &path).await;
            assert!(
                answer.body.contains("INVALID_REQUEST"),
                "{path}: {answer:?}"
            );
            let kind = answer.header("content-type");
            assert_eq!(kind == "application/json", json, "{path}: {kind}");
            let parsed = serde_json::from_str::<serde_json::Value>(&answer.body);
            assert_eq!(parsed.is_ok(), json, "{path}");
        }
    }
}
