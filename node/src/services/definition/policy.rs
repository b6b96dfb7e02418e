//! The policies inside a definition: release, access, user name, lifetimes.
//!
//! Every member of a policy can decide who gets in or what is released, so an unknown one is an
//! error here, not a warning.

use super::reader::{Fields, Unknown};
use crate::services::pattern::{Extent, Pattern};

/// Names of the protocol's own elements: an attribute of that name would corrupt what clients read.
pub const RESERVED_NAMES: [&str; 10] = [
    "user",
    "proxy",
    "proxies",
    "proxyGrantingTicket",
    "attributes",
    "authenticationSuccess",
    "authenticationFailure",
    "proxySuccess",
    "proxyFailure",
    "proxyTicket",
];

/// Which attributes of the principal an application sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeRelease {
    /// The principal's attributes.
    pub principal: PrincipalRelease,
    /// Whether facts about the authentication are told besides.
    pub authentication: bool,
}

/// The choice among the principal's attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalRelease {
    /// No attribute.
    None,
    /// Those of a list.
    Allowed(Vec<String>),
    /// All but those of a list.
    AllBut(Vec<String>),
}

/// Who may use an application.
#[derive(Debug, Clone)]
pub struct AccessStrategy {
    /// Whether anybody may.
    pub enabled: bool,
    /// Whether an existing session is enough.
    pub sso_enabled: bool,
    /// Where people go who may not.
    pub unauthorized_redirect_url: Option<String>,
    /// Whether all requirements must hold, or any one.
    pub require_all: bool,
    /// What is required of the principal's attributes.
    pub requirements: Vec<Requirement>,
}

/// One required attribute: some value must contain a match of some pattern.
#[derive(Debug, Clone)]
pub struct Requirement {
    /// Name of the attribute.
    pub attribute: String,
    /// Any of these.
    pub patterns: Vec<Pattern>,
}

/// How the user name is written for an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UsernameCase {
    /// As it is.
    #[default]
    AsIs,
    /// In capitals.
    Upper,
    /// In small letters.
    Lower,
}

/// `attributeReleasePolicy`; absent means that no attribute is released.
pub(super) fn release(fields: &mut Fields<'_, '_>) -> AttributeRelease {
    let Some(mut policy) = fields.object("attributeReleasePolicy") else {
        return AttributeRelease {
            principal: PrincipalRelease::None,
            authentication: true,
        };
    };
    let principal = match policy.short_class().as_str() {
        "DenyAllAttributeReleasePolicy" => PrincipalRelease::None,
        "ReturnAllAttributeReleasePolicy" => {
            PrincipalRelease::AllBut(policy.texts("excludedAttributes").unwrap_or_default())
        }
        "ReturnAllowedAttributeReleasePolicy" => PrincipalRelease::Allowed(allowed(&mut policy)),
        other => {
            policy.unsupported_class(other);
            policy.abandon();
            return AttributeRelease {
                principal: PrincipalRelease::None,
                authentication: false,
            };
        }
    };
    let authentication = policy.flag("authorizedToReleaseAuthenticationAttributes", true);
    release_extras(&mut policy);
    policy.finish(Unknown::Refuse);
    AttributeRelease {
        principal,
        authentication,
    }
}

fn allowed(policy: &mut Fields<'_, '_>) -> Vec<String> {
    let names = policy.texts("allowedAttributes").unwrap_or_default();
    if let Some(name) = names.iter().find(|n| RESERVED_NAMES.contains(&n.as_str())) {
        let says = format!("`{name}` is the name of a protocol element and is never released");
        policy.warn_at("allowedAttributes", &says);
    }
    names
}

/// The members every release policy has, as far as they would change something.
fn release_extras(policy: &mut Fields<'_, '_>) {
    for (key, what) in [
        (
            "authorizedToReleaseCredentialPassword",
            "releasing passwords",
        ),
        (
            "authorizedToReleaseProxyGrantingTicket",
            "this way of proxying",
        ),
        (
            "authorizedToReleaseProxyGrantingTicketId",
            "this way of proxying",
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
    for key in ["attributeFilter", "principalIdAttribute"] {
        policy.refuse_if_set(key, "list the attributes in allowedAttributes");
    }
    if let Some(mut consent) = policy.object("consentPolicy") {
        let status = consent.text("status");
        let off = status.is_some_and(|s| s.eq_ignore_ascii_case("FALSE"))
            || !consent.flag("enabled", true);
        if !off {
            consent.error_at(
                "status",
                "asking for consent is not supported; set it to FALSE",
            );
        }
        consent.abandon();
    }
    if let Some(mut repository) = policy.object("principalAttributesRepository") {
        let class = repository.short_class();
        if class != "DefaultPrincipalAttributesRepository" {
            repository.unsupported_class(&class);
        }
        repository.abandon();
    }
    // Castor has no default attributes, so there is nothing to exclude; order is for chains.
    policy.ignore(&["excludeDefaultAttributes", "order"]);
}

/// `accessStrategy`; absent means that everybody may.
pub(super) fn access(fields: &mut Fields<'_, '_>) -> AccessStrategy {
    let mut strategy = AccessStrategy {
        enabled: true,
        sso_enabled: true,
        unauthorized_redirect_url: None,
        require_all: true,
        requirements: Vec::new(),
    };
    let Some(mut policy) = fields.object("accessStrategy") else {
        return strategy;
    };
    let class = policy.short_class();
    if class != "DefaultRegisteredServiceAccessStrategy" {
        policy.unsupported_class(&class);
        policy.abandon();
        return strategy;
    }
    strategy.enabled = policy.flag("enabled", true);
    strategy.sso_enabled = policy.flag("ssoEnabled", true);
    strategy.unauthorized_redirect_url = policy.web_url("unauthorizedRedirectUrl");
    strategy.require_all = policy.flag("requireAllAttributes", true);
    let ignore_case = policy.flag("caseInsensitive", false);
    strategy.requirements = requirements(&mut policy, ignore_case);
    policy.refuse_if_set("rejectedAttributes", "state what is required instead");
    if let Some(mut delegated) = policy.object("delegatedAuthenticationPolicy") {
        if delegated.flag("exclusive", false) {
            delegated.error_at("exclusive", "signing in elsewhere is not supported");
        }
        delegated.abandon();
    }
    policy.ignore(&["order"]);
    policy.finish(Unknown::Refuse);
    strategy
}

fn requirements(policy: &mut Fields<'_, '_>, ignore_case: bool) -> Vec<Requirement> {
    let map = policy.text_map("requiredAttributes").unwrap_or_default();
    let mut requirements = Vec::with_capacity(map.len());
    for (attribute, sources) in map {
        let mut patterns = Vec::with_capacity(sources.len());
        for source in &sources {
            match Pattern::compile(source, Extent::Part, ignore_case) {
                Ok(pattern) => patterns.push(pattern),
                Err(e) => {
                    let says = format!("attribute {attribute}: {e}");
                    policy.error_at("requiredAttributes", &says);
                }
            }
        }
        requirements.push(Requirement {
            attribute,
            patterns,
        });
    }
    requirements
}

/// `usernameAttributeProvider`; the principal's own name, perhaps in one case.
pub(super) fn username(fields: &mut Fields<'_, '_>) -> UsernameCase {
    let Some(mut provider) = fields.object("usernameAttributeProvider") else {
        return UsernameCase::AsIs;
    };
    let class = provider.short_class();
    if class != "DefaultRegisteredServiceUsernameProvider" {
        provider.unsupported_class(&class);
        provider.abandon();
        return UsernameCase::AsIs;
    }
    let mode = provider.text("canonicalizationMode").unwrap_or_default();
    let case = match mode.to_ascii_uppercase().as_str() {
        "" | "NONE" => UsernameCase::AsIs,
        "UPPER" => UsernameCase::Upper,
        "LOWER" => UsernameCase::Lower,
        _ => {
            provider.error_at("canonicalizationMode", "must be NONE, UPPER or LOWER");
            UsernameCase::AsIs
        }
    };
    if provider.flag("encryptUsername", false) {
        provider.error_at("encryptUsername", "is not supported; set it to false");
    }
    provider.refuse_if_set("scope", "the user name is released as it is");
    provider.finish(Unknown::Refuse);
    case
}

/// `timeToLive` of a policy for single-use tickets, in seconds.
pub(super) fn seconds(fields: &mut Fields<'_, '_>, key: &str) -> Option<u32> {
    let mut policy = fields.object(key)?;
    let uses = policy.number("numberOfUses").unwrap_or(1);
    if uses != 1 {
        policy.error_at("numberOfUses", "a ticket is good for one use: 1");
    }
    let seconds = policy.number("timeToLive");
    let valid = seconds
        .and_then(|s| u32::try_from(s).ok())
        .filter(|s| (1..=300).contains(s));
    if seconds.is_some() && valid.is_none() {
        policy.error_at("timeToLive", "must be 1 to 300 seconds");
    }
    policy.finish(Unknown::Refuse);
    valid
}

/// `multifactorPolicy`: a demand for a second factor must not be ignored.
pub(super) fn check_multifactor(fields: &mut Fields<'_, '_>) {
    let Some(mut policy) = fields.object("multifactorPolicy") else {
        return;
    };
    policy.ignore(&[
        "failureMode",
        "bypassEnabled",
        "@class",
        "bypassTrustedDeviceEnabled",
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
pub(super) fn check_authentication(fields: &mut Fields<'_, '_>) {
    let Some(mut policy) = fields.object("authenticationPolicy") else {
        return;
    };
    policy.ignore(&["@class"]);
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

/// `expirationPolicy` of the definition itself: a date after which it must not work.
pub(super) fn check_definition_expiry(fields: &mut Fields<'_, '_>) {
    let Some(mut policy) = fields.object("expirationPolicy") else {
        return;
    };
    policy.refuse_if_set("expirationDate", "remove the file when the date has come");
    policy.ignore(&[
        "@class",
        "deleteWhenExpired",
        "notifyWhenDeleted",
        "notifyWhenExpired",
    ]);
    policy.finish(Unknown::Refuse);
}
