//! Who may administer, and what they see and change, on a real replica.

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::body::Body;
use castor_proto::ticket::{Payload, Principal, TicketId};
use castor_replication::driver::Readiness;
use castor_replication::engine::NewReusable;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::authn::Authenticator;
use crate::clock::Clock;
use crate::config::value::{Secret, Value as _};
use crate::config::{Config, Live};
use crate::ops::audit::{self, Place};
use crate::ops::testing::{self, Node};
use crate::outbound::{Outbound, OutboundMetrics, Trust};
use crate::server::{Peer, PeerAddress};
use crate::slo::{self, Slo};
use crate::tickets::{Policy, Tickets};

const TOKEN: &str = "0123456789abcdef-token";

struct Fixture {
    node: Node,
    admin: Admin,
    audit: Audit,
    record: PathBuf,
    _dir: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    let node = testing::node(0);
    node.until(Readiness::Ready).await;
    let dir = tempfile::tempdir().unwrap();
    let record = dir.path().join("audit.log");
    let mut config = Config::defaults().unwrap().audit;
    config.output = crate::config::types::AuditOutput::File;
    config.file = Some(record.clone());
    let place = Place {
        node: "cas1".to_owned(),
        server: None,
    };
    let registry = node.metrics.registry();
    let audit = audit::start(&config, place, Clock::system(), registry).unwrap();
    let people: Vec<Arc<dyn Authenticator>> = Vec::new();
    let live = Live::new(Config::defaults().unwrap());
    let admin = Admin::new(Parts {
        handle: node.handle.clone(),
        audit: audit.clone(),
        slo: slo(&node, &audit),
        throttle: Throttle::new(node.handle.clone(), live, people, registry).unwrap(),
        prefix: "/cas".to_owned(),
    });
    Fixture {
        node,
        admin,
        audit,
        record,
        _dir: dir,
    }
}

/// Tells applications; no definition here covers any.
fn slo(node: &Node, audit: &Audit) -> Slo {
    let live = Live::new(Config::defaults().unwrap());
    let registry = node.metrics.registry();
    let tickets = &live.load().tickets;
    Slo::start(slo::Parts {
        tickets: Tickets::new(node.handle.clone(), Policy::from(tickets)),
        services: Arc::default(),
        outbound: Outbound::new(
            live.clone(),
            Trust::load(None).unwrap(),
            OutboundMetrics::register(registry).unwrap(),
        ),
        audit: audit.clone(),
        clock: Clock::system(),
        metrics: slo::SloMetrics::register(registry).unwrap(),
        config: live.clone(),
    })
}

fn unix() -> PeerAddress {
    PeerAddress::Unix {
        uid: 0,
        gid: 0,
        pid: Some(4711),
    }
}

fn tcp() -> PeerAddress {
    PeerAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 9)))
}

fn token() -> Access {
    let text = toml::Value::String(TOKEN.to_owned());
    Access::Token(Secret::from_toml(&text, std::path::Path::new("")).unwrap())
}

struct Ask<'a> {
    method: &'a str,
    path: &'a str,
    peer: Option<PeerAddress>,
    bearer: Option<&'a str>,
    form: &'a str,
}

impl<'a> Ask<'a> {
    fn new(method: &'a str, path: &'a str) -> Self {
        Self {
            method,
            path,
            peer: Some(unix()),
            bearer: None,
            form: "",
        }
    }

    async fn of(self, router: &Router) -> (u16, Value) {
        let mut request = Request::builder().method(self.method).uri(self.path);
        if let Some(bearer) = self.bearer {
            request = request.header("authorization", bearer);
        }
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let mut request = request.body(Body::from(self.form.to_owned())).unwrap();
        if let Some(address) = self.peer {
            let tls = false;
            request.extensions_mut().insert(Peer { address, tls });
        }
        let response = router.clone().oneshot(request).await.unwrap();
        let code = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&body).unwrap_or_default())
    }
}

impl Fixture {
    fn socket(&self) -> Router {
        self.admin.router(Access::Socket)
    }

    async fn sign_in(&self, user: &str, address: &str) -> TicketId {
        let now = self.node.handle.now();
        let tgt = castor_proto::ticket::Tgt {
            principal: Principal {
                id: user.to_owned(),
                attributes: vec![("mail".to_owned(), vec!["secret@example.org".to_owned()])],
            },
            authenticated_at: now - 60_000,
            handler: "file".to_owned(),
            remember_me: false,
            client_address: address.to_owned(),
        };
        let new = NewReusable {
            id: None,
            life_ms: 8 * 3_600_000,
            idle_ms: 2 * 3_600_000,
            ancestors: Vec::new(),
            payload: Payload::Tgt(tgt),
            key_id: None,
        };
        let created = self.node.handle.create(new).await.unwrap();
        created.body.id.clone()
    }

    fn recorded(&self) -> Vec<Value> {
        self.audit.flush(std::time::Duration::from_secs(10));
        std::fs::read_to_string(&self.record)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[tokio::test]
async fn the_socket_is_for_unix_peers_and_the_token_for_the_rest() {
    let fixture = fixture().await;
    let socket = fixture.socket();
    let by_token = fixture.admin.router(token());
    let right = format!("Bearer {TOKEN}");
    let wrong = format!("Bearer {TOKEN}x");
    for path in ["/admin/v1/status", "/admin/v1/sessions", "/admin/v1/keys"] {
        let ask = || Ask::new("GET", path);
        assert_eq!(ask().of(&socket).await.0, 200, "{path}");
        for peer in [Some(tcp()), None] {
            let refused = Ask { peer, ..ask() };
            assert_eq!(refused.of(&socket).await.0, 403, "{path} {peer:?}");
        }
        for (bearer, code) in [
            (Some(right.as_str()), 200),
            (Some(wrong.as_str()), 401),
            (Some(TOKEN), 401),
            (Some("Bearer "), 401),
            (None, 401),
        ] {
            for peer in [tcp(), unix()] {
                let peer = Some(peer);
                let asked = Ask {
                    peer,
                    bearer,
                    ..ask()
                };
                assert_eq!(asked.of(&by_token).await.0, code, "{path} {bearer:?}");
            }
        }
    }
}

#[tokio::test]
async fn draining_and_resuming_is_done_and_audited_with_the_actor() {
    let fixture = fixture().await;
    let socket = fixture.socket();
    let (code, answer) = Ask::new("POST", "/admin/v1/drain").of(&socket).await;
    assert_eq!((code, &answer["state"]), (200, &"draining".into()));
    fixture.node.until(Readiness::Draining).await;
    let (code, _) = Ask::new("POST", "/admin/v1/resume").of(&socket).await;
    assert_eq!(code, 200);
    fixture.node.until(Readiness::Ready).await;
    let (code, _) = Ask::new("GET", "/admin/v1/drain").of(&socket).await;
    assert_eq!(code, 405, "reading changes nothing");
    let record = fixture.recorded();
    let actions: Vec<_> = record.iter().map(|line| &line["action"]).collect();
    assert_eq!(actions, ["NODE_DRAINED", "NODE_RESUMED"]);
    assert_eq!(record[0]["who"], "uid 0 (root), pid 4711");
    assert_eq!(record[0]["clientIpAddress"], "local");
}

#[tokio::test]
async fn of_many_sessions_those_used_last_are_shown_and_all_are_ended() {
    let fixture = fixture().await;
    let socket = fixture.socket();
    for number in 0..100 {
        fixture.sign_in(&format!("user{number}"), "192.0.2.1").await;
    }
    // The replica's clock must have gone on, so that these were used later than all others.
    // Readers and the engine may round to neighbouring milliseconds.
    let before = fixture.node.handle.now();
    while fixture.node.handle.now() <= before + 1 {
        tokio::task::yield_now().await;
    }
    for name in ["late1", "late2", "late3"] {
        fixture.sign_in(name, "192.0.2.1").await;
    }
    let path = "/admin/v1/sessions?limit=3";
    let (_, answer) = Ask::new("GET", path).of(&socket).await;
    let shown = answer["sessions"].as_array().unwrap().iter();
    let mut users: Vec<_> = shown
        .map(|session| session["user"].as_str().unwrap())
        .collect();
    users.sort_unstable();
    assert_eq!(users, ["late1", "late2", "late3"], "{answer}");
    assert_eq!(answer["more"], true);

    let mut ask = Ask::new("POST", "/admin/v1/sessions/end");
    ask.form = "address=192.0.2.1&limit=1000";
    let (code, answer) = ask.of(&socket).await;
    assert_eq!((code, &answer["ended"]), (200, &103.into()), "{answer}");
    assert_eq!(answer["more"], false);
    let (_, answer) = Ask::new("GET", "/admin/v1/sessions").of(&socket).await;
    assert_eq!(answer["sessions"].as_array().unwrap().len(), 0);
    let record = fixture.recorded();
    let ended = |line: &&Value| line["action"] == "TICKET_GRANTING_TICKET_DESTROYED";
    assert_eq!(record.iter().filter(ended).count(), 103);
}

#[tokio::test]
async fn sessions_are_found_by_what_is_asked_and_never_show_an_id() {
    let fixture = fixture().await;
    let socket = fixture.socket();
    let ids = [
        fixture.sign_in("jane", "192.0.2.1").await,
        fixture.sign_in("jane", "192.0.2.2").await,
        fixture.sign_in("joe", "192.0.2.1").await,
    ];
    for (query, count) in [
        ("", 3),
        ("?user=jane", 2),
        ("?user=jane&address=192.0.2.2", 1),
        ("?address=192.0.2.1", 2),
        ("?user=jan", 0),
        ("?older_than=50", 3),
        ("?older_than=90", 0),
        ("?service=app.example", 0),
        ("?limit=2", 2),
    ] {
        let path = format!("/admin/v1/sessions{query}");
        let (code, answer) = Ask::new("GET", &path).of(&socket).await;
        assert_eq!(code, 200, "{query}");
        let found = answer["sessions"].as_array().unwrap().len();
        assert_eq!(found, count, "{query}: {answer}");
        assert_eq!(answer["more"], query == "?limit=2", "{query}");
        for id in &ids {
            let secret = id.as_str().rsplit('-').nth(1).unwrap();
            assert!(!answer.to_string().contains(secret), "{answer}");
        }
    }
    let (code, _) = Ask::new("GET", "/admin/v1/sessions?usr=x")
        .of(&socket)
        .await;
    assert_eq!(code, 400, "an unknown filter must not mean all sessions");
    assert_eq!(fixture.recorded()[1]["what"], "user=jane");
}

#[tokio::test]
async fn a_session_is_shown_and_ended_by_its_handle() {
    let fixture = fixture().await;
    let socket = fixture.socket();
    let id = fixture.sign_in("jane", "192.0.2.1").await;
    let other = fixture.sign_in("joe", "192.0.2.1").await;
    let handle = handle_of(&fixture.node.handle.keyring(), &id.key());
    let path = format!("/admin/v1/sessions/{handle}");
    let (code, shown) = Ask::new("GET", &path).of(&socket).await;
    assert_eq!((code, &shown["user"]), (200, &"jane".into()));
    assert_eq!(shown["attributes"], serde_json::json!(["mail"]));
    assert!(!shown.to_string().contains("secret@example.org"));

    let form = format!("handle={handle}");
    let end = Ask {
        form: &form,
        ..Ask::new("POST", "/admin/v1/sessions/end")
    };
    let (code, answer) = end.of(&socket).await;
    assert_eq!((code, &answer["ended"]), (200, &1.into()), "{answer}");
    assert!(fixture.node.handle.store().is_destroyed(&id.key()));
    assert!(!fixture.node.handle.store().is_destroyed(&other.key()));
    let (code, _) = Ask::new("GET", &path).of(&socket).await;
    assert_eq!(code, 404);
    let record = fixture.recorded();
    let line = record
        .iter()
        .find(|line| line["action"] == "TICKET_GRANTING_TICKET_DESTROYED")
        .unwrap();
    assert_eq!(line["what"], format!("{} of jane", id.masked()));
}

#[tokio::test]
async fn ending_needs_a_filter_and_ends_every_match() {
    let fixture = fixture().await;
    let socket = fixture.socket();
    for _ in 0..3 {
        fixture.sign_in("jane", "192.0.2.1").await;
    }
    fixture.sign_in("joe", "192.0.2.1").await;
    for (form, code, ended) in [
        ("", 400, Value::Null),
        ("limit=5", 400, Value::Null),
        ("usr=jane", 422, Value::Null),
        ("user=jane", 200, 3.into()),
        ("user=jane", 200, 0.into()),
    ] {
        let end = Ask {
            form,
            ..Ask::new("POST", "/admin/v1/sessions/end")
        };
        let (found, answer) = end.of(&socket).await;
        assert_eq!((found, &answer["ended"]), (code, &ended), "{form}");
    }
    let (_, left) = Ask::new("GET", "/admin/v1/sessions").of(&socket).await;
    assert_eq!(left["sessions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn keys_are_named_and_never_shown() {
    let fixture = fixture().await;
    let (code, answer) = Ask::new("GET", "/admin/v1/keys")
        .of(&fixture.socket())
        .await;
    assert_eq!(code, 200);
    assert_eq!(
        answer,
        serde_json::json!({"keys": [
            {"id": "00000007", "role": "current", "created": "2023-11-14T22:13:20.000Z"}
        ]})
    );
}

async fn fail(fixture: &Fixture, user: &str, address: &str, times: usize) {
    let address = Some(address.parse().unwrap());
    for _ in 0..times {
        let attempt = fixture.admin.throttle.admit(user, address).unwrap();
        attempt.failed().await;
    }
}

#[tokio::test]
async fn who_is_refused_is_shown_and_cleared_and_audited() {
    let fixture = fixture().await;
    let socket = fixture.socket();
    fail(&fixture, "jane", "192.0.2.7", 5).await;
    fail(&fixture, "joe", "192.0.2.8", 1).await;
    let path = "/admin/v1/throttles";
    let (code, answer) = Ask::new("GET", path).of(&socket).await;
    assert_eq!((code, &answer["enabled"]), (200, &true.into()));
    let rows = answer["throttles"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{answer}");
    assert_eq!(rows[0]["by"], "user");
    assert_eq!(rows[0]["address"], "192.0.2.7");
    assert_eq!(rows[0]["failures"], 5);
    assert!(rows[0]["until"].is_string() && rows[0]["user"].is_null());
    let (_, all) = Ask::new("GET", "/admin/v1/throttles?all=true")
        .of(&socket)
        .await;
    assert_eq!(all["throttles"].as_array().unwrap().len(), 4);
    let (_, jane) = Ask::new("GET", "/admin/v1/throttles?user=jane")
        .of(&socket)
        .await;
    assert_eq!(jane["throttles"][0]["user"], "jane");

    let (code, submissions) = Ask::new("GET", "/cas/actuator/throttles").of(&socket).await;
    assert_eq!(code, 200);
    assert_eq!(submissions.as_array().unwrap().len(), 1);
    assert_eq!(submissions[0]["clientIpAddress"], "192.0.2.7");
    assert!(submissions[0]["expiration"].is_string());

    let post = |form| Ask {
        form,
        ..Ask::new("POST", "/admin/v1/throttles/clear")
    };
    for form in ["", "all=true&user=jane", "who=jane"] {
        let (code, _) = post(form).of(&socket).await;
        assert!(code == 400 || code == 422, "{form}: {code}");
    }
    let (code, answer) = post("user=jane").of(&socket).await;
    assert_eq!((code, &answer["cleared"]), (200, &1.into()));
    assert!(
        fixture
            .admin
            .throttle
            .admit("jane", Some([192, 0, 2, 7].into()))
            .is_ok()
    );
    let (_, answer) = Ask::new("DELETE", "/cas/actuator/throttles")
        .of(&socket)
        .await;
    assert_eq!(answer["cleared"], 3);
    let (_, all) = Ask::new("GET", "/admin/v1/throttles?all=true")
        .of(&socket)
        .await;
    assert_eq!(all["throttles"], serde_json::json!([]));
    let record = fixture.recorded();
    let cleared: Vec<_> = record
        .iter()
        .filter(|line| line["action"] == "THROTTLES_CLEARED")
        .map(|line| line["what"].as_str().unwrap())
        .collect();
    assert_eq!(cleared, ["user=jane: 1 cleared", "all: 3 cleared"]);
    assert_eq!(record[0]["action"], "THROTTLES_LISTED");
    let by_token = fixture.admin.router(token());
    for path in ["/admin/v1/throttles", "/cas/actuator/throttles"] {
        assert_eq!(Ask::new("GET", path).of(&by_token).await.0, 401, "{path}");
    }
}

#[tokio::test]
async fn sessions_are_ended_though_nobody_waits_for_the_answer() {
    let fixture = fixture().await;
    let socket = fixture.socket();
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(fixture.sign_in("jane", "192.0.2.1").await);
    }
    let end = Ask {
        form: "user=jane",
        ..Ask::new("POST", "/admin/v1/sessions/end")
    };
    tokio::select! {
        biased;
        (code, _) = end.of(&socket) => panic!("answered {code} before it could be given up"),
        () = tokio::task::yield_now() => {}
    }
    let store = fixture.node.handle.store();
    let ended = async {
        while !ids.iter().all(|id| store.is_destroyed(&id.key())) {
            tokio::task::yield_now().await;
        }
    };
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), ended).await;
    assert!(ended.is_ok(), "some sessions live on");
}
