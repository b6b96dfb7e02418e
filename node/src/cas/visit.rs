//! One request: who asks, and the answers that every endpoint gives in the same way.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{FromRequest, MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request};
use tracing::Instrument as _;

use super::Cas;
use super::paths::{
    ASSETS, LOGIN, P3_PROXY_VALIDATE, P3_SERVICE_VALIDATE, PROXY, PROXY_VALIDATE, SAML_VALIDATE,
    SERVICE_VALIDATE, VALIDATE,
};
use super::response::Format;
use super::response::json::Single;
use super::under_way::Place;
use crate::clock;
use crate::ops::audit::{Action, Event};
use crate::server::Peer;
use crate::services::access::Asking;
use crate::web::client_ip::{self, Client, Connection};
use crate::web::cookies::{self, Presented};
use crate::web::form::{self, Form, FormError};
use crate::web::headers::{self, Needs};
use crate::web::language::{self, Tag, Wanted};
use crate::web::origin::{self, Origin};
use crate::web::pages::{ErrorKind, Page};

/// Who asks; put on every request by [`identify`].
#[derive(Debug, Clone)]
pub struct Visit {
    /// The client behind the proxies.
    pub client: Client,
    /// The request id: of a trusted proxy, else random. Also the claim id's source.
    pub request_id: String,
    /// When the request came.
    pub began: Instant,
    /// Whether people reach us over TLS.
    pub https: bool,
    /// The language that the parameter `locale` names.
    pub locale: Option<Tag>,
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
            format!("{:032x}", u128::from_be_bytes(bytes))
        });
        Self {
            https: client.https || http.public_url.is_some(),
            client,
            request_id,
            began: clock::monotonic(),
            locale: request.uri().query().and_then(language::locale_of),
        }
    }
}

/// Middleware for every path of the CAS listener, also those that are not there: finds out who asks,
/// puts the request id on every log line of the request, and ends with one line about its answer.
///
/// A node that cannot serve answers 503 whatever was asked, so that a proxy asks another one. Only a
/// sign-in, which no proxy sends twice, is kept for a moment in case the node is about to serve.
///
/// What changes something is done to its end also when nobody waits for the answer any more: people
/// close the page that signs them out, and proxies give up a validation and ask another node.
pub async fn identify(State(cas): State<Arc<Cas>>, mut request: Request, next: Next) -> Response {
    let visit = Visit::of(&cas, &request);
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let endpoint = matched.as_ref().map_or("other", MatchedPath::as_str);
    // At the highest level, so that no filter takes the id from a line that it lets through.
    let span = tracing::error_span!(
        "request",
        request_id = %visit.request_id,
        method = %request.method(),
        endpoint,
        ticket = tracing::field::Empty,
    );
    let answered = async {
        let mut finish = Finish {
            started: visit.began,
            status: None,
        };
        let method = request.method();
        let serves = cas.serves()
            || answers_unready(&cas, method, endpoint)
            || (is_sign_in(&cas, method, endpoint) && cas.serves_soon().await);
        let response = if serves {
            let keep = cas.under_way(method, endpoint);
            request.extensions_mut().insert(visit);
            match keep {
                Some(place) => to_the_end(place, next.run(request)).await,
                None => next.run(request).await,
            }
        } else {
            let visitor = Visitor {
                cas: &cas,
                visit: &visit,
                headers: request.headers(),
            };
            visitor.error(ErrorKind::Unready)
        };
        finish.status = Some(response.status());
        response
    };
    answered.instrument(span).await
}

/// Does the work in a task of its own, which goes on when the other end goes away.
async fn to_the_end(
    place: Place,
    work: impl Future<Output = Response> + Send + 'static,
) -> Response {
    let work = async move {
        let _place = place;
        work.await
    };
    match tokio::spawn(work.in_current_span()).await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The program ends.
            Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        },
    }
}

/// What a node that cannot serve answers itself: the page that says so needs its style sheet, and
/// a validation is told in the format it asked for.
fn answers_unready(cas: &Cas, method: &Method, endpoint: &str) -> bool {
    let validations = [
        VALIDATE,
        SERVICE_VALIDATE,
        P3_SERVICE_VALIDATE,
        PROXY_VALIDATE,
        P3_PROXY_VALIDATE,
        PROXY,
    ];
    endpoint.strip_prefix(cas.prefix()).is_some_and(|path| {
        path == ASSETS
            || (*method == Method::GET && validations.contains(&path))
            || (*method == Method::POST && path == SAML_VALIDATE)
    })
}

fn is_sign_in(cas: &Cas, method: &Method, endpoint: &str) -> bool {
    *method == Method::POST && endpoint.strip_prefix(cas.prefix()) == Some(LOGIN)
}

/// Names the ticket of this request, masked, on the request's log lines.
pub(super) fn log_ticket(masked: &str) {
    tracing::Span::current().record("ticket", masked);
}

/// Writes the line about a request when it ends, also when it is cut short.
struct Finish {
    started: Instant,
    status: Option<StatusCode>,
}

impl Drop for Finish {
    fn drop(&mut self) {
        let milliseconds = self.started.elapsed().as_secs_f64() * 1000.0;
        match self.status {
            Some(status) => tracing::debug!(status = status.as_u16(), milliseconds, "answered"),
            None => tracing::debug!(milliseconds, "cut short: the time was up, or nobody waited"),
        }
    }
}

/// A request as an endpoint takes it.
pub struct Call {
    pub(super) cas: Arc<Cas>,
    pub(super) visit: Visit,
    pub(super) head: request::Parts,
    body: Body,
}

impl FromRequest<Arc<Cas>> for Call {
    type Rejection = StatusCode;

    async fn from_request(request: Request, cas: &Arc<Cas>) -> Result<Self, Self::Rejection> {
        let (mut head, body) = request.into_parts();
        let visit = head.extensions.remove();
        Ok(Self {
            cas: Arc::clone(cas),
            // Only a path that `identify` does not see has none.
            visit: visit.ok_or(StatusCode::INTERNAL_SERVER_ERROR)?,
            head,
            body,
        })
    }
}

impl Cas {
    /// A place for a request that is done to its end; none for one that changes nothing.
    fn under_way(&self, method: &Method, endpoint: &str) -> Option<Place> {
        let path = endpoint.strip_prefix(self.prefix())?;
        let changes = *method != Method::GET || (path != LOGIN && path != ASSETS);
        changes.then(|| self.under_way.place())?
    }
}

impl Call {
    pub(super) fn visitor(&self) -> Visitor<'_> {
        Visitor {
            cas: &self.cas,
            visit: &self.visit,
            headers: &self.head.headers,
        }
    }

    /// The query, taken apart.
    pub(super) fn query(&self) -> Result<Form, FormError> {
        Form::parse(self.raw_query())
    }

    fn raw_query(&self) -> &[u8] {
        self.head.uri.query().unwrap_or_default().as_bytes()
    }

    /// The format that the query asks for, also one that cannot be read otherwise.
    pub(super) fn format(&self, query: &Result<Form, FormError>) -> Format {
        let lists = self.cas.config.load().validation.json_lists;
        let single = Single::of(lists);
        match query {
            Ok(form) => Format::of_parameter(form.one("format").ok().flatten(), single),
            Err(_) => {
                let format = form::only(self.raw_query(), "format");
                Format::of_parameter(format.as_deref(), single)
            }
        }
    }

    /// The body, once.
    pub(super) fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }
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
        let accepted = self.headers.get(header::ACCEPT_LANGUAGE);
        let wanted = Wanted {
            locale: self.visit.locale.as_ref(),
            accept_language: accepted.and_then(|value| value.to_str().ok()),
        };
        let html = self.cas.web.look().render(page, &wanted);
        let mut response = Response::new(Body::from(html));
        *response.status_mut() = status;
        headers::of_page(response.headers_mut(), needs, self.visit.https);
        response
    }

    /// An error page.
    pub(super) fn error(&self, kind: ErrorKind) -> Response {
        let status = match kind {
            ErrorKind::Service | ErrorKind::Access | ErrorKind::Sessions => StatusCode::FORBIDDEN,
            ErrorKind::Request => StatusCode::BAD_REQUEST,
            ErrorKind::Busy | ErrorKind::Unready => StatusCode::SERVICE_UNAVAILABLE,
            // Every other node is as full: a proxy must neither ask it nor hold this against us.
            ErrorKind::Full => StatusCode::INSUFFICIENT_STORAGE,
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
        if matches!(
            status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE
        ) {
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

    /// The session's cookie.
    pub(super) fn presented(&self) -> Presented {
        let pin = self.pin();
        cookies::read(self.headers, &self.cas.tickets.keyring(), pin.as_deref())
    }

    /// What a session's cookie is bound to, when it is.
    pub(super) fn pin(&self) -> Option<String> {
        self.cas.pins.of(self.visit.client.address, self.headers)
    }

    /// Where the form that was sent comes from.
    pub(super) fn origin(&self) -> Origin {
        let public_host = self.cas.public_host.as_deref();
        origin::of_form(self.headers, public_host, self.visit.client.https)
    }

    /// What access rules look at.
    pub(super) fn asking(&self) -> Asking<'_> {
        Asking {
            now: self.cas.tickets.now(),
            address: self.visit.client.address,
            headers: self.headers,
        }
    }

    /// Records what was done.
    pub(super) fn audit(&self, action: Action, who: Option<&str>, what: impl Into<String>) {
        self.cas.audit.record(&Event {
            action,
            who: who.map(str::to_owned),
            what: what.into(),
            client: self.visit.client.address,
            request: Some(self.visit.request_id.clone()),
        });
    }
}

/// Says in how many seconds it is worth while to ask again.
pub(super) fn set_retry_after(response: &mut Response, seconds: u64) {
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
}

/// Puts a cookie on a response.
pub(super) fn set_cookie(response: &mut Response, cookie: Option<HeaderValue>) {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

/// The page for a path that is not there.
pub async fn not_found(call: Call) -> Response {
    let visitor = call.visitor();
    visitor.error(ErrorKind::Missing)
}
