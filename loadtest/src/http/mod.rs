//! A small HTTP/1.1 client with a pool of connections, TLS and bounds in time and size.
//!
//! Promises: no redirect is followed, nothing is re-sent that may have reached the server, an
//! answer larger than [`BODY_BYTES_MAX`] or later than the time-out is an error.
//! Does not: keep cookies ([`cookies`]) or know what CAS is.

mod connection;
pub mod cookies;
pub mod lean;
mod tls;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use rustls::ClientConfig;

pub use connection::Origin;

/// Largest answer that is read, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Idle connections kept to one origin.
const IDLE_MAX: usize = 512;

type Sender = SendRequest<Full<Bytes>>;

/// Why there is no answer.
#[derive(Debug)]
pub enum CallError {
    /// The URL cannot be used.
    Url(String),
    /// No connection: refused, unreachable, or TLS failed.
    Connect(String),
    /// The connection broke before the whole answer was read.
    Broken(String),
    /// The answer was not complete in time.
    Timeout,
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url(what) => write!(f, "unusable URL: {what}"),
            Self::Connect(what) => write!(f, "no connection: {what}"),
            Self::Broken(what) => write!(f, "connection broke: {what}"),
            Self::Timeout => f.write_str("no answer in time"),
        }
    }
}

impl std::error::Error for CallError {}

/// One request to send.
#[derive(Debug, Clone)]
pub struct Call {
    /// Method.
    pub method: Method,
    /// Absolute URL.
    pub url: String,
    /// Headers besides `Host`.
    pub headers: HeaderMap,
    /// Body; empty for none.
    pub body: Bytes,
}

impl Call {
    /// A GET of `url`.
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            url: url.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// A POST of form fields to `url`.
    pub fn post_form(url: impl Into<String>, fields: &[(String, String)]) -> Self {
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        let mut call = Self::get(url);
        call.method = Method::POST;
        call.body = Bytes::from(body.join("&"));
        call.headers.insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        call
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Whole body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text, with replacement characters where it is not UTF-8.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The `Location` header as text.
    pub fn location(&self) -> Option<&str> {
        self.headers
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok())
    }
}

/// A client with a pool of connections; clones share the pool.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    tls: Arc<ClientConfig>,
    timeout: Duration,
    /// Address that connections come from; the system's choice when absent.
    from: Option<IpAddr>,
    idle: Mutex<BTreeMap<Origin, Vec<Sender>>>,
}

/// A connection taken out of the pool, ready to send at once.
pub struct Lease {
    sender: Sender,
    reused: bool,
}

impl Client {
    /// A client that trusts `ca_file` and gives each call `timeout`.
    ///
    /// # Errors
    /// When the authorities cannot be read.
    pub fn new(ca_file: Option<&Path>, timeout: Duration) -> anyhow::Result<Self> {
        Ok(Self {
            inner: Arc::new(Inner {
                tls: tls::client_config(ca_file)?,
                timeout,
                from: None,
                idle: Mutex::new(BTreeMap::new()),
            }),
        })
    }

    /// Another client with the same settings and no connection yet, whose connections come from `from`.
    pub fn another(&self, from: Option<IpAddr>) -> Self {
        Self {
            inner: Arc::new(Inner {
                tls: Arc::clone(&self.inner.tls),
                timeout: self.inner.timeout,
                from,
                idle: Mutex::new(BTreeMap::new()),
            }),
        }
    }

    /// The same, whose handshakes and those of clients made of it are all whole ones: what two browsers
    /// would not share, its copies must not.
    pub fn without_resumption(&self) -> Self {
        let mut tls = ClientConfig::clone(&self.inner.tls);
        tls.resumption = rustls::client::Resumption::disabled();
        Self {
            inner: Arc::new(Inner {
                tls: Arc::new(tls),
                timeout: self.inner.timeout,
                from: self.inner.from,
                idle: Mutex::new(BTreeMap::new()),
            }),
        }
    }

    /// A connection of its own for `url`, without pool and without hyper: [`lean`].
    ///
    /// # Errors
    /// [`CallError::Url`].
    pub fn lean(&self, url: &str) -> Result<lean::Lean, CallError> {
        Ok(lean::Lean::new(
            Origin::of(url)?,
            Arc::clone(&self.inner.tls),
            self.inner.timeout,
        ))
    }

    /// Time a request may take.
    pub fn timeout(&self) -> Duration {
        self.inner.timeout
    }

    /// Sends `call` and reads the whole answer.
    ///
    /// # Errors
    /// [`CallError`]; after `Broken` and `Timeout` the server may have done the work.
    pub async fn call(&self, call: Call) -> Result<Answer, CallError> {
        let work = async {
            let lease = self.lease_inner(&call.url).await?;
            self.send_inner(lease, call).await
        };
        tokio::time::timeout(self.inner.timeout, work)
            .await
            .unwrap_or(Err(CallError::Timeout))
    }

    /// Opens or takes a connection for `url`, so that a later [`Client::send`] costs no handshake.
    ///
    /// # Errors
    /// [`CallError`] when there is no connection in time.
    pub async fn lease(&self, url: &str) -> Result<Lease, CallError> {
        tokio::time::timeout(self.inner.timeout, self.lease_inner(url))
            .await
            .unwrap_or(Err(CallError::Timeout))
    }

    /// Sends `call` on a connection leased before.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn send(&self, lease: Lease, call: Call) -> Result<Answer, CallError> {
        tokio::time::timeout(self.inner.timeout, self.send_inner(lease, call))
            .await
            .unwrap_or(Err(CallError::Timeout))
    }

    async fn lease_inner(&self, url: &str) -> Result<Lease, CallError> {
        let origin = Origin::of(url)?;
        while let Some(sender) = self.take_idle(&origin) {
            if sender.is_ready() {
                return Ok(Lease {
                    sender,
                    reused: true,
                });
            }
        }
        let sender = connection::open(&origin, &self.inner.tls, self.inner.from).await?;
        Ok(Lease {
            sender,
            reused: false,
        })
    }

    async fn send_inner(&self, lease: Lease, call: Call) -> Result<Answer, CallError> {
        let origin = Origin::of(&call.url)?;
        let mut request = build(&origin, call)?;
        let Lease {
            mut sender,
            mut reused,
        } = lease;
        let response = loop {
            match sender.try_send_request(request).await {
                Ok(response) => break response,
                Err(mut error) => {
                    // A kept connection that the server had closed: the request comes back
                    // unsent, so sending it on a new connection cannot do the work twice.
                    let (true, Some(unsent)) = (reused, error.take_message()) else {
                        return Err(CallError::Broken(error.into_error().to_string()));
                    };
                    request = unsent;
                    sender = connection::open(&origin, &self.inner.tls, self.inner.from).await?;
                    reused = false;
                }
            }
        };
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| CallError::Broken(error.to_string()))?
            .to_bytes();
        if sender.ready().await.is_ok() {
            self.put_idle(origin, sender);
        }
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }

    fn take_idle(&self, origin: &Origin) -> Option<Sender> {
        self.inner
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(origin)
            .and_then(Vec::pop)
    }

    fn put_idle(&self, origin: Origin, sender: Sender) {
        let mut idle = self
            .inner
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let senders = idle.entry(origin).or_default();
        if senders.len() < IDLE_MAX {
            senders.push(sender);
        }
    }
}

fn build(origin: &Origin, call: Call) -> Result<Request<Full<Bytes>>, CallError> {
    let url: Uri = call
        .url
        .parse()
        .map_err(|error| CallError::Url(format!("{}: {error}", call.url)))?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder()
        .method(call.method)
        .uri(path)
        .header(header::HOST, origin.authority())
        .header(
            header::USER_AGENT,
            concat!("castor-loadtest/", env!("CARGO_PKG_VERSION")),
        )
        .body(Full::new(call.body))
        .map_err(|error| CallError::Url(error.to_string()))?;
    request.headers_mut().extend(call.headers);
    Ok(request)
}

/// Percent-encodes everything but RFC 3986 unreserved characters.
pub fn encode(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const SET: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(text, SET).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_fields_are_encoded() {
        let call = Call::post_form("http://h/", &[("a b".into(), "x&y=ü".into())]);
        assert_eq!(call.body, "a%20b=x%26y%3D%C3%BC");
    }
}
