//! The applications over real sockets, before a front door that plays a CAS server over TLS.

use std::sync::Mutex;

use axum::extract::Query;
use bytes::Bytes;
use http::Method;

use super::super::fetch::Target;
use super::super::web_ca::WebCa;
use super::*;
use crate::server::tls::{TlsAcceptor, load};

const TICKET: &str = "ST-1-secretsecret-tag1tag2";

struct Stage {
    setup: Setup,
    port: u16,
    other: u16,
    asked: Arc<Mutex<Vec<BTreeMap<String, String>>>>,
    _running: Vec<Running>,
    _dir: tempfile::TempDir,
}

fn options(tls: Option<TlsAcceptor>) -> Options {
    Options {
        name: "test",
        limits: LIMITS,
        tls,
        closing: Arc::new(|| false),
        metrics: ServerMetrics::register(&prometheus::Registry::new()).unwrap(),
    }
}

fn free_ports() -> [u16; 2] {
    let held = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// A front door that accepts [`TICKET`] once, and two applications before it.
async fn stage() -> Stage {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let ca = WebCa::open(dir.path(), &clock).unwrap();
    let identity = ca.identity("front", &["localhost", "127.0.0.1"]).unwrap();
    let tls = load(&identity.certificate, &identity.key, clock.wall_ms()).unwrap();
    let asked: Arc<Mutex<Vec<BTreeMap<String, String>>>> = Arc::default();
    let seen = Arc::clone(&asked);
    let validate = move |Query(query): Query<BTreeMap<String, String>>| {
        let seen = Arc::clone(&seen);
        async move {
            let mut seen = seen.lock().unwrap();
            let good = query["ticket"] == TICKET && !seen.contains(&query);
            seen.push(query);
            let body = if good {
                r#"{"serviceResponse":{"authenticationSuccess":{"user":"casuser","attributes":
                {"displayName":"<Casey>","isFromNewLogin":true,"memberOf":["a","b"]}}}}"#
            } else {
                r#"{"serviceResponse":{"authenticationFailure":{"code":"INVALID_TICKET",
                "description":"no"}}}"#
            };
            (
                [("Castor-Demo-Upstream", "127.0.0.1:1, 127.0.0.1:8502")],
                body,
            )
        }
    };
    let router = Router::new().route("/cas/p3/serviceValidate", get(validate));
    let listener = server::bind(&Listen::Tcp(([127, 0, 0, 1], 0).into()), None).unwrap();
    let Listen::Tcp(address) = listener.listen().clone() else {
        panic!("TCP")
    };
    let front = server::run(listener, router, options(Some(TlsAcceptor::new(&tls))));
    let setup = Setup {
        front: format!("https://127.0.0.1:{}/cas", address.port()),
        fetch: Fetch::new(&ca.certificate).unwrap(),
        nodes_by_port: BTreeMap::from([(8502, "node2".to_owned())]),
        nodes_by_tag: BTreeMap::from([("tag1".to_owned(), "node1".to_owned())]),
        clock,
        rng: Rng::seeded(5),
    };
    let ports = free_ports();
    let mut running = serve(ports, &setup).unwrap();
    running.push(front);
    Stage {
        setup,
        port: ports[0],
        other: ports[1],
        asked,
        _running: running,
        _dir: dir,
    }
}

impl Stage {
    async fn ask(&self, port: u16, path: &str, cookie: &str) -> (u16, HeaderMap, String) {
        let mut headers = HeaderMap::new();
        if !cookie.is_empty() {
            headers.insert(header::COOKIE, cookie.parse().unwrap());
        }
        let target = Target::Url(format!("http://127.0.0.1:{port}{path}"));
        let time = Duration::from_secs(10);
        let answer = self
            .setup
            .fetch
            .call(Method::GET, &target, headers, Bytes::new(), time)
            .await
            .unwrap();
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        (answer.status.as_u16(), answer.headers, body)
    }

    async fn sign_in(&self) -> String {
        let (status, headers, _) = self.ask(self.port, &format!("/?ticket={TICKET}"), "").await;
        assert_eq!((status, location(&headers)), (302, url(self.port)));
        let cookie = headers[header::SET_COOKIE].to_str().unwrap();
        assert!(
            cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
            "{cookie}"
        );
        cookie.split(';').next().unwrap().to_owned()
    }
}

fn location(headers: &HeaderMap) -> String {
    headers[header::LOCATION].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_sent_to_the_front_door_and_let_in_with_a_ticket() {
    let stage = stage().await;
    let (status, headers, _) = stage.ask(stage.port, "/", "").await;
    let expected = format!(
        "{}/login?service=http%3A%2F%2F127.0.0.1%3A{}%2F",
        stage.setup.front, stage.port
    );
    assert_eq!((status, location(&headers)), (302, expected));

    let cookie = stage.sign_in().await;
    let asked = stage.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["service"], url(stage.port));

    let (status, headers, page) = stage.ask(stage.port, "/", &cookie).await;
    assert_eq!(status, 200);
    assert_eq!(headers["cache-control"], "no-store");
    for part in [
        "Hello, &lt;Casey&gt;",
        "by <strong>node1</strong>",
        "by <strong>node2</strong>",
        "ST-1-*****ag2",
        "You signed in with your password",
        "<td>a, b</td>",
        &format!("http://127.0.0.1:{}/", stage.other),
    ] {
        let found = page.contains(part) || page.replace("&#x2f;", "/").contains(part);
        assert!(found, "{part} is not in\n{page}");
    }
    assert!(
        !page.contains("secretsecret"),
        "a whole ticket is on the page"
    );

    // The session is this application's own.
    let (status, _, _) = stage.ask(stage.other, "/", &cookie).await;
    assert_eq!(status, 302);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_used_ticket_opens_nothing() {
    let stage = stage().await;
    stage.sign_in().await;
    for ticket in [TICKET, "ST-made-up", "%00"] {
        let (status, headers, page) = stage
            .ask(stage.port, &format!("/?ticket={ticket}"), "")
            .await;
        assert_eq!(status, 403, "{ticket}: {page}");
        assert!(page.contains("INVALID_TICKET"));
        assert!(headers.get(header::SET_COOKIE).is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_ends_the_session_here_and_at_castor() {
    let stage = stage().await;
    let cookie = stage.sign_in().await;
    let (status, headers, _) = stage.ask(stage.port, "/signout", &cookie).await;
    assert_eq!(
        (status, location(&headers)),
        (302, format!("{}/logout", stage.setup.front))
    );
    assert_eq!(stage.ask(stage.port, "/", &cookie).await.0, 302);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_back_channel_logout_ends_the_session() {
    let stage = stage().await;
    let cookie = stage.sign_in().await;
    let send = async |body: &'static str| {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
        let target = Target::Url(url(stage.port));
        let time = Duration::from_secs(10);
        let fetch = &stage.setup.fetch;
        let answer = fetch
            .call(Method::POST, &target, headers, body.into(), time)
            .await;
        answer.unwrap().status.as_u16()
    };
    assert_eq!(send("logoutRequest=%3Cnothing%2F%3E").await, 400);
    assert_eq!(stage.ask(stage.port, "/", &cookie).await.0, 200);
    let body = "logoutRequest=%3Csamlp%3ALogoutRequest%3E%3Csamlp%3ASessionIndex%3E\
                ST-1-secretsecret-tag1tag2%3C%2Fsamlp%3ASessionIndex%3E";
    assert_eq!(send(body).await, 200);
    assert_eq!(stage.ask(stage.port, "/", &cookie).await.0, 302);
}
