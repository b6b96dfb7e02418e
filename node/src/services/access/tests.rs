//! Who gets in, by the members of `accessStrategy`.

use http::HeaderValue;

use super::*;
use crate::services::RegisteredService;
use crate::services::testing::{at, good, person};

const DEFAULT: &str = "PDefaultRegisteredServiceAccessStrategy";

fn strategy(class: &str, body: &str) -> RegisteredService {
    good(&format!(
        "\"accessStrategy\": {{\"@class\": \"{class}\", {body}}}"
    ))
}

fn access(body: &str) -> Access {
    strategy(DEFAULT, body).access(&person(), &at(0, &HeaderMap::new()))
}

#[test]
fn attributes() {
    use Access::{Closed, Granted, Refused};
    let required = |map: &str| format!("\"requiredAttributes\": {map}");
    let rejected = |map: &str| format!("\"rejectedAttributes\": {map}");
    let typed = r#"{"@class": "java.util.HashMap",
        "role": ["java.util.HashSet", ["faculty", "staff"]], "mail": ["nobody"]}"#;
    let any = "\"requireAllAttributes\": false";
    let folded = "\"caseInsensitive\": true";
    for (body, expected) in [
        (required(r#"{"role": ["^sta"]}"#), Granted),
        (required(r#"{"ROLE": ["^staff$"]}"#), Granted),
        (required(typed), Refused),
        (format!("{}, {any}", required(typed)), Granted),
        (required(r#"{"none": ["x"]}"#), Refused),
        (required(r#"{"empty": [".*"]}"#), Refused),
        (required(r#"{"role": ["STAFF"]}"#), Refused),
        (
            format!("{}, {folded}", required(r#"{"role": ["STAFF"]}"#)),
            Granted,
        ),
        (rejected(r#"{"role": ["^staff$"]}"#), Refused),
        (rejected(r#"{"role": ["^student$"]}"#), Granted),
        (rejected(r#"{"role": ["staff"], "none": ["x"]}"#), Granted),
        (
            format!(
                "{}, {any}",
                rejected(r#"{"role": ["staff"], "none": ["x"]}"#)
            ),
            Refused,
        ),
        (
            format!(
                "{}, {}",
                required(r#"{"mail": ["@example"]}"#),
                rejected(r#"{"role": ["R&D"]}"#)
            ),
            Refused,
        ),
        ("\"enabled\": false".to_owned(), Closed),
        ("\"enabled\": \"true\"".to_owned(), Granted),
    ] {
        assert_eq!(access(&body), expected, "{body}");
    }
}

#[test]
fn an_undecidable_pattern_lets_nobody_in() {
    let mut principal = person();
    let hard = format!("{}xb", "a".repeat(4000));
    principal.attributes = vec![("role".to_owned(), vec![hard])];
    let pattern = r"(a|a)*(a|a)*(a|aa)*\\1b";
    for list in ["requiredAttributes", "rejectedAttributes"] {
        let service = strategy(
            DEFAULT,
            &format!("\"{list}\": {{\"role\": [\"{pattern}\"]}}"),
        );
        let access = service.access(&principal, &at(0, &HeaderMap::new()));
        assert_eq!(access, Access::Refused, "{list}");
    }
}

#[test]
fn letters_that_fold_only_here_let_nobody_in() {
    let mut principal = person();
    for (value, pattern) in [
        ("\u{17f}taff", "^staff$"),
        ("\u{212a}", "(?i)^[^k]$"),
        ("\u{17f}", "(?i:^[^s]$)"),
    ] {
        principal.attributes = vec![("role".to_owned(), vec![value.to_owned()])];
        for list in ["requiredAttributes", "rejectedAttributes"] {
            for folded in [true, false] {
                if !folded && !pattern.starts_with("(?") {
                    continue;
                }
                let body = format!(
                    "\"{list}\": {{\"role\": [\"{pattern}\"]}}, \"caseInsensitive\": {folded}"
                );
                let service = strategy(DEFAULT, &body);
                let access = service.access(&principal, &at(0, &HeaderMap::new()));
                assert_eq!(access, Access::Refused, "{list} {pattern}");
            }
        }
    }
}

#[test]
fn periods() {
    let noon = 1_788_264_000_000;
    let class = "PTimeBasedRegisteredServiceAccessStrategy";
    for (body, now, open) in [
        (
            "\"startingDateTime\": \"2026-09-01T12:00:00Z\"",
            noon - 1,
            false,
        ),
        ("\"startingDateTime\": \"2026-09-01T12:00:00Z\"", noon, true),
        ("\"endingDateTime\": \"2026-09-01T12:00:00Z\"", noon, true),
        (
            "\"endingDateTime\": \"2026-09-01T12:00:00Z\"",
            noon + 1,
            false,
        ),
        ("\"endingDateTime\": \"2026-09-01\"", noon, true),
        (
            "\"endingDateTime\": \"2026-09-01T14:00:00\", \"zoneId\": \"Europe/Berlin\"",
            noon + 1,
            false,
        ),
    ] {
        let service = strategy(class, body);
        let headers = HeaderMap::new();
        assert_eq!(service.is_open(&at(now, &headers)), open, "{body}");
        let expected = if open {
            Access::Granted
        } else {
            Access::Closed
        };
        assert_eq!(service.access(&person(), &at(now, &headers)), expected);
    }
}

#[test]
fn definitions_expire() {
    let service = good(
        r#""expirationPolicy": {"@class": "PDefaultRegisteredServiceExpirationPolicy",
        "expirationDate": "2026-09-01T12:00:00Z", "deleteWhenExpired": false}"#,
    );
    let (noon, headers) = (1_788_264_000_000, HeaderMap::new());
    assert!(service.is_open(&at(noon - 1, &headers)));
    assert!(!service.is_open(&at(noon, &headers)));
    assert_eq!(
        service.access(&person(), &at(noon, &headers)),
        Access::Closed
    );
}

#[test]
fn requests() {
    let class = "PHttpRequestRegisteredServiceAccessStrategy";
    let mut headers = HeaderMap::new();
    headers.insert("user-agent", HeaderValue::from_static("Firefox/140"));
    headers.insert("x-zone", HeaderValue::from_static("inside"));
    let asking = Asking {
        now: 0,
        address: Some([10, 20, 3, 4].into()),
        headers: &headers,
    };
    for (body, open) in [
        (r#""ipAddress": "^10\\.20\\.""#, true),
        (r#""ipAddress": "^10\\.21\\.""#, false),
        (r#""userAgent": "firefox""#, true),
        (r#""userAgent": "chrome""#, false),
        (r#""ipAddress": "^10", "userAgent": "chrome""#, false),
        (
            r#""headers": {"@class": "java.util.TreeMap", "X-Zone": "^in"}"#,
            true,
        ),
        (r#""headers": {"X-Zone": "^out"}"#, false),
        (r#""headers": {"X-Other": ".*"}"#, false),
    ] {
        let service = strategy(class, body);
        assert_eq!(service.is_open(&asking), open, "{body}");
    }
    let service = strategy(class, r#""ipAddress": ".*""#);
    let nowhere = Asking {
        address: None,
        ..asking
    };
    assert!(
        !service.is_open(&nowhere),
        "an unknown address matches nothing"
    );
}

#[test]
fn chains() {
    let member = |body: &str| format!("{{\"@class\": \"{DEFAULT}\", {body}}}");
    let staff = member(r#""requiredAttributes": {"role": ["staff"]}"#);
    let nobody = member(r#""requiredAttributes": {"role": ["nobody"]}, "ssoEnabled": false"#);
    let closed = member("\"enabled\": false");
    let chain = |operator: &str, members: &[&String]| {
        let members: Vec<&str> = members.iter().map(|m| m.as_str()).collect();
        strategy(
            "PChainingRegisteredServiceAccessStrategy",
            &format!(
                "\"operator\": \"{operator}\", \"unauthorizedRedirectUrl\": \"https://no.edu\", \
                 \"strategies\": [\"java.util.ArrayList\", [{}]]",
                members.join(",")
            ),
        )
    };
    let headers = HeaderMap::new();
    for (operator, members, expected, sso) in [
        ("AND", vec![&staff, &staff], Access::Granted, true),
        ("AND", vec![&staff, &nobody], Access::Refused, false),
        ("OR", vec![&staff, &nobody], Access::Granted, true),
        ("OR", vec![&nobody], Access::Refused, false),
        ("AND", vec![&staff, &closed], Access::Closed, true),
        // Open by one and admitted by the other is not enough.
        ("OR", vec![&closed, &nobody], Access::Refused, true),
    ] {
        let service = chain(operator, &members);
        let access = service.access(&person(), &at(0, &headers));
        assert_eq!(access, expected, "{operator} {members:?}");
        assert_eq!(service.access.sso_enabled(), sso, "{operator} {members:?}");
        let elsewhere = service.access.unauthorized_redirect_url();
        assert_eq!(elsewhere, Some("https://no.edu"));
    }
}
