//! What would make a silent difference, each with the member at which it is refused.

use crate::services::testing::read;

const ACCESS: &str = "\"accessStrategy\": {\"@class\": \"P";
const RELEASE: &str = "\"attributeReleasePolicy\": {\"@class\": \"P";
const NAME: &str = "\"usernameAttributeProvider\": {\"@class\": \"P";

/// The beginning of the definition's last member, the rest of it, and the member that is named.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "",
        r#""singleSignOnParticipationPolicy": {"@class": "PX", "a": 1}"#,
        "singleSign",
    ),
    (
        "",
        r#""singleSignOnParticipationPolicy": {"@class": "PDefaultRegisteredServiceSingleSignOnParticipationPolicy",
            "createCookieOnRenewedAuthentication": "FALSE"}"#,
        "singleSignOnParticipationPolicy.createCookie",
    ),
    ("", r#""environments": ["prod"]"#, "environments"),
    ("", r#""redirectUrl": "javascript:alert(1)""#, "redirectUrl"),
    (
        "",
        r#""redirectUrl": "https://a.edu\\@evil.example/""#,
        "redirectUrl",
    ),
    (
        ACCESS,
        r#"DefaultRegisteredServiceAccessStrategy", "unauthorizedRedirectUrl": "https://a@b/"}"#,
        "accessStrategy.unauthorizedRedirectUrl",
    ),
    ("", r#""someNewPolicy": {"a": 1}"#, "someNewPolicy"),
    ("", r#""requiredHandlers": ["ldap"]"#, "requiredHandlers"),
    (
        ACCESS,
        r#"DefaultRegisteredServiceAccessStrategy", "newKey": 1}"#,
        "accessStrategy.newKey",
    ),
    (
        ACCESS,
        r#"DefaultRegisteredServiceAccessStrategy", "activationCriteria": {"a": 1}}"#,
        "accessStrategy.activationCriteria",
    ),
    (
        ACCESS,
        r#"RemoteEndpointServiceAccessStrategy"}"#,
        "accessStrategy.@class",
    ),
    (
        "",
        r#""accessStrategy": {"@class": "edu.my.DefaultRegisteredServiceAccessStrategy"}"#,
        "accessStrategy.@class",
    ),
    (
        ACCESS,
        r#"ChainingRegisteredServiceAccessStrategy"}"#,
        "accessStrategy.strategies",
    ),
    (
        ACCESS,
        r#"DefaultRegisteredServiceAccessStrategy", "requiredAttributes": {"a": ["("]}}"#,
        "accessStrategy.requiredAttributes",
    ),
    (
        ACCESS,
        r#"DefaultRegisteredServiceAccessStrategy", "rejectedAttributes": {"a": []}}"#,
        "accessStrategy.rejectedAttributes",
    ),
    (
        ACCESS,
        r#"DefaultRegisteredServiceAccessStrategy", "requiredAttributes": {"a": ["groovy {x}"]}}"#,
        "accessStrategy.requiredAttributes",
    ),
    (
        ACCESS,
        r#"DefaultRegisteredServiceAccessStrategy", "enabled": "perhaps"}"#,
        "accessStrategy.enabled",
    ),
    (
        ACCESS,
        r#"TimeBasedRegisteredServiceAccessStrategy", "startingDateTime": "soon"}"#,
        "accessStrategy.starting",
    ),
    (
        ACCESS,
        r#"TimeBasedRegisteredServiceAccessStrategy", "zoneId": "Nowhere"}"#,
        "accessStrategy.zoneId",
    ),
    (
        ACCESS,
        r#"HttpRequestRegisteredServiceAccessStrategy", "headers": {"a b": "x"}}"#,
        "accessStrategy.headers",
    ),
    (
        "",
        r#""multifactorPolicy": {"multifactorAuthenticationProviders": ["mfa-duo"]}"#,
        "multifactorPolicy.multifactor",
    ),
    (
        "",
        r#""multifactorPolicy": {"@class": "PGroovyRegisteredServiceMultifactorPolicy"}"#,
        "multifactorPolicy.@class",
    ),
    (
        "",
        r#""authenticationPolicy": {"requiredAuthenticationHandlers": ["ldap"]}"#,
        "authenticationPolicy.required",
    ),
    (
        "",
        r#""expirationPolicy": {"expirationDate": "the day after"}"#,
        "expirationPolicy.expirationDate",
    ),
    (
        RELEASE,
        r#"ReturnAllAttributeReleasePolicy", "attributeFilter": {"pattern": "x"}}"#,
        "attributeReleasePolicy.attributeFilter",
    ),
    (
        RELEASE,
        r#"ReturnAllAttributeReleasePolicy", "authorizedToReleaseCredentialPassword": true}"#,
        "attributeReleasePolicy.authorized",
    ),
    (
        RELEASE,
        r#"ReturnAllAttributeReleasePolicy", "consentPolicy": {"status": "TRUE"}}"#,
        "attributeReleasePolicy.consentPolicy.status",
    ),
    (
        RELEASE,
        r#"ReturnAllAttributeReleasePolicy", "principalAttributesRepository": {"@class": "PCaching"}}"#,
        "attributeReleasePolicy.principalAttributesRepository",
    ),
    (
        RELEASE,
        r#"ReturnAllAttributeReleasePolicy", "principalIdAttribute": "user"}"#,
        "attributeReleasePolicy.principalId",
    ),
    (
        RELEASE,
        r#"GroovyScriptAttributeReleasePolicy"}"#,
        "attributeReleasePolicy.@class",
    ),
    (
        RELEASE,
        r#"ReturnEnvironmentAttributeReleasePolicy"}"#,
        "attributeReleasePolicy.@class",
    ),
    (
        RELEASE,
        r#"ReturnRestfulAttributeReleasePolicy"}"#,
        "attributeReleasePolicy.@class",
    ),
    (
        RELEASE,
        r#"ReturnMappedAttributeReleasePolicy", "allowedAttributes": {"a": "file:/x.groovy"}}"#,
        "attributeReleasePolicy.allowedAttributes",
    ),
    (
        RELEASE,
        r##"ReturnStaticAttributeReleasePolicy", "allowedAttributes": {"a": ["#{x}"]}}"##,
        "attributeReleasePolicy.allowedAttributes",
    ),
    (
        RELEASE,
        r#"PatternMatchingAttributeReleasePolicy", "allowedAttributes": {"a": {"pattern": "(x)", "transform": "${2}"}}}"#,
        "attributeReleasePolicy.allowedAttributes.a.transform",
    ),
    (
        "",
        r#""serviceTicketExpirationPolicy": {"numberOfUses": 5}"#,
        "serviceTicketExpirationPolicy.numberOfUses",
    ),
    (
        "",
        r#""proxyTicketExpirationPolicy": {"timeToLive": 4000}"#,
        "proxyTicketExpirationPolicy.timeToLive",
    ),
    (
        "",
        r#""proxyGrantingTicketExpirationPolicy": {"timeToKillInSeconds": 60}"#,
        "proxyGrantingTicketExpirationPolicy.timeToKill",
    ),
    (
        "",
        r#""ticketGrantingTicketExpirationPolicy": {"timeToKillInSeconds": "soon"}"#,
        "ticketGrantingTicketExpirationPolicy.timeToKill",
    ),
    (
        "",
        r#""ticketGrantingTicketExpirationPolicy": {"userAgents": {"Firefox": 60}}"#,
        "ticketGrantingTicketExpirationPolicy.userAgents",
    ),
    (
        "",
        r#""ticketGrantingTicketExpirationPolicy": {"ipAddresses": {"^10\\.": 60}}"#,
        "ticketGrantingTicketExpirationPolicy.ipAddresses",
    ),
    (
        NAME,
        r#"DefaultRegisteredServiceUsernameProvider", "encryptUsername": true}"#,
        "usernameAttributeProvider",
    ),
    (
        NAME,
        r#"PairwiseOidcRegisteredServiceUsernameAttributeProvider"}"#,
        "usernameAttributeProvider.@class",
    ),
    (
        NAME,
        r#"GroovyRegisteredServiceUsernameProvider"}"#,
        "usernameAttributeProvider.@class",
    ),
    (
        NAME,
        r#"AnonymousRegisteredServiceUsernameAttributeProvider"}"#,
        "usernameAttributeProvider.persistentIdGenerator",
    ),
    (
        "",
        r#""matchingStrategy": {"@class": "POtherStrategy"}"#,
        "matchingStrategy.@class",
    ),
    (
        "",
        r#""proxyPolicy": {"@class": "PRegexMatchingRegisteredServiceProxyPolicy"}"#,
        "proxyPolicy.pattern",
    ),
    ("", r#""logoutUrl": "javascript:alert(1)""#, "logoutUrl"),
    ("", r#""responseType": "FAX""#, "responseType"),
    (
        "",
        r#""publicKey": {"location": "classpath:key.pem"}"#,
        "publicKey",
    ),
    (
        "",
        r#""properties": {"jwtAsServiceTicket": {"values": ["true"]}}"#,
        "properties.jwtAsServiceTicket",
    ),
];

#[test]
fn what_would_make_a_silent_difference_is_refused() {
    for (start, rest, key) in REFUSED {
        let extra = format!("{start}{rest}");
        let (service, report) = read(&extra);
        assert!(service.is_none(), "{extra}");
        let found = report
            .errors
            .iter()
            .any(|e| e.key.starts_with(key) && (6..=8).contains(&e.line));
        assert!(found, "{extra}: {report:?}");
    }
}
