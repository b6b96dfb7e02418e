//! What becomes of each property of Apereo CAS: the table.
//!
//! Names are Apereo's of version 7; those of 5 and 6 stand beside them where they differ. A rule ending
//! in `.*` is for everything below a name that no other rule is for; the longest name wins.

use super::properties::canonical;
use super::values::{self, Mapped};

/// What a rule says.
#[derive(Clone, Copy)]
pub(super) enum What {
    /// Castor has the same, by these keys. The flag: whether it matters to security when a value does not fit.
    Map(fn(&str) -> Mapped, bool),
    /// Castor does so anyway, or does not need it.
    Anyway(&'static str),
    /// Castor does so anyway when the value is one of these (an empty one: not set); else it matters to security.
    AnywayIf(&'static [&'static str], &'static str),
    /// Not supported, and somebody could rely on it to keep people out.
    Missing(&'static str),
    /// Not supported, and nobody gets in or is kept out by that.
    Dropped(&'static str),
}

pub(super) const RULES: &[(&str, What)] = &[
    // The address.
    (
        "cas.server.name",
        What::Anyway("used with cas.server.prefix for http.public_url"),
    ),
    ("cas.server.prefix", What::Map(values::server_prefix, false)),
    (
        "server.servlet.context-path",
        What::Map(values::context_path, false),
    ),
    (
        "server.context-path",
        What::Map(values::context_path, false),
    ),
    ("server.port", What::Map(values::port, false)),
    (
        "cas.host.name",
        What::Anyway("node.name is the host's name unless it is set"),
    ),
    (
        "server.ssl.*",
        What::Missing(
            "set http.tls.certificate and http.tls.key; key stores become PEM files with `openssl pkcs12`",
        ),
    ),
    (
        "server.ssl.enabled",
        What::AnywayIf(
            &["false"],
            "plain text is for loopback and Unix sockets only",
        ),
    ),
    (
        "server.forward-headers-strategy",
        What::Missing("set http.trusted_proxies to the balancer's addresses"),
    ),
    (
        "server.use-forward-headers",
        What::Missing("set http.trusted_proxies to the balancer's addresses"),
    ),
    (
        "server.tomcat.*",
        What::Dropped("there is no Tomcat; [http] has limits of connections, bodies and times"),
    ),
    (
        "cas.server.tomcat.*",
        What::Dropped("there is no Tomcat; [http] has limits of connections, bodies and times"),
    ),
    (
        "server.tomcat.remoteip.*",
        What::Missing("set http.trusted_proxies to the balancer's addresses"),
    ),
    (
        "server.*",
        What::Dropped("belongs to the Java server; see [http]"),
    ),
    // Lifetimes.
    (
        "cas.ticket.tgt.primary.max-time-to-live-in-seconds",
        What::Map(values::tgt_max, true),
    ),
    (
        "cas.ticket.tgt.max-time-to-live-in-seconds",
        What::Map(values::tgt_max, true),
    ),
    (
        "cas.ticket.tgt.primary.time-to-kill-in-seconds",
        What::Map(values::tgt_idle, true),
    ),
    (
        "cas.ticket.tgt.time-to-kill-in-seconds",
        What::Map(values::tgt_idle, true),
    ),
    (
        "cas.ticket.tgt.remember-me.enabled",
        What::Map(values::remember_enabled, true),
    ),
    (
        "cas.ticket.tgt.remember-me.time-to-kill-in-seconds",
        What::Map(values::remember_life, true),
    ),
    (
        "cas.ticket.tgt.remember-me.supported-user-agents",
        What::AnywayIf(
            &["", ".*"],
            "everybody may ask to be remembered, with whatever browser",
        ),
    ),
    (
        "cas.ticket.tgt.remember-me.supported-ip-addresses",
        What::AnywayIf(
            &["", ".*"],
            "everybody may ask to be remembered, from wherever",
        ),
    ),
    (
        "cas.tgc.remember-me-max-age",
        What::Anyway("the cookie lives as long as tickets.remember_me.max_life"),
    ),
    (
        "cas.ticket.tgt.timeout.*",
        What::Missing("one policy for all sessions: tickets.tgt.max_life and tickets.tgt.idle"),
    ),
    (
        "cas.ticket.tgt.hard-timeout.*",
        What::Missing("one policy for all sessions: tickets.tgt.max_life and tickets.tgt.idle"),
    ),
    (
        "cas.ticket.tgt.throttled-timeout.*",
        What::Missing("one policy for all sessions: tickets.tgt.max_life and tickets.tgt.idle"),
    ),
    (
        "cas.ticket.tgt.core.only-track-most-recent-session",
        What::AnywayIf(
            &["true"],
            "an application is told of its newest ticket in the session",
        ),
    ),
    (
        "cas.ticket.tgt.only-track-most-recent-session",
        What::AnywayIf(
            &["true"],
            "an application is told of its newest ticket in the session",
        ),
    ),
    (
        "cas.ticket.tgt.core.max-length",
        What::Anyway("ids have the length that clients accept"),
    ),
    (
        "cas.ticket.tgt.max-length",
        What::Anyway("ids have the length that clients accept"),
    ),
    (
        "cas.ticket.st.time-to-kill-in-seconds",
        What::Map(values::st_life, true),
    ),
    (
        "cas.ticket.st.number-of-uses",
        What::AnywayIf(&["1"], "a service ticket is good once, always"),
    ),
    (
        "cas.ticket.st.max-length",
        What::Anyway("ids have the length that clients accept"),
    ),
    (
        "cas.ticket.pt.time-to-kill-in-seconds",
        What::Map(values::pt_life, true),
    ),
    (
        "cas.ticket.pt.number-of-uses",
        What::AnywayIf(&["1"], "a proxy ticket is good once, always"),
    ),
    (
        "cas.ticket.pgt.max-length",
        What::Anyway("ids have the length that clients accept"),
    ),
    (
        "cas.ticket.tst.*",
        What::Dropped("the login form keeps its own state, for web.login_flow_lifetime"),
    ),
    (
        "cas.ticket.crypto.*",
        What::Anyway("tickets between nodes are always sealed and signed, with Castor's own keys"),
    ),
    (
        "cas.ticket.registry.*",
        What::Anyway("every node keeps all tickets: set cluster.seeds instead"),
    ),
    (
        "cas.ticket.track-descendant-tickets",
        What::Anyway("what descends from a session ends with it"),
    ),
    // Cookies and state in the browser.
    (
        "cas.tgc.crypto.*",
        What::Anyway("cookies are always sealed, with Castor's own keys"),
    ),
    (
        "cas.webflow.crypto.*",
        What::Anyway("the login form's state is always sealed, with Castor's own keys"),
    ),
    ("cas.webflow.*", What::Dropped("there is one login flow")),
    (
        "cas.tgc.name",
        What::AnywayIf(&["TGC", ""], "the cookie is called TGC"),
    ),
    (
        "cas.tgc.path",
        What::Anyway("the cookie's path is http.prefix"),
    ),
    (
        "cas.tgc.domain",
        What::AnywayIf(&[""], "the cookie goes to this host alone"),
    ),
    (
        "cas.tgc.secure",
        What::Anyway("the cookie is always Secure"),
    ),
    (
        "cas.tgc.http-only",
        What::Anyway("the cookie is always HttpOnly"),
    ),
    (
        "cas.tgc.max-age",
        What::Anyway("the cookie ends with the browser, or with a remembered session"),
    ),
    (
        "cas.tgc.same-site-policy",
        What::Map(values::same_site, true),
    ),
    (
        "cas.tgc.pin-to-session",
        What::Map(values::pin_to_session, true),
    ),
    (
        "cas.tgc.allowed-ip-addresses-pattern",
        What::Dropped(
            "a cookie that is bound to an address (web.cookie.pin_to_address) is bound to its own alone",
        ),
    ),
    (
        "cas.tgc.auto-configure-cookie-path",
        What::Anyway("the cookie's path is http.prefix"),
    ),
    ("cas.tgc.comment", What::Anyway("the cookie has no comment")),
    (
        "cas.tgc.geo-locate-client-session",
        What::AnywayIf(&["false"], "nobody is located"),
    ),
    (
        "cas.warning-cookie.*",
        What::Anyway(
            "the cookie CASPRIVACY is always Secure and HttpOnly, with the path of TGC; web.offer_warn",
        ),
    ),
    (
        "cas.warning-cookie.name",
        What::AnywayIf(&["CASPRIVACY", ""], "the cookie is called CASPRIVACY"),
    ),
    (
        "cas.warning-cookie.same-site-policy",
        What::Map(values::same_site, true),
    ),
    (
        "cas.warning-cookie.domain",
        What::AnywayIf(&[""], "the cookie goes to this host alone"),
    ),
    // Single sign-on.
    (
        "cas.sso.sso-enabled",
        What::AnywayIf(&["true"], "definitions say which application takes part"),
    ),
    (
        "cas.sso.renew-authn-enabled",
        What::AnywayIf(&["true"], "renew is always obeyed"),
    ),
    (
        "cas.sso.create-sso-cookie-on-renew-authn",
        What::AnywayIf(&["true"], "signing in again makes a session"),
    ),
    (
        "cas.sso.proxy-authn-enabled",
        What::AnywayIf(&["true"], "definitions say who may proxy"),
    ),
    (
        "cas.sso.allow-missing-service-parameter",
        What::AnywayIf(&["true"], "people may sign in without an application"),
    ),
    (
        "cas.sso.services.allow-missing-service-parameter",
        What::AnywayIf(&["true"], "people may sign in without an application"),
    ),
    (
        "cas.sso.*",
        What::Missing("single sign-on is configured in the definitions"),
    ),
    // Signing out.
    (
        "cas.logout.follow-service-redirects",
        What::Map(values::follow_redirects, false),
    ),
    (
        "cas.logout.confirm-logout",
        What::Map(values::confirm_logout, false),
    ),
    (
        "cas.logout.redirect-url",
        What::Map(values::logout_url, false),
    ),
    (
        "cas.logout.redirect-parameter",
        What::AnywayIf(&["service", ""], "the parameter is service"),
    ),
    (
        "cas.logout.remove-descendant-tickets",
        What::Anyway("what descends from a session ends with it"),
    ),
    ("cas.slo.disabled", What::Map(values::slo_disabled, true)),
    (
        "cas.slo.asynchronous",
        What::Anyway("nobody waits while applications are told"),
    ),
    // Definitions.
    (
        "cas.service-registry.json.location",
        What::Map(values::folder, true),
    ),
    (
        "cas.service-registry.json.*",
        What::Anyway("changed files are taken at once"),
    ),
    (
        "cas.service-registry.core.init-from-json",
        What::AnywayIf(&["false"], "definitions come from services.folder only"),
    ),
    (
        "cas.service-registry.init-from-json",
        What::AnywayIf(&["false"], "definitions come from services.folder only"),
    ),
    (
        "cas.service-registry.schedule.*",
        What::Anyway("changed files are taken at once"),
    ),
    (
        "cas.service-registry.watcher-enabled",
        What::Anyway("changed files are taken at once"),
    ),
    (
        "cas.service-registry.cache.*",
        What::Anyway("all definitions are in memory"),
    ),
    (
        "cas.service-registry.*",
        What::Missing("definitions come from JSON files: export them and set services.folder"),
    ),
    // Who people are.
    (
        "cas.authn.accept.users",
        What::AnywayIf(
            &[""],
            "write a users file (authn.file.path) with hashes of `castor password hash`",
        ),
    ),
    (
        "cas.authn.accept.enabled",
        What::Anyway("there are no built-in users"),
    ),
    (
        "cas.authn.accept.name",
        What::Anyway("there are no built-in users"),
    ),
    (
        "cas.authn.ldap.*",
        What::Missing("LDAP is not there yet; people come from the users file (authn.file.path)"),
    ),
    (
        "cas.authn.throttle.*",
        What::Anyway("failures are counted for the whole cluster by Castor itself"),
    ),
    (
        "cas.authn.throttle.failure.threshold",
        What::Map(values::throttle_threshold, true),
    ),
    (
        "cas.authn.throttle.failure.range-seconds",
        What::Map(values::throttle_range, true),
    ),
    (
        "cas.authn.throttle.failure.throttle-window-seconds",
        What::Map(values::throttle_pause, true),
    ),
    (
        "cas.authn.throttle.core.username-parameter",
        What::Anyway("failures count by user and address, and by address alone"),
    ),
    (
        "cas.authn.throttle.bucket4j.*",
        What::Missing("only failures are throttled; limit requests in the proxy"),
    ),
    (
        "cas.authn.throttle.hazelcast.*",
        What::Anyway("failures are counted for the whole cluster by Castor itself"),
    ),
    (
        "cas.authn.mfa.*",
        What::Missing("several factors are not there yet"),
    ),
    (
        "cas.authn.saml-idp.*",
        What::Missing("SAML 2.0 is not there yet"),
    ),
    ("cas.authn.oauth.*", What::Missing("OAuth is not there")),
    (
        "cas.authn.oidc.*",
        What::Missing("OpenID Connect is not there"),
    ),
    (
        "cas.authn.attribute-repository.*",
        What::Missing("attributes come from the users file (authn.file.path)"),
    ),
    (
        "cas.authn.policy.unique-principal.enabled",
        What::Map(values::unique_principal, true),
    ),
    (
        "cas.authn.policy.unique-principal.maximum-allowed-sessions",
        What::AnywayIf(&["1"], "set tickets.max_sessions_per_user to this number"),
    ),
    (
        "cas.authn.policy.unique-principal.*",
        What::Dropped("see tickets.max_sessions_per_user and tickets.at_user_limit"),
    ),
    (
        "cas.authn.*",
        What::Missing("people come from the users file (authn.file.path)"),
    ),
    (
        "cas.person-directory.*",
        What::Missing("attributes come from the users file (authn.file.path)"),
    ),
    // SAML 1.1.
    ("cas.saml-core.issuer", What::Map(values::saml_issuer, true)),
    (
        "cas.saml-core.attribute-namespace",
        What::Map(values::saml_namespace, false),
    ),
    (
        "cas.saml-core.*",
        What::Dropped("answers of /samlValidate cannot be changed otherwise"),
    ),
    // Calls to applications.
    (
        "cas.http-client.connection-timeout",
        What::Map(values::connect_timeout, false),
    ),
    (
        "cas.http-client.read-timeout",
        What::Map(values::read_timeout, false),
    ),
    (
        "cas.http-client.host-name-verifier",
        What::AnywayIf(
            &["default", "DEFAULT", ""],
            "names in certificates are always verified",
        ),
    ),
    (
        "cas.http-client.truststore.*",
        What::Missing("set outbound.ca_file to a PEM file"),
    ),
    (
        "cas.http-client.proxy-host",
        What::Dropped("set outbound.proxy"),
    ),
    (
        "cas.http-client.proxy-port",
        What::Dropped("set outbound.proxy"),
    ),
    (
        "cas.http-client.allow-local-urls",
        What::AnywayIf(&["false"], "see outbound.private_networks"),
    ),
    (
        "cas.http-client.allow-local-logout-urls",
        What::AnywayIf(&["false"], "see outbound.private_networks"),
    ),
    (
        "cas.http-client.*",
        What::Missing("calls to applications are configured in [outbound]"),
    ),
    // Operators.
    (
        "cas.audit.slf4j.*",
        What::Anyway("one JSON object per line; audit.output says where to"),
    ),
    (
        "cas.audit.engine.enabled",
        What::AnywayIf(&["true"], "events are always recorded"),
    ),
    (
        "cas.audit.engine.number-of-days-in-history",
        What::Anyway("the node keeps no history of its own"),
    ),
    (
        "cas.audit.*",
        What::Missing("audit.output is stdout, file or syslog"),
    ),
    (
        "cas.monitor.endpoints.*",
        What::Anyway("operators' endpoints are on ops.listen, loopback only unless it is changed"),
    ),
    (
        "cas.monitor.*",
        What::Anyway("see /status and /metrics on ops.listen"),
    ),
    (
        "management.*",
        What::Anyway("operators' endpoints are on ops.listen, loopback only unless it is changed"),
    ),
    (
        "spring.security.user.*",
        What::Anyway("administrators come by the socket ops.admin_socket"),
    ),
    (
        "spring.security.*",
        What::Missing("administrators come by the socket ops.admin_socket"),
    ),
    (
        "spring.config.*",
        What::Missing("it names files that are not read here: import each of them"),
    ),
    (
        "spring.profiles.*",
        What::Missing("files of profiles are not read here: import each of them"),
    ),
    (
        "spring.cloud.*",
        What::Missing("properties from elsewhere are not read: import them as a file"),
    ),
    ("spring.*", What::Dropped("belongs to the Java framework")),
    ("logging.*", What::Dropped("see log.level and log.format")),
    (
        "cas.standalone.configuration-security.*",
        What::Missing("values are not encrypted; secrets can be in files of their own"),
    ),
    ("cas.standalone.*", What::Anyway("one file, castor.toml")),
    ("cas.config.*", What::Anyway("one file, castor.toml")),
    // What people see.
    (
        "cas.theme.*",
        What::Dropped("see [web]: title, logo, colour, templates"),
    ),
    (
        "cas.view.cas2.v3-forward-compatible",
        What::AnywayIf(
            &["true"],
            "/serviceValidate tells attributes: whoever must not have them needs a definition that releases none",
        ),
    ),
    (
        "cas.interrupt.*",
        What::Missing(
            "nobody is stopped on the way to an application: there is no such step at sign-in",
        ),
    ),
    (
        "cas.view.default-redirect-url",
        What::Dropped(
            "who signs in without an application sees the page that says so; there is no redirect",
        ),
    ),
    (
        "cas.view.authorized-services-on-successful-login",
        What::Dropped("the page after a sign-in without an application lists none"),
    ),
    (
        "cas.view.cas1.attribute-renderer-type",
        What::Dropped("/validate tells the name alone, in two lines, and no attributes"),
    ),
    (
        "cas.view.*",
        What::Dropped("see [web]: title, logo, colour, templates"),
    ),
    (
        "cas.locale.*",
        What::Dropped("the language of pages is not configured"),
    ),
    (
        "cas.message-bundle.*",
        What::Dropped("see web.template_folder"),
    ),
    (
        "cas.http-web-request.*",
        What::Missing("security headers are fixed; CORS is off"),
    ),
    ("cas.geocode.*", What::Dropped("nobody is located")),
    ("cas.events.*", What::Dropped("see audit.output")),
    ("cas.metrics.*", What::Dropped("see /metrics on ops.listen")),
];

/// Words in the name of a property that no rule knows by which it may matter to security.
const TELLING: [&str; 22] = [
    "auth",
    "access",
    "allow",
    "deny",
    "block",
    "crypto",
    "encrypt",
    "sign",
    "key",
    "secret",
    "password",
    "cert",
    "trust",
    "ssl",
    "tls",
    "secur",
    "policy",
    "pattern",
    "captcha",
    "consent",
    "surrogate",
    "risk",
];

/// The rule for a property's canonical name, and its place in the table.
pub(super) fn rule(name: &str) -> Option<(usize, &'static What)> {
    let mut best: Option<(usize, usize, &What)> = None;
    for (at, (rule, what)) in RULES.iter().enumerate() {
        let rule = canonical(rule);
        let fits = match rule.strip_suffix(".*") {
            Some(above) => name
                .strip_prefix(above)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])),
            None => name == rule,
        };
        // A name in full is more than everything below it.
        let weight = rule.trim_end_matches(".*").len() * 2 + usize::from(!rule.ends_with(".*"));
        if fits && best.is_none_or(|(w, ..)| weight > w) {
            best = Some((weight, at, what));
        }
    }
    best.map(|(_, at, what)| (at, what))
}

/// Whether a property that no rule knows may matter to security.
pub(super) fn is_telling(name: &str) -> bool {
    TELLING.iter().any(|word| name.contains(word))
}
