//! `POST /login`.

use axum::body::Body;
use axum::http::Method;

use crate::util::{Browser, Cluster, Options};
use castor_node::authn::password::Cost;

#[tokio::test]
async fn good_credentials_without_a_service_give_a_page_and_a_cookie() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    let answer = browser.sign_in(router, "/cas/login").await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("You are signed in") && answer.body.contains("casuser"));
    let cookie = answer.tgc().unwrap();
    assert!(
        cookie.ends_with("; Path=/cas; Secure; HttpOnly; SameSite=None"),
        "{cookie}"
    );
    assert!(!cookie.contains("TGT-"));
    let actions = cluster.actions(0);
    assert_eq!(
        actions,
        [
            "AUTHENTICATION_EVENT_TRIGGERED",
            "AUTHENTICATION_SUCCESS",
            "TICKET_GRANTING_TICKET_CREATED"
        ]
    );
}

#[tokio::test]
async fn good_credentials_with_a_service_redirect_with_ticket_and_cookie() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    let answer = browser
        .sign_in(router, "/cas/login?service=https://portal.example.edu/")
        .await;
    assert_eq!(answer.status, 302);
    assert!(
        answer
            .header("location")
            .starts_with("https://portal.example.edu/?ticket=ST-")
    );
    assert!(answer.tgc().is_some());
}

#[tokio::test]
async fn the_service_is_taken_from_query_body_or_the_sealed_state() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let service = "https://portal.example.edu/x";
    let mut browser = Browser::new();
    let with = browser
        .get(router, &format!("/cas/login?service={service}"))
        .await
        .execution();
    let without = browser.get(router, "/cas/login").await.execution();
    for (path, execution, in_body) in [
        ("/cas/login", &with, None),
        ("/cas/login", &without, Some(service)),
        (
            "/cas/login?service=https://portal.example.edu/x",
            &without,
            None,
        ),
    ] {
        let mut fields = vec![
            ("username", "casuser"),
            ("password", "Mellon"),
            ("execution", execution),
        ];
        fields.extend(in_body.map(|service| ("service", service)));
        let answer = Browser::new().post(router, path, &fields).await;
        let location = answer.header("location");
        assert!(
            location.starts_with("https://portal.example.edu/x?ticket="),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn wrong_credentials_are_401_with_the_form_and_one_text() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    let execution = browser.get(router, "/cas/login").await.execution();
    let long = "x".repeat(2000);
    let mut texts = Vec::new();
    for (username, password) in [
        ("casuser", "wrong"),
        ("nobody", "Mellon"),
        ("former", "Gone"),
        ("casuser", long.as_str()),
        ("cas\u{1}user", "Mellon"),
    ] {
        let fields = [
            ("username", username),
            ("password", password),
            ("execution", &execution),
            ("_eventId", "submit"),
        ];
        let answer = browser.post(router, "/cas/login", &fields).await;
        assert_eq!(answer.status, 401, "{username}");
        assert!(answer.body.contains("role=\"alert\""));
        assert!(!answer.execution().is_empty());
        assert!(!answer.body.contains(password) && answer.tgc().is_none());
        let (_, rest) = answer.body.split_once("role=\"alert\"").unwrap();
        texts.push(rest.split("</div>").next().unwrap().to_owned());
    }
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{texts:?}");
    let (triggered, failed): (Vec<_>, Vec<_>) = cluster
        .audit(0)
        .into_iter()
        .partition(|e| e["action"] == "AUTHENTICATION_EVENT_TRIGGERED");
    assert_eq!(triggered.len(), 5, "before each verdict");
    let what: Vec<&str> = failed.iter().map(|e| e["what"].as_str().unwrap()).collect();
    assert_eq!(
        what,
        [
            "wrong_password",
            "unknown_user",
            "disabled",
            "impossible credential",
            "impossible credential"
        ]
    );
    assert!(
        failed
            .iter()
            .all(|e| e["action"] == "AUTHENTICATION_FAILED")
    );
}

#[tokio::test]
async fn damaged_forms_get_the_form_again_and_never_a_500() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new();
    let execution = browser.get(router, "/cas/login").await.execution();
    let good = format!("username=casuser&password=Mellon&execution={execution}&_eventId=submit");
    let forged = good.replace(&execution[10..20], "AAAAAAAAAA");
    for (body, text) in [
        (String::new(), "too long"),
        ("username=casuser&password=Mellon".to_owned(), "too long"),
        (forged, "too long"),
        (good.replace(&execution, "e1s1"), "too long"),
        (good.replace("password=Mellon", ""), "Enter your user name"),
        (good.replace("Mellon", ""), "Enter your user name"),
        (format!("{good}&username=other"), "did not arrive complete"),
        (format!("{good}&password=other"), "did not arrive complete"),
        (
            format!("{good}&execution={execution}"),
            "did not arrive complete",
        ),
        (
            good.replace("=submit", "=delete"),
            "did not arrive complete",
        ),
        (good.replace("casuser", "%ff"), "did not arrive complete"),
        ("&a=1".repeat(200), "did not arrive complete"),
    ] {
        let sent = Body::from(body.clone());
        let answer = browser.send(router, Method::POST, "/cas/login", sent).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.body.contains(text), "{body}\n{}", answer.body);
        assert!(!answer.execution().is_empty() && answer.tgc().is_none());
    }
    let large = Body::from(format!("{good}&x={}", "y".repeat(70_000)));
    let answer = browser
        .send(router, Method::POST, "/cas/login", large)
        .await;
    assert_eq!(answer.status, 413);
    let extra = Body::from(format!("{good}&lt=LT-1&geolocation=1,2&unknown=x"));
    let answer = browser
        .send(router, Method::POST, "/cas/login", extra)
        .await;
    assert_eq!(answer.status, 200);
    assert!(answer.tgc().is_some());
}

#[tokio::test]
async fn a_form_that_was_open_for_too_long_asks_again_and_keeps_the_application() {
    let options = Options {
        set: vec![("web.login_flow_lifetime", "1m")],
        ..Options::default()
    };
    let cluster = Cluster::start(1, options).await;
    let node = &cluster.nodes[0];
    let flow = castor_node::web::flow::FlowState {
        service: Some("https://portal.example.edu/".into()),
        ..Default::default()
    };
    let old = node.handle.now() - 61_000;
    let execution = flow.seal(&node.handle.keyring(), [5; 24], old).unwrap();
    let fields = [
        ("username", "casuser"),
        ("password", "Mellon"),
        ("execution", execution.as_str()),
    ];
    let path = "/cas/login?service=https://portal.example.edu/";
    let answer = Browser::new().post(&node.router, path, &fields).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("open for too long") && answer.body.contains("Portal"));
    assert!(
        answer.body.contains("value=\"casuser\""),
        "the user name is kept"
    );
}

#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    for (name, value, status) in [
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-origin", 200),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("origin", "https://sso.example.edu", 200),
        ("referer", "https://evil.example/x", 403),
    ] {
        let mut browser = Browser::new().with(name, value);
        let answer = browser.sign_in(router, "/cas/login").await;
        assert_eq!(answer.status.as_u16(), status, "{name}: {value}");
        assert_eq!(answer.tgc().is_some(), status == 200);
    }
    let events = cluster.audit(0);
    let foreign = events.iter().filter(|event| {
        event["action"] == "AUTHENTICATION_FAILED" && event["what"] == "a form of another origin"
    });
    assert_eq!(foreign.count(), 4, "{events:?}");
}

#[tokio::test]
async fn too_many_sign_ins_are_told_so_and_validations_go_on() {
    let options = Options {
        set: vec![
            ("authn.password.threads", "1"),
            ("authn.password.queue", "1"),
        ],
        cost: Some(Cost {
            memory_kib: 64 * 1024,
            passes: 2,
            lanes: 1,
        }),
        ..Options::default()
    };
    let cluster = Cluster::start(1, options).await;
    let router = cluster.nodes[0].router.clone();
    let execution = Browser::new().get(&router, "/cas/login").await.execution();
    let attempts: Vec<_> = (0..80)
        .map(|_| {
            let (router, execution) = (router.clone(), execution.clone());
            tokio::spawn(async move {
                let fields = [
                    ("username", "casuser"),
                    ("password", "wrong"),
                    ("execution", execution.as_str()),
                ];
                Browser::new().post(&router, "/cas/login", &fields).await
            })
        })
        .collect();
    let mut busy = 0;
    for attempt in attempts {
        let answer = attempt.await.unwrap();
        match answer.status.as_u16() {
            401 => {}
            503 => {
                busy += 1;
                assert!(answer.body.contains("Too many people"), "{}", answer.body);
                assert_eq!(answer.header("retry-after"), "2");
            }
            other => panic!("{other}"),
        }
    }
    assert!(busy > 0);
}

#[tokio::test]
async fn pages_speak_the_language_that_is_wanted_and_the_form_keeps_it() {
    let cluster = Cluster::one().await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::new().with("accept-language", "fr, de-AT;q=0.8, en;q=0.5");
    let german = browser.get(router, "/cas/login").await;
    assert!(german.body.contains("<html lang=\"de\" dir=\"ltr\">"));
    assert!(german.body.contains("Benutzername") && german.body.contains("action=\"login\""));
    let path = "/cas/login?service=https://portal.example.edu/&locale=en";
    let english = browser.get(router, path).await;
    assert!(english.body.contains("<html lang=\"en\" dir=\"ltr\">"));
    let kept = "action=\"login?service=https%3A%2F%2Fportal.example.edu%2F&amp;locale=en\"";
    assert!(english.body.contains(kept), "{}", english.body);
    let fields = [("username", "casuser"), ("password", "wrong")];
    let again = browser.post(router, path, &fields).await;
    assert!(again.body.contains("open for too long"), "{}", again.body);
    for (path, status) in [
        ("/cas/login?service=x&locale=de", 400),
        ("/cas/x?locale=de", 404),
    ] {
        let error = Browser::new().get(router, path).await;
        assert_eq!(error.status.as_u16(), status);
        assert!(error.body.contains("<html lang=\"de\""), "{}", error.body);
    }
    let odd = browser
        .get(router, "/cas/login?locale=%22%3E&locale=tlh")
        .await;
    assert!(odd.status == 200 && odd.body.contains("<html lang=\"de\""));
}
