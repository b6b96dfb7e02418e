//! Reading `attributeReleasePolicy`.

use super::reader::{Fields, Unknown};
use super::scripted;
use crate::services::pattern::{Extent, Pattern};
use crate::services::release::{
    AttributeRelease, Choice, Extraction, Filter, FilterRule, Merging, RESERVED_NAMES,
    ReleasePolicy,
};

const SUPPORTED: &str = "supported are DenyAll, ReturnAll, ReturnAllowed, ReturnMapped, \
                         ReturnMultiMapped, ReturnLinked, ReturnStatic, ReturnEncrypted, \
                         PatternMatching and ChainingAttributeReleasePolicy";

/// `attributeReleasePolicy`; absent means that no attribute is released.
pub(super) fn read(fields: &mut Fields<'_, '_>) -> AttributeRelease {
    let mut release = AttributeRelease {
        policies: Vec::new(),
        merging: Merging::default(),
        authentication: true,
    };
    let Some(mut policy) = fields.object("attributeReleasePolicy") else {
        return release;
    };
    let class = policy.short_class();
    if class == "ChainingAttributeReleasePolicy" {
        chain(policy, &mut release);
        return release;
    }
    if let Some((_, one)) = member(policy, &class, &mut release.authentication) {
        release.policies.push(one);
    }
    release
}

fn chain(mut policy: Fields<'_, '_>, release: &mut AttributeRelease) {
    release.merging = match policy.text("mergingPolicy") {
        None => Merging::Replace,
        Some(text) if text.eq_ignore_ascii_case("REPLACE") => Merging::Replace,
        Some(text) if text.eq_ignore_ascii_case("ADD") => Merging::Add,
        Some(text) if text.eq_ignore_ascii_case("MULTIVALUED") => Merging::Multivalued,
        Some(_) => {
            policy.error_at("mergingPolicy", "must be REPLACE, ADD or MULTIVALUED");
            Merging::Replace
        }
    };
    let mut members = Vec::new();
    let mut authentication = true;
    policy.each("policies", |mut inner| {
        let class = inner.short_class();
        members.extend(member(inner, &class, &mut authentication));
    });
    if members.is_empty() {
        policy.error_at("policies", "is empty; name at least one policy");
    }
    // Stable: equals stay in the order of the text.
    members.sort_by_key(|(order, _)| *order);
    release.policies = members.into_iter().map(|(_, policy)| policy).collect();
    release.authentication = authentication;
    policy.ignore(&["order"]);
    policy.finish(Unknown::Refuse);
}

/// One policy with its place in a chain. Any member of a chain can withhold the facts about the
/// authentication.
fn member(
    mut policy: Fields<'_, '_>,
    class: &str,
    authentication: &mut bool,
) -> Option<(i64, ReleasePolicy)> {
    let choice = match class {
        "DenyAllAttributeReleasePolicy" => {
            policy.ignore(&["principalIdAttribute"]);
            Choice::None
        }
        "ReturnAllAttributeReleasePolicy" => {
            Choice::AllBut(names(&mut policy, "excludedAttributes"))
        }
        "ReturnAllowedAttributeReleasePolicy" => Choice::Allowed(allowed(&mut policy)),
        "ReturnEncryptedAttributeReleasePolicy" => Choice::Encrypted(allowed(&mut policy)),
        "ReturnMappedAttributeReleasePolicy" | "ReturnMultiMappedAttributeReleasePolicy" => {
            Choice::Mapped(map(&mut policy))
        }
        "ReturnLinkedAttributeReleasePolicy" => Choice::Linked(map(&mut policy)),
        "ReturnStaticAttributeReleasePolicy" => Choice::Static(fixed(&mut policy)),
        "PatternMatchingAttributeReleasePolicy" => Choice::Extracted(extractions(&mut policy)),
        other => {
            policy.unsupported_class(other, SUPPORTED);
            policy.abandon();
            return None;
        }
    };
    // Those who get nothing about the person get nothing about the sign-in either.
    let deny = matches!(choice, Choice::None);
    *authentication &= policy.flag("authorizedToReleaseAuthenticationAttributes", !deny) && !deny;
    let order = policy.number("order").unwrap_or(0);
    let filter = policy.object("attributeFilter").and_then(filter);
    let principal_id_attribute = policy.text("principalIdAttribute");
    if principal_id_attribute.as_deref().is_some_and(is_reserved) {
        policy.error_at("principalIdAttribute", "is the name of a protocol element");
    }
    extras(&mut policy);
    policy.finish(Unknown::Refuse);
    let one = ReleasePolicy {
        choice,
        filter: filter.map(|(_, filter)| filter),
        principal_id_attribute: principal_id_attribute.filter(|_| !deny),
    };
    Some((order, one))
}

fn is_reserved(name: &str) -> bool {
    RESERVED_NAMES.contains(&name)
}

fn names(policy: &mut Fields<'_, '_>, key: &str) -> Vec<String> {
    let names = policy.texts(key).unwrap_or_default();
    if names.iter().any(|name| scripted(name)) {
        policy.error_at(
            key,
            "holds a script, and scripts are not run; name attributes",
        );
    }
    names
}

fn allowed(policy: &mut Fields<'_, '_>) -> Vec<String> {
    let names = names(policy, "allowedAttributes");
    warn_of_reserved(policy, names.iter());
    names
}

fn warn_of_reserved<'a>(policy: &mut Fields<'_, '_>, mut names: impl Iterator<Item = &'a String>) {
    if let Some(name) = names.find(|name| is_reserved(name)) {
        let says = format!("`{name}` is the name of a protocol element and is never released");
        policy.warn_at("allowedAttributes", &says);
    }
}

/// Names and lists of names.
fn map(policy: &mut Fields<'_, '_>) -> Vec<(String, Vec<String>)> {
    let map = policy.text_map("allowedAttributes").unwrap_or_default();
    for (name, list) in &map {
        if let Some(script) = list.iter().find(|text| scripted(text)) {
            let script: String = script.trim().chars().take(12).collect();
            let says = format!(
                "attribute {name}: `{script}...` is a script, and scripts are not run; \
                 let an attribute source compute the value"
            );
            policy.error_at("allowedAttributes", &says);
        }
    }
    let all = map
        .iter()
        .flat_map(|(name, list)| list.iter().chain([name]));
    warn_of_reserved(policy, all);
    map
}

/// Names and values.
fn fixed(policy: &mut Fields<'_, '_>) -> Vec<(String, Vec<String>)> {
    let map = map(policy);
    let expression = |text: &String| text.contains("${") || text.contains("#{");
    for (name, values) in &map {
        if values.iter().any(expression) {
            let says = format!("attribute {name}: expressions are not evaluated; write the value");
            policy.error_at("allowedAttributes", &says);
        }
    }
    map
}

fn extractions(policy: &mut Fields<'_, '_>) -> Vec<Extraction> {
    let mut rules = Vec::new();
    policy.each_named("allowedAttributes", |attribute, mut rule| {
        rule.ignore(&["@class"]);
        let source = rule.required_text("pattern", crate::services::pattern::PATTERN_MAX);
        let transform = rule.required_text("transform", 1024).unwrap_or_default();
        if scripted(&transform) {
            rule.error_at(
                "transform",
                "is a script, and scripts are not run; use ${1}",
            );
        }
        match source.map(|source| Pattern::compile(&source, Extent::Part, true)) {
            Some(Ok(pattern)) => {
                let beyond = format!("${{{}}}", pattern.group_count() + 1);
                if transform.contains(&beyond) {
                    rule.error_at(
                        "transform",
                        &format!("{beyond}: the pattern has no such group"),
                    );
                }
                rules.push(Extraction {
                    attribute: attribute.to_owned(),
                    pattern,
                    transform,
                });
            }
            Some(Err(e)) => rule.error_at("pattern", &e.0),
            None => {}
        }
        rule.finish(Unknown::Refuse);
    });
    rules
}

/// The members every release policy has, as far as they would change something.
fn extras(policy: &mut Fields<'_, '_>) {
    for (key, what) in [
        (
            "authorizedToReleaseCredentialPassword",
            "releasing passwords",
        ),
        (
            "authorizedToReleaseProxyGrantingTicket",
            "releasing the proxy-granting ticket as an attribute",
        ),
        (
            "authorizedToReleaseProxyGrantingTicketId",
            "releasing the proxy-granting ticket as an attribute",
        ),
    ] {
        if policy.flag(key, false) {
            policy.error_at(key, &format!("{what} is not supported; set it to false"));
        }
    }
    let canonical = policy.text("canonicalizationMode");
    if canonical.is_some_and(|mode| !mode.eq_ignore_ascii_case("NONE")) {
        policy.error_at("canonicalizationMode", "only NONE is supported here");
    }
    if let Some(mut consent) = policy.object("consentPolicy") {
        let status = consent.text("status").unwrap_or_default();
        let demanded = status.eq_ignore_ascii_case("TRUE") && consent.flag("enabled", true);
        if demanded {
            let says = "asking for consent is not supported; set it to FALSE";
            consent.error_at("status", says);
        }
        consent.abandon();
    }
    if let Some(mut repository) = policy.object("principalAttributesRepository") {
        let class = repository.short_class();
        if class != "DefaultPrincipalAttributesRepository" {
            repository.unsupported_class(
                &class,
                "attributes are those of the sign-in; remove it or use \
                 DefaultPrincipalAttributesRepository",
            );
        }
        repository.abandon();
    }
    // There are no default attributes, so there is nothing to exclude.
    policy.ignore(&["excludeDefaultAttributes"]);
}

/// `attributeFilter`, with its place in a chain.
fn filter(mut fields: Fields<'_, '_>) -> Option<(i64, Filter)> {
    let class = fields.short_class();
    let order = fields.number("order").unwrap_or(0);
    let filter = match class.as_str() {
        "RegisteredServiceRegexAttributeFilter" => {
            let source = fields.required_text("pattern", crate::services::pattern::PATTERN_MAX);
            match Pattern::compile(&source?, Extent::Full, true) {
                Ok(pattern) => Some(Filter::Values(pattern)),
                Err(e) => {
                    fields.error_at("pattern", &e.0);
                    None
                }
            }
        }
        "RegisteredServiceMappedRegexAttributeFilter" => Some(mapped(&mut fields, Kind::Plain)),
        "RegisteredServiceReverseMappedRegexAttributeFilter" => {
            Some(mapped(&mut fields, Kind::Reverse))
        }
        "RegisteredServiceMutantRegexAttributeFilter" => Some(mapped(&mut fields, Kind::Mutant)),
        "RegisteredServiceChainingAttributeFilter" => {
            let mut members = Vec::new();
            fields.each("filters", |member| members.extend(filter(member)));
            members.sort_by_key(|(order, _)| *order);
            let members = members.into_iter().map(|(_, filter)| filter);
            Some(Filter::Any(members.collect()))
        }
        other => {
            fields.unsupported_class(
                other,
                "supported are RegisteredService...AttributeFilter of the kinds Regex, \
                 MappedRegex, ReverseMappedRegex, MutantRegex and Chaining",
            );
            fields.abandon();
            return None;
        }
    };
    fields.finish(Unknown::Refuse);
    Some((order, filter?))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Reverse,
    Mutant,
}

fn mapped(fields: &mut Fields<'_, '_>, kind: Kind) -> Filter {
    let ignore_case = fields.flag("caseInsensitive", true);
    let extent = if fields.flag("completeMatch", false) {
        Extent::Full
    } else {
        Extent::Part
    };
    let mut rules = Vec::new();
    for (name, sources) in fields.text_map("patterns").unwrap_or_default() {
        if kind != Kind::Mutant && sources.len() != 1 {
            fields.error_at("patterns", &format!("attribute {name}: needs one pattern"));
        }
        let mut own = Vec::new();
        for source in &sources {
            let (source, replacement) = match source.split_once("->") {
                Some((source, to)) if kind == Kind::Mutant => (source.trim(), to.trim()),
                _ => (source.trim(), ""),
            };
            match Pattern::compile(source, extent, ignore_case) {
                Ok(pattern) => own.push(FilterRule {
                    pattern,
                    replacement: (!replacement.is_empty()).then(|| replacement.to_owned()),
                }),
                Err(e) => fields.error_at("patterns", &format!("attribute {name}: {e}")),
            }
        }
        rules.push((name, own));
    }
    Filter::Mapped {
        rules,
        reverse: kind == Kind::Reverse,
        exclude_unmapped: fields.flag("excludeUnmappedAttributes", false),
    }
}
