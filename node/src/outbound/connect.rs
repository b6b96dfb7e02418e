//! From a target to a connection: addresses, the proxy, TLS.

use std::net::SocketAddr;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address::{self, Host, Resolver};
use super::trust::Trust;
use super::{CallError, Reach, Target};
use crate::config;

/// Longest answer of a proxy to `CONNECT`.
const PROXY_ANSWER_MAX: usize = 8192;

/// A connection that HTTP can be spoken on.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) struct Connected {
    pub(super) stream: Box<dyn Stream>,
    /// Plain requests through a proxy name the whole URL.
    pub(super) by_proxy: bool,
}

/// Connects to a target, or to the proxy in its stead.
pub(super) async fn connect(
    target: &Target,
    reach: Reach,
    config: &config::Outbound,
    resolver: &Resolver,
    trust: &Trust,
) -> Result<Connected, CallError> {
    let limit = config.connect_timeout.0;
    let direct = config.no_proxy.iter().any(|host| host.covers(&target.host));
    let proxy = config.proxy.as_ref().filter(|_| !direct);
    let addresses = match proxy {
        None => {
            let found = resolver.resolve(&target.host, target.port, limit).await?;
            address::allowed(target, found, reach, &config.private_networks)?
        }
        Some(proxy) => {
            check_unresolved(target, reach, config)?;
            let place = &proxy.0;
            resolver.resolve(&place.host, place.port, limit).await?
        }
    };
    let opened = tokio::time::timeout(limit, async {
        let mut stream = open(target, &addresses, limit).await?;
        if proxy.is_some() && target.tls {
            tunnel(&mut stream, target).await?;
        }
        secure(target, stream, trust).await
    });
    let stream = opened
        .await
        .unwrap_or_else(|_| Err(CallError::Timeout(target.host.clone())))?;
    Ok(Connected {
        stream,
        by_proxy: proxy.is_some(),
    })
}

/// What can be judged when the proxy finds the address.
fn check_unresolved(
    target: &Target,
    reach: Reach,
    config: &config::Outbound,
) -> Result<(), CallError> {
    let refused = match address::read_host(&target.host) {
        Host::Address(ip) => !address::may_call(ip, reach, &config.private_networks),
        Host::Odd => true,
        Host::Name => reach != Reach::Named && address::is_local_name(&target.host),
    };
    if refused {
        return Err(CallError::Private(target.host.clone()));
    }
    Ok(())
}

/// One address after the other, each with its share of the time.
async fn open(
    target: &Target,
    addresses: &[SocketAddr],
    limit: Duration,
) -> Result<TcpStream, CallError> {
    let addresses = addresses.get(..address::ADDRESSES_MAX).unwrap_or(addresses);
    let share = limit / u32::try_from(addresses.len().max(1)).unwrap_or(1);
    let mut last = "it has no address".to_owned();
    for address in addresses {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // The one write is sent as it is.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = error.kind().to_string(),
            Err(_) => "timed out".clone_into(&mut last),
        }
    }
    Err(CallError::Connect(target.host.clone(), last))
}

/// Asks the proxy for a tunnel.
async fn tunnel(stream: &mut TcpStream, target: &Target) -> Result<(), CallError> {
    let refused = |says: &str| CallError::Proxy(target.host.clone(), says.to_owned());
    let place = target.authority();
    let ask = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n");
    let sent = stream.write_all(ask.as_bytes()).await;
    sent.map_err(|error| refused(&error.kind().to_string()))?;
    let mut answer = Vec::new();
    // Byte by byte: what follows the head belongs to TLS.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= PROXY_ANSWER_MAX {
            return Err(refused("its answer is too long"));
        }
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(error) => return Err(refused(&error.kind().to_string())),
        }
    }
    let text = String::from_utf8_lossy(&answer);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    match status.and_then(|status| status.parse::<u16>().ok()) {
        Some(200..=299) => Ok(()),
        Some(status) => Err(refused(&format!("status {status}"))),
        None => Err(refused("its answer is not HTTP")),
    }
}

async fn secure(
    target: &Target,
    stream: TcpStream,
    trust: &Trust,
) -> Result<Box<dyn Stream>, CallError> {
    if !target.tls {
        return Ok(Box::new(stream));
    }
    let wrong = |says: String| CallError::Tls(target.host.clone(), says);
    let name = ServerName::try_from(target.host.clone())
        .map_err(|_| wrong("its name cannot be on a certificate".to_owned()))?;
    let connector = TlsConnector::from(trust.config.clone());
    let stream = connector.connect(name, stream).await;
    Ok(Box::new(stream.map_err(|error| wrong(told(&error)))?))
}

/// What is wrong, for operators. The library's word for the most frequent mistake with certificates that
/// are made by hand says nothing to them.
fn told(error: &std::io::Error) -> String {
    let says = error.to_string();
    if says.contains("CaUsedAsEndEntity") {
        "its certificate is that of an authority (CA:TRUE), which a server must not have".to_owned()
    } else {
        says
    }
}
