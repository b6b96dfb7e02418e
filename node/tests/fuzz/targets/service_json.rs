//! Service definitions: the tolerant JSON, and what is read from it.

use castor_node::services::definition::{RegisteredService, Report};
use castor_node::services::json::{self, Value};

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
        for url in ["https://app.example.edu/x", text] {
            let _ = service.covers(url);
        }
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
