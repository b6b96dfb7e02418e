//! Counts requests and measures how long they took, by endpoint.
//!
//! The endpoint is the route's pattern, never the path asked for, so that nobody can fill the
//! metrics with made-up paths.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
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

/// Middleware for [`Router::layer`](axum::Router::layer), with the metrics as its state.
pub async fn observe(State(to): State<RequestMetrics>, request: Request, next: Next) -> Response {
    let started = clock::monotonic();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let method = method_label(request.method());
    let response = next.run(request).await;
    let endpoint = matched.as_ref().map_or("other", MatchedPath::as_str);
    let code = response.status();
    to.requests
        .with_label_values(&[endpoint, method, code.as_str()])
        .inc();
    to.duration
        .with_label_values(&[endpoint])
        .observe(started.elapsed().as_secs_f64());
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
