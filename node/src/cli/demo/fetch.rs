//! Small HTTP calls of the demo: readiness, the front door, validations, the administration socket.
//!
//! Promises: HTTPS is verified against the demo's own authority; an answer is bounded in size and
//! time. One connection for each call: the demo's parts are few and far between.
//! Does not: follow redirects.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

const BODY_MAX: usize = 1 << 20;

/// Where a call goes.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// An absolute URL.
    Url(String),
    /// A path at a Unix socket.
    Socket(PathBuf, String),
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Makes calls; clones share the authority.
#[derive(Clone)]
pub(super) struct Fetch {
    tls: tokio_rustls::TlsConnector,
    /// The front door's host and where it is: its name need not be known on this machine.
    front: Option<(String, IpAddr)>,
}

impl Fetch {
    /// Trusts the authority in `ca_file`.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub(super) fn new(ca_file: &Path) -> anyhow::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(ca_file)
            .with_context(|| format!("cannot use {}", ca_file.display()))?;
        roots
            .add(authority)
            .with_context(|| format!("cannot use {}", ca_file.display()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            tls: Arc::new(config).into(),
            front: None,
        })
    }

    /// Finds `host` at `listen` without asking for its name.
    #[must_use]
    pub(super) fn with_front(mut self, host: &str, listen: IpAddr) -> Self {
        let at = match listen {
            IpAddr::V4(four) if four.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(six) if six.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            other => other,
        };
        self.front = Some((host.to_owned(), at));
        self
    }

    /// GET.
    ///
    /// # Errors
    /// When there is no whole answer in time.
    pub(super) async fn get(&self, url: &str, timeout: Duration) -> anyhow::Result<Answer> {
        let target = Target::Url(url.to_owned());
        self.call(
            Method::GET,
            &target,
            HeaderMap::new(),
            Bytes::new(),
            timeout,
        )
        .await
    }

    /// Any call.
    ///
    /// # Errors
    /// When there is no whole answer in time.
    pub(super) async fn call(
        &self,
        method: Method,
        target: &Target,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> anyhow::Result<Answer> {
        let work = async {
            match target {
                Target::Socket(socket, path) => {
                    let stream = UnixStream::connect(socket)
                        .await
                        .with_context(|| socket.display().to_string())?;
                    send(stream, request(method, path, "localhost", headers, body)?).await
                }
                Target::Url(url) => self.call_url(method, url, headers, body).await,
            }
        };
        tokio::time::timeout(timeout, work)
            .await
            .map_err(|_| anyhow!("no answer within {timeout:?}"))?
    }

    async fn call_url(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> anyhow::Result<Answer> {
        let uri: Uri = url.parse()?;
        let host = uri.host().context("a URL without a host")?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = request(method, path, &format!("{host}:{port}"), headers, body)?;
        let stream = match &self.front {
            Some((front, at)) if front == bare => TcpStream::connect((*at, port)).await?,
            _ => TcpStream::connect((bare, port)).await?,
        };
        stream.set_nodelay(true)?;
        if !tls {
            return send(stream, request).await;
        }
        let name = ServerName::try_from(bare.to_owned())?;
        send(self.tls.connect(name, stream).await?, request).await
    }
}

fn request(
    method: Method,
    path: &str,
    host: &str,
    headers: HeaderMap,
    body: Bytes,
) -> anyhow::Result<Request<Full<Bytes>>> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, host)
        .header(header::CONNECTION, "close")
        .body(Full::new(body))?;
    request.headers_mut().extend(headers);
    Ok(request)
}

async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> anyhow::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Its errors reach the request; the task ends with the connection.
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let (parts, body) = response.into_parts();
    let body = match Limited::new(body, BODY_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => bail!("the answer broke off: {error}"),
    };
    driver.abort();
    Ok(Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    })
}
