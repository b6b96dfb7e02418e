//! Opens one connection: TCP, from a given address when there is one, TLS when asked for, HTTP/1.1 handshake.
//!
//! Promises: the task behind a connection ends with it. Does not: pool.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{CallError, Sender};

/// Scheme, host and port of a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    tls: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of an absolute `url`.
    ///
    /// # Errors
    /// [`CallError::Url`] when it is not an absolute http or https URL.
    pub fn of(url: &str) -> Result<Self, CallError> {
        let parsed: Uri = url
            .parse()
            .map_err(|error| CallError::Url(format!("{url}: {error}")))?;
        let tls = match parsed.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(CallError::Url(format!("{url}: neither http nor https"))),
        };
        let host = parsed
            .host()
            .ok_or_else(|| CallError::Url(format!("{url}: no host")))?;
        let port = parsed.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
        })
    }

    /// `host` or `host:port`, as the `Host` header wants it.
    pub fn authority(&self) -> String {
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            _ => format!("{}:{}", self.host, self.port),
        }
    }

    /// The port, also when the URL does not name it.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host without the brackets of an IPv6 literal.
    fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

/// An open connection, before anything is said on it.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects, and makes it TLS when the origin wants that.
pub(super) async fn connect(
    origin: &Origin,
    tls: &Arc<ClientConfig>,
    from: Option<IpAddr>,
) -> Result<Stream, CallError> {
    let stream = match from {
        None => TcpStream::connect((origin.bare_host(), origin.port)).await,
        Some(from) => connect_from(origin, from).await,
    };
    let stream = stream.map_err(|error| CallError::Connect(error.to_string()))?;
    // Small requests must not wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    if !origin.tls {
        return Ok(Stream::Plain(stream));
    }
    let name = ServerName::try_from(origin.bare_host().to_owned())
        .map_err(|error| CallError::Url(error.to_string()))?;
    TlsConnector::from(Arc::clone(tls))
        .connect(name, stream)
        .await
        .map(|stream| Stream::Tls(Box::new(stream)))
        .map_err(|error| CallError::Connect(format!("TLS: {error}")))
}

pub(super) async fn open(
    origin: &Origin,
    tls: &Arc<ClientConfig>,
    from: Option<IpAddr>,
) -> Result<Sender, CallError> {
    match connect(origin, tls, from).await? {
        Stream::Plain(stream) => handshake(stream).await,
        Stream::Tls(stream) => handshake(*stream).await,
    }
}

/// The addresses of the origin, those of the family of `from` only.
async fn connect_from(origin: &Origin, from: IpAddr) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::new(
        std::io::ErrorKind::AddrNotAvailable,
        format!("the server has no address that can be reached from {from}"),
    );
    let addresses = tokio::net::lookup_host((origin.bare_host(), origin.port)).await?;
    for to in addresses.filter(|to| to.is_ipv4() == from.is_ipv4()) {
        let socket = if to.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.bind(SocketAddr::new(from, 0))?;
        match socket.connect(to).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn handshake<S>(stream: S) -> Result<Sender, CallError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(|error| CallError::Connect(error.to_string()))?;
    // An error of the connection reaches whoever waits for the answer on it.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_keeps_what_makes_two_servers_different() {
        let authority = |url: &str| Origin::of(url).map(|origin| origin.authority());
        assert_eq!(authority("https://h/cas").unwrap(), "h");
        assert_eq!(authority("http://h:443/").unwrap(), "h:443");
        assert_eq!(authority("https://[::1]:8443/x?y").unwrap(), "[::1]:8443");
        assert_eq!(
            Origin::of("https://[::1]:8443/").unwrap().bare_host(),
            "::1"
        );
        assert!(authority("ftp://h/").is_err());
        assert!(authority("/only/a/path").is_err());
    }
}
