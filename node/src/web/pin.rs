//! What a session's cookie is bound to, when it is: the address and the browser it was given to.
//!
//! A digest of them is sealed into the cookie beside the session's id. It keeps a stolen cookie from
//! being good elsewhere; it costs those people a sign-in whose address or browser changes.

use std::net::IpAddr;

use http::{HeaderMap, header};

/// Bytes of a pin before it is written as hexadecimal digits.
const PIN_BYTES: usize = 16;

/// What cookies are bound to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pins {
    /// To the address of the client behind the proxies.
    pub address: bool,
    /// To its `User-Agent`.
    pub user_agent: bool,
}

impl Pins {
    /// The pin of a request; none when cookies are bound to nothing.
    pub fn of(self, address: Option<IpAddr>, headers: &HeaderMap) -> Option<String> {
        if self == Self::default() {
            return None;
        }
        let mut hasher = blake3::Hasher::new();
        if self.address {
            hasher.update(b"address\0");
            hasher.update(&network(address));
        }
        if self.user_agent {
            hasher.update(b"user agent\0");
            let agent = headers.get(header::USER_AGENT);
            hasher.update(agent.map_or(&b""[..], |agent| agent.as_bytes()));
        }
        let digest = hasher.finalize();
        let bytes = digest.as_bytes().iter().take(PIN_BYTES);
        Some(bytes.map(|byte| format!("{byte:02x}")).collect())
    }
}

/// What stays of an address while a client keeps its place: of IPv6 the first 64 bits, as hosts choose
/// the others anew several times a day.
fn network(address: Option<IpAddr>) -> Vec<u8> {
    match address.map(|address| address.to_canonical()) {
        None => Vec::new(),
        Some(IpAddr::V4(address)) => address.octets().to_vec(),
        Some(IpAddr::V6(address)) => {
            let octets = address.octets();
            octets.iter().take(8).copied().collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(pins: Pins, address: &str, agent: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, agent.parse().unwrap());
        pins.of(address.parse().ok(), &headers)
    }

    #[test]
    fn a_pin_is_of_what_is_configured_and_nothing_else() {
        let (address, user_agent) = (true, true);
        let none = Pins::default();
        let both = Pins {
            address,
            user_agent,
        };
        let by_address = Pins { address, ..none };
        let by_agent = Pins { user_agent, ..none };
        assert_eq!(pin(none, "192.0.2.1", "a"), None);
        for (pins, same, other) in [
            (by_address, ("192.0.2.1", "b"), ("192.0.2.2", "a")),
            (by_address, ("::ffff:192.0.2.1", "a"), ("-", "a")),
            (by_agent, ("192.0.2.2", "a"), ("192.0.2.1", "b")),
            (both, ("192.0.2.1", "a"), ("192.0.2.1", "b")),
            (both, ("192.0.2.1", "a"), ("192.0.2.2", "a")),
        ] {
            let first = pin(pins, "192.0.2.1", "a");
            assert_eq!(pin(pins, same.0, same.1), first, "{pins:?} {same:?}");
            assert_ne!(pin(pins, other.0, other.1), first, "{pins:?} {other:?}");
        }
        assert_ne!(
            pin(by_address, "192.0.2.1", "a"),
            pin(both, "192.0.2.1", "a"),
            "a cookie of another configuration is not good"
        );
    }

    #[test]
    fn of_ipv6_the_network_counts() {
        let pins = Pins {
            address: true,
            user_agent: false,
        };
        let of = |address| pin(pins, address, "a");
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:aaaa::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }
}
