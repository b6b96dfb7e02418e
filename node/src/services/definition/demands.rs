//! Members that ask for what is not there: refused when ignoring them would let somebody in or
//! release something, told when it would not.

use super::reader::{Fields, Unknown};

/// Refuses or tells.
pub(super) fn read(fields: &mut Fields<'_, '_>) {
    multifactor(fields);
    authentication(fields);
    properties(fields);
    fields.refuse_if_set(
        "requiredHandlers",
        "every application accepts every configured way to sign in",
    );
    fields.refuse_if_set(
        "environments",
        "keep one folder of definitions per environment",
    );
    for key in ["theme", "templateName"] {
        fields.warn_if_set(key, "is kept; all applications have the same pages");
    }
    fields.warn_if_set(
        "locale",
        "is kept; pages are in the language of the browser",
    );
    fields.warn_if_set(
        "supportedProtocols",
        "is kept and not enforced; every application may use every protocol that is served",
    );
    for key in [
        "acceptableUsagePolicy",
        "passwordlessPolicy",
        "surrogatePolicy",
        "webflowInterruptPolicy",
    ] {
        module(fields, key);
    }
    // Who is responsible, and what only tools look at.
    fields.ignore(&["contacts", "tags", "friendlyName", "evaluationPriority"]);
}

/// Settings of modules that do not exist here: an empty or disabled one changes nothing.
fn module(fields: &mut Fields<'_, '_>, key: &str) {
    let Some(mut policy) = fields.object(key) else {
        return;
    };
    let enabled = policy.flag("enabled", true);
    let says_more = [
        "messageCode",
        "text",
        "attributeName",
        "attributeValue",
        "groovyScript",
    ]
    .iter()
    .any(|member| policy.says(member));
    let forced = policy.scalar("forceExecution");
    let says_more = says_more || forced.is_some_and(|f| f.eq_ignore_ascii_case("true"));
    policy.abandon();
    if enabled && says_more {
        fields.warn_at(
            key,
            "is kept and has no effect: there is no such step at sign-in",
        );
    }
}

/// `multifactorPolicy`: a demand for a second factor must not be ignored.
fn multifactor(fields: &mut Fields<'_, '_>) {
    let Some(mut policy) = fields.object("multifactorPolicy") else {
        return;
    };
    let class = policy.short_class();
    if !["", "DefaultRegisteredServiceMultifactorPolicy"].contains(&class.as_str()) {
        policy.unsupported_class(&class, "second factors are not there yet");
        policy.abandon();
        return;
    }
    policy.ignore(&[
        "failureMode",
        "bypassEnabled",
        "bypassTrustedDeviceEnabled",
        "bypassPrincipalAttributeName",
        "bypassPrincipalAttributeValue",
        "bypassIfMissingPrincipalAttribute",
    ]);
    for key in [
        "multifactorAuthenticationProviders",
        "principalAttributeNameTrigger",
        "principalAttributeValueToMatch",
        "script",
    ] {
        policy.refuse_if_set(key, "second factors are not there yet");
    }
    if policy.flag("forceExecution", false) {
        policy.error_at("forceExecution", "second factors are not there yet");
    }
    policy.finish(Unknown::Refuse);
}

/// `authenticationPolicy`: a demand for certain handlers must not be ignored.
fn authentication(fields: &mut Fields<'_, '_>) {
    let Some(mut policy) = fields.object("authenticationPolicy") else {
        return;
    };
    for key in [
        "requiredAuthenticationHandlers",
        "excludedAuthenticationHandlers",
        "criteria",
    ] {
        policy.refuse_if_set(
            key,
            "every application accepts every configured way to sign in",
        );
    }
    policy.finish(Unknown::Refuse);
}

/// `properties` are kept. Some names change what Apereo CAS does.
fn properties(fields: &mut Fields<'_, '_>) {
    let line = fields.line("properties");
    let mut found = Vec::new();
    fields.each_named("properties", |name, mut property| {
        let values = property.texts("values").unwrap_or_default();
        property.abandon();
        found.push((name.to_owned(), values));
    });
    for (name, values) in found {
        let on = values
            .iter()
            .any(|value| value.eq_ignore_ascii_case("true"));
        if name == "jwtAsServiceTicket" && on {
            let says = "service tickets are not JSON web tokens here; remove it";
            fields.error_on(line, &format!("properties.{name}"), says);
        } else if [
            "jwt",
            "wsfed.",
            "cors",
            "httpHeader",
            "skip",
            "scim",
            "oidc",
            "delegated",
        ]
        .iter()
        .any(|start| name.starts_with(start))
        {
            let says = "is kept and changes nothing here";
            fields.warn_on(line, &format!("properties.{name}"), says);
        }
    }
}
