//! How a file of properties is read: lines, placeholders, lengths of time.

use super::super::properties::{self, Looks, Placeholders, parse};
use super::super::values;

fn parsed(text: &str) -> Vec<(String, String)> {
    parse(text)
        .0
        .into_iter()
        .map(|p| (p.name, p.value))
        .collect()
}

#[test]
fn properties_are_read_as_java_does() {
    for (text, name, value) in [
        ("a=b", "a", "b"),
        ("a = b c ", "a", "b c "),
        ("a:b", "a", "b"),
        ("a b", "a", "b"),
        ("  a\t=\tb", "a", "b"),
        ("a==b", "a", "=b"),
        ("a", "a", ""),
        ("a=", "a", ""),
        ("# c=d\n! e=f\n\na=b", "a", "b"),
        ("a=b#c", "a", "b#c"),
        ("a=b\\\n   c", "a", "bc"),
        ("a=b\\\r\n   c", "a", "bc"),
        ("a=b\\\\\n", "a", "b\\"),
        ("a=b\\", "a", "b"),
        ("a=b\\\n# no comment", "a", "b# no comment"),
        ("a\\ b\\:c\\=d=e", "a b:c=d", "e"),
        ("a=\\t\\n\\r\\f\\q\\u00fc", "a", "\t\n\r\u{c}q\u{fc}"),
        ("a=\\ud83d\\ude00\\ud83d", "a", "\u{1f600}\u{fffd}"),
        ("a=\\u12", "a", "u12"),
        ("a=b\ra=c", "a", "c"),
        ("fooBar=1\nfoo-bar=2", "foo-bar", "2"),
    ] {
        let expected = vec![(name.to_owned(), value.to_owned())];
        assert_eq!(parsed(text), expected, "{text:?}");
    }
    assert_eq!(parsed("=x\n\\\n:"), vec![]);
    assert_eq!(properties::text_of(b"a=\xfc"), "a=\u{fc}");
    assert_eq!(properties::text_of("a=\u{fc}".as_bytes()), "a=\u{fc}");
}

#[test]
fn what_is_no_file_of_properties_is_seen() {
    for (text, expected) in [
        ("a=b", Looks::Properties),
        ("a = b\nc:\n", Looks::Properties),
        ("a: b", Looks::Properties),
        ("a b", Looks::Properties),
        ("a=", Looks::Properties),
        ("cas:\n  server:\n    name: https://a?b=c\n", Looks::Yaml),
        ("---\n# x\ncas: \n  - a=b\n", Looks::Yaml),
        ("", Looks::Nothing),
        ("# a=b\n", Looks::Nothing),
        ("@@", Looks::Nothing),
        ("=x\n", Looks::Nothing),
    ] {
        assert_eq!(properties::looks(text), expected, "{text:?}");
    }
}

#[test]
fn placeholders_are_resolved_within_the_file() {
    let (all, _) = parse(
        "cas.server.name=https://${host}\nhost=sso.example.org\nloop=${loop}\n\
         wide=${empty}${empty}\nempty=\nkebab-name=k\n",
    );
    let placeholders = Placeholders::of(&all);
    let resolve = |value: &str| placeholders.resolve(value);
    for (value, expected) in [
        ("${cas.server.name}/cas", "https://sso.example.org/cas"),
        ("${no.such:fall ${kebabName} back}!", "fall k back!"),
        ("$5 {x} ${wide}", "$5 {x}"),
    ] {
        assert_eq!(resolve(value).as_deref(), Ok(expected), "{value}");
    }
    for value in ["${no.such}", "${loop}", "${open", &"${empty}".repeat(1001)] {
        assert!(resolve(value).is_err(), "{value}");
    }
    let huge = "${wide}".repeat(400);
    assert!(resolve(&huge).is_err());
}

#[test]
fn lengths_of_time_are_read_in_every_spelling() {
    for (value, expected) in [
        ("28800", Some("8h")),
        ("PT8H", Some("8h")),
        ("P14D", Some("14d")),
        ("P1DT12H", Some("36h")),
        ("P1W", Some("7d")),
        ("pt1m30s", Some("90s")),
        ("PT0.5S", Some("500ms")),
        ("90s", Some("90s")),
        ("5m", Some("5m")),
        ("0", Some("0ms")),
        ("-1", None),
        ("INFINITE", None),
        ("P", None),
        ("PT", None),
        ("PT5", None),
        ("PT5S3M", None),
        ("P1Y", None),
        ("PT99999999999999999999H", None),
        ("9223372036854775807", None),
        ("soon", None),
        ("", None),
    ] {
        let read = values::duration_ms(value, 1000).ok().map(values::period);
        assert_eq!(read.as_deref(), expected, "{value}");
    }
}
