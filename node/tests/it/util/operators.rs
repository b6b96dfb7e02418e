//! The listeners of a node for operators, and those who ask there.

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use castor_node::actuator::{self, Actuator};
use castor_node::admin::{self, Access, Admin};
use castor_node::config::value::{Secret, Value as _};
use castor_node::ops::health::{self, Health};
use castor_node::ops::metrics::Metrics;
use castor_node::server::{Peer, PeerAddress};
use serde_json::Value;
use tower::ServiceExt as _;

use super::cluster::Node;

const TOKEN: &str = "0123456789abcdef-token";

/// What a node serves to operators.
pub(crate) struct Operators {
    /// The operations listener with a token.
    ops: Router,
    /// The operations listener without one.
    closed: Router,
    /// The administration socket.
    socket: Router,
}

/// Who asks, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The operations listener, from this machine, with the token.
    Token,
    /// The same with a wrong one.
    WrongToken,
    /// The same with none.
    Local,
    /// The operations listener, from another machine, with the token.
    Foreign,
    /// The operations listener of a node without a token, from this machine.
    Closed,
    /// The administration socket, as a process of this machine.
    Socket,
}

impl Operators {
    pub(crate) fn of(node: &Node) -> Self {
        let cas = &node.cas;
        let admin = Admin::new(admin::Parts {
            handle: node.handle.clone(),
            audit: cas.audit.clone(),
            slo: cas.slo.clone(),
            throttle: cas.throttle.clone(),
            prefix: cas.prefix().to_owned(),
        });
        let health = Health::new(node.handle.clone());
        let metrics = Metrics::new(1).unwrap();
        let actuator = Actuator::new(actuator::Parts {
            admin: admin.clone(),
            cas: cas.clone(),
            handle: node.handle.clone(),
            health: health.clone(),
            metrics: metrics.clone(),
            logging: None,
        });
        let all = |access: Access| admin.router(access.clone()).merge(actuator.router(access));
        let ops =
            |token| health::router(&health, &metrics, &cas.config, all(Access::over_tcp(token)));
        let token = toml::Value::String(TOKEN.to_owned());
        let token = Secret::from_toml(&token, Path::new("")).unwrap();
        Self {
            ops: ops(Some(&token)),
            closed: ops(None),
            socket: all(Access::Socket),
        }
    }

    /// Code and text of an answer; a body is sent as JSON when it looks like it.
    pub(crate) async fn ask(
        &self,
        who: Who,
        method: &str,
        path: &str,
        body: &str,
    ) -> (u16, String) {
        let path = format!("/cas/actuator{path}");
        self.ask_at(who, method, &path, body).await
    }

    /// The same anywhere on these listeners.
    pub(crate) async fn ask_at(
        &self,
        who: Who,
        method: &str,
        path: &str,
        body: &str,
    ) -> (u16, String) {
        let tcp = |address: &str| PeerAddress::Tcp(address.parse::<SocketAddr>().unwrap());
        let (router, address) = match who {
            Who::Token | Who::WrongToken | Who::Local => (&self.ops, tcp("127.0.0.1:9")),
            Who::Foreign => (&self.ops, tcp("192.0.2.9:9")),
            Who::Closed => (&self.closed, tcp("127.0.0.1:9")),
            Who::Socket => {
                let (uid, gid, pid) = (0, 0, Some(4711));
                (&self.socket, PeerAddress::Unix { uid, gid, pid })
            }
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "127.0.0.1:8444");
        request = match who {
            Who::Token | Who::Foreign => {
                request.header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            }
            Who::WrongToken => request.header(header::AUTHORIZATION, "Bearer wrong-token-0123456"),
            Who::Local | Who::Closed | Who::Socket => request,
        };
        if !body.is_empty() {
            let kind = if body.starts_with('{') {
                "application/json"
            } else {
                "application/x-www-form-urlencoded"
            };
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let mut request = request.body(Body::from(body.to_owned())).unwrap();
        let tls = false;
        request.extensions_mut().insert(Peer { address, tls });
        let response = router.clone().oneshot(request).await.unwrap();
        let code = response.status().as_u16();
        let body = to_bytes(response.into_body(), 16 << 20).await.unwrap();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Code and JSON of what is asked with the token.
    pub(crate) async fn json(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (code, text) = self.ask(Who::Token, method, path, body).await;
        (code, serde_json::from_str(&text).unwrap_or_default())
    }
}
