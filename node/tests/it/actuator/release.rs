//! What an application would learn about somebody.

use serde_json::json;

use crate::util::operators::Operators;
use crate::util::{Cluster, Options};

const PORTAL: &str = "https://portal.example.edu/";

fn wish(username: &str, service: &str) -> String {
    format!("/releaseAttributes?username={username}&service={service}")
}

#[tokio::test]
async fn it_is_told_without_a_password_as_a_validation_would() {
    let cluster = Cluster::one().await;
    let operators = Operators::of(&cluster.nodes[0]);
    let (code, answer) = operators.json("GET", &wish("casuser", PORTAL), "").await;
    assert_eq!(code, 200, "{answer}");
    assert_eq!(
        (&answer["uid"], &answer["username"]),
        (&"casuser".into(), &"casuser".into())
    );
    let attributes = json!({ "mail": ["casuser@example.edu"], "memberOf": ["staff", "R&D"] });
    assert_eq!(answer["attributes"], attributes);
    assert_eq!(answer["access"], "granted");
    assert_eq!(
        answer["registeredService"],
        json!({ "id": 1, "name": "Portal" })
    );
    let responses = &answer["validationResponses"];
    assert_eq!(responses["CAS1"], "yes\ncasuser\n");
    let xml = responses["CAS3"].as_str().unwrap();
    assert!(
        xml.contains("<cas:memberOf>R&amp;D</cas:memberOf>"),
        "{xml}"
    );
    let json = responses["CAS3_JSON"].as_str().unwrap();
    assert!(
        json.contains("\"mail\":[\"casuser@example.edu\"]"),
        "{json}"
    );
    assert!(!answer.to_string().contains("ssn"), "{answer}");
    assert!(
        cluster.nodes[0].handle.store().is_empty(),
        "nothing was issued"
    );
}

#[tokio::test]
async fn who_may_not_is_told_and_would_be_refused() {
    let cluster = Cluster::one().await;
    let operators = Operators::of(&cluster.nodes[0]);
    let faculty = "https://faculty.example.edu/x";
    for (user, service, access) in [
        ("casuser", faculty, "refused"),
        ("professor", faculty, "granted"),
        ("casuser", "https://closed.example.edu/x", "closed"),
    ] {
        let (code, answer) = operators.json("GET", &wish(user, service), "").await;
        assert_eq!((code, &answer["access"]), (200, &access.into()), "{user}");
        let xml = answer["validationResponses"]["CAS2"].as_str().unwrap();
        let refused = xml.contains("code=\"UNAUTHORIZED_SERVICE\"");
        assert_eq!(refused, access != "granted", "{xml}");
    }
}

#[tokio::test]
async fn what_cannot_be_told_says_why() {
    let cluster = Cluster::one().await;
    let operators = Operators::of(&cluster.nodes[0]);
    for (path, expected) in [
        (wish("", PORTAL), 400),
        (wish("casuser", ""), 400),
        (wish("casuser", "portal"), 400),
        (wish("casuser", "javascript://x/%250a"), 400),
        (wish("casuser", "https://unknown.example.edu/"), 404),
        (wish("nobody", PORTAL), 404),
        (wish("former", PORTAL), 404),
        (format!("{}&password=Mellon", wish("casuser", PORTAL)), 400),
        (format!("{}&x=1", wish("casuser", PORTAL)), 400),
    ] {
        let (code, answer) = operators.json("GET", &path, "").await;
        assert_eq!(code, expected, "{path}: {answer}");
        assert!(answer["error"].is_string() && !answer.to_string().contains("Mellon"));
    }
}

#[tokio::test]
async fn a_password_is_judged_under_the_throttle_and_nowhere_repeated() {
    let options = Options {
        set: vec![("authn.throttle.user_failures", "2")],
        ..Options::default()
    };
    let cluster = Cluster::start(1, options).await;
    let operators = Operators::of(&cluster.nodes[0]);
    let json = |password| {
        format!(r#"{{"username":"casuser","password":"{password}","service":"{PORTAL}"}}"#)
    };
    for (body, expected) in [
        (json("Mellon"), 200),
        (
            format!("username=casuser&password=Mellon&service={PORTAL}"),
            200,
        ),
        (json("Wrong-Horse"), 403),
        (json("Wrong-Horse"), 403),
        (json("Mellon"), 423),
    ] {
        let (code, answer) = operators.json("POST", "/releaseAttributes", &body).await;
        assert_eq!(code, expected, "{answer}");
        let text = answer.to_string();
        assert!(
            !text.contains("Mellon") && !text.contains("Wrong-Horse"),
            "{text}"
        );
    }
    let record = cluster.audit(0);
    let shown: Vec<_> = record
        .iter()
        .map(|event| event["what"].as_str().unwrap())
        .collect();
    let words = [
        "file: shown",
        "file: shown",
        "wrong_password",
        "wrong_password",
        "throttled",
    ];
    let expected = words.map(|word| format!("casuser for {PORTAL}: {word}"));
    assert_eq!(shown, expected);
}
