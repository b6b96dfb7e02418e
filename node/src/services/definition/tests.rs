//! Definitions as operators write them.

use super::*;

fn read(text: &str) -> (Option<RegisteredService>, Report) {
    let mut report = Report::default();
    let service = RegisteredService::read(text, &mut report);
    (service, report)
}

fn with(extra: &str) -> (Option<RegisteredService>, Report) {
    read(&format!(
        "{{\n\"@class\": \"org.apereo.cas.services.CasRegisteredService\",\n\"id\": 7,\n\
         \"name\": \"App\",\n\"serviceId\": \"^https://app\\\\.edu/.*\",\n{extra}\n}}"
    ))
}

#[test]
fn a_portal_that_proxies_loads_with_a_warning() {
    let (service, report) = read(include_str!("testdata/portal.json"));
    let service = service.unwrap();
    assert_eq!((service.id, service.evaluation_order), (100, 10));
    assert_eq!(
        service.logout_urls,
        ["https://portal.example.edu/cas-logout"]
    );
    let names = ["mail", "displayName", "memberOf"]
        .map(String::from)
        .to_vec();
    assert_eq!(service.release.principal, PrincipalRelease::Allowed(names));
    assert_eq!(service.covers("https://PORTAL.example.edu/a"), Ok(true));
    let [warning] = report.warnings.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!((warning.key.as_str(), warning.line), ("proxyPolicy", 9));
}

#[test]
fn a_payroll_that_asks_every_time_loads() {
    let (service, report) = read(include_str!("testdata/payroll.json"));
    let service = service.unwrap_or_else(|| panic!("{report:?}"));
    assert!(!service.access.sso_enabled);
    assert_eq!(service.st_seconds, Some(5));
    assert_eq!(service.logout_type, LogoutType::FrontChannel);
    assert!(!service.release.authentication);
    assert!(report.warnings.is_empty(), "{report:?}");
}

#[test]
fn a_campus_catch_all_loads() {
    let (service, report) = read(include_str!("testdata/campus.json"));
    let service = service.unwrap_or_else(|| panic!("{report:?}"));
    assert_eq!(service.covers("https://www.example.edu:8443/x"), Ok(true));
    assert_eq!(service.covers("https://www.example.edu.evil/"), Ok(false));
}

#[test]
fn what_is_not_supported_yet_is_refused_with_its_line() {
    let (service, report) = read(include_str!("testdata/vendor.json"));
    assert!(service.is_none());
    let told: Vec<String> = report.errors.iter().map(ToString::to_string).collect();
    let told = told.join("\n");
    assert!(
        told.contains("key `usernameAttributeProvider.@class`: PrincipalAttribute"),
        "{told}"
    );
    assert!(
        told.contains("key `attributeReleasePolicy.@class`: ReturnMapped"),
        "{told}"
    );
}

/// Class names are long; the table below abbreviates them.
fn spell_out(short: &str) -> String {
    short
        .replace(
            "\"ACCESS\"",
            "\"accessStrategy\": {\"@class\": \"PDefaultRegisteredServiceAccessStrategy\"",
        )
        .replace(
            "\"ALL\"",
            "\"@class\": \"PReturnAllAttributeReleasePolicy\"",
        )
        .replace(
            "\"NAME\"",
            "\"@class\": \"PDefaultRegisteredServiceUsernameProvider\"",
        )
        .replace("\"P", "\"org.apereo.cas.services.")
}

#[test]
fn security_settings_are_never_ignored() {
    for (extra, key) in [
        (
            r#""singleSignOnParticipationPolicy": {"@class": "X", "a": 1}"#,
            "singleSign",
        ),
        (r#""environments": ["prod"]"#, "environments"),
        (r#""someNewPolicy": {"a": 1}"#, "someNewPolicy"),
        (
            r#""ACCESS", "rejectedAttributes": {"a": ["b"]}}"#,
            "accessStrategy.rejectedAttributes",
        ),
        (r#""ACCESS", "newKey": 1}"#, "accessStrategy.newKey"),
        (
            r#""accessStrategy": {"@class": "PTimeBasedRegisteredServiceAccessStrategy"}"#,
            "accessStrategy.@class",
        ),
        (
            r#""ACCESS", "requiredAttributes": {"a": ["("]}}"#,
            "accessStrategy.requiredAttributes",
        ),
        (
            r#""ACCESS", "enabled": "perhaps"}"#,
            "accessStrategy.enabled",
        ),
        (
            r#""multifactorPolicy": {"multifactorAuthenticationProviders": ["mfa-duo"]}"#,
            "multifactorPolicy.multifactor",
        ),
        (
            r#""authenticationPolicy": {"requiredAuthenticationHandlers": ["ldap"]}"#,
            "authenticationPolicy.required",
        ),
        (
            r#""expirationPolicy": {"expirationDate": "2020-01-01"}"#,
            "expirationPolicy.expirationDate",
        ),
        (
            r#""attributeReleasePolicy": {"ALL", "attributeFilter": {"pattern": "x"}}"#,
            "attributeReleasePolicy.attributeFilter",
        ),
        (
            r#""attributeReleasePolicy": {"@class": "PGroovyScriptAttributeReleasePolicy"}"#,
            "attributeReleasePolicy.@class",
        ),
        (
            r#""serviceTicketExpirationPolicy": {"numberOfUses": 5}"#,
            "serviceTicketExpirationPolicy.numberOfUses",
        ),
        (
            r#""serviceTicketExpirationPolicy": {"timeToLive": 4000}"#,
            "serviceTicketExpirationPolicy.timeToLive",
        ),
        (
            r#""usernameAttributeProvider": {"NAME", "encryptUsername": true}"#,
            "usernameAttributeProvider.encryptUsername",
        ),
        (
            r#""matchingStrategy": {"@class": "POtherStrategy"}"#,
            "matchingStrategy.@class",
        ),
        (r#""logoutUrl": "javascript:alert(1)""#, "logoutUrl"),
        (r#""responseType": "FAX""#, "responseType"),
    ] {
        let (service, report) = with(&spell_out(extra));
        assert!(service.is_none(), "{extra}");
        let found = report
            .errors
            .iter()
            .any(|e| e.key.starts_with(key) && e.line == 6);
        assert!(found, "{extra}: {report:?}");
    }
}

#[test]
fn empty_policies_of_an_export_change_nothing() {
    let (service, report) = with(
        r#""multifactorPolicy": {"@class": "X", "failureMode": "UNDEFINED",
            "multifactorAuthenticationProviders": ["java.util.HashSet", []]},
        "authenticationPolicy": {"@class": "X"}, "expirationPolicy": {"deleteWhenExpired": false},
        "environments": ["java.util.HashSet", []], "accessStrategy": null,
        "contacts": ["java.util.ArrayList", [{"name": "x"}]]"#,
    );
    assert!(service.is_some(), "{report:?}");
    assert!(report.warnings.is_empty(), "{report:?}");
}

#[test]
fn harmless_unknown_members_are_told() {
    let (service, report) = with("\"favouriteColour\": \"green\"");
    assert!(service.is_some());
    assert_eq!(
        report.warnings[0].to_string(),
        "line 6, key `favouriteColour`: is unknown and ignored"
    );
}

#[test]
fn what_must_be_there_is_asked_for() {
    let (service, report) = read("{\"@class\": \"org.apereo.cas.services.CasRegisteredService\"}");
    assert!(service.is_none());
    let keys: Vec<&str> = report.errors.iter().map(|e| e.key.as_str()).collect();
    assert_eq!(keys, ["id", "name", "serviceId"]);
    for text in [
        "[]",
        "{}",
        "{\"@class\": \"org.apereo.cas.support.saml.services.SamlRegisteredService\"}",
    ] {
        assert!(read(text).0.is_none(), "{text}");
    }
}

#[test]
fn other_ways_to_match() {
    let strategy = |class: &str, url: &str| {
        let (service, _) = read(&format!(
            r#"{{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 1, "name": "n",
            "serviceId": "https://a.edu/x", "matchingStrategy": {{"@class":
            "org.apereo.cas.services.{class}"}}}}"#
        ));
        service.unwrap().covers(url).unwrap()
    };
    assert!(strategy(
        "PartialRegexRegisteredServiceMatchingStrategy",
        "https://a.edu/xyz"
    ));
    assert!(!strategy(
        "FullRegexRegisteredServiceMatchingStrategy",
        "https://a.edu/xyz"
    ));
    assert!(strategy(
        "LiteralRegisteredServiceMatchingStrategy",
        "https://a.edu/x"
    ));
    assert!(!strategy(
        "LiteralRegisteredServiceMatchingStrategy",
        "https://aXedu/x"
    ));
}
