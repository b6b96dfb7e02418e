//! What a definition's policies mean to the people and applications that meet them.

use castor_node::tickets::SessionStart;
use castor_node::web::form;
use castor_proto::ticket::Principal;

use crate::util::{Answer, Browser, Cluster, Options};

async fn with(definitions: &[&'static str]) -> Cluster {
    let options = Options {
        services: definitions.to_vec(),
        ..Options::default()
    };
    Cluster::start(1, options).await
}

fn login(service: &str) -> String {
    format!("/cas/login?service={service}")
}

async fn validate(cluster: &Cluster, asks: &mut Browser, service: &str, ticket: &str) -> Answer {
    let path = format!("/cas/p3/serviceValidate?service={service}&ticket={ticket}");
    asks.get(&cluster.nodes[0].router, &path).await
}

#[tokio::test]
async fn people_are_sent_elsewhere_when_an_application_is_closed() {
    let cluster = with(&[r#"{
        "@class": "org.apereo.cas.services.CasRegisteredService", "id": 20, "name": "Exams",
        "serviceId": "^https://exams\\.example\\.edu/.*", "accessStrategy": {
          "@class": "org.apereo.cas.services.TimeBasedRegisteredServiceAccessStrategy",
          "endingDateTime": "2020-01-01T00:00:00Z",
          "unauthorizedRedirectUrl": "https://www.example.edu/over"}}"#])
    .await;
    let path = login("https://exams.example.edu/");
    let mut browser = Browser::new();
    let answer = browser.get(&cluster.nodes[0].router, &path).await;
    assert_eq!(answer.status, 302);
    assert_eq!(answer.header("location"), "https://www.example.edu/over");
}

#[tokio::test]
async fn rules_about_requests_hold_at_issue_and_at_validation() {
    let cluster = with(&[r#"{
        "@class": "org.apereo.cas.services.CasRegisteredService", "id": 21, "name": "Inside",
        "serviceId": "^https://inside\\.example\\.edu/.*", "accessStrategy": {
          "@class": "org.apereo.cas.services.HttpRequestRegisteredServiceAccessStrategy",
          "userAgent": "^(Firefox|App)/"}}"#])
    .await;
    let service = "https://inside.example.edu/";
    let router = &cluster.nodes[0].router;
    let refused = Browser::new().get(router, &login(service)).await;
    assert_eq!(refused.status, 403, "no user agent");
    let mut browser = Browser::new().with("user-agent", "Firefox/140");
    let granted = browser.sign_in(router, &login(service)).await;
    let ticket = granted.ticket().unwrap();
    let answer = validate(&cluster, &mut Browser::new(), service, &ticket).await;
    assert!(
        answer.body.contains("UNAUTHORIZED_SERVICE"),
        "{}",
        answer.body
    );
    let ticket = browser.get(router, &login(service)).await.ticket().unwrap();
    let mut app = Browser::new().with("user-agent", "App/1");
    let answer = validate(&cluster, &mut app, service, &ticket).await;
    assert!(
        answer.body.contains("<cas:user>casuser</cas:user>"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn an_application_that_wants_young_credentials_asks_again() {
    let cluster = with(&[r#"{
        "@class": "org.apereo.cas.services.CasRegisteredService", "id": 22, "name": "Grades",
        "serviceId": "^https://grades\\.example\\.edu/.*", "singleSignOnParticipationPolicy": {
          "@class": "org.apereo.cas.services.AuthenticationDateRegisteredServiceSingleSignOnParticipationPolicy",
          "timeUnit": "MILLISECONDS", "timeValue": 1}}"#])
    .await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    browser.sign_in(router, "/cas/login").await;
    let first = browser.cookies.get("TGC").cloned();
    let handle = &cluster.nodes[0].handle;
    let began = handle.now();
    cluster
        .until("the session is old enough", || handle.now() > began + 1)
        .await;
    let path = login("https://grades.example.edu/");
    let form = browser.get(router, &path).await;
    assert_eq!(form.status, 200, "the session is older than a millisecond");
    let gateway = browser.get(router, &format!("{path}&gateway=true")).await;
    assert_eq!(gateway.header("location"), "https://grades.example.edu/");
    let granted = browser.sign_in(router, &path).await;
    assert!(granted.ticket().is_some(), "{granted:?}");
    assert_ne!(browser.cookies.get("TGC").cloned(), first, "a new session");
    let portal = login("https://portal.example.edu/home");
    let other = browser.get(router, &portal).await;
    assert!(other.ticket().is_some(), "others are content with it");
}

#[tokio::test]
async fn pseudonyms_and_renamed_attributes_are_told() {
    let cluster = with(&[r#"{
        "@class": "org.apereo.cas.services.CasRegisteredService", "id": 23, "name": "Library",
        "serviceId": "^https://library\\.example\\.edu/.*",
        "usernameAttributeProvider": {
          "@class": "org.apereo.cas.services.AnonymousRegisteredServiceUsernameAttributeProvider",
          "persistentIdGenerator": {
            "@class": "org.apereo.cas.authentication.principal.ShibbolethCompatiblePersistentIdGenerator",
            "salt": "pepper"}},
        "attributeReleasePolicy": {
          "@class": "org.apereo.cas.services.ReturnMappedAttributeReleasePolicy",
          "allowedAttributes": {"@class": "java.util.TreeMap", "memberOf": "group"},
          "attributeFilter": {
            "@class": "org.apereo.cas.services.support.RegisteredServiceRegexAttributeFilter",
            "pattern": "[a-z]+"}}}"#])
    .await;
    let service = "https://library.example.edu/";
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    let granted = browser.sign_in(router, &login(service)).await;
    let ticket = granted.ticket().unwrap();
    let answer = validate(&cluster, &mut Browser::new(), service, &ticket).await;
    // printf %s 'https://library.example.edu/!casuser!pepper' | openssl sha1 -binary | base64
    let user = "<cas:user>yhMLkr9/w00HzON07ecAxExd9Kk=</cas:user>";
    assert!(answer.body.contains(user), "{}", answer.body);
    assert!(
        answer.body.contains("<cas:group>staff</cas:group>"),
        "{}",
        answer.body
    );
    assert!(
        !answer.body.contains("R&amp;D"),
        "filtered: {}",
        answer.body
    );
    assert!(!answer.body.contains("casuser"), "{}", answer.body);
}

#[tokio::test]
async fn a_session_lives_no_longer_than_its_first_application_wants() {
    let cluster = Cluster::one().await;
    let tickets = &cluster.nodes[0].cas.tickets;
    for (max_life, max_idle, life_ms, idle_ms) in [
        (Some(60), None, 60_000, 7_200_000),
        (None, Some(60), 28_800_000, 60_000),
        (Some(u32::MAX), Some(u32::MAX), 28_800_000, 7_200_000),
        (None, None, 28_800_000, 7_200_000),
    ] {
        let start = SessionStart {
            principal: Principal {
                id: "casuser".to_owned(),
                attributes: Vec::new(),
            },
            handler: "test",
            remember_me: false,
            client_address: "-".to_owned(),
            max_life,
            max_idle,
        };
        let session = tickets.start_session(start).await.unwrap();
        assert_eq!(session.hard_expiry - session.created, life_ms);
        let held = cluster.nodes[0].handle.find(&session.id).unwrap();
        assert_eq!(held.body.idle_ms, idle_ms);
    }
}

/// A strict definition before one that covers the whole host.
const HOST: [&str; 3] = [
    r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 40, "name": "Admin",
    "serviceId": "^https://host\\.example\\.edu/admin/.*", "evaluationOrder": 40,
    "accessStrategy": {
      "@class": "org.apereo.cas.services.DefaultRegisteredServiceAccessStrategy",
      "enabled": false}}"#,
    r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 41, "name": "Role",
    "serviceId": "^https://host\\.example\\.edu/app\\?role=admin$", "evaluationOrder": 41,
    "accessStrategy": {
      "@class": "org.apereo.cas.services.DefaultRegisteredServiceAccessStrategy",
      "requiredAttributes": {"@class": "java.util.HashMap",
        "memberOf": ["java.util.HashSet", ["^nobody$"]]}}}"#,
    r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 42, "name": "Host",
    "serviceId": "^https://host\\.example\\.edu/.*", "evaluationOrder": 42}"#,
];

#[tokio::test]
async fn another_spelling_does_not_choose_another_definition() {
    let cluster = with(&HOST).await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    browser.sign_in(router, "/cas/login").await;
    let mut ask = async |service: &str| {
        let path = format!("/cas/login?service={}", form::encode(service));
        browser.get(router, &path).await
    };
    for service in [
        "https://host.example.edu/admin/",
        "https://host.example.edu/%61dmin/",
        "https://host.example.edu//admin/",
        "https://host.example.edu/admin%2F",
        "https://host.example.edu:443/admin/",
        "https://host.example.edu/admin/?x=\u{17f}",
    ] {
        let answer = ask(service).await;
        assert_eq!(answer.status, 403, "{service}: {answer:?}");
    }
    for service in [
        "https://host.example.edu/x/../admin/",
        "https://host.example.edu/x;jsessionid=1/%2e%2E/admin/",
    ] {
        assert_eq!(ask(service).await.status, 400, "{service}");
    }
    let mut validate = async |issued: &str, presented: &str| {
        let ticket = ask(issued).await.ticket().unwrap();
        let service = form::encode(presented);
        let path = format!("/cas/serviceValidate?service={service}&ticket={ticket}");
        Browser::new().get(router, &path).await.body
    };
    let answer = validate(
        "https://host.example.edu/app?role=%61dmin",
        "https://host.example.edu/app?role=admin",
    )
    .await;
    assert!(answer.contains("UNAUTHORIZED_SERVICE"), "{answer}");
    let answer = validate(
        "https://host.example.edu/%C3%A9?a=%2F",
        "https://host.example.edu/\u{e9}?a=/",
    )
    .await;
    assert!(answer.contains("<cas:user>casuser"), "{answer}");
}
