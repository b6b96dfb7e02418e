//! Whom forwarded headers make the client.

use super::*;
use crate::config::value::Value as _;
use proptest::prelude::*;

fn range(text: &str) -> Cidr {
    let value = toml::Value::String(text.to_owned());
    Cidr::from_toml(&value, std::path::Path::new("/")).unwrap()
}

fn ask(peer: Option<&str>, pairs: &[(&'static str, &str)]) -> Client {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    let connection = Connection {
        peer: peer.map(|p| p.parse().unwrap()),
        tls: false,
    };
    let name = HeaderName::from_static("castor-request-id");
    client(
        connection,
        &headers,
        &[range("10.0.0.0/8"), range("::1/128")],
        Some(&name),
    )
}

fn address(peer: Option<&str>, pairs: &[(&'static str, &str)]) -> String {
    ask(peer, pairs).address_text()
}

#[test]
fn nothing_is_believed_from_strangers() {
    let client = ask(
        Some("192.0.2.9"),
        &[
            ("x-forwarded-for", "203.0.113.5"),
            ("x-forwarded-proto", "https"),
            ("castor-request-id", "0123456789abcdef"),
        ],
    );
    assert_eq!(client.address_text(), "192.0.2.9");
    assert!(!client.https);
    assert_eq!(client.request_id, None);
}

#[test]
fn the_rightmost_untrusted_address_counts() {
    let xff = "x-forwarded-for";
    for (peer, lines, expected) in [
        (Some("10.0.0.1"), vec![(xff, "203.0.113.5")], "203.0.113.5"),
        (
            Some("10.0.0.1"),
            vec![(xff, "6.6.6.6, 203.0.113.5, 10.0.0.2")],
            "203.0.113.5",
        ),
        (
            Some("10.0.0.1"),
            vec![(xff, "6.6.6.6"), (xff, "203.0.113.5")],
            "203.0.113.5",
        ),
        (
            Some("10.0.0.1"),
            vec![(xff, "10.0.0.3, 10.0.0.2")],
            "10.0.0.3",
        ),
        (
            Some("10.0.0.1"),
            vec![(xff, "made up, 10.0.0.2")],
            "10.0.0.2",
        ),
        (Some("10.0.0.1"), vec![(xff, "unknown")], "10.0.0.1"),
        (Some("10.0.0.1"), vec![], "10.0.0.1"),
        (
            Some("10.0.0.1"),
            vec![(xff, "203.0.113.5:4711")],
            "203.0.113.5",
        ),
        (
            Some("10.0.0.1"),
            vec![(xff, "[2001:db8::1]:80")],
            "2001:db8::1",
        ),
        (
            Some("10.0.0.1"),
            vec![(xff, "[2001:db8::1]")],
            "2001:db8::1",
        ),
        (
            Some("10.0.0.1"),
            vec![(xff, "::ffff:203.0.113.5")],
            "203.0.113.5",
        ),
        (Some("::1"), vec![(xff, "203.0.113.5")], "203.0.113.5"),
        (None, vec![(xff, "203.0.113.5")], "203.0.113.5"),
        (None, vec![], "-"),
    ] {
        assert_eq!(address(peer, &lines), expected, "{peer:?} {lines:?}");
    }
}

#[test]
fn scheme_and_request_id_of_a_trusted_proxy() {
    let id = ("castor-request-id", "0123456789abcdef");
    let client = ask(None, &[("x-forwarded-proto", "http, https"), id]);
    assert!(client.https);
    assert_eq!(client.request_id.as_deref(), Some("0123456789abcdef"));
    for bad in ["short", "with blank inside", &"x".repeat(129)] {
        assert_eq!(ask(None, &[("castor-request-id", bad)]).request_id, None);
    }
    assert_eq!(ask(None, &[id, id]).request_id, None, "given twice");
}

proptest! {
    #[test]
    fn never_panics_and_never_believes_a_stranger(text in "[ -~]{0,200}") {
        let pairs = [("x-forwarded-for", text.as_str())];
        prop_assert_eq!(address(Some("192.0.2.9"), &pairs), "192.0.2.9");
        let _ = address(Some("10.0.0.1"), &pairs);
    }
}
