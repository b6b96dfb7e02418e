//! What a proxy says of the client: forwarded addresses, scheme, request id; and where a form is from.

use std::net::IpAddr;
use std::path::Path;

use castor_node::config::Cidr;
use castor_node::config::value::Value as _;
use castor_node::web::client_ip::{self, Connection};
use castor_node::web::origin;
use http::{HeaderMap, HeaderName, HeaderValue};

const NAMES: [&str; 7] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "castor-request-id",
    "host",
    "origin",
    "referer",
    "sec-fetch-site",
];

/// Header lines; the first byte of each chooses the header.
pub fn client(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(64) {
        let Some((which, value)) = line.split_first() else {
            continue;
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            let name = NAMES[usize::from(*which) % NAMES.len()];
            headers.append(HeaderName::from_static(name), value);
        }
    }
    let range = toml::Value::String("10.0.0.0/8".to_owned());
    let trusted = [Cidr::from_toml(&range, Path::new("/")).expect("a range")];
    let id_header = HeaderName::from_static("castor-request-id");
    let most = 8 * bytes.len() + 16_384;
    let proxy: IpAddr = "10.0.0.1".parse().expect("an address");
    let stranger: IpAddr = "192.0.2.1".parse().expect("an address");
    for peer in [None, Some(proxy), Some(stranger)] {
        let connection = Connection { peer, tls: false };
        let client = super::within(most, || {
            client_ip::client(connection, &headers, &trusted, Some(&id_header))
        });
        if peer == Some(stranger) {
            assert_eq!(
                (client.address, client.https),
                (peer, false),
                "nothing is believed"
            );
            assert_eq!(client.request_id, None);
        }
        let graphic = |id: &String| {
            (8..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
        };
        assert!(client.request_id.as_ref().is_none_or(graphic));
        let mapped = |address: IpAddr| address.to_canonical() != address;
        assert!(
            !client.address.is_some_and(mapped),
            "one address is written one way"
        );
        let _ = client.address_text();
    }
    for https in [false, true] {
        let _ = origin::of_form(&headers, Some("sso.example.edu"), https);
    }
}
