//! What the accept loop promises about time, numbers and certificates.
//!
//! Time is paused: the runtime moves it forward when everything waits, so that minutes pass at once
//! and a deadline is met exactly.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use axum::routing::get;
use prometheus::Registry;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Notify, Semaphore};

use super::*;
use crate::clock;
use crate::config::Listen;

const LIMITS: Limits = Limits {
    connections: 100,
    head: Duration::from_secs(5),
    request: Duration::from_secs(10),
    idle: Duration::from_secs(75),
};

struct Server {
    running: Running,
    listen: Listen,
    metrics: ServerMetrics,
    registry: Registry,
    closing: Arc<AtomicBool>,
    release: Arc<Notify>,
    /// One permit for each request that reached the slow handler.
    entered: Arc<Semaphore>,
}

fn serve_on(listen: &Listen, limits: Limits, tls: Option<tls::TlsAcceptor>) -> Server {
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    let entered = Arc::new(Semaphore::new(0));
    let enter = Arc::clone(&entered);
    let router = Router::new()
        .route("/", get(|| async { "hello" }))
        .route(
            "/peer",
            get(|Extension(peer): Extension<Peer>| async move { format!("{peer:?}") }),
        )
        .route(
            "/slow",
            get(move || async move {
                enter.add_permits(1);
                released.notified().await;
                "at last"
            }),
        )
        .route("/body", axum::routing::post(|body: String| async { body }));
    let registry = Registry::new();
    let requests = RequestMetrics::register(&registry).unwrap();
    let router = router.layer(axum::middleware::from_fn_with_state(requests, observe));
    let metrics = ServerMetrics::register(&registry).unwrap();
    let closing = Arc::new(AtomicBool::new(false));
    let listener = bind(listen, None).unwrap();
    let listen = listener.listen().clone();
    let is_closing = Arc::clone(&closing);
    let options = Options {
        name: "test",
        limits,
        tls,
        closing: Arc::new(move || is_closing.load(Ordering::SeqCst)),
        metrics: metrics.clone(),
    };
    Server {
        running: run(listener, router, options),
        listen,
        metrics,
        registry,
        closing,
        release,
        entered,
    }
}

fn serve(limits: Limits) -> Server {
    serve_on(&Listen::Tcp(([127, 0, 0, 1], 0).into()), limits, None)
}

impl Server {
    async fn connect(&self) -> TcpStream {
        match &self.listen {
            Listen::Tcp(address) => TcpStream::connect(address).await.unwrap(),
            Listen::Unix(path) => panic!("{} is no TCP address", path.display()),
        }
    }

    fn ended(&self, reason: &str) -> u64 {
        self.metrics
            .ended
            .with_label_values(&["test", reason])
            .get()
    }

    /// Requests counted, by endpoint and code, and times measured, by endpoint.
    fn observed(&self) -> (Vec<String>, Vec<String>) {
        let (mut counted, mut measured) = (Vec::new(), Vec::new());
        for family in self.registry.gather() {
            for metric in family.get_metric() {
                let label = |name: &str| {
                    let mut labels = metric.get_label().iter();
                    let found = labels.find(|label| label.name() == name);
                    found.map_or_else(String::new, |label| label.value().to_owned())
                };
                let endpoint = label("endpoint");
                match family.name() {
                    "castor_http_requests_total" => counted.push(format!(
                        "{endpoint} {} {}",
                        label("code"),
                        metric.get_counter().get_value()
                    )),
                    "castor_http_request_duration_seconds" => measured.push(format!(
                        "{endpoint} {}",
                        metric.get_histogram().get_sample_count()
                    )),
                    _ => {}
                }
            }
        }
        (counted, measured)
    }

    fn open(&self) -> i64 {
        self.metrics.connections.with_label_values(&["test"]).get()
    }
}

/// Sends a GET and reads one whole answer with a Content-Length.
async fn get_on<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, path: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    read_answer(stream).await
}

async fn read_answer<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut answer = Vec::new();
    loop {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            return String::from_utf8(answer).unwrap();
        }
        answer.extend(byte);
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() == length {
                return text.into_owned();
            }
        }
    }
}

/// Seconds until the other end closes, and what it said before.
async fn until_closed<S: AsyncRead + Unpin>(stream: &mut S) -> (u64, String) {
    let started = clock::timer_now();
    let mut rest = Vec::new();
    // A reset is a way of closing too.
    let _ = stream.read_to_end(&mut rest).await;
    (
        started.elapsed().as_secs(),
        String::from_utf8_lossy(&rest).into_owned(),
    )
}

#[tokio::test(start_paused = true)]
async fn a_half_sent_head_is_given_the_header_timeout() {
    let server = serve(LIMITS);
    for begun in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: t\r\n"] {
        let mut stream = server.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        assert_eq!(until_closed(&mut stream).await.0, 5, "{begun:?}");
    }
    let mut stream = server.connect().await;
    get_on(&mut stream, "/").await;
    stream.write_all(b"GET / HT").await.unwrap();
    assert_eq!(until_closed(&mut stream).await.0, 5, "the second head");
    assert_eq!(server.ended("header_timeout"), 4);
    assert_eq!(server.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_outlives_the_header_timeout_and_ends_at_the_idle_timeout() {
    let server = serve(LIMITS);
    let mut stream = server.connect().await;
    for _ in 0..3 {
        assert!(get_on(&mut stream, "/").await.ends_with("hello"));
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert!(get_on(&mut stream, "/").await.ends_with("hello"));
    assert_eq!(until_closed(&mut stream).await.0, 75);
    assert_eq!(server.ended("idle_timeout"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_a_503_at_the_request_timeout() {
    let server = serve(LIMITS);
    let mut stream = server.connect().await;
    let started = clock::timer_now();
    let answer = get_on(&mut stream, "/slow").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(started.elapsed().as_secs(), 10);
    assert_eq!(server.ended("request_timeout"), 1);
    let (counted, measured) = server.observed();
    assert_eq!(counted, ["/slow 503 1"]);
    assert_eq!(measured, ["/slow 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_waits_for_any_more_is_not_counted_as_answered() {
    let server = serve(LIMITS);
    let mut leaving = server.connect().await;
    leaving
        .write_all(b"GET /slow HTTP/1.1\r\nHost: t\r\n\r\n")
        .await
        .unwrap();
    server.entered.acquire().await.unwrap().forget();
    drop(leaving);
    while server.open() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut stream = server.connect().await;
    get_on(&mut stream, "/").await;
    assert_eq!(server.observed().0, ["/ 200 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_is_a_503_at_the_request_timeout() {
    let server = serve(LIMITS);
    let mut stream = server.connect().await;
    let started = clock::timer_now();
    stream
        .write_all(b"POST /body HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc")
        .await
        .unwrap();
    let answer = read_answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn more_connections_than_allowed_wait_for_a_free_place() {
    let server = serve(Limits {
        connections: 1,
        ..LIMITS
    });
    let mut first = server.connect().await;
    get_on(&mut first, "/").await;
    let mut second = server.connect().await;
    second
        .write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        .await
        .unwrap();
    let early = tokio::time::timeout(Duration::from_secs(30), read_answer(&mut second)).await;
    assert!(early.is_err(), "answered beside the first");
    assert_eq!(server.open(), 1);
    drop(first);
    assert!(read_answer(&mut second).await.ends_with("hello"));
}

#[tokio::test(start_paused = true)]
async fn stopping_takes_no_connection_and_lets_a_request_finish() {
    let server = serve(LIMITS);
    let mut idle = server.connect().await;
    get_on(&mut idle, "/").await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: t\r\n\r\n")
        .await
        .unwrap();
    server.entered.acquire().await.unwrap().forget();
    let address = server.listen.clone();
    let stop = tokio::spawn(server.running.stop(Duration::from_secs(9)));
    assert_eq!(until_closed(&mut idle).await.0, 1, "after the linger");
    let Listen::Tcp(address) = address else {
        panic!("TCP")
    };
    assert!(TcpStream::connect(address).await.is_err(), "still accepts");
    assert!(!stop.is_finished());
    server.release.notify_waiters();
    assert!(read_answer(&mut busy).await.ends_with("at last"));
    stop.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn stopping_answers_what_an_open_connection_still_brings() {
    let server = serve(LIMITS);
    let mut kept = server.connect().await;
    get_on(&mut kept, "/").await;
    let Listen::Tcp(address) = server.listen.clone() else {
        panic!("TCP")
    };
    // Connected as far as the system is concerned, not yet taken by the server.
    let mut queued = TcpStream::connect(address).await.unwrap();
    let stop = tokio::spawn(server.running.stop(Duration::from_secs(9)));
    while TcpStream::connect(address).await.is_ok() {}
    for stream in [&mut kept, &mut queued] {
        let answer = get_on(stream, "/").await;
        assert!(
            answer.contains("connection: close") && answer.ends_with("hello"),
            "{answer}"
        );
        assert_eq!(until_closed(stream).await.0, 0);
    }
    stop.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_what_does_not_finish_in_time() {
    let server = serve(LIMITS);
    let mut busy = server.connect().await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: t\r\n\r\n")
        .await
        .unwrap();
    server.entered.acquire().await.unwrap().forget();
    let started = clock::timer_now();
    server.running.stop(Duration::from_secs(3)).await;
    assert_eq!(started.elapsed().as_secs(), 3);
    assert_eq!(until_closed(&mut busy).await.1, "");
}

#[tokio::test(start_paused = true)]
async fn a_closing_server_says_so_with_each_answer() {
    let server = serve(LIMITS);
    let mut stream = server.connect().await;
    assert!(!get_on(&mut stream, "/").await.contains("connection: close"));
    server.closing.store(true, Ordering::SeqCst);
    let answer = get_on(&mut stream, "/").await;
    assert!(answer.contains("connection: close") && answer.ends_with("hello"));
    assert_eq!(until_closed(&mut stream).await.0, 0);
}

#[tokio::test(start_paused = true)]
async fn junk_and_oversize_are_refused() {
    let server = serve(LIMITS);
    let many: String = (0..100).map(|n| format!("h{n}: x\r\n")).collect();
    let long = "x".repeat(200_000);
    for (request, status) in [
        ("\x16\x03\x01 hello\r\n\r\n".to_owned(), "400"),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\nlong: {long}\r\n\r\n"), "431"),
    ] {
        let mut stream = server.connect().await;
        let (mut from, mut to) = stream.split();
        let (_, answer) = tokio::join!(to.write_all(request.as_bytes()), until_closed(&mut from));
        let expected = format!("HTTP/1.1 {status}");
        assert!(answer.1.starts_with(&expected), "{status}: {answer:?}");
    }
}

#[tokio::test]
async fn the_peer_is_known_to_the_handlers() {
    let server = serve(LIMITS);
    let mut stream = server.connect().await;
    let own = stream.local_addr().unwrap();
    let answer = get_on(&mut stream, "/peer").await;
    assert!(
        answer.contains(&format!("Tcp({own})")) && answer.contains("tls: false"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_unix_socket_is_private_names_its_peer_and_is_removed() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("http.sock");
    // Left behind by a dead process: bound, and nobody listens any more.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listen = Listen::Unix(path.clone());
    let server = serve_on(&listen, LIMITS, None);
    let meta = std::fs::metadata(&path).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o660);
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let answer = get_on(&mut stream, "/peer").await;
    assert!(answer.contains(&format!("uid: {}", meta.uid())), "{answer}");
    let taken = bind(&listen, None).unwrap_err().to_string();
    assert!(taken.contains("stop what listens there"), "{taken}");
    server.running.stop(Duration::from_secs(1)).await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("precious");
    std::fs::write(&path, "data").unwrap();
    let says = bind(&Listen::Unix(path.clone()), None).unwrap_err();
    assert!(says.to_string().contains("not a socket"), "{says}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_remedy() {
    let server = serve(LIMITS);
    let says = bind(&server.listen, None).unwrap_err().to_string();
    assert!(
        says.contains(&server.listen.to_string()) && says.contains("another address"),
        "{says}"
    );
}

struct Pki {
    dir: tempfile::TempDir,
}

impl Pki {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// Writes a self-signed certificate for `name`, valid in the given years, and its key.
    fn issue(&self, name: &str, years: (i32, i32)) -> (PathBuf, PathBuf) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        let at = |end: &str| self.dir.path().join(format!("{name}.{end}"));
        std::fs::write(at("pem"), certificate.pem()).unwrap();
        std::fs::write(at("key"), key.serialize_pem()).unwrap();
        (at("pem"), at("key"))
    }
}

/// 1 July 2026.
const NOW_MS: u64 = 1_782_864_000_000;

fn load(pair: &(PathBuf, PathBuf)) -> Result<tls::Identity, String> {
    tls::load(&pair.0, &pair.1, NOW_MS).map_err(|error| error.to_string())
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_in_one_line_with_the_remedy() {
    let pki = Pki::new();
    let good = pki.issue("good", (2026, 2030));
    let other = pki.issue("other", (2026, 2030));
    let old = pki.issue("old", (2020, 2021));
    let future = pki.issue("future", (2029, 2030));
    let junk = pki.dir.path().join("junk");
    std::fs::write(&junk, "junk").unwrap();
    load(&good).unwrap();
    for (pair, key, says) in [
        (
            (good.0.clone(), other.1.clone()),
            "http.tls.key: ",
            "does not belong to the certificate",
        ),
        (old, "http.tls.certificate: ", "expired on"),
        (future, "http.tls.certificate: ", "not valid before"),
        (
            (PathBuf::from("/nonexistent"), good.1.clone()),
            "http.tls.certificate: /nonexistent",
            "cannot be read",
        ),
        (
            (good.0.clone(), PathBuf::from("/nonexistent")),
            "http.tls.key: /nonexistent",
            "cannot be read",
        ),
        (
            (junk.clone(), good.1.clone()),
            "http.tls.certificate",
            "PEM",
        ),
        ((good.0.clone(), junk), "http.tls.key", "PEM"),
    ] {
        let error = load(&pair).unwrap_err();
        assert!(error.starts_with(key) && error.contains(says), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

async fn tls_connect(
    server: &Server,
    certificate: &Path,
    name: &str,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    use rustls_pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(rustls_pki_types::CertificateDer::from_pem_file(certificate).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls_pki_types::ServerName::try_from(name.to_owned()).unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, server.connect().await)
        .await
}

#[tokio::test]
async fn a_replaced_certificate_serves_new_connections_and_keeps_old_ones() {
    let pki = Pki::new();
    let before = pki.issue("before.example", (2020, 2040));
    let after = pki.issue("after.example", (2020, 2040));
    let acceptor = tls::TlsAcceptor::new(&load(&before).unwrap());
    let any = Listen::Tcp(([127, 0, 0, 1], 0).into());
    let server = serve_on(&any, LIMITS, Some(acceptor.clone()));
    let mut old = tls_connect(&server, &before.0, "before.example")
        .await
        .unwrap();
    assert!(get_on(&mut old, "/peer").await.contains("tls: true"));
    acceptor.replace(&load(&after).unwrap());
    let mut new = tls_connect(&server, &after.0, "after.example")
        .await
        .unwrap();
    assert!(get_on(&mut new, "/").await.ends_with("hello"));
    assert!(get_on(&mut old, "/").await.ends_with("hello"));
    assert!(
        tls_connect(&server, &before.0, "before.example")
            .await
            .is_err(),
        "the old certificate is gone"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_tls_client_is_given_the_header_timeout() {
    let pki = Pki::new();
    let acceptor = tls::TlsAcceptor::new(&load(&pki.issue("a.example", (2020, 2040))).unwrap());
    let any = Listen::Tcp(([127, 0, 0, 1], 0).into());
    let server = serve_on(&any, LIMITS, Some(acceptor));
    let mut stream = server.connect().await;
    assert_eq!(until_closed(&mut stream).await.0, 5);
    assert_eq!(server.ended("tls_timeout"), 1);
}
