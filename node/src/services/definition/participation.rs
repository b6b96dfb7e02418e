//! Reading `singleSignOnParticipationPolicy`.

use super::reader::{Fields, Unknown};
use super::scripted;
use crate::services::participation::Participation;
use crate::services::pattern::{Extent, Pattern};

/// `singleSignOnParticipationPolicy`; absent means that every session is good enough.
pub(super) fn read(fields: &mut Fields<'_, '_>) -> Participation {
    match fields.object("singleSignOnParticipationPolicy") {
        Some(policy) => policy_of(policy),
        None => Participation::Always,
    }
}

fn policy_of(mut policy: Fields<'_, '_>) -> Participation {
    let class = policy.short_class();
    let kind = class.strip_suffix("RegisteredServiceSingleSignOnParticipationPolicy");
    let read = match kind {
        Some("Default") => Participation::Always,
        Some("Never") => Participation::Never,
        Some("AuthenticationDate") => {
            period(&mut policy).map_or(Participation::Always, Participation::SinceAuthentication)
        }
        Some("LastUsedTime") => {
            period(&mut policy).map_or(Participation::Always, Participation::SinceUse)
        }
        Some("AttributeBased") => attributes(&mut policy),
        Some("Chaining") => {
            let mut members = Vec::new();
            policy.each("policies", |member| members.push(policy_of(member)));
            Participation::All(members)
        }
        _ => {
            policy.unsupported_class(
                &class,
                "supported are Default, Never, AuthenticationDate, LastUsedTime, AttributeBased \
                 and Chaining; accessStrategy.ssoEnabled=false asks for credentials every time",
            );
            policy.abandon();
            return Participation::Never;
        }
    };
    let cookie = policy.scalar("createCookieOnRenewedAuthentication");
    if cookie.is_some_and(|says| says.eq_ignore_ascii_case("FALSE")) {
        policy.error_at(
            "createCookieOnRenewedAuthentication",
            "fresh credentials always begin a session here; remove it or set it to UNDEFINED",
        );
    }
    policy.ignore(&["order"]);
    policy.finish(Unknown::Refuse);
    read
}

/// `timeUnit` and `timeValue` in milliseconds; none when it is not positive.
fn period(policy: &mut Fields<'_, '_>) -> Option<u64> {
    let unit = match policy.text("timeUnit").as_deref() {
        None | Some("SECONDS") => 1000,
        Some("MILLISECONDS") => 1,
        Some("MINUTES") => 60_000,
        Some("HOURS") => 3_600_000,
        Some("DAYS") => 86_400_000,
        Some(_) => {
            let says = "must be MILLISECONDS, SECONDS, MINUTES, HOURS or DAYS";
            policy.error_at("timeUnit", says);
            1000
        }
    };
    let value = policy.number("timeValue").unwrap_or(0);
    let value = u64::try_from(value).ok().filter(|value| *value > 0);
    if value.is_none() {
        policy.warn_at("timeValue", "is not positive: every session is good enough");
    }
    value.map(|value| value.saturating_mul(unit))
}

fn attributes(policy: &mut Fields<'_, '_>) -> Participation {
    let all = policy.flag("requireAllAttributes", false);
    let mut rules = Vec::new();
    for (name, sources) in policy.text_map("attributes").unwrap_or_default() {
        let mut patterns = Vec::new();
        for source in &sources {
            if scripted(source) || source.contains("#{") {
                policy.error_at("attributes", "scripts and expressions are not run");
                continue;
            }
            match Pattern::compile(source, Extent::Part, true) {
                Ok(pattern) => patterns.push(pattern),
                Err(e) => policy.error_at("attributes", &format!("attribute {name}: {e}")),
            }
        }
        rules.push((name, patterns));
    }
    if rules.is_empty() {
        policy.error_at("attributes", "is empty; name at least one attribute");
    }
    Participation::Attributes { all, rules }
}
