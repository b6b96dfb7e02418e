//! Who is behind the proxy: client address, scheme, host and request id.
//!
//! Forwarded headers are believed only when the TCP peer is a trusted proxy; a Unix socket always
//! is. In `X-Forwarded-For` the rightmost address that is not itself a trusted proxy counts:
//! everything left of it may have been made up by the client.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, header};

use crate::config::Cidr;

/// Most addresses of `X-Forwarded-For` looked at.
const HOPS_MAX: usize = 32;
/// Longest request id that is believed, in bytes.
const REQUEST_ID_MAX: usize = 128;

/// The connection a request came over.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    /// The TCP peer; `None` for a Unix socket.
    pub peer: Option<IpAddr>,
    /// Whether the connection itself is encrypted.
    pub tls: bool,
}

/// What is known about the client of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its address; `None` behind a Unix socket whose proxy does not tell.
    pub address: Option<IpAddr>,
    /// Whether it reached the outermost proxy over TLS, as far as is known.
    pub https: bool,
    /// The request id of a trusted proxy.
    pub request_id: Option<String>,
}

impl Client {
    /// The address for records; `-` when unknown.
    pub fn address_text(&self) -> String {
        self.address
            .map_or_else(|| "-".to_owned(), |a| a.to_string())
    }
}

/// Finds out who the client is.
pub fn client(
    connection: Connection,
    headers: &HeaderMap,
    trusted: &[Cidr],
    request_id_header: Option<&HeaderName>,
) -> Client {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|range| range.contains(ip));
    if !connection.peer.is_none_or(is_trusted) {
        return Client {
            address: connection.peer,
            https: connection.tls,
            request_id: None,
        };
    }
    let forwarded_proto = last(headers, "x-forwarded-proto");
    let request_id = request_id_header
        .and_then(|name| single(headers, name))
        .filter(|id| is_request_id(id))
        .map(str::to_owned);
    Client {
        address: forwarded_for(headers, is_trusted).or(connection.peer),
        https: match forwarded_proto {
            Some(proto) => proto.eq_ignore_ascii_case("https"),
            None => connection.tls,
        },
        request_id,
    }
}

fn forwarded_for(headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let lines: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .map(|line| line.to_str().unwrap_or("?"))
        .collect();
    let hops = lines.iter().rev().flat_map(|line| line.rsplit(','));
    let mut nearest = None;
    for hop in hops.take(HOPS_MAX) {
        // What cannot be read was not written by a proxy we know: stop at the last good one.
        let Some(address) = parse_hop(hop.trim()) else {
            return nearest;
        };
        nearest = Some(address);
        if !is_trusted(address) {
            return nearest;
        }
    }
    nearest
}

/// An address, also with a port or in brackets, as some proxies write it.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let address = text
        .parse()
        .ok()
        .or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|a| a.ip()))
        .or_else(|| {
            let inner = text.strip_prefix('[')?.strip_suffix(']')?;
            inner.parse().ok()
        })?;
    let address: IpAddr = address;
    Some(address.to_canonical())
}

/// The last value of a header that may be a list: the one the nearest proxy wrote.
fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let line = headers.get_all(name).iter().next_back()?;
    line.to_str().ok()?.rsplit(',').next().map(str::trim)
}

/// The value of a header that is there exactly once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?.to_str().ok()?;
    lines.next().is_none().then_some(first)
}

fn is_request_id(text: &str) -> bool {
    (8..=REQUEST_ID_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The host the client asked for, lower case, with its port if it has one.
pub fn host(headers: &HeaderMap) -> Option<String> {
    let host = single(headers, &header::HOST)?;
    Some(host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
