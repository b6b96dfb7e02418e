//! The operations listener: health, metrics and status, read only and without personal data.
//!
//! Only loopback, Unix sockets and the addresses of `ops.allow` are answered. What changes state or
//! shows sessions is not here but behind the administration socket.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use castor_replication::driver::{Handle, Readiness};
use http::{HeaderValue, StatusCode, header};

use super::metrics::Metrics;
use super::replica;
use crate::config::Live;
use crate::server::Peer;

/// What the health endpoints ask.
#[derive(Clone, Debug)]
pub struct Health {
    handle: Handle,
}

impl Health {
    /// Speaks for the replica behind `handle`.
    pub fn new(handle: Handle) -> Self {
        Self { handle }
    }

    /// Whether this node takes requests now.
    pub fn readiness(&self) -> Readiness {
        self.handle.readiness()
    }

    /// Whether the first bootstrap is complete; stays so.
    pub fn has_started(&self) -> bool {
        // A node that is in service has filled itself, also while it has yet to say so.
        matches!(self.readiness(), Readiness::Ready | Readiness::Draining)
            || self.handle.progress().borrow().bootstrapped
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
    word(code, replica::word(now))
}

async fn started(State(ops): State<Ops>) -> Response {
    if ops.health.has_started() {
        word(StatusCode::OK, "started")
    } else {
        word(StatusCode::SERVICE_UNAVAILABLE, "starting")
    }
}

async fn metrics_page(State(ops): State<Ops>) -> Response {
    exposition(&ops.health, &ops.metrics).await
}

/// Every metric, up to date, in Prometheus' text format.
pub async fn exposition(health: &Health, metrics: &Metrics) -> Response {
    metrics
        .ready
        .set(i64::from(health.readiness() == Readiness::Ready));
    if let Err(error) = health.handle.refresh_metrics().await {
        // The scrape shows the last values; the counter of refused requests says why.
        tracing::warn!(%error, "the gauges of replication are not fresh");
    }
    match metrics.expose() {
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
    axum::Json(replica::status(&ops.health.handle).await).into_response()
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

    use axum::body::Body;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::config::Config;
    use crate::ops::testing::{self, Node};
    use crate::server::PeerAddress;

    struct Fixture {
        router: Router,
        probes: Router,
        node: Node,
        config: Live,
    }

    /// A node with one silent seed stays in its bootstrap.
    async fn fixture(silent_seeds: usize) -> Fixture {
        let node = testing::node(silent_seeds);
        let health = Health::new(node.handle.clone());
        let config = Live::new(Config::defaults().unwrap());
        Fixture {
            router: router(&health, &node.metrics, &config, Router::new()),
            probes: health.probes("/cas"),
            node,
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

    impl Fixture {
        /// Codes of `/ready`, `/started`, the readiness probe, and the word of `/ready`.
        async fn told(&self) -> (u16, u16, u16, String) {
            let local = from("127.0.0.1");
            let (ready, word) = ask(&self.router, local, "/ready").await;
            let started = ask(&self.router, local, "/started").await.0;
            let path = "/cas/actuator/health/readiness";
            let probe = ask(&self.probes, None, path).await.0;
            assert_eq!(ask(&self.router, local, "/live").await.0, 200);
            let path = "/cas/actuator/health/liveness";
            assert_eq!(ask(&self.probes, None, path).await.0, 200);
            (ready, started, probe, word)
        }
    }

    #[tokio::test]
    async fn readiness_is_told_by_code_and_word() {
        let filling = fixture(1).await;
        assert_eq!(
            filling.told().await,
            (503, 503, 503, "bootstrapping\n".to_owned())
        );
        let fixture = fixture(0).await;
        fixture.node.until(Readiness::Ready).await;
        assert_eq!(fixture.told().await, (200, 200, 200, "ready\n".to_owned()));
        fixture.node.handle.drain().await.unwrap();
        fixture.node.until(Readiness::Draining).await;
        assert_eq!(
            fixture.told().await,
            (503, 200, 503, "draining\n".to_owned())
        );
        fixture.node.handle.resume().await.unwrap();
        fixture.node.until(Readiness::Ready).await;
        assert_eq!(fixture.told().await.0, 200);
    }

    #[tokio::test]
    async fn only_local_and_allowed_addresses_are_answered() {
        let fixture = fixture(0).await;
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
    async fn metrics_are_fresh_and_status_names_the_node() {
        let fixture = fixture(0).await;
        fixture.node.until(Readiness::Ready).await;
        let local = from("127.0.0.1");
        let (code, text) = ask(&fixture.router, local, "/metrics").await;
        assert_eq!(code, 200);
        for line in [
            "castor_ready 1",
            "castor_tickets{kind=",
            "castor_build_info{",
        ] {
            assert!(
                text.lines().any(|found| found.starts_with(line)),
                "{line} is not in\n{text}"
            );
        }
        let (code, status) = ask(&fixture.router, local, "/status").await;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        assert_eq!(code, 200);
        assert_eq!(status["node"], "cas1");
        assert_eq!(status["state"], "ready");
        assert_eq!(status["healthy"], true);
    }
}
