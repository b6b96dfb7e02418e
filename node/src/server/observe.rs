//! Counts requests and measures how long they took, by endpoint.
//!
//! A request that its listener cut off counts with the 503 that it was answered with; one whose other
//! end went away does not count. The endpoint is the route's pattern, never the path asked for, so that nobody can fill the
//! metrics with made-up paths.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{Method, StatusCode};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use crate::clock;

/// Upper bounds in seconds: a validation takes well below a millisecond, a sign-in some ten.
const BUCKETS: [f64; 15] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0,
];

/// Requests by endpoint.
#[derive(Clone, Debug)]
pub struct RequestMetrics {
    requests: IntCounterVec,
    duration: HistogramVec,
}

impl RequestMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    ///
    /// When they are registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let requests = IntCounterVec::new(
            Opts::new("castor_http_requests_total", "Requests answered."),
            &["endpoint", "method", "code"],
        )?;
        let duration = HistogramVec::new(
            HistogramOpts::new(
                "castor_http_request_duration_seconds",
                "Time from a complete request head to the head of its answer.",
            )
            .buckets(BUCKETS.to_vec()),
            &["endpoint"],
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        Ok(Self { requests, duration })
    }
}

/// Extension of a request that its listener gives up when the time is up, and then answers 503.
#[derive(Clone, Debug, Default)]
pub(super) struct TimeUp(Arc<AtomicBool>);

impl TimeUp {
    /// Says so, before the work on the request is dropped.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A request under way; counted when it ends, also when it ends because the time is up.
struct Observation {
    to: RequestMetrics,
    started: Instant,
    matched: Option<MatchedPath>,
    method: &'static str,
    time_up: Option<TimeUp>,
    code: Option<StatusCode>,
}

impl Drop for Observation {
    fn drop(&mut self) {
        let time_up = self.time_up.as_ref().is_some_and(TimeUp::is_set);
        let cut = time_up.then_some(StatusCode::SERVICE_UNAVAILABLE);
        // Neither: the other end has gone, and nobody got an answer.
        let Some(code) = self.code.or(cut) else {
            return;
        };
        let endpoint = self.matched.as_ref().map_or("other", MatchedPath::as_str);
        self.to
            .requests
            .with_label_values(&[endpoint, self.method, code.as_str()])
            .inc();
        self.to
            .duration
            .with_label_values(&[endpoint])
            .observe(self.started.elapsed().as_secs_f64());
    }
}

/// Middleware for [`Router::layer`](axum::Router::layer), with the metrics as its state.
pub async fn observe(State(to): State<RequestMetrics>, request: Request, next: Next) -> Response {
    let mut observation = Observation {
        to,
        started: clock::monotonic(),
        matched: request.extensions().get::<MatchedPath>().cloned(),
        method: method_label(request.method()),
        time_up: request.extensions().get::<TimeUp>().cloned(),
        code: None,
    };
    let response = next.run(request).await;
    observation.code = Some(response.status());
    response
}

/// Any client can make up methods; the label has a few values only.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
