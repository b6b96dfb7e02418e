//! Service definitions: the tolerant JSON, what is read from it, and what it then decides.

use castor_node::services::access::Asking;
use castor_node::services::definition::{RegisteredService, Report};
use castor_node::services::json::{self, Value};
use castor_node::services::participation::SessionFacts;
use castor_node::services::registry::Snapshot;
use castor_node::services::release::RESERVED_NAMES;
use castor_proto::ticket::Principal;

/// A pattern may compile to 2 MiB, twice while it is compiled, and a definition has several.
const PATTERNS: usize = 64 << 20;

/// The text of a definition.
pub fn service_json(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let most = 512 * bytes.len() + 16_384;
    let lines = text.matches('\n').count() + 1;
    match super::within(most, || json::parse(text)) {
        Ok(node) => walk(&node.value, node.line, lines, 0),
        Err(error) => assert!((1..=lines).contains(&(error.line as usize)), "{error}"),
    }
    let mut report = Report::default();
    let service = super::within(most + PATTERNS, || {
        RegisteredService::read(text, &mut report)
    });
    assert_eq!(service.is_some(), report.errors.is_empty(), "{report:?}");
    if let Some(service) = service {
        decide(&service, text);
        let snapshot = super::within(PATTERNS, || Snapshot::new(vec![service]));
        for url in ["https://app.example.edu/x", text] {
            let covered = snapshot.iter().any(|s| s.covers(url) == Ok(true));
            assert_eq!(snapshot.search(url).found.is_some(), covered);
        }
    }
}

/// Whatever it says, nothing panics, and no element of the protocol is named by an attribute.
fn decide(service: &RegisteredService, text: &str) {
    let headers = http::HeaderMap::new();
    let asking = Asking {
        now: 1_800_000_000_000,
        address: Some([10, 0, 0, 1].into()),
        headers: &headers,
    };
    let values = vec!["jane@example.edu".to_owned(), text.to_owned()];
    let principal = Principal {
        id: "jane".to_owned(),
        attributes: vec![("mail".to_owned(), values)],
    };
    let _ = service.access(&principal, &asking);
    let _ = service.proxy.allows("https://app.example.edu/pgt");
    let _ = service.participation.accepts(&SessionFacts {
        principal: &principal,
        authenticated_at: 0,
        last_used: 0,
        now: asking.now,
    });
    let released = service.release(&principal, "https://app.example.edu/x");
    for (name, values) in released.into_iter().flat_map(|r| r.attributes) {
        assert!(!RESERVED_NAMES.contains(&name.as_str()) && !values.is_empty());
    }
}

/// Lines rise, and nothing is nested deeper than the reader says.
fn walk(value: &Value, line: u32, lines: usize, depth: usize) {
    assert!(
        depth <= 33 && line as usize <= lines,
        "line {line}, depth {depth}"
    );
    match value {
        Value::Array(items) => {
            for item in items {
                assert!(item.line >= line);
                walk(&item.value, item.line, lines, depth + 1);
            }
        }
        Value::Object(members) => {
            for member in members {
                assert!(member.line >= line && member.node.line >= member.line);
                walk(&member.node.value, member.node.line, lines, depth + 1);
            }
        }
        Value::Number(number) => assert!(number.parse::<f64>().is_ok_and(f64::is_finite)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
