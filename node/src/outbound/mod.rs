//! The only room that calls out: requests of this node to applications.
//!
//! Bounded in time, size and number, to addresses that were judged before the connection, over TLS
//! that is verified. No redirect is followed and no connection is kept. Neither errors nor logs have
//! more of a URL than its host: paths and queries may hold tickets.
//!
//! | file | subject |
//! |---|---|
//! | [`target`] | the URL, taken apart |
//! | [`address`] | which addresses may be called |
//! | [`connect`] | addresses, the proxy, TLS |
//! | [`trust`] | which certificates are believed |
//! | [`slots`] | how many calls at one time |

mod address;
mod connect;
mod error;
mod metrics;
mod slots;
mod target;
mod trust;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;

use crate::clock;
use crate::config::Live;
use crate::ops::metrics::VERSION;

pub use error::CallError;
pub use metrics::OutboundMetrics;
pub use target::Target;
pub use trust::{Trust, TrustError};

use address::Resolver;
use connect::Connected;
use slots::Slots;

/// Largest head of an answer.
const HEAD_MAX: usize = 32 * 1024;
/// Most headers of an answer.
const HEADERS_MAX: usize = 100;

/// Why a node calls an application; label of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A session has ended.
    Logout,
    /// An application's address for proxy-granting tickets.
    ProxyCallback,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::ProxyCallback => "proxy_callback",
        }
    }
}

/// Into which networks a call may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Public ones, and `outbound.private_networks`.
    Public,
    /// Private, loopback and link-local ones besides: somebody wrote this very host into the service
    /// definition.
    Named,
}

/// A request to an application.
#[derive(Clone)]
pub struct Call {
    /// What for.
    pub purpose: Purpose,
    /// Where.
    pub target: Target,
    /// Into which networks.
    pub reach: Reach,
    /// Whether the URL may be plain `http`.
    pub plain: bool,
    /// A form body that is posted in one write with its head, already encoded; without one it is a
    /// GET.
    pub form: Option<Bytes>,
    /// How much of the answer's body is wanted, in bytes; 0 to not wait for it.
    pub answer_max: usize,
}

/// What an application answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status; also a redirect's, which is not followed.
    pub status: StatusCode,
    /// The body; empty when none was wanted.
    pub body: Bytes,
}

/// Calls applications; cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbound {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Live,
    trust: ArcSwap<Trust>,
    resolver: Resolver,
    slots: Slots,
    metrics: OutboundMetrics,
}

impl Outbound {
    /// Calls with what `config` says now and after each reload.
    pub fn new(config: Live, trust: Trust, metrics: OutboundMetrics) -> Self {
        let limits = &config.load().outbound.clone();
        Self {
            shared: Arc::new(Shared {
                slots: Slots::new(limits.max_concurrent, limits.max_per_host),
                config,
                trust: ArcSwap::from_pointee(trust),
                resolver: Resolver::new(),
                metrics,
            }),
        }
    }

    /// Believes other certificates from the next call on.
    pub fn set_trust(&self, trust: Trust) {
        self.shared.trust.store(Arc::new(trust));
    }

    /// Calls an application; takes at most `outbound.timeout`.
    ///
    /// Cancel safe: a call that is dropped ends its connection.
    ///
    /// # Errors
    /// [`CallError`]; an answer of any status is not an error.
    pub async fn call(&self, call: Call) -> Result<Answer, CallError> {
        let shared = &*self.shared;
        let began = clock::monotonic();
        let purpose = call.purpose.as_str();
        let _in_flight = shared.metrics.enter();
        let result = shared.bounded(call).await;
        let took = began.elapsed().as_secs_f64();
        shared
            .metrics
            .duration
            .with_label_values(&[purpose])
            .observe(took);
        let outcome = match &result {
            Ok(answer) => class(answer.status),
            Err(error) => error.outcome(),
        };
        shared
            .metrics
            .requests
            .with_label_values(&[purpose, outcome])
            .inc();
        result
    }
}

/// Label of an answered call.
fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "1xx",
    }
}

impl Shared {
    async fn bounded(&self, call: Call) -> Result<Answer, CallError> {
        let config = self.config.load().outbound.clone();
        if !call.target.tls && !call.plain {
            return Err(CallError::Plain);
        }
        let limit = config.timeout.0;
        let began = clock::timer_now();
        let turn = tokio::time::timeout(limit, self.slots.take(&call.target.host)).await;
        let _turn = turn.unwrap_or(Err(CallError::Busy))?;
        let left = limit.saturating_sub(began.elapsed());
        let late = CallError::Timeout(call.target.host.clone());
        let spoken = async {
            let trust = self.trust.load_full();
            let connected =
                connect::connect(&call.target, call.reach, &config, &self.resolver, &trust).await?;
            speak(call, connected).await
        };
        tokio::time::timeout(left.max(Duration::from_millis(1)), spoken)
            .await
            .unwrap_or(Err(late))
    }
}

/// One request and its answer.
async fn speak(call: Call, connected: Connected) -> Result<Answer, CallError> {
    let host = call.target.host.clone();
    let broken = |error: &hyper::Error| CallError::Broken(host.clone(), cause(error));
    let request = request(&call, connected.by_proxy)?;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        // Head and body are one write: some applications read a posted body once.
        .writev(false)
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(connected.stream))
        .await
        .map_err(|error| broken(&error))?;
    // How it ends is told by the answer.
    let driver = tokio::spawn(async move { drop(connection.await) });
    let _driver = AbortOnDrop(driver);
    let answer = sender.send_request(request).await;
    let answer = answer.map_err(|error| broken(&error))?;
    let status = answer.status();
    if call.answer_max == 0 {
        return Ok(Answer {
            status,
            body: Bytes::new(),
        });
    }
    let body = Limited::new(answer.into_body(), call.answer_max);
    match body.collect().await {
        Ok(body) => Ok(Answer {
            status,
            body: body.to_bytes(),
        }),
        Err(error) if error.is::<LengthLimitError>() => Err(CallError::TooLarge(host)),
        Err(_) => Err(CallError::Broken(host, "the body ends early".to_owned())),
    }
}

/// Why the exchange failed, without anything that was sent or received.
fn cause(error: &hyper::Error) -> String {
    let words = match () {
        () if error.is_parse() => "it is not HTTP",
        () if error.is_incomplete_message() => "the connection ended early",
        () if error.is_timeout() => "the time was up",
        () => "the connection broke",
    };
    words.to_owned()
}

fn request(call: &Call, by_proxy: bool) -> Result<Request<Full<Bytes>>, CallError> {
    let target = &call.target;
    let malformed = || CallError::Url("it is malformed");
    let line = if by_proxy && !target.tls {
        format!("http://{}{}", target.authority(), target.path)
    } else {
        target.path.clone()
    };
    let line: Uri = line.parse().map_err(|_| malformed())?;
    let host = HeaderValue::try_from(target.host_header()).map_err(|_| malformed())?;
    let mut request = Request::new(Full::new(call.form.clone().unwrap_or_default()));
    *request.uri_mut() = line;
    if call.form.is_some() {
        *request.method_mut() = Method::POST;
    }
    let headers = request.headers_mut();
    headers.insert(header::HOST, host);
    if let Ok(agent) = HeaderValue::try_from(format!("castor/{VERSION}")) {
        headers.insert(header::USER_AGENT, agent);
    }
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if call.form.is_some() {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(header::CONTENT_TYPE, form);
    }
    Ok(request)
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
