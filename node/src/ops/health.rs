//! The operations listener: health, metrics and status, read only and without personal data.
//!
//! Only loopback, Unix sockets and the addresses of `ops.allow` are answered. What changes state or
//! shows sessions is not here but behind the administration socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};

use super::metrics::Metrics;
use crate::config::Live;
use crate::server::Peer;

/// Whether this node takes requests, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It fetches what it does not know yet.
    Bootstrapping,
    /// It takes requests.
    Ready,
    /// It finishes what was begun.
    Draining,
    /// Its clock is out of bounds, or gossip has stopped.
    Unready,
}

impl Readiness {
    /// The word in answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bootstrapping => "bootstrapping",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Unready => "unready",
        }
    }
}

/// What the health endpoints ask.
#[derive(Clone)]
pub struct Health {
    readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
    status: Arc<dyn Fn() -> serde_json::Value + Send + Sync>,
    started: Arc<AtomicBool>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Health({:?})", self.readiness())
    }
}

impl Health {
    /// Asks `readiness` and `status`, which must not block.
    pub fn new(
        readiness: impl Fn() -> Readiness + Send + Sync + 'static,
        status: impl Fn() -> serde_json::Value + Send + Sync + 'static,
    ) -> Self {
        Self {
            readiness: Arc::new(readiness),
            status: Arc::new(status),
            started: Arc::default(),
        }
    }

    /// Whether this node takes requests now.
    pub fn readiness(&self) -> Readiness {
        let now = (self.readiness)();
        if now == Readiness::Ready {
            self.started.store(true, Ordering::Relaxed);
        }
        now
    }

    /// Whether the first bootstrap is complete; stays so.
    pub fn has_started(&self) -> bool {
        // Draining and unready come after it, too, but only a ready moment proves it.
        self.readiness();
        self.started.load(Ordering::Relaxed)
    }

    /// The status, as `/status` shows it.
    pub fn status(&self) -> serde_json::Value {
        (self.status)()
    }

    /// The two word-only endpoints for proxies on the CAS listener, below `prefix`.
    pub fn probes(&self, prefix: &str) -> Router {
        Router::new()
            .route(
                &format!("{prefix}/actuator/health/liveness"),
                get(|| async { word(StatusCode::OK, "UP") }),
            )
            .route(
                &format!("{prefix}/actuator/health/readiness"),
                get(|State(health): State<Self>| async move {
                    match health.readiness() {
                        Readiness::Ready => word(StatusCode::OK, "UP"),
                        Readiness::Bootstrapping | Readiness::Draining | Readiness::Unready => {
                            word(StatusCode::SERVICE_UNAVAILABLE, "OUT_OF_SERVICE")
                        }
                    }
                }),
            )
            .with_state(self.clone())
    }
}

#[derive(Clone)]
struct Ops {
    health: Health,
    metrics: Metrics,
    config: Live,
}

/// Everything the operations listener serves, `more` included, to allowed addresses only.
pub fn router(health: &Health, metrics: &Metrics, config: &Live, more: Router) -> Router {
    let ops = Ops {
        health: health.clone(),
        metrics: metrics.clone(),
        config: config.clone(),
    };
    Router::new()
        .route("/live", get(|| async { word(StatusCode::OK, "live") }))
        .route("/ready", get(ready))
        .route("/started", get(started))
        .route("/metrics", get(metrics_page))
        .route("/status", get(status))
        .with_state(ops.clone())
        .merge(more)
        .layer(axum::middleware::from_fn_with_state(ops, allowed))
}

/// Refuses addresses that are neither local nor in `ops.allow`.
async fn allowed(State(ops): State<Ops>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let allowed = peer.is_some_and(|peer| {
        peer.is_local()
            || peer.ip().is_some_and(|ip| {
                let config = ops.config.load();
                config.ops.allow.iter().any(|range| range.contains(ip))
            })
    });
    if allowed {
        next.run(request).await
    } else {
        word(
            StatusCode::FORBIDDEN,
            "This address is not in ops.allow of this node.",
        )
    }
}

async fn ready(State(ops): State<Ops>) -> Response {
    let now = ops.health.readiness();
    let code = match now {
        Readiness::Ready => StatusCode::OK,
        Readiness::Bootstrapping | Readiness::Draining | Readiness::Unready => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    word(code, now.word())
}

async fn started(State(ops): State<Ops>) -> Response {
    if ops.health.has_started() {
        word(StatusCode::OK, "started")
    } else {
        word(StatusCode::SERVICE_UNAVAILABLE, "starting")
    }
}

async fn metrics_page(State(ops): State<Ops>) -> Response {
    match ops.metrics.expose() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot print the metrics");
            word(
                StatusCode::INTERNAL_SERVER_ERROR,
                "cannot print the metrics",
            )
        }
    }
}

async fn status(State(ops): State<Ops>) -> Response {
    axum::Json(ops.health.status()).into_response()
}

/// A word and a line's end, never kept by a cache.
fn word(code: StatusCode, word: &str) -> Response {
    let mut response = (code, format!("{word}\n")).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Mutex;

    use axum::body::Body;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::config::Config;
    use crate::server::PeerAddress;

    struct Fixture {
        router: Router,
        probes: Router,
        readiness: Arc<Mutex<Readiness>>,
        config: Live,
    }

    fn fixture() -> Fixture {
        let readiness = Arc::new(Mutex::new(Readiness::Bootstrapping));
        let asked = Arc::clone(&readiness);
        let health = Health::new(
            move || *asked.lock().unwrap(),
            || serde_json::json!({"members": []}),
        );
        let config = Live::new(Config::defaults().unwrap());
        let metrics = Metrics::new(1).unwrap();
        Fixture {
            router: router(&health, &metrics, &config, Router::new()),
            probes: health.probes("/cas"),
            readiness,
            config,
        }
    }

    async fn ask(router: &Router, peer: Option<PeerAddress>, path: &str) -> (u16, String) {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        if let Some(address) = peer {
            let peer = Peer {
                address,
                tls: false,
            };
            request.extensions_mut().insert(peer);
        }
        let response = router.clone().oneshot(request).await.unwrap();
        let code = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }

    fn from(address: &str) -> Option<PeerAddress> {
        let ip: std::net::IpAddr = address.parse().unwrap();
        Some(PeerAddress::Tcp(SocketAddr::new(ip, 1)))
    }

    #[tokio::test]
    async fn readiness_is_told_by_code_and_word() {
        let fixture = fixture();
        for (now, ready, word, probe, started) in [
            (Readiness::Bootstrapping, 503, "bootstrapping\n", 503, 503),
            (Readiness::Unready, 503, "unready\n", 503, 503),
            (Readiness::Ready, 200, "ready\n", 200, 200),
            (Readiness::Draining, 503, "draining\n", 503, 200),
        ] {
            *fixture.readiness.lock().unwrap() = now;
            let local = from("127.0.0.1");
            assert_eq!(
                ask(&fixture.router, local, "/ready").await,
                (ready, word.to_owned())
            );
            assert_eq!(ask(&fixture.router, local, "/started").await.0, started);
            assert_eq!(ask(&fixture.router, local, "/live").await.0, 200);
            let path = "/cas/actuator/health/readiness";
            assert_eq!(ask(&fixture.probes, None, path).await.0, probe);
            let path = "/cas/actuator/health/liveness";
            assert_eq!(ask(&fixture.probes, None, path).await.0, 200);
        }
    }

    #[tokio::test]
    async fn only_local_and_allowed_addresses_are_answered() {
        let fixture = fixture();
        let unix = Some(PeerAddress::Unix {
            uid: 0,
            gid: 0,
            pid: None,
        });
        for path in [
            "/live", "/ready", "/started", "/metrics", "/status", "/none",
        ] {
            for peer in [from("192.0.2.1"), from("2001:db8::1"), None] {
                assert_eq!(ask(&fixture.router, peer, path).await.0, 403, "{path}");
            }
            for peer in [
                from("127.0.0.1"),
                from("::1"),
                from("::ffff:127.0.0.1"),
                unix,
            ] {
                assert_ne!(ask(&fixture.router, peer, path).await.0, 403, "{path}");
            }
        }
        let mut config = Config::clone(&fixture.config.load());
        config.ops.allow = crate::config::load(&crate::config::Sources {
            set: vec!["ops.allow=192.0.2.0/24".to_owned()],
            ..Default::default()
        })
        .unwrap()
        .config
        .ops
        .allow;
        fixture.config.store(config);
        assert_eq!(
            ask(&fixture.router, from("192.0.2.1"), "/live").await.0,
            200
        );
        assert_eq!(
            ask(&fixture.router, from("192.0.3.1"), "/live").await.0,
            403
        );
    }

    #[tokio::test]
    async fn metrics_and_status_are_served() {
        let fixture = fixture();
        let local = from("127.0.0.1");
        let (code, text) = ask(&fixture.router, local, "/metrics").await;
        assert_eq!(code, 200);
        assert!(text.contains("castor_build_info"));
        assert_eq!(
            ask(&fixture.router, local, "/status").await,
            (200, "{\"members\":[]}".to_owned())
        );
    }
}
