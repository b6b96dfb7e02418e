//! Reading `accessStrategy`.

use http::HeaderName;
use jiff::tz::TimeZone;

use super::moment::{self, Edge};
use super::reader::{Fields, Unknown};
use super::scripted;
use crate::services::access::{AccessStrategy, AttributeRule, RequestPart, RequestRule, Rules};
use crate::services::pattern::{Extent, Pattern};

const SUPPORTED: &str = "supported are Default..., TimeBased..., HttpRequest... and \
                         ChainingRegisteredServiceAccessStrategy";

/// `accessStrategy`; absent means that everybody may.
pub(super) fn read(fields: &mut Fields<'_, '_>) -> AccessStrategy {
    match fields.object("accessStrategy") {
        Some(policy) => strategy(policy),
        None => AccessStrategy::default(),
    }
}

fn strategy(mut policy: Fields<'_, '_>) -> AccessStrategy {
    let mut rules = Rules::default();
    match policy.short_class().as_str() {
        "DefaultRegisteredServiceAccessStrategy" => {}
        "TimeBasedRegisteredServiceAccessStrategy" => period(&mut policy, &mut rules),
        "HttpRequestRegisteredServiceAccessStrategy" => request(&mut policy, &mut rules),
        "ChainingRegisteredServiceAccessStrategy" => return chain(policy),
        other => {
            policy.unsupported_class(other, SUPPORTED);
            policy.abandon();
            return AccessStrategy::default();
        }
    }
    common(&mut policy, &mut rules);
    policy.finish(Unknown::Refuse);
    AccessStrategy::Rules(Box::new(rules))
}

fn common(policy: &mut Fields<'_, '_>, rules: &mut Rules) {
    rules.enabled = policy.flag("enabled", true);
    rules.sso_enabled = policy.flag("ssoEnabled", true);
    rules.unauthorized_redirect_url = policy.web_url("unauthorizedRedirectUrl");
    rules.require_all = policy.flag("requireAllAttributes", true);
    let ignore_case = policy.flag("caseInsensitive", false);
    rules.required = attributes(policy, "requiredAttributes", ignore_case);
    rules.rejected = attributes(policy, "rejectedAttributes", ignore_case);
    if let Some(mut delegated) = policy.object("delegatedAuthenticationPolicy") {
        if delegated.flag("exclusive", false) {
            delegated.error_at("exclusive", "signing in elsewhere is not supported");
        }
        delegated.abandon();
    }
    policy.ignore(&["order"]);
}

fn attributes(policy: &mut Fields<'_, '_>, key: &str, ignore_case: bool) -> Vec<AttributeRule> {
    let map = policy.text_map(key).unwrap_or_default();
    let mut rules = Vec::with_capacity(map.len());
    for (attribute, sources) in map {
        if sources.is_empty() {
            policy.error_at(key, &format!("attribute {attribute}: the list is empty"));
        }
        let mut patterns = Vec::with_capacity(sources.len());
        for source in &sources {
            if scripted(source) || scripted(&attribute) {
                policy.error_at(key, &format!("attribute {attribute}: scripts are not run"));
                continue;
            }
            match Pattern::compile(source, Extent::Part, ignore_case) {
                Ok(pattern) => patterns.push(pattern),
                Err(e) => policy.error_at(key, &format!("attribute {attribute}: {e}")),
            }
        }
        rules.push(AttributeRule {
            attribute,
            patterns,
        });
    }
    rules
}

/// `TimeBasedRegisteredServiceAccessStrategy`
fn period(policy: &mut Fields<'_, '_>, rules: &mut Rules) {
    let zone = match policy.text("zoneId") {
        None => TimeZone::UTC,
        Some(name) => TimeZone::get(&name).unwrap_or_else(|_| {
            policy.error_at("zoneId", "is no known time zone such as Europe/Berlin");
            TimeZone::UTC
        }),
    };
    let mut moment = |key: &str, edge| {
        let text = policy.text(key)?;
        let read = moment::read(&text, &zone, edge);
        if read.is_none() {
            policy.error_at(key, "is no date and time such as 2026-09-01T08:00:00Z");
        }
        read
    };
    rules.from = moment("startingDateTime", Edge::Begin);
    rules.until = moment("endingDateTime", Edge::End);
    if let (Some(from), Some(until)) = (rules.from, rules.until)
        && from > until
    {
        policy.error_at(
            "endingDateTime",
            "is before startingDateTime: nobody could get in",
        );
    }
    if rules.from.is_none() && rules.until.is_none() {
        policy.warn_at("@class", "has neither startingDateTime nor endingDateTime");
    }
}

/// `HttpRequestRegisteredServiceAccessStrategy`
fn request(policy: &mut Fields<'_, '_>, rules: &mut Rules) {
    let mut add = |policy: &mut Fields<'_, '_>, key: &str, part: RequestPart, source: &str| {
        match Pattern::compile(source, Extent::Part, true) {
            Ok(pattern) => rules.request.push(RequestRule { part, pattern }),
            Err(e) => policy.error_at(key, &e.0),
        }
    };
    if let Some(source) = policy.text("ipAddress") {
        add(policy, "ipAddress", RequestPart::Address, &source);
    }
    if let Some(source) = policy.text("userAgent") {
        let part = RequestPart::Header("user-agent".to_owned());
        add(policy, "userAgent", part, &source);
    }
    let headers = policy.text_map("headers").unwrap_or_default();
    if !headers.is_empty() {
        policy.warn_at(
            "headers",
            "a request without one of these headers is refused; Apereo CAS lets it pass",
        );
    }
    for (name, sources) in headers {
        match (name.parse::<HeaderName>(), sources.as_slice()) {
            (Ok(header), [source]) => {
                let part = RequestPart::Header(header.as_str().to_owned());
                add(policy, "headers", part, source);
            }
            (Err(_), _) => policy.error_at("headers", &format!("`{name}` is no header name")),
            (Ok(_), _) => policy.error_at("headers", &format!("`{name}` needs one pattern")),
        }
    }
    if rules.request.is_empty() {
        policy.warn_at(
            "@class",
            "has no ipAddress, userAgent or headers: it admits everybody",
        );
    }
}

/// `ChainingRegisteredServiceAccessStrategy`
fn chain(mut policy: Fields<'_, '_>) -> AccessStrategy {
    let mut members = Vec::new();
    policy.each("strategies", |member| members.push(strategy(member)));
    if members.is_empty() {
        policy.error_at("strategies", "is empty; name at least one strategy");
    }
    let all = match policy.text("operator").as_deref() {
        None | Some("AND") => true,
        Some("OR") => false,
        Some(_) => {
            policy.error_at("operator", "must be AND or OR");
            true
        }
    };
    let unauthorized_redirect_url = policy.web_url("unauthorizedRedirectUrl");
    policy.ignore(&["order"]);
    policy.finish(Unknown::Refuse);
    AccessStrategy::Chain {
        all,
        members,
        unauthorized_redirect_url,
    }
}
