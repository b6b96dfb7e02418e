//! One request: who asks, and the answers that every endpoint gives in the same way.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tracing::Instrument as _;

use super::Cas;
use crate::ops::audit::{Action, Event};
use crate::server::Peer;
use crate::web::client_ip::{self, Client, Connection};
use crate::web::headers::{self, Needs};
use crate::web::pages::{ErrorKind, Page};

/// Who asks; put on every request by [`identify`].
#[derive(Debug, Clone)]
pub struct Visit {
    /// The client behind the proxies.
    pub client: Client,
    /// The request id: of a trusted proxy, else random. Also the claim id's source.
    pub request_id: String,
    /// Whether people reach us over TLS.
    pub https: bool,
}

impl Visit {
    fn of(cas: &Cas, request: &Request) -> Self {
        let connection = request.extensions().get::<Peer>().map_or(
            Connection {
                // Nobody knows who it is, so nobody is believed.
                peer: Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                tls: false,
            },
            |peer| Connection {
                peer: peer.ip(),
                tls: peer.tls,
            },
        );
        let config = cas.config.load();
        let http = &config.http;
        let header = http.request_id_header.as_ref().map(|h| &h.0);
        let client =
            client_ip::client(connection, request.headers(), &http.trusted_proxies, header);
        let request_id = client.request_id.clone().unwrap_or_else(|| {
            let bytes: [u8; 16] = cas.rng.bytes();
            bytes.iter().map(|b| format!("{b:02x}")).collect()
        });
        Self {
            https: client.https || http.public_url.is_some(),
            client,
            request_id,
        }
    }
}

/// Middleware: finds out who asks, and puts the request id on every log line of the request.
pub async fn identify(State(cas): State<Arc<Cas>>, mut request: Request, next: Next) -> Response {
    let visit = Visit::of(&cas, &request);
    let span = tracing::info_span!(
        "request",
        id = %visit.request_id,
        method = %request.method(),
        path = %request.uri().path(),
    );
    request.extensions_mut().insert(visit);
    next.run(request).instrument(span).await
}

/// A request with what is needed to answer it.
pub(super) struct Visitor<'a> {
    pub(super) cas: &'a Cas,
    pub(super) visit: &'a Visit,
    pub(super) headers: &'a HeaderMap,
}

impl Visitor<'_> {
    /// A page.
    pub(super) fn page(&self, status: StatusCode, page: &Page, needs: &Needs) -> Response {
        let language = self.headers.get(header::ACCEPT_LANGUAGE);
        let language = language.and_then(|value| value.to_str().ok());
        let html = self.cas.web.look().render(page, language);
        let mut response = Response::new(Body::from(html));
        *response.status_mut() = status;
        headers::of_page(response.headers_mut(), needs, self.visit.https);
        response
    }

    /// An error page.
    pub(super) fn error(&self, kind: ErrorKind) -> Response {
        let status = match kind {
            ErrorKind::Service | ErrorKind::Access => StatusCode::FORBIDDEN,
            ErrorKind::Request => StatusCode::BAD_REQUEST,
            ErrorKind::Busy | ErrorKind::Unready => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorKind::Missing => StatusCode::NOT_FOUND,
        };
        self.error_as(status, kind)
    }

    /// An error page under another status.
    pub(super) fn error_as(&self, status: StatusCode, kind: ErrorKind) -> Response {
        let page = Page::Error {
            kind,
            reference: Some(self.visit.request_id.clone()),
        };
        let mut response = self.page(status, &page, &Needs::default());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = HeaderValue::from_static("2");
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }

    /// A redirect, never kept.
    pub(super) fn redirect(&self, target: &str) -> Response {
        let Ok(location) = HeaderValue::try_from(target) else {
            return self.error(ErrorKind::Request);
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::FOUND;
        let headers = response.headers_mut();
        headers.insert(header::LOCATION, location);
        headers::of_any(headers, self.visit.https);
        response
    }

    /// Records what was done.
    pub(super) fn audit(&self, action: Action, who: Option<&str>, what: impl Into<String>) {
        self.cas.audit.record(&Event {
            action,
            who: who.map(str::to_owned),
            what: what.into(),
            client: self.visit.client.address,
        });
    }
}

/// Puts a cookie on a response.
pub(super) fn set_cookie(response: &mut Response, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// The page for a path that is not there.
pub async fn not_found(State(cas): State<Arc<Cas>>, request: Request) -> Response {
    let visit = Visit::of(&cas, &request);
    let visitor = Visitor {
        cas: &cas,
        visit: &visit,
        headers: request.headers(),
    };
    visitor.error(ErrorKind::Missing)
}
