//! The accept loop: one task for each connection, bounded in number and time.
//!
//! Stopping loses no request of a proxy that keeps connections: while `closing` says so, every answer
//! carries `Connection: close`; [`Running::stop`] then serves what the system has already accepted,
//! takes no more, answers what still comes over open connections for a moment, closes the idle ones,
//! lets the busy ones finish, and ends what is left at the deadline.

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
use prometheus::IntGauge;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tower::Service as _;

use super::listener::{Listener, Stream};
use super::metrics::ServerMetrics;
use super::observe::TimeUp;
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

/// A stopping listener's open connections may bring one more request for this long: a proxy that uses
/// its connections does so within it, and an idle one is then safely closed.
const LINGER: Duration = Duration::from_secs(1);

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

/// How far a listener has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Takes connections.
    Serving,
    /// Takes no new ones; answers ask for the end of the open ones.
    Lingering,
    /// Open ones end as soon as they are idle.
    Ending,
}

/// A listener that is being served.
#[derive(Debug)]
pub struct Running {
    stage: watch::Sender<Stage>,
    task: JoinHandle<JoinSet<()>>,
    name: &'static str,
}

impl Running {
    /// Accepts no more, lets busy connections finish until `grace` has passed, then ends the rest.
    ///
    /// *Cancel safety*: dropping the future leaves the connections to finish on their own.
    pub async fn stop(self, grace: Duration) {
        self.stage.send_replace(Stage::Lingering);
        let Ok(mut connections) = self.task.await else {
            return;
        };
        let finished = async {
            let linger = LINGER.min(grace / 2);
            if tokio::time::timeout(linger, all(&mut connections))
                .await
                .is_err()
            {
                self.stage.send_replace(Stage::Ending);
                all(&mut connections).await;
            }
        };
        if tokio::time::timeout(grace, finished).await.is_err() {
            tracing::warn!(
                listener = self.name,
                connections = connections.len(),
                "ended connections that did not finish in time"
            );
            connections.shutdown().await;
        }
    }
}

async fn all(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

/// Serves `router` on `listener` in tasks of its own.
pub fn run(listener: Listener, router: Router, options: Options) -> Running {
    let (sender, stage) = watch::channel(Stage::Serving);
    let name = options.name;
    let task = tokio::spawn(accept(listener, router, options, stage));
    Running {
        stage: sender,
        task,
        name,
    }
}

async fn accept(
    listener: Listener,
    router: Router,
    options: Options,
    mut stage: watch::Receiver<Stage>,
) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    let slots = Arc::new(Semaphore::new(options.limits.connections));
    let options = Arc::new(options);
    let mut begin = |accepted, slot, stage: &watch::Receiver<Stage>| {
        while connections.try_join_next().is_some() {}
        let (stream, address) = accepted;
        let connection = Connection {
            peer: Peer {
                address,
                tls: options.tls.is_some(),
            },
            router: router.clone(),
            options: Arc::clone(&options),
            stage: stage.clone(),
        };
        connections.spawn(async move {
            connection.run(stream).await;
            drop(slot);
        });
    };
    loop {
        let next = async {
            // The semaphore is never closed, so a failure cannot happen; it would only mean no limit.
            let slot = Arc::clone(&slots).acquire_owned().await.ok();
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            biased;
            _ = stage.wait_for(|stage| *stage > Stage::Serving) => break,
            next = next => next,
        };
        match accepted {
            Ok(accepted) => begin(accepted, slot, &stage),
            Err(error) => {
                tracing::warn!(listener = options.name, %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // What waits in the system's queue has been told that it is connected: closing the listener now
    // would reset it, and with it perhaps a request.
    while let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
        match tokio::time::timeout(Duration::ZERO, listener.accept()).await {
            Ok(Ok(accepted)) => begin(accepted, Some(slot), &stage),
            Ok(Err(_)) | Err(_) => break,
        }
    }
    connections
}

/// Counts a connection as open until it is dropped, however it ends.
struct Open(IntGauge);

impl Open {
    fn count(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

struct Connection {
    peer: Peer,
    router: Router,
    options: Arc<Options>,
    stage: watch::Receiver<Stage>,
}

impl Connection {
    async fn run(self, stream: Stream) {
        let metrics = &self.options.metrics;
        let name = self.options.name;
        metrics.accepted.with_label_values(&[name]).inc();
        let _open = Open::count(metrics.connections.with_label_values(&[name]));
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
            (Stream::Foreign(stream), _) => self.serve(stream).await,
        };
        if let Err(reason) = result {
            ended.with_label_values(&[name, reason]).inc();
        }
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
        let stage = self.stage.clone();
        let peer = self.peer;
        let state = shared.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let guard = state.enter();
            let answer = answer(router.clone(), request, peer, Arc::clone(&options));
            let stage = stage.clone();
            async move {
                let mut response = answer.await;
                if *stage.borrow() > Stage::Serving {
                    close(&mut response);
                }
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
        let ending = async {
            let reached = self.stage.wait_for(|stage| *stage == Stage::Ending);
            reached.await.is_ok()
        };
        let early = tokio::select! {
            result = connection.as_mut() => Some(result),
            _ = ending => None,
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
    let time_up = TimeUp::default();
    request.extensions_mut().insert(time_up.clone());
    let mut work = Box::pin(router.call(request));
    let answered = tokio::time::timeout(options.limits.request, &mut work).await;
    let mut response = match answered {
        Ok(Ok(response)) => response,
        Err(_) => {
            time_up.set();
            drop(work);
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
