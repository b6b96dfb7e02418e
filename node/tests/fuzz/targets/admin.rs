//! What operators ask: paths, queries, forms, JSON and bearer tokens, answered by a real replica.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use castor_node::actuator::{self, Actuator};
use castor_node::admin::{self, Access, Admin};
use castor_node::authn::{Chain, Throttle};
use castor_node::cas::under_way::UnderWay;
use castor_node::cas::{self, Cas};
use castor_node::clock::{Clock, Rng};
use castor_node::config::types::AuditOutput;
use castor_node::config::value::{Secret, Value as _};
use castor_node::config::{Config, Live};
use castor_node::ops::audit::{self, Audit, Place};
use castor_node::ops::health::{self, Health};
use castor_node::ops::metrics::Metrics;
use castor_node::outbound::{Outbound, OutboundMetrics, Trust};
use castor_node::server::{Peer, PeerAddress};
use castor_node::slo::{self, Slo, SloMetrics};
use castor_node::tickets::{Policy, Tickets};
use castor_node::web::Web;
use castor_proto::ids::{Member, NodeName};
use castor_proto::ticket::{Payload, Principal, Tgt, TicketId};
use castor_replication::driver::memory::MemoryNet;
use castor_replication::driver::{self, Handle, Parts, Readiness};
use castor_replication::engine::NewReusable;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use prometheus::Registry;
use tokio::runtime::Runtime;
use tower::{Service, ServiceExt as _};

const TOKEN: &str = "0123456789abcdef-token";
const SESSIONS: usize = 4;
/// After so many sessions a replica is replaced: what has ended is kept for hours.
const REPLACED: usize = 400;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

type Answered = Pin<Box<dyn Future<Output = (StatusCode, Bytes)>>>;
type Ask = Box<dyn Fn(Request<Full<Bytes>>) -> Answered>;

/// A node that operators ask.
struct World {
    runtime: Runtime,
    handle: Handle,
    socket: Ask,
    ops: Ask,
    sessions: Vec<TicketId>,
    made: usize,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// A byte that chooses the listener, whether the token is right and whether the body is JSON; a line with method and path; a
/// line with what stands in `Authorization` instead; a body.
pub fn admin(bytes: &[u8]) {
    let Some((&how, rest)) = bytes.split_first() else {
        return;
    };
    let mut lines = rest.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (head, bearer, form) = (line(), line(), line());
    let Some((method, target)) = std::str::from_utf8(head)
        .ok()
        .and_then(|h| h.split_once(' '))
    else {
        return;
    };
    let (local, right, json) = (how & 1 == 0, how & 2 == 0, how & 4 != 0);
    let token = format!("Bearer {TOKEN}");
    let bearer = if right { token.as_bytes() } else { bearer };
    let may = local || bearer == token.as_bytes();
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::AUTHORIZATION, bearer)
        .header(header::CONTENT_TYPE, if json { JSON } else { FORM })
        .extension(peer(local))
        .body(Full::new(Bytes::copy_from_slice(form)));
    let Ok(request) = request else {
        return;
    };
    WORLD.with_borrow_mut(|slot| {
        if slot.as_ref().is_some_and(|world| world.made > REPLACED) {
            *slot = None;
        }
        let world = slot.get_or_insert_with(World::start);
        let asked = Asked::of(&request);
        let ask = if local { &world.socket } else { &world.ops };
        // The newest events may all be asked for, each with what somebody typed.
        let is_audit = request.uri().path().starts_with("/cas/actuator/audit");
        let most = 64 * bytes.len() + if is_audit { 32 << 20 } else { 1 << 20 };
        let (status, answer) = super::within(most, || {
            world.runtime.block_on(async { ask(request).await })
        });
        world.judge(asked, may, status, &answer);
        world.mend();
    });
}

/// What a request is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// The administration API.
    Admin,
    /// An actuator endpoint that is not for everybody.
    Guarded {
        /// It may end sessions.
        ends: bool,
    },
    /// Anything else.
    Open,
}

impl Asked {
    fn of<B>(request: &Request<B>) -> Self {
        let path = request.uri().path();
        if path.starts_with("/admin/") {
            return Self::Admin;
        }
        let first = path
            .strip_prefix("/cas/actuator/")
            .and_then(|rest| rest.split('/').next());
        match first {
            None | Some("" | "health" | "info" | "prometheus" | "statistics") => Self::Open,
            Some(name) => Self::Guarded {
                ends: name == "ssoSessions" && request.method() == "DELETE",
            },
        }
    }
}

fn peer(local: bool) -> Peer {
    let address = if local {
        PeerAddress::Unix {
            uid: 0,
            gid: 0,
            pid: None,
        }
    } else {
        PeerAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 9)))
    };
    Peer {
        address,
        tls: false,
    }
}

/// A listener's routes as a function.
fn ask<S, B>(routes: S) -> Ask
where
    S: Service<Request<Full<Bytes>>, Response = http::Response<B>, Error = Infallible>,
    S: Clone + 'static,
    S::Future: 'static,
    B: BodyExt<Data = Bytes> + 'static,
    B::Error: std::fmt::Debug,
{
    Box::new(move |request| {
        let answer = routes.clone().oneshot(request);
        Box::pin(async move {
            let (head, body) = answer.await.expect("infallible").into_parts();
            let body = body.collect().await.expect("a whole body").to_bytes();
            (head.status, body)
        })
    })
}

/// Its sessions have visited no application.
fn tells_nobody(handle: &Handle, audit: &Audit, live: &Live, registry: &Registry) -> Slo {
    Slo::start(slo::Parts {
        tickets: Tickets::new(handle.clone(), Policy::from(&live.load().tickets)),
        services: Arc::default(),
        outbound: Outbound::new(
            live.clone(),
            Trust::load(None).expect("no file to fail"),
            OutboundMetrics::register(registry).expect("metrics"),
        ),
        audit: audit.clone(),
        clock: Clock::system(),
        metrics: SloMetrics::register(registry).expect("metrics"),
        config: live.clone(),
    })
}

/// A server without definitions and people.
fn knows_nobody(
    handle: &Handle,
    (audit, slo, throttle): (&Audit, &Slo, &Throttle),
    live: &Live,
    registry: &Registry,
) -> Cas {
    let config = live.load();
    Cas::new(cas::Parts {
        web: Arc::new(Web::open(&config.web, "/cas").expect("built-in pages")),
        services: Arc::default(),
        authn: Chain::new(Vec::new(), registry).expect("a metric"),
        throttle: throttle.clone(),
        tickets: Tickets::new(handle.clone(), Policy::from(&config.tickets)),
        audit: audit.clone(),
        rng: Rng::system(),
        outbound: Outbound::new(
            live.clone(),
            Trust::load(None).expect("no file to fail"),
            OutboundMetrics::register(&Registry::new()).expect("metrics"),
        ),
        slo: slo.clone(),
        config: live.clone(),
        under_way: UnderWay::register(registry).expect("metrics"),
    })
}

impl World {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(1)
            .build()
            .expect("a runtime");
        let metrics = Metrics::new(1).expect("metrics");
        let me = Member {
            node: NodeName::parse("cas1").expect("a name"),
            incarnation: driver::fresh_incarnation().expect("randomness"),
        };
        let (transport, events) = MemoryNet::default().join(&me);
        let parts = Parts {
            node: me.node,
            incarnation: me.incarnation,
            keyring: Arc::new(super::ring()),
            silent_seeds: 0,
            registry: metrics.registry().clone(),
            tune: Box::new(|_| {}),
            digest_key: [3; 32],
        };
        let (handle, run) =
            driver::assemble(parts, transport, events, driver::Clock::new()).expect("a replica");
        runtime.spawn(run);
        let mut config = Config::defaults().expect("defaults");
        config.audit.output = AuditOutput::File;
        config.audit.file = Some("/dev/null".into());
        let place = Place {
            node: "cas1".to_owned(),
            server: None,
        };
        let audit = audit::start(&config.audit, place, Clock::system(), metrics.registry());
        let audit = audit.expect("a record");
        let live = Live::new(config);
        let slo = {
            let _entered = runtime.enter();
            tells_nobody(&handle, &audit, &live, metrics.registry())
        };
        let registry = metrics.registry();
        let throttle = Throttle::new(handle.clone(), live.clone(), Vec::new(), registry);
        let throttle = throttle.expect("a metric");
        let cas = knows_nobody(&handle, (&audit, &slo, &throttle), &live, registry);
        let admin = Admin::new(admin::Parts {
            handle: handle.clone(),
            audit,
            slo,
            throttle,
            prefix: "/cas".to_owned(),
        });
        let actuator = Actuator::new(actuator::Parts {
            admin: admin.clone(),
            cas: Arc::new(cas),
            handle: handle.clone(),
            health: Health::new(handle.clone()),
            metrics: metrics.clone(),
            logging: None,
        });
        let routes = |access: Access| admin.router(access.clone()).merge(actuator.router(access));
        let token = toml::Value::String(TOKEN.to_owned());
        let token = Secret::from_toml(&token, std::path::Path::new("")).expect("a secret");
        let over_tcp = routes(Access::Token(token));
        let health = Health::new(handle.clone());
        let mut world = Self {
            runtime,
            handle,
            socket: ask(routes(Access::Socket)),
            ops: ask(health::router(&health, &metrics, &live, over_tcp)),
            sessions: Vec::new(),
            made: 0,
        };
        world.mend();
        world
    }

    fn is_live(&self, id: &TicketId) -> bool {
        let found = self.handle.find(id);
        found.is_some_and(|ticket| ticket.destroyed.is_none())
    }

    /// The node serves again, and has the sessions that it begins with.
    fn mend(&mut self) {
        let live: Vec<bool> = self.sessions.iter().map(|id| self.is_live(id)).collect();
        let mut live = live.into_iter();
        self.sessions.retain(|_| live.next() == Some(true));
        let handle = self.handle.clone();
        let serves = async {
            while handle.readiness() != Readiness::Ready {
                if handle.readiness() == Readiness::Draining {
                    handle.resume().await.expect("resumed");
                }
                tokio::task::yield_now().await;
            }
        };
        let serves = async { tokio::time::timeout(Duration::from_secs(5), serves).await };
        self.runtime.block_on(serves).expect("the node serves");
        while self.sessions.len() < SESSIONS {
            let new = session(self.handle.now(), self.made % SESSIONS);
            let created = self.runtime.block_on(self.handle.create(new));
            self.sessions
                .push(created.expect("a session").body.id.clone());
            self.made += 1;
        }
    }

    fn judge(&self, asked: Asked, may: bool, status: StatusCode, answer: &[u8]) {
        let known = [200, 400, 401, 403, 404, 405, 413, 414, 415, 422, 423, 503];
        assert!(known.contains(&status.as_u16()), "{status}");
        let text = String::from_utf8_lossy(answer);
        for id in &self.sessions {
            let secret = id.as_str().rsplit('-').nth(1).expect("a ticket's secret");
            assert!(!text.contains(secret), "the answer has a ticket in it");
        }
        let left = self.sessions.iter().filter(|id| self.is_live(id)).count();
        if !may {
            assert!(
                asked == Asked::Open || status != StatusCode::OK,
                "let in without a token"
            );
            assert_eq!(left, SESSIONS, "ended without a token");
            assert_eq!(
                self.handle.readiness(),
                Readiness::Ready,
                "drained without a token"
            );
        }
        if asked != (Asked::Guarded { ends: true }) && asked != Asked::Admin {
            assert_eq!(left, SESSIONS, "ended by a request that ends none");
        }
        if asked != Asked::Admin || status != StatusCode::OK {
            return;
        }
        let answer: serde_json::Value = serde_json::from_slice(answer).expect("JSON");
        if let Some(ended) = answer.get("ended") {
            assert_eq!(ended.as_u64(), Some((SESSIONS - left) as u64), "{answer}");
        } else {
            assert_eq!(left, SESSIONS, "only one request ends sessions");
        }
        if let Some(shown) = answer.get("sessions").and_then(|list| list.as_array()) {
            assert!(shown.len() <= SESSIONS, "{answer}");
        }
    }
}

/// The session of one of a few people, each at another address.
fn session(now: u64, number: usize) -> NewReusable {
    NewReusable {
        id: None,
        life_ms: 8 * 3_600_000,
        idle_ms: 2 * 3_600_000,
        ancestors: Vec::new(),
        payload: Payload::Tgt(Tgt {
            principal: Principal {
                id: format!("user{number}"),
                attributes: vec![("mail".to_owned(), vec!["m@example.org".to_owned()])],
            },
            authenticated_at: now.saturating_sub(60_000),
            handler: "file".to_owned(),
            remember_me: false,
            client_address: format!("192.0.2.{number}"),
        }),
        key_id: None,
    }
}
