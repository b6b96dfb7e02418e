//! `/v1/tickets` and `/v1/users`.

use axum::body::Body;
use axum::http::Method;

use crate::util::application::{Application, element};
use crate::util::{Answer, Browser, Cluster, Options};

const SERVICE: &str = "https://portal.example.edu/home";
const GOOD: [(&str, &str); 2] = [("username", "casuser"), ("password", "Mellon")];

async fn cluster() -> Cluster {
    let options = Options {
        set: vec![("http.rest", "true")],
        ..Options::default()
    };
    Cluster::start(3, options).await
}

async fn post(cluster: &Cluster, node: usize, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut client = Browser::new().with("Accept", "text/plain");
    let path = format!("/cas{path}");
    client
        .post(&cluster.nodes[node].router, &path, fields)
        .await
}

async fn send(cluster: &Cluster, node: usize, method: Method, path: &str) -> Answer {
    let path = format!("/cas{path}");
    Browser::new()
        .send(&cluster.nodes[node].router, method, &path, Body::empty())
        .await
}

#[tokio::test]
async fn a_program_signs_in_gets_tickets_and_signs_out_on_any_node() {
    let cluster = cluster().await;
    let created = post(&cluster, 0, "/v1/tickets", &GOOD).await;
    assert_eq!(created.status, 201);
    let tgt = created.body.clone();
    assert!(tgt.starts_with("TGT-"), "{created:?}");
    let place = format!("http://sso.example.edu/cas/v1/tickets/{tgt}");
    assert_eq!(created.header("location"), place);
    let path = format!("/v1/tickets/{tgt}");
    let known = send(&cluster, 2, Method::GET, &path).await;
    assert_eq!((known.status.as_u16(), known.body), (200, tgt.clone()));
    let granted = post(&cluster, 1, &path, &[("service", SERVICE)]).await;
    assert_eq!(granted.status, 200, "{granted:?}");
    assert!(granted.body.starts_with("ST-") && !granted.body.contains(char::is_whitespace));
    let query = format!("/serviceValidate?service={SERVICE}&ticket={}", granted.body);
    let validated = send(&cluster, 2, Method::GET, &query).await;
    assert!(validated.body.contains("<cas:user>casuser</cas:user>"));
    assert!(validated.body.contains("<cas:isFromNewLogin>false<"));

    let fields = [GOOD[0], GOOD[1], ("service", SERVICE), ("renew", "true")];
    let renewed = post(&cluster, 1, &path, &fields).await;
    let query = format!(
        "/serviceValidate?service={SERVICE}&ticket={}&renew=true",
        renewed.body
    );
    let validated = send(&cluster, 0, Method::GET, &query).await;
    assert!(validated.body.contains("<cas:isFromNewLogin>true<"));

    let ended = send(&cluster, 1, Method::DELETE, &path).await;
    assert_eq!((ended.status.as_u16(), ended.body), (200, tgt));
    for node in 0..3 {
        assert_eq!(send(&cluster, node, Method::GET, &path).await.status, 404);
        let refused = post(&cluster, node, &path, &[("service", SERVICE)]).await;
        assert_eq!(refused.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_session_is_told_to_its_applications() {
    let loopback = r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 20,
        "name": "Loopback", "serviceId": "^http://127\\.0\\.0\\.1:\\d+/back.*"}"#;
    let front = r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 21,
        "name": "Front", "serviceId": "^http://127\\.0\\.0\\.1:\\d+/front.*",
        "logoutType": "FRONT_CHANNEL"}"#;
    let options = Options {
        set: vec![("http.rest", "true")],
        services: vec![loopback, front],
        ..Options::default()
    };
    let cluster = Cluster::start(1, options).await;
    let application = Application::start().await;
    let tgt = post(&cluster, 0, "/v1/tickets", &GOOD).await.body;
    let path = format!("/v1/tickets/{tgt}");
    let mut tickets = Vec::new();
    for place in ["/back", "/front"] {
        let service = application.url(place);
        let granted = post(&cluster, 0, &path, &[("service", &service)]).await;
        assert_eq!(granted.status, 200, "{granted:?}");
        tickets.push(granted.body);
    }
    let ended = send(&cluster, 0, Method::DELETE, &path).await;
    assert_eq!(ended.status, 200);
    let told = || cluster.actions(0).contains(&"LOGOUT_SUCCESS".to_owned());
    cluster.until("the record has it", told).await;
    let requests = application.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(element(&requests[0], "samlp:SessionIndex"), tickets[0]);
    let events = cluster.audit(0);
    let what = events.last().unwrap()["what"].as_str().unwrap();
    assert!(
        what.ends_with(": 1 told, 1 not told without a browser"),
        "{what}"
    );
}

#[tokio::test]
async fn a_browser_gets_a_page_with_the_next_form() {
    let cluster = cluster().await;
    let answer = Browser::new()
        .post(&cluster.nodes[0].router, "/cas/v1/tickets", &GOOD)
        .await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("content-type"), "text/html;charset=UTF-8");
    let action = answer.body.split("action=\"").nth(1).unwrap();
    let action = action.split('"').next().unwrap();
    assert_eq!(action, answer.header("location"));
}

#[tokio::test]
async fn who_somebody_is_without_a_session() {
    let cluster = cluster().await;
    let answer = post(&cluster, 0, "/v1/users", &GOOD).await;
    assert_eq!(answer.status, 200);
    let json: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let principal = &json["authentication"]["principal"];
    assert_eq!(principal["id"], "casuser");
    assert_eq!(
        principal["attributes"]["memberOf"],
        serde_json::json!(["staff", "R&D"])
    );
    let created = "TICKET_GRANTING_TICKET_CREATED".to_owned();
    assert!(!cluster.actions(0).contains(&created));
}

#[tokio::test]
async fn what_is_wrong_is_told_by_status() {
    let cluster = cluster().await;
    let tgt = post(&cluster, 0, "/v1/tickets", &GOOD).await.body;
    let path = format!("/v1/tickets/{tgt}");
    let wrong = [("username", "casuser"), ("password", "wrong")];
    let other = [
        ("username", "professor"),
        ("password", "Chair"),
        ("service", SERVICE),
    ];
    let renew = [("service", SERVICE), ("renew", "true")];
    let token = [GOOD[0], GOOD[1], ("token", "true")];
    for (path, fields, status) in [
        ("/v1/tickets", &wrong[..], 401),
        ("/v1/users", &wrong[..], 401),
        ("/v1/tickets", &GOOD[..1], 400),
        ("/v1/tickets", &token[..], 400),
        (path.as_str(), &[][..], 400),
        (path.as_str(), &[("service", "nonsense")][..], 400),
        (
            path.as_str(),
            &[("service", "https://nowhere.example/")][..],
            403,
        ),
        (
            path.as_str(),
            &[("service", "https://closed.example.edu/")][..],
            403,
        ),
        (
            path.as_str(),
            &[("service", "https://faculty.example.edu/")][..],
            403,
        ),
        (
            path.as_str(),
            &[("service", "https://payroll.example.edu/x")][..],
            400,
        ),
        (path.as_str(), &renew[..], 400),
        (path.as_str(), &other[..], 403),
        (
            "/v1/tickets/TGT-1-nonsense",
            &[("service", SERVICE)][..],
            404,
        ),
        ("/v1/tickets/x%2Fy", &[("service", SERVICE)][..], 404),
    ] {
        let answer = post(&cluster, 0, path, fields).await;
        assert_eq!(answer.status, status, "{path} {fields:?}: {}", answer.body);
        assert!(
            !answer.body.contains(&tgt),
            "{path}: a credential is not repeated"
        );
    }
    let refused = post(&cluster, 0, "/v1/tickets", &wrong).await;
    let json: serde_json::Value = serde_json::from_str(&refused.body).unwrap();
    assert!(
        json["authentication_exceptions"][0]
            .as_str()
            .unwrap()
            .starts_with("FailedLogin")
    );
    let mut client = Browser::new().with("Content-Type", "application/json");
    let router = &cluster.nodes[0].router;
    let path = "/cas/v1/tickets";
    let answer = client.send(router, Method::PUT, path, Body::empty()).await;
    assert_eq!(answer.status, 405);
}

#[tokio::test]
async fn it_is_off_by_default() {
    let cluster = Cluster::one().await;
    for path in ["/v1/tickets", "/v1/users", "/v1/tickets/TGT-1-x"] {
        assert_eq!(post(&cluster, 0, path, &GOOD).await.status, 404, "{path}");
    }
    assert!(cluster.actions(0).is_empty());
}

#[tokio::test]
async fn the_end_of_a_made_up_session_is_remembered_nowhere() {
    let cluster = cluster().await;
    let created = post(&cluster, 0, "/v1/tickets", &GOOD).await.body;
    let held = |node: usize| cluster.nodes[node].handle.store().len();
    let before: Vec<usize> = (0..3).map(held).collect();
    for number in 0..200 {
        let made_up = format!("/v1/tickets/TGT-{number}-{}", "x".repeat(40));
        let answer = send(&cluster, number % 3, Method::DELETE, &made_up).await;
        assert!(answer.status == 200 || answer.status == 404, "{answer:?}");
    }
    let after: Vec<usize> = (0..3).map(held).collect();
    assert_eq!(before, after);
    // A real one is still ended everywhere.
    let path = format!("/v1/tickets/{created}");
    assert_eq!(send(&cluster, 1, Method::DELETE, &path).await.status, 200);
    assert_eq!(send(&cluster, 2, Method::GET, &path).await.status, 404);
}
