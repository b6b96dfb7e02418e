//! The accept loop: one task for each connection, bounded in number and time.
//!
//! Stopping has two steps: while `closing` says so, every answer carries `Connection: close`, so that
//! proxies let go without losing a request; [`Running::stop`] then takes no more connections, lets
//! those that are busy finish, and ends what is left at the deadline.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tower::Service as _;

use super::listener::{Listener, Stream};
use super::metrics::ServerMetrics;
use super::peer::Peer;
use super::timed::{Patience, Shared, Timed};
use super::tls::TlsAcceptor;
use crate::config::Http;

/// Request headers at most; more are answered 431.
const HEADERS_MAX: usize = 64;
/// Bytes of a request head at most: a long service URL, doubly encoded, and cookies.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Pause after a failed accept: the process is out of descriptors and some must be freed first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at one time.
    pub connections: usize,
    /// Time for a request head, and for a TLS handshake.
    pub head: Duration,
    /// Time for a request's body and answer.
    pub request: Duration,
    /// Time without a request.
    pub idle: Duration,
}

impl From<&Http> for Limits {
    fn from(http: &Http) -> Self {
        Self {
            connections: http.max_connections,
            head: http.header_timeout.0,
            request: http.request_timeout.0,
            idle: http.idle_timeout.0,
        }
    }
}

/// What a listener serves, and how.
#[derive(Clone)]
pub struct Options {
    /// Name in metrics and logs.
    pub name: &'static str,
    /// Bounds.
    pub limits: Limits,
    /// TLS; plain text when absent.
    pub tls: Option<TlsAcceptor>,
    /// Whether answers should ask the other end to close the connection.
    pub closing: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Metrics.
    pub metrics: ServerMetrics,
}

/// A listener that is being served.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<JoinSet<()>>,
    name: &'static str,
}

impl Running {
    /// Accepts no more, lets busy connections finish until `grace` has passed, then ends the rest.
    ///
    /// *Cancel safety*: dropping the future leaves the connections to finish on their own.
    pub async fn stop(self, grace: Duration) {
        self.stop.send_replace(true);
        let Ok(mut connections) = self.task.await else {
            return;
        };
        let finish = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, finish).await.is_err() {
            tracing::warn!(
                listener = self.name,
                connections = connections.len(),
                "ended connections that did not finish in time"
            );
            connections.shutdown().await;
        }
    }
}

/// Serves `router` on `listener` in tasks of its own.
pub fn run(listener: Listener, router: Router, options: Options) -> Running {
    let (stop, stopping) = watch::channel(false);
    let name = options.name;
    let task = tokio::spawn(accept(listener, router, options, stopping));
    Running { stop, task, name }
}

async fn accept(
    listener: Listener,
    router: Router,
    options: Options,
    mut stopping: watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    let slots = Arc::new(Semaphore::new(options.limits.connections));
    let options = Arc::new(options);
    loop {
        let next = async {
            // The semaphore is never closed, so a failure cannot happen; it would only mean no limit.
            let slot = Arc::clone(&slots).acquire_owned().await.ok();
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => return connections,
            next = next => next,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, address)) => {
                let peer = Peer {
                    address,
                    tls: options.tls.is_some(),
                };
                let connection = Connection {
                    peer,
                    router: router.clone(),
                    options: Arc::clone(&options),
                    stopping: stopping.clone(),
                };
                connections.spawn(async move {
                    connection.run(stream).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(listener = options.name, %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

struct Connection {
    peer: Peer,
    router: Router,
    options: Arc<Options>,
    stopping: watch::Receiver<bool>,
}

impl Connection {
    async fn run(self, stream: Stream) {
        let metrics = &self.options.metrics;
        let name = self.options.name;
        metrics.accepted.with_label_values(&[name]).inc();
        let open = metrics.connections.with_label_values(&[name]);
        open.inc();
        let ended = metrics.ended.clone();
        let result = match (stream, self.options.tls.clone()) {
            (Stream::Tcp(stream), Some(tls)) => {
                match tokio::time::timeout(self.options.limits.head, tls.accept(stream)).await {
                    Ok(Ok(stream)) => self.serve(stream).await,
                    Ok(Err(_)) => Err("tls_handshake"),
                    Err(_) => Err("tls_timeout"),
                }
            }
            (Stream::Tcp(stream), None) => self.serve(stream).await,
            (Stream::Unix(stream), _) => self.serve(stream).await,
        };
        if let Err(reason) = result {
            ended.with_label_values(&[name, reason]).inc();
        }
        open.dec();
    }

    async fn serve<S>(mut self, stream: S) -> Result<(), &'static str>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = self.options.limits;
        let patience = Patience {
            idle: limits.idle,
            head: limits.head,
            stall: limits.request,
        };
        let shared = Shared::default();
        let io = TokioIo::new(Timed::new(stream, patience, shared.clone()));
        let router = self.router.clone();
        let options = Arc::clone(&self.options);
        let peer = self.peer;
        let state = shared.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let guard = state.enter();
            let answer = answer(router.clone(), request, peer, Arc::clone(&options));
            async move {
                let response = answer.await;
                drop(guard);
                Ok::<_, Infallible>(response)
            }
        });
        let mut builder = http1::Builder::new();
        builder
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            // `Timed` tells an idle connection from a half-sent head, hyper's timer does not.
            .header_read_timeout(None);
        let mut connection = std::pin::pin!(builder.serve_connection(io, service));
        let stopped = async { self.stopping.wait_for(|stop| *stop).await.is_ok() };
        let early = tokio::select! {
            result = connection.as_mut() => Some(result),
            _ = stopped => None,
        };
        let result = match early {
            Some(result) => result,
            None => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        match (shared.timed_out(), result) {
            (Some(reason), _) => Err(reason),
            (None, result) => result.map_err(|error| reason(&error)),
        }
    }
}

async fn answer(
    mut router: Router,
    request: Request<Incoming>,
    peer: Peer,
    options: Arc<Options>,
) -> Response {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    let work = router.call(request);
    let mut response = match tokio::time::timeout(options.limits.request, work).await {
        Ok(Ok(response)) => response,
        Err(_) => {
            options
                .metrics
                .ended
                .with_label_values(&[options.name, "request_timeout"])
                .inc();
            let mut response = (
                StatusCode::SERVICE_UNAVAILABLE,
                "The request took too long. Try again.\n",
            )
                .into_response();
            close(&mut response);
            response
        }
    };
    if (options.closing)() {
        close(&mut response);
    }
    response
}

fn close(response: &mut Response) {
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
}

fn reason(error: &hyper::Error) -> &'static str {
    if error.is_parse() {
        "malformed"
    } else if error.is_incomplete_message() {
        "incomplete"
    } else {
        "io"
    }
}
