//! Calls to listeners on loopback: plain, TLS, and through a proxy.

use std::net::SocketAddr;
use std::path::Path;

use prometheus::Registry;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::Config;
use crate::config::value::Value as _;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A caller, its configuration changed by `tune`.
fn outbound_with(ca_file: Option<&Path>, tune: impl FnOnce(&mut Config)) -> (Outbound, Registry) {
    let mut config = Config::defaults().unwrap();
    config.outbound.timeout = period("2s");
    config.outbound.connect_timeout = period("1s");
    tune(&mut config);
    let registry = Registry::new();
    let metrics = OutboundMetrics::register(&registry).unwrap();
    let trust = Trust::load(ca_file).unwrap();
    (Outbound::new(Live::new(config), trust, metrics), registry)
}

fn outbound() -> Outbound {
    outbound_with(None, |_| {}).0
}

fn period(text: &str) -> crate::config::Period {
    let text = toml::Value::String(text.to_owned());
    crate::config::Period::from_toml(&text, Path::new("")).unwrap()
}

fn call(url: &str) -> Call {
    Call {
        purpose: Purpose::Logout,
        target: Target::parse(url).unwrap(),
        reach: Reach::Named,
        plain: true,
        form: None,
        answer_max: 1024,
    }
}

/// One listener that hands each connection to `serve`.
async fn listen<F, T>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Answers every connection with `answer`.
async fn always(answer: impl Into<String>) -> SocketAddr {
    let answer: String = answer.into();
    listen(move |mut stream| {
        let answer = answer.clone();
        async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await
}

/// Reads like an application that looks at what one read gives it: the sizes of the reads, and all.
async fn reads<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Vec<String> {
    let mut reads = Vec::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            return reads;
        }
        reads.push(String::from_utf8(buffer[..count].to_vec()).unwrap());
        let all = reads.concat();
        let (head, body) = all.split_once("\r\n\r\n").unwrap_or((&all, ""));
        let length = head
            .to_ascii_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0_usize);
        if all.contains("\r\n\r\n") && body.len() >= length {
            let _ = stream.write_all(OK.as_bytes()).await;
            return reads;
        }
    }
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    fn acceptor(&self, name: &str) -> TlsAcceptor {
        self.acceptor_as(name, IsCa::NoCa)
    }

    fn acceptor_as(&self, name: &str, is_ca: IsCa) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = is_ca;
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A TLS listener that tells what each connection's reads were.
async fn tls_peer(acceptor: TlsAcceptor) -> (SocketAddr, tokio::sync::mpsc::Receiver<Vec<String>>) {
    let (told, reads_of) = tokio::sync::mpsc::channel(8);
    let address = listen(move |stream| {
        let (acceptor, told) = (acceptor.clone(), told.clone());
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let reads = reads(&mut stream).await;
                let _ = told.send(reads).await;
            }
        }
    })
    .await;
    (address, reads_of)
}

fn ca_file(authority: &Authority) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &authority.pem).unwrap();
    file
}

fn form() -> Bytes {
    Bytes::from(format!("logoutRequest={}", "x".repeat(1000)))
}

fn check_post(reads: &[String], host: &str) {
    assert_eq!(reads.len(), 1, "head and body come in one read: {reads:?}");
    let (head, body) = reads[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /x?y=1 HTTP/1.1\r\n"), "{head}");
    let head = head.to_ascii_lowercase();
    for line in [
        &format!("host: {host}"),
        "content-type: application/x-www-form-urlencoded",
        "content-length: 1014",
        "connection: close",
    ] {
        assert!(head.lines().any(|l| *l == *line), "{line} is not in {head}");
    }
    assert!(!head.contains("transfer-encoding"), "{head}");
    assert_eq!(body.as_bytes(), form());
}

#[tokio::test]
async fn a_form_arrives_in_one_read() {
    let (told, mut reads_of) = tokio::sync::mpsc::channel(8);
    let address = listen(move |mut stream| {
        let told = told.clone();
        async move {
            let reads = reads(&mut stream).await;
            let _ = told.send(reads).await;
        }
    })
    .await;
    let outbound = outbound();
    for _ in 0..20 {
        let post = Call {
            form: Some(form()),
            ..call(&format!("http://{address}/x?y=1"))
        };
        let answer = outbound.call(post).await.unwrap();
        assert_eq!(
            (answer.status, &answer.body[..]),
            (StatusCode::OK, &b"ok"[..])
        );
        check_post(&reads_of.recv().await.unwrap(), &address.to_string());
    }
}

#[tokio::test]
async fn a_form_over_tls_is_one_record() {
    let authority = Authority::new();
    let (address, mut reads_of) = tls_peer(authority.acceptor("localhost")).await;
    let file = ca_file(&authority);
    let (outbound, _) = outbound_with(Some(file.path()), |_| {});
    let place = format!("localhost:{}", address.port());
    let post = Call {
        form: Some(form()),
        plain: false,
        ..call(&format!("https://{place}/x?y=1"))
    };
    assert_eq!(outbound.call(post).await.unwrap().status, StatusCode::OK);
    check_post(&reads_of.recv().await.unwrap(), &place);
}

#[tokio::test]
async fn certificates_are_verified_and_authorities_can_be_reloaded() {
    let (ours, foreign) = (Authority::new(), Authority::new());
    let file = ca_file(&ours);
    let (outbound, registry) = outbound_with(Some(file.path()), |_| {});
    let (unknown, _) = tls_peer(foreign.acceptor("localhost")).await;
    let (other_name, _) = tls_peer(ours.acceptor("other.example")).await;
    for address in [unknown, other_name] {
        let url = format!("https://localhost:{}/", address.port());
        let error = outbound.call(call(&url)).await.unwrap_err();
        assert!(matches!(error, CallError::Tls(..)), "{error}");
        assert!(error.is_passing(), "a certificate may be renewed");
    }
    assert_eq!(counted(&registry, "tls"), 2);
    let file = ca_file(&foreign);
    outbound.set_trust(Trust::load(Some(file.path())).unwrap());
    let url = format!("https://localhost:{}/", unknown.port());
    assert_eq!(
        outbound.call(call(&url)).await.unwrap().status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_server_with_the_certificate_of_an_authority_is_refused_in_words() {
    let ours = Authority::new();
    let file = ca_file(&ours);
    let (outbound, _) = outbound_with(Some(file.path()), |_| {});
    let (address, _) =
        tls_peer(ours.acceptor_as("localhost", IsCa::Ca(BasicConstraints::Unconstrained))).await;
    let url = format!("https://localhost:{}/", address.port());
    let error = outbound.call(call(&url)).await.unwrap_err();
    assert!(error.to_string().contains("CA:TRUE"), "{error}");
}

fn counted(registry: &Registry, outcome: &str) -> u64 {
    let families = registry.gather();
    let family = families
        .iter()
        .find(|f| f.name() == "castor_outbound_requests_total");
    let metrics = family.into_iter().flat_map(|f| f.get_metric());
    metrics
        .filter(|m| m.get_label().iter().any(|l| l.value() == outcome))
        .map(|m| m.get_counter().get_value() as u64)
        .sum()
}

#[test]
fn a_useless_authority_file_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let says = Trust::load(Some(file.path())).unwrap_err().to_string();
    assert!(says.starts_with("outbound.ca_file: ") && says.contains("holds no certificate"));
    let says = Trust::load(Some(Path::new("/nowhere/x"))).unwrap_err();
    assert!(says.to_string().contains("/nowhere/x"), "{says}");
}

#[tokio::test]
async fn redirects_are_answers() {
    let address =
        always("HTTP/1.1 302 Found\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n").await;
    let answer = outbound().call(call(&format!("http://{address}/"))).await;
    assert_eq!(answer.unwrap().status, StatusCode::FOUND);
}

#[tokio::test]
async fn private_networks_need_to_be_named() {
    let address = always(OK).await;
    let public = |url: String| Call {
        reach: Reach::Public,
        ..call(&url)
    };
    let (outbound, registry) = outbound_with(None, |_| {});
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{}/", address.port());
        let error = outbound.call(public(url)).await.unwrap_err();
        assert!(matches!(error, CallError::Private(_)), "{error}");
    }
    assert_eq!(counted(&registry, "private"), 3);
    let loopback = toml::Value::Array(vec!["127.0.0.0/8".into()]);
    let (outbound, _) = outbound_with(None, |config| {
        config.outbound.private_networks = Vec::from_toml(&loopback, Path::new("")).unwrap();
    });
    let answer = outbound.call(public(format!("http://{address}/"))).await;
    assert_eq!(answer.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn plain_text_is_spoken_only_where_allowed() {
    let tls_only = Call {
        plain: false,
        ..call("http://127.0.0.1:9/")
    };
    let refused = outbound().call(tls_only).await.unwrap_err();
    assert_eq!(refused, CallError::Plain);
}

#[tokio::test]
async fn answers_are_bounded_in_size() {
    let body = "x".repeat(2000);
    let long = always(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n{body}"
    ))
    .await;
    let outbound = outbound();
    let url = format!("http://{long}/");
    let error = outbound.call(call(&url)).await.unwrap_err();
    assert!(matches!(error, CallError::TooLarge(_)), "{error}");
    let unwanted = Call {
        answer_max: 0,
        ..call(&url)
    };
    assert_eq!(
        outbound.call(unwanted).await.unwrap().status,
        StatusCode::OK
    );

    let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(HEAD_MAX * 2));
    let endless = always(head).await;
    let error = outbound.call(call(&format!("http://{endless}/"))).await;
    assert!(matches!(error, Err(CallError::Broken(..))), "{error:?}");
}

#[tokio::test]
async fn whoever_does_not_answer_is_left_in_time() {
    let silent = listen(|mut stream| async move {
        read_head(&mut stream).await;
        // Open until the other end goes.
        let _ = stream.read_u8().await;
    })
    .await;
    let (outbound, registry) = outbound_with(None, |config| {
        config.outbound.timeout = period("500ms");
    });
    let began = clock::timer_now();
    let error = outbound.call(call(&format!("http://{silent}/"))).await;
    assert_eq!(error.unwrap_err(), CallError::Timeout("127.0.0.1".into()));
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(counted(&registry, "timeout"), 1);
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = nobody.local_addr().unwrap();
    drop(nobody);
    let error = outbound.call(call(&format!("http://{closed}/"))).await;
    assert!(matches!(error, Err(CallError::Connect(..))), "{error:?}");
    let no_http = always("SSH-2.0-x\r\n").await;
    let error = outbound.call(call(&format!("http://{no_http}/"))).await;
    assert!(matches!(error, Err(CallError::Broken(..))), "{error:?}");
    let error = outbound.call(call("http://no-such-host.invalid/")).await;
    assert!(matches!(error, Err(CallError::Name(_))), "{error:?}");
}

#[tokio::test]
async fn errors_do_not_show_what_was_sent() {
    let address = always("nonsense\r\n\r\n").await;
    let url = format!("http://{address}/cb?pgtId=PGT-1-secret&pgtIou=PGTIOU-secret");
    let error = outbound().call(call(&url)).await.unwrap_err();
    let shown = format!("{error} {error:?} {:?}", Target::parse(&url).unwrap());
    assert!(!shown.contains("secret"), "{shown}");
}

/// A proxy that answers `CONNECT` with a tunnel to `to` and tells every head it got.
async fn proxy(to: SocketAddr) -> (SocketAddr, tokio::sync::mpsc::Receiver<String>) {
    let (told, heads) = tokio::sync::mpsc::channel(8);
    let address = listen(move |mut stream| {
        let told = told.clone();
        async move {
            let head = read_head(&mut stream).await;
            let tunnel = head.starts_with("CONNECT ");
            let _ = told.send(head).await;
            if tunnel {
                let _ = stream.write_all(b"HTTP/1.1 200 Established\r\n\r\n").await;
                if let Ok(mut other) = TcpStream::connect(to).await {
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut other).await;
                }
            } else {
                let _ = stream.write_all(OK.as_bytes()).await;
            }
        }
    })
    .await;
    (address, heads)
}

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel_and_tls_is_still_the_applications() {
    let authority = Authority::new();
    let (app, mut reads_of) = tls_peer(authority.acceptor("app.example")).await;
    let (proxy, mut heads) = proxy(app).await;
    let file = ca_file(&authority);
    let (outbound, _) = outbound_with(Some(file.path()), |config| {
        let text = toml::Value::String(format!("http://{proxy}"));
        config.outbound.proxy = Option::from_toml(&text, Path::new("")).unwrap();
        let direct = toml::Value::Array(vec!["127.0.0.1".into()]);
        config.outbound.no_proxy = Vec::from_toml(&direct, Path::new("")).unwrap();
    });
    let public = |url: &str| Call {
        reach: Reach::Public,
        ..call(url)
    };
    // No system knows this name: the proxy does.
    let post = Call {
        form: Some(form()),
        ..public("https://app.example:8443/x?y=1")
    };
    assert_eq!(outbound.call(post).await.unwrap().status, StatusCode::OK);
    let head = heads.recv().await.unwrap();
    assert!(head.starts_with("CONNECT app.example:8443 HTTP/1.1\r\nHost: app.example:8443\r\n"));
    check_post(&reads_of.recv().await.unwrap(), "app.example:8443");

    outbound
        .call(public("http://plain.example/x"))
        .await
        .unwrap();
    let head = heads.recv().await.unwrap();
    assert!(
        head.starts_with("GET http://plain.example:80/x HTTP/1.1\r\n"),
        "{head}"
    );
    for inside in ["http://localhost/", "https://10.0.0.1/"] {
        let refused = outbound.call(public(inside)).await;
        assert!(matches!(refused, Err(CallError::Private(_))), "{inside}");
    }
    let direct = always(OK).await;
    outbound
        .call(call(&format!("http://{direct}/")))
        .await
        .unwrap();
    assert!(heads.try_recv().is_err(), "not through the proxy");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told() {
    let refusing = always("HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let (outbound, _) = outbound_with(None, |config| {
        let text = toml::Value::String(format!("http://{refusing}"));
        config.outbound.proxy = Option::from_toml(&text, Path::new("")).unwrap();
    });
    let error = outbound
        .call(call("https://app.example/"))
        .await
        .unwrap_err();
    assert_eq!(
        error,
        CallError::Proxy("app.example".into(), "status 403".into())
    );
}
