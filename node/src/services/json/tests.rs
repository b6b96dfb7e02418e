//! What is read, and what is refused with its line.

use super::*;
use proptest::prelude::*;

fn keys(text: &str) -> Vec<(String, u32)> {
    match parse(text).unwrap().value {
        Value::Object(members) => members.into_iter().map(|m| (m.key, m.line)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lines_and_tolerances() {
    let text = "// note\n{\n  # hash\n  \"a\": 1, /* two\nlines */ b: 'it''s'\n}";
    assert!(parse(text).is_err(), "two strings side by side");
    let text = "// note\n{\n  # hash\n  \"a\": 1, /* two\nlines */ b: 'x',\n}\n";
    assert_eq!(keys(text), [("a".to_owned(), 4), ("b".to_owned(), 5)]);
}

#[test]
fn errors_name_the_line() {
    for (text, line, part) in [
        ("{\n \"a\": 1 \"b\": 2 }", 2, "double quotes"),
        ("{\n \"a\": [] \"b\": 2 }", 2, "`,` or `}`"),
        ("{\na: some text,\n}", 2, "ends in a comma"),
        ("{a: 'x'\nb: '''y\n}", 2, "never closed"),
        ("{a: :}", 1, "value is expected"),
        ("{\n\n \"a\" 1}", 3, "`:` is missing"),
        ("{\"a\": \"^https:\\/\\/a\\.b\"}", 1, "write `\\\\.`"),
        ("{\n\"a\": [1,\n2", 3, "`[` of line 2"),
        ("{\"a\": yes}", 1, "double quotes"),
        ("{\"a\": 1,\n\"a\": 2}", 2, "given twice"),
        ("{\"a\": \"x\n\"}", 1, "not closed"),
        ("{} x", 1, "after the end"),
        ("{\"a\": \"\\ud800\"}", 1, "surrogate"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.says.contains(part), "{text}: {error}");
    }
}

fn one(text: &str) -> Value {
    match parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).value {
        Value::Object(mut members) => members.remove(0).node.value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_without_quotes_are_those_of_hjson() {
    let text = |text: &str| Value::String(text.to_owned());
    for (json, expected) in [
        ("{a: ^https://a\\.edu/.*\n}", text("^https://a\\.edu/.*")),
        (
            "{a: two words # no comment\n}",
            text("two words # no comment"),
        ),
        ("{a: 5 times\n}", text("5 times")),
        ("{a: 5 # times\n}", Value::Number("5".into())),
        ("{a: 5, b: 6}", Value::Number("5".into())),
        ("{a: true // yes\n}", Value::Bool(true)),
        ("{a: trueish\n}", text("trueish")),
        ("{a: null}", Value::Null),
        ("{a: inf\n}", text("inf")),
        ("{a: '''x'''}", text("x")),
        ("{\n  a:\n  '''\n  x\n    y\n  '''\n}", text("x\n  y")),
        ("a: 1\nb: 2", Value::Number("1".into())),
        ("\"a\": \"x\"", text("x")),
        ("java.util.x: 1", Value::Number("1".into())),
    ] {
        assert_eq!(one(json), expected, "{json}");
    }
    // A bracket at the end of text without quotes could mean either.
    assert!(parse("{a: [x\n y]\n]}").is_err());
    assert_eq!(
        keys("a: '''\nx\n'''\nb: 1"),
        [("a".to_owned(), 1), ("b".to_owned(), 4)]
    );
}

#[test]
fn a_long_line_of_numbers_is_read_once() {
    let numbers = vec!["1"; VALUES_MAX - 2].join(",");
    let padding = " ".repeat(TEXT_MAX - numbers.len() - 10);
    assert!(parse(&format!("[{numbers}{padding}]")).is_ok());
}

#[test]
fn bounds_hold() {
    assert!(parse(&"[".repeat(100_000)).is_err());
    assert!(parse(&" ".repeat(TEXT_MAX + 1)).is_err());
    let many = format!("[{}]", "1,".repeat(VALUES_MAX + 1));
    assert!(parse(&many).is_err());
}

#[test]
fn escapes_are_those_of_json() {
    let node = parse(r#""a\u00e9\ud83d\ude00\n\/""#).unwrap();
    assert_eq!(node.value, Value::String("a\u{e9}\u{1f600}\n/".into()));
}

fn to_plain(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => serde_json::from_str(n).unwrap(),
        Value::String(s) => s.clone().into(),
        Value::Array(items) => items.iter().map(to_plain).collect(),
        Value::Object(members) => members
            .iter()
            .map(|m| (m.key.clone(), to_plain(&m.node)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".*".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map(".*", inner, 0..6)
                .prop_map(|m| { serde_json::Value::Object(m.into_iter().collect()) }),
        ]
    })
}

proptest! {
    #[test]
    fn reads_what_strict_json_reads(value in any_json()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(to_plain(&parse(&text).unwrap()), value);
    }

    #[test]
    fn never_panics(text in ".{0,200}", noise in "[\\[\\]{}\",:'/*#\\\\u0-9a\n]{0,200}") {
        let _ = parse(&text);
        let _ = parse(&noise);
    }
}
