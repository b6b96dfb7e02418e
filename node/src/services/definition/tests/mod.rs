//! Definitions as operators write them.

mod refused;

use super::*;
use crate::services::testing::{good, read, text};

fn of_file(text: &str) -> (Option<RegisteredService>, Report) {
    let mut report = Report::default();
    let service = RegisteredService::read(text, &mut report);
    (service, report)
}

macro_rules! testdata {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/testdata/definitions/",
            $name
        ))
    };
}

#[test]
fn a_portal_that_proxies_loads() {
    let (service, report) = of_file(testdata!("Portal-100.json"));
    let service = service.unwrap();
    assert_eq!((service.id, service.evaluation_order), (100, 10));
    assert_eq!(
        service.logout_urls,
        ["https://portal.example.edu/cas-logout"]
    );
    assert_eq!(service.covers("https://PORTAL.example.edu/a"), Ok(true));
    assert!(service.proxy.allows("https://portal.example.edu/pgt"));
    assert!(!service.proxy.allows("https://portal.example.edu/pgt/x"));
    assert!(report.warnings.is_empty(), "{report:?}");
}

#[test]
fn a_payroll_that_asks_every_time_loads() {
    let (service, report) = of_file(testdata!("Payroll-300.json"));
    let service = service.unwrap_or_else(|| panic!("{report:?}"));
    assert!(!service.access.sso_enabled());
    assert_eq!(service.lifetimes.service_ticket, Some(5));
    assert_eq!(service.logout_type, LogoutType::FrontChannel);
    assert!(!service.release.authentication);
    assert_eq!(report, Report::default());
}

#[test]
fn hjson_loads() {
    let (service, report) = of_file(testdata!("Library-1010.json"));
    let service = service.unwrap_or_else(|| panic!("{report:?}"));
    assert_eq!(service.name, "Library discovery");
    let description = "Search for books and papers.\nNobody learns who is searching.";
    assert_eq!(service.description.as_deref(), Some(description));
    assert_eq!(report, Report::default());
}

#[test]
fn lifetimes_by_policy() {
    let lifetimes = |policy: &str, body: &str| {
        good(&format!("\"{policy}ExpirationPolicy\": {{{body}}}")).lifetimes
    };
    let none = Lifetimes::default();
    for (policy, body, expected) in [
        (
            "serviceTicket",
            "\"numberOfUses\": 1, \"timeToLive\": \"PT5S\"",
            Lifetimes {
                service_ticket: Some(5),
                ..none
            },
        ),
        (
            "proxyTicket",
            "\"numberOfUses\": \"1\", \"timeToLive\": 300",
            Lifetimes {
                proxy_ticket: Some(300),
                ..none
            },
        ),
        (
            "proxyGrantingTicket",
            "\"maxTimeToLiveInSeconds\": \"3600\"",
            Lifetimes {
                proxy_granting_ticket: Some(3600),
                ..none
            },
        ),
        (
            "ticketGrantingTicket",
            "\"maxTimeToLiveInSeconds\": \"PT8H\"",
            Lifetimes {
                session: Some(28_800),
                ..none
            },
        ),
        (
            "ticketGrantingTicket",
            "\"maxTimeToLiveInSeconds\": 7200, \"timeToKillInSeconds\": \"PT10M\"",
            Lifetimes {
                session: Some(7_200),
                session_idle: Some(600),
                ..none
            },
        ),
        (
            "ticketGrantingTicket",
            "\"maxTimeToLiveInSeconds\": 0, \"timeToKillInSeconds\": 0, \"userAgents\": {}",
            none,
        ),
    ] {
        assert_eq!(lifetimes(policy, body), expected, "{policy} {body}");
    }
}

#[test]
fn empty_policies_of_an_export_change_nothing() {
    let (service, report) = read(
        r#""multifactorPolicy": {"@class": "PDefaultRegisteredServiceMultifactorPolicy",
            "failureMode": "UNDEFINED",
            "multifactorAuthenticationProviders": ["java.util.HashSet", []]},
        "authenticationPolicy": {"@class": "PX"}, "expirationPolicy": {"deleteWhenExpired": false},
        "environments": ["java.util.HashSet", []], "accessStrategy": null,
        "acceptableUsagePolicy": {"@class": "PX", "enabled": true},
        "webflowInterruptPolicy": {"@class": "PX", "enabled": true, "forceExecution": "UNDEFINED"},
        "surrogatePolicy": {"@class": "PX", "enabled": false, "attributeName": "x"},
        "singleSignOnParticipationPolicy":
            {"@class": "PDefaultRegisteredServiceSingleSignOnParticipationPolicy"},
        "contacts": ["java.util.ArrayList", [{"name": "x"}]]"#,
    );
    assert!(service.is_some(), "{report:?}");
    assert!(report.warnings.is_empty(), "{report:?}");
}

#[test]
fn what_has_no_effect_is_told() {
    for (extra, key) in [
        ("\"favouriteColour\": \"green\"", "favouriteColour"),
        ("\"theme\": \"dark\"", "theme"),
        ("\"locale\": \"de\"", "locale"),
        ("\"supportedProtocols\": [\"CAS20\"]", "supportedProtocols"),
        (
            "\"acceptableUsagePolicy\": {\"text\": \"x\"}",
            "acceptableUsagePolicy",
        ),
        (
            "\"webflowInterruptPolicy\": {\"forceExecution\": \"TRUE\"}",
            "webflowInterruptPolicy",
        ),
        (
            "\"logoutType\": \"NONE\", \"logoutUrl\": \"https://a/\"",
            "logoutUrl",
        ),
        (
            "\"properties\": {\"corsAllowedOrigins\": {\"values\": [\"x\"]}}",
            "properties.corsAllowedOrigins",
        ),
        (
            "\"matchingStrategy\": {\"@class\": \"PLiteralRegisteredServiceMatchingStrategy\"}",
            "serviceId",
        ),
        (
            "\"expirationPolicy\": {\"expirationDate\": \"2030-01-01\", \"deleteWhenExpired\": true}",
            "expirationPolicy.deleteWhenExpired",
        ),
    ] {
        let (service, report) = read(extra);
        assert!(service.is_some(), "{extra}: {report:?}");
        let keys: Vec<&str> = report.warnings.iter().map(|w| w.key.as_str()).collect();
        assert_eq!(keys, [key], "{extra}");
    }
}

#[test]
fn what_must_be_there_is_asked_for() {
    let (service, report) =
        of_file("{\"@class\": \"org.apereo.cas.services.CasRegisteredService\"}");
    assert!(service.is_none());
    let keys: Vec<&str> = report.errors.iter().map(|e| e.key.as_str()).collect();
    assert_eq!(keys, ["id", "name", "serviceId"]);
    for (text, says) in [
        ("[]", "a definition is an object"),
        (
            "{}",
            "is missing; write org.apereo.cas.services.CasRegisteredService",
        ),
        (
            "{\"@class\": \"org.apereo.cas.support.saml.services.SamlRegisteredService\"}",
            "is a SAML 2 service provider",
        ),
        (
            "{\"@class\": \"org.apereo.cas.services.OidcRegisteredService\"}",
            "is an OpenID Connect client",
        ),
    ] {
        let (service, report) = of_file(text);
        assert!(service.is_none(), "{text}");
        assert!(report.errors[0].says.starts_with(says), "{report:?}");
    }
}

#[test]
fn ways_to_match() {
    let strategy = |body: &str, url: &str| {
        let text = text(&format!("\"matchingStrategy\": {{\"@class\": \"P{body}}}"));
        let text = text.replace("^https://app\\\\.edu/.*", "https://a.edu/x");
        of_file(&text).0.unwrap().covers(url).unwrap()
    };
    let full = "FullRegexRegisteredServiceMatchingStrategy\"";
    let part = "PartialRegexRegisteredServiceMatchingStrategy\"";
    let literal = "LiteralRegisteredServiceMatchingStrategy\"";
    let folded = "LiteralRegisteredServiceMatchingStrategy\", \"caseInsensitive\": true";
    let begins = "StartsWithRegisteredServiceMatchingStrategy\", \"expectedUrl\": \"https://B/\"";
    for (body, url, expected) in [
        (full, "https://a.edu/x", true),
        (full, "https://A.EDU/x", true),
        (full, "https://a.edu/xyz", false),
        (full, "https://aXedu/x", true),
        (part, "https://a.edu/xyz", true),
        (part, "see https://a.edu/x", true),
        (part, "https://b.edu/x", false),
        (literal, "https://a.edu/x", true),
        (literal, "https://A.edu/x", false),
        (literal, "https://aXedu/x", false),
        (folded, "https://A.edu/X", true),
        (begins, "https://b/anything", true),
        (begins, "https://bb/", false),
        (begins, "https", false),
    ] {
        assert_eq!(strategy(body, url), expected, "{body} {url}");
    }
}

#[test]
fn a_definition_can_be_shown_again() {
    let service = good(
        r#""contacts": ["java.util.ArrayList", [{"name": "Desk", "email": "d@x.edu"}]],
        "properties": {"@class": "java.util.HashMap", "room": {"values": [7]}}, "tags": ["a"]"#,
    );
    let shown = &service.document;
    assert_eq!(shown["contacts"][1][0]["email"], "d@x.edu");
    assert_eq!(shown["properties"]["room"]["values"][0], 7);
    assert_eq!(shown["tags"][0], "a");
    assert_eq!(shown["id"], 7);
}
