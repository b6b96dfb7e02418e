//! Which addresses may be called, and finding the addresses of a name.
//!
//! A name is judged by its addresses, and the connection goes to an address that was judged: a name
//! that means another address a moment later changes nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{CallError, Reach, Target};
use crate::config::Cidr;

/// Addresses of one name that are tried.
pub(super) const ADDRESSES_MAX: usize = 4;

/// Names looked up at one time. The system's resolver blocks a thread for as long as it likes, also
/// when nobody waits any more.
const LOOK_UPS_MAX: usize = 16;

/// What kind of network an address is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    /// Anybody's.
    Public,
    /// Private, shared, loopback or link-local.
    Private,
    /// Nothing that a connection can go to.
    Nowhere,
}

/// Finds addresses.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    look_ups: Arc<Semaphore>,
}

impl Resolver {
    pub(super) fn new() -> Self {
        Self {
            look_ups: Arc::new(Semaphore::new(LOOK_UPS_MAX)),
        }
    }

    /// Addresses of a host, found within `limit`.
    pub(super) async fn resolve(
        &self,
        host: &str,
        port: u16,
        limit: Duration,
    ) -> Result<Vec<SocketAddr>, CallError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let unknown = || CallError::Name(host.to_owned());
        let look_up = async {
            let turn = Arc::clone(&self.look_ups).acquire_owned().await;
            let turn = turn.map_err(|_| CallError::Busy)?;
            let name = host.to_owned();
            let found = tokio::task::spawn_blocking(move || {
                // Kept by the thread and not by the caller, who may have given up long ago.
                let _turn = turn;
                (name.as_str(), port)
                    .to_socket_addrs()
                    .map(|found| found.take(64).collect::<Vec<_>>())
            });
            match found.await {
                Ok(Ok(found)) if !found.is_empty() => Ok(found),
                _ => Err(unknown()),
            }
        };
        let found = tokio::time::timeout(limit, look_up).await;
        found.unwrap_or_else(|_| Err(unknown()))
    }
}

/// The addresses that may be called, at most [`ADDRESSES_MAX`].
pub(super) fn allowed(
    target: &Target,
    found: Vec<SocketAddr>,
    reach: Reach,
    private: &[Cidr],
) -> Result<Vec<SocketAddr>, CallError> {
    let may = |address: &SocketAddr| may_call(address.ip(), reach, private);
    let allowed: Vec<_> = found.into_iter().filter(may).take(ADDRESSES_MAX).collect();
    if allowed.is_empty() {
        return Err(CallError::Private(target.host.clone()));
    }
    Ok(allowed)
}

/// Whether an address may be called.
pub(super) fn may_call(ip: IpAddr, reach: Reach, private: &[Cidr]) -> bool {
    match network_of(ip) {
        Network::Public => true,
        Network::Private => {
            reach == Reach::Named || private.iter().any(|net| net.contains(canonical(ip)))
        }
        Network::Nowhere => false,
    }
}

/// What a host is when nobody here looks it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    /// An address, however it is written.
    Address(IpAddr),
    /// Something that ends in a number and is no address; nobody can say what others make of it.
    Odd,
    /// A name.
    Name,
}

/// Reads a host as browsers and the system's resolver do (the IPv4 parser of the WHATWG's URL
/// standard): `127.1`, `0x7f.1` and `2130706433` are addresses, too.
pub(super) fn read_host(host: &str) -> Host {
    if let Ok(ip) = host.parse() {
        return Host::Address(ip);
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number =
        !last.is_empty() && (last.bytes().all(|b| b.is_ascii_digit()) || number(last).is_some());
    if !is_number {
        return Host::Name;
    }
    let numbers: Option<Vec<u64>> = host.split('.').map(number).collect();
    let address = numbers.and_then(|numbers| {
        let (last, first) = numbers.split_last()?;
        let shift = 8 * first.len().min(4);
        let fits = first.len() < 4
            && first.iter().all(|part| *part < 256)
            && *last < (1 << (32 - shift.min(32)));
        let high = first
            .iter()
            .enumerate()
            .map(|(at, part)| part << (24 - 8 * at.min(3)))
            .sum::<u64>();
        fits.then(|| u32::try_from(high + last).ok()).flatten()
    });
    address.map_or(Host::Odd, |bits| {
        Host::Address(IpAddr::V4(Ipv4Addr::from_bits(bits)))
    })
}

/// A number as it may stand in an address: decimal, `0x` hexadecimal, or octal after a `0`.
fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some("") => return Some(0),
        Some(digits) => (digits, 16),
        None => match text.strip_prefix('0') {
            Some(digits) if !digits.is_empty() => (digits, 8),
            _ => (text, 10),
        },
    };
    let valid = digits.bytes().all(|b| b.is_ascii_hexdigit());
    let value = u64::from_str_radix(digits, radix).ok().filter(|_| valid)?;
    // Larger ones fit nowhere, and sums of these stay small.
    (value <= u64::from(u32::MAX)).then_some(value)
}

/// Whether a name, not looked up by us, certainly means this machine.
pub(super) fn is_local_name(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

pub(super) fn network_of(ip: IpAddr) -> Network {
    match canonical(ip) {
        IpAddr::V4(ip) => network_of_v4(ip),
        IpAddr::V6(ip) => network_of_v6(ip),
    }
}

fn network_of_v4(ip: Ipv4Addr) -> Network {
    let [a, b, c, _] = ip.octets();
    match (a, b, c) {
        (0 | 224..=255, _, _) => Network::Nowhere,
        (10 | 127, _, _)
        | (172, 16..=31, _)
        | (192, 168, _)
        | (169, 254, _)
        | (100, 64..=127, _)
        | (198, 18..=19, _)
        | (192, 0, 0 | 2)
        | (198, 51, 100)
        | (203, 0, 113) => Network::Private,
        _ => Network::Public,
    }
}

fn network_of_v6(ip: Ipv6Addr) -> Network {
    let words = ip.segments();
    let [a, b, c, ..] = words;
    let [.., y, z] = words;
    let embedded = |high: u16, low: u16| {
        let [one, two] = high.to_be_bytes();
        let [three, four] = low.to_be_bytes();
        network_of_v4(Ipv4Addr::new(one, two, three, four))
    };
    match (a, b) {
        _ if ip.is_unspecified() => Network::Nowhere,
        _ if ip.is_loopback() => Network::Private,
        (0xff00..=0xffff, _) => Network::Nowhere,
        // Unique local, link-local, the old site-local.
        (0xfc00..=0xfdff | 0xfe80..=0xfeff, _) => Network::Private,
        // Translated and tunnelled IPv4: what counts is where it comes out.
        (0x64, 0xff9b) if c == 0 => embedded(y, z),
        (0x2002, high) => embedded(high, c),
        (0x2001, 0..=0x1ff | 0xdb8) | (0x64, 0xff9b) | (0, _) | (0x3fff, _) => Network::Private,
        (0x2000..=0x3fff, _) => Network::Public,
        _ => Network::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        use Network::{Nowhere, Private, Public};
        for (text, network) in [
            ("8.8.8.8", Public),
            ("172.15.0.1", Public),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("172.32.0.1", Public),
            ("10.1.2.3", Private),
            ("127.9.9.9", Private),
            ("192.168.0.1", Private),
            ("169.254.169.254", Private),
            ("100.64.0.1", Private),
            ("100.128.0.1", Public),
            ("192.0.2.1", Private),
            ("192.0.1.1", Public),
            ("0.0.0.0", Nowhere),
            ("0.1.2.3", Nowhere),
            ("224.0.0.1", Nowhere),
            ("255.255.255.255", Nowhere),
            ("2a00:1450::1", Public),
            ("::1", Private),
            ("::", Nowhere),
            ("fe80::1", Private),
            ("fd00::1", Private),
            ("ff02::1", Nowhere),
            ("::ffff:127.0.0.1", Private),
            ("::ffff:8.8.8.8", Public),
            ("::127.0.0.1", Private),
            ("64:ff9b::a00:1", Private),
            ("64:ff9b::808:808", Public),
            ("64:ff9b:1::1", Private),
            ("2002:7f00:1::", Private),
            ("2002:808:808::", Public),
            ("2001::1", Private),
            ("2001:db8::1", Private),
            ("4000::1", Nowhere),
        ] {
            assert_eq!(network_of(text.parse().unwrap()), network, "{text}");
        }
    }

    #[test]
    fn private_addresses_are_called_only_where_that_is_allowed() {
        let inside: IpAddr = "10.1.2.3".parse().unwrap();
        let mapped: IpAddr = "::ffff:10.1.2.3".parse().unwrap();
        let nowhere: IpAddr = "0.0.0.0".parse().unwrap();
        let campus = [read_cidr("10.0.0.0/8")];
        assert!(!may_call(inside, Reach::Public, &[]));
        assert!(may_call(inside, Reach::Named, &[]));
        assert!(may_call(inside, Reach::Public, &campus));
        assert!(may_call(mapped, Reach::Public, &campus));
        assert!(!may_call(
            "127.0.0.1".parse().unwrap(),
            Reach::Public,
            &campus
        ));
        assert!(!may_call(nowhere, Reach::Named, &[read_cidr("0.0.0.0/0")]));
    }

    fn read_cidr(text: &str) -> Cidr {
        use crate::config::value::Value as _;
        let text = toml::Value::String(text.to_owned());
        Cidr::from_toml(&text, std::path::Path::new("")).unwrap()
    }

    #[test]
    fn names_that_mix_networks_are_called_where_they_may() {
        let target = Target::parse("https://a.example/").unwrap();
        let found = || {
            vec![
                "10.0.0.1:443".parse().unwrap(),
                "8.8.8.8:443".parse().unwrap(),
            ]
        };
        let public = allowed(&target, found(), Reach::Public, &[]).unwrap();
        assert_eq!(public, ["8.8.8.8:443".parse().unwrap()]);
        let all = allowed(&target, found(), Reach::Named, &[]).unwrap();
        assert_eq!(all.len(), 2);
        let inside = vec!["10.0.0.1:443".parse().unwrap()];
        let refused = allowed(&target, inside, Reach::Public, &[]);
        assert_eq!(refused, Err(CallError::Private("a.example".into())));
    }

    #[test]
    fn an_address_is_one_however_it_is_written() {
        for (text, address) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("0x7f000001", "127.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
            ("0177.0.1", "127.0.0.1"),
            ("10.0.258", "10.0.1.2"),
            ("0", "0.0.0.0"),
            ("0x", "0.0.0.0"),
            ("::1", "::1"),
        ] {
            let address = Host::Address(address.parse().unwrap());
            assert_eq!(read_host(text), address, "{text}");
        }
        for odd in [
            "1.2.3.4.5",
            "256.1",
            "1.2.3.256",
            "a.1",
            "4294967296",
            "99999999999999999999",
            "09.1",
            "1..1",
            "127.0.0.08",
        ] {
            assert_eq!(read_host(odd), Host::Odd, "{odd}");
        }
        for name in ["a.example", "1.example", "0xg", "x1", "1e3", "a"] {
            assert_eq!(read_host(name), Host::Name, "{name}");
        }
    }

    #[tokio::test]
    async fn other_spellings_of_an_address_end_as_the_address() {
        let resolver = Resolver::new();
        let limit = Duration::from_secs(5);
        // Either the system reads it as an address, which is then judged, or it has none.
        for odd in ["127.1", "0x7f000001", "2130706433"] {
            if let Ok(found) = resolver.resolve(odd, 443, limit).await {
                let target = Target::parse(&format!("https://{odd}/")).unwrap();
                assert!(
                    allowed(&target, found, Reach::Public, &[]).is_err(),
                    "{odd}"
                );
            }
        }
        let local = resolver.resolve("localhost", 443, limit).await.unwrap();
        assert!(local.iter().all(|at| at.ip().is_loopback()));
    }
}
