//! Properties as they are found, and what becomes of them.

use super::judge::{Import, import};
use super::properties::{Placeholders, parse};
use super::*;
use crate::config::{self, Sources};

fn parsed(text: &str) -> Vec<(String, String)> {
    parse(text)
        .0
        .into_iter()
        .map(|p| (p.name, p.value))
        .collect()
}

#[test]
fn properties_are_read_as_java_does() {
    for (text, name, value) in [
        ("a=b", "a", "b"),
        ("a = b c ", "a", "b c "),
        ("a:b", "a", "b"),
        ("a b", "a", "b"),
        ("  a\t=\tb", "a", "b"),
        ("a==b", "a", "=b"),
        ("a", "a", ""),
        ("a=", "a", ""),
        ("# c=d\n! e=f\n\na=b", "a", "b"),
        ("a=b#c", "a", "b#c"),
        ("a=b\\\n   c", "a", "bc"),
        ("a=b\\\r\n   c", "a", "bc"),
        ("a=b\\\\\n", "a", "b\\"),
        ("a=b\\", "a", "b"),
        ("a=b\\\n# no comment", "a", "b# no comment"),
        ("a\\ b\\:c\\=d=e", "a b:c=d", "e"),
        ("a=\\t\\n\\r\\f\\q\\u00fc", "a", "\t\n\r\u{c}q\u{fc}"),
        ("a=\\ud83d\\ude00\\ud83d", "a", "\u{1f600}\u{fffd}"),
        ("a=\\u12", "a", "u12"),
        ("a=b\ra=c", "a", "c"),
        ("fooBar=1\nfoo-bar=2", "foo-bar", "2"),
    ] {
        let expected = vec![(name.to_owned(), value.to_owned())];
        assert_eq!(parsed(text), expected, "{text:?}");
    }
    assert_eq!(parsed("=x\n\\\n:"), vec![]);
    assert_eq!(properties::text_of(b"a=\xfc"), "a=\u{fc}");
    assert_eq!(properties::text_of("a=\u{fc}".as_bytes()), "a=\u{fc}");
}

#[test]
fn placeholders_are_resolved_within_the_file() {
    let (all, _) = parse(
        "cas.server.name=https://${host}\nhost=sso.example.org\nloop=${loop}\n\
         wide=${empty}${empty}\nempty=\nkebab-name=k\n",
    );
    let placeholders = Placeholders::of(&all);
    let resolve = |value: &str| placeholders.resolve(value);
    for (value, expected) in [
        ("${cas.server.name}/cas", "https://sso.example.org/cas"),
        ("${no.such:fall ${kebabName} back}!", "fall k back!"),
        ("$5 {x} ${wide}", "$5 {x}"),
    ] {
        assert_eq!(resolve(value).as_deref(), Ok(expected), "{value}");
    }
    for value in ["${no.such}", "${loop}", "${open", &"${empty}".repeat(1001)] {
        assert!(resolve(value).is_err(), "{value}");
    }
    let huge = "${wide}".repeat(400);
    assert!(resolve(&huge).is_err());
}

#[test]
fn lengths_of_time_are_read_in_every_spelling() {
    for (value, expected) in [
        ("28800", Some("8h")),
        ("PT8H", Some("8h")),
        ("P14D", Some("14d")),
        ("P1DT12H", Some("36h")),
        ("P1W", Some("7d")),
        ("pt1m30s", Some("90s")),
        ("PT0.5S", Some("500ms")),
        ("90s", Some("90s")),
        ("5m", Some("5m")),
        ("0", Some("0ms")),
        ("-1", None),
        ("INFINITE", None),
        ("P", None),
        ("PT", None),
        ("PT5", None),
        ("PT5S3M", None),
        ("P1Y", None),
        ("PT99999999999999999999H", None),
        ("9223372036854775807", None),
        ("soon", None),
        ("", None),
    ] {
        let read = values::duration_ms(value, 1000).ok().map(values::period);
        assert_eq!(read.as_deref(), expected, "{value}");
    }
}

/// One line, its verdict, whether it matters to security, and part of the note.
const CASES: &[(&str, &str, bool, &str)] = &[
    (
        "cas.sso.services.allow-missing-service-parameter=true",
        "default anyway",
        false,
        "without an application",
    ),
    (
        "cas.sso.services.required-service-pattern=^https://.*",
        "not supported",
        true,
        "definitions",
    ),
    (
        "cas.audit.engine.enabled=true",
        "default anyway",
        false,
        "always recorded",
    ),
    (
        "cas.audit.engine.enabled=false",
        "not supported",
        true,
        "always recorded",
    ),
    (
        "cas.server.prefix=https://sso.example.org/cas",
        "mapped",
        false,
        "http.public_url",
    ),
    (
        "cas.server.prefix=http://sso.example.org/cas",
        "not supported",
        false,
        "https",
    ),
    (
        "cas.server.prefix=https://sso.example.org",
        "not supported",
        false,
        "no path",
    ),
    (
        "cas.server.name=https://sso.example.org:8443",
        "mapped",
        false,
        "https://sso.example.org:8443/cas",
    ),
    (
        "server.port=8443",
        "mapped",
        false,
        "http.listen = \"127.0.0.1:8443\"",
    ),
    ("server.port=0", "not supported", false, "no fixed port"),
    (
        "server.servlet.context-path=/sso",
        "mapped",
        false,
        "http.prefix = \"/sso\"",
    ),
    (
        "server.servlet.contextPath=/",
        "not supported",
        false,
        "http.prefix",
    ),
    (
        "server.ssl.key-store-password=changeit",
        "not supported",
        true,
        "http.tls",
    ),
    ("server.ssl.enabled=false", "default anyway", false, "plain"),
    (
        "cas.ticket.tgt.primary.max-time-to-live-in-seconds=PT10H",
        "mapped",
        false,
        "\"10h\"",
    ),
    (
        "cas.ticket.tgt.maxTimeToLiveInSeconds=36000",
        "mapped",
        false,
        "tickets.tgt.max_life = \"10h\"",
    ),
    (
        "cas.ticket.tgt.primary.max-time-to-live-in-seconds=-1",
        "not supported",
        true,
        "for ever",
    ),
    (
        "cas.ticket.tgt.primary.max-time-to-live-in-seconds=P365D",
        "not supported",
        true,
        "out of range",
    ),
    (
        "cas.ticket.tgt.timeToKillInSeconds=3600",
        "mapped",
        false,
        "tickets.tgt.idle = \"1h\"",
    ),
    (
        "cas.ticket.tgt.rememberMe.enabled=true",
        "mapped",
        false,
        "tickets.remember_me.enabled = true",
    ),
    (
        "cas.ticket.tgt.remember-me.time-to-kill-in-seconds=P7D",
        "mapped",
        false,
        "tickets.remember_me.idle = \"7d\"",
    ),
    (
        "cas.ticket.tgt.hard-timeout.time-to-kill-in-seconds=PT8H",
        "not supported",
        true,
        "one policy",
    ),
    (
        "cas.ticket.st.time-to-kill-in-seconds=30",
        "mapped",
        false,
        "tickets.st.life = \"30s\"",
    ),
    (
        "cas.ticket.st.time-to-kill-in-seconds=PT10M",
        "not supported",
        true,
        "1s to 5m",
    ),
    (
        "cas.ticket.st.time-to-kill-in-seconds=${ST_LIFE}",
        "not supported",
        true,
        "outside this file",
    ),
    (
        "cas.ticket.st.time-to-kill-in-seconds={cas-cipher}abc",
        "not supported",
        true,
        "encrypted",
    ),
    (
        "cas.ticket.st.number-of-uses=1",
        "default anyway",
        false,
        "once",
    ),
    (
        "cas.ticket.st.number-of-uses=2",
        "not supported",
        true,
        "once",
    ),
    (
        "cas.ticket.pt.time-to-kill-in-seconds=PT20S",
        "mapped",
        false,
        "tickets.pt.life",
    ),
    (
        "cas.ticket.registry.hazelcast.cluster.network.members=a,b",
        "default anyway",
        false,
        "cluster.seeds",
    ),
    (
        "cas.ticket.registry.redis.crypto.signing.key=s3cret",
        "default anyway",
        false,
        "every node",
    ),
    (
        "cas.ticket.registry.mongo.client-uri=mongodb://u:s3cret@h/",
        "default anyway",
        false,
        "every node",
    ),
    (
        "cas.tgc.crypto.encryption.key=s3cret",
        "default anyway",
        false,
        "sealed",
    ),
    (
        "cas.webflow.crypto.signing.key=s3cret",
        "default anyway",
        false,
        "sealed",
    ),
    (
        "cas.tgc.same-site-policy=Lax",
        "mapped",
        false,
        "web.cookie.same_site = \"lax\"",
    ),
    (
        "cas.tgc.sameSitePolicy=off",
        "not supported",
        true,
        "lax or strict",
    ),
    (
        "cas.tgc.pin-to-session=true",
        "mapped",
        false,
        "web.cookie.pin_to_address = true, web.cookie.pin_to_user_agent = true",
    ),
    (
        "cas.tgc.pinToSession=false",
        "mapped",
        false,
        "web.cookie.pin_to_user_agent = false",
    ),
    (
        "cas.ticket.tgt.remember-me.supported-user-agents=^Firefox",
        "not supported",
        true,
        "whatever browser",
    ),
    (
        "cas.authn.policy.unique-principal.enabled=true",
        "mapped",
        false,
        "tickets.max_sessions_per_user = 1",
    ),
    (
        "cas.authn.policy.unique-principal.enabled=false",
        "default anyway",
        false,
        "not set",
    ),
    (
        "cas.authn.policy.uniquePrincipal.maximumAllowedSessions=3",
        "not supported",
        true,
        "tickets.max_sessions_per_user",
    ),
    ("cas.tgc.name=CASTGC", "not supported", true, "TGC"),
    (
        "cas.logout.follow-service-redirects=true",
        "mapped",
        false,
        "logout.follow_service_redirects = true",
    ),
    (
        "cas.logout.followServiceRedirects=maybe",
        "not supported",
        false,
        "true or false",
    ),
    (
        "cas.logout.redirect-url=https://www.example.org/",
        "mapped",
        false,
        "logout.redirect_url",
    ),
    (
        "cas.logout.redirect-url=/elsewhere",
        "not supported",
        false,
        "logout.redirect_url",
    ),
    (
        "cas.logout.redirect-url=",
        "default anyway",
        false,
        "not set",
    ),
    (
        "cas.slo.disabled=true",
        "mapped",
        false,
        "logout.tell_applications = false",
    ),
    (
        "cas.service-registry.json.location=file:/etc/cas/services",
        "mapped",
        false,
        "services.folder = \"/etc/cas/services\"",
    ),
    (
        "cas.serviceRegistry.json.location=file:///etc/cas/services",
        "mapped",
        false,
        "\"/etc/cas/services\"",
    ),
    (
        "cas.service-registry.json.location=classpath:/services",
        "not supported",
        true,
        "services.folder",
    ),
    (
        "cas.service-registry.mongo.host=db",
        "not supported",
        true,
        "export",
    ),
    (
        "cas.authn.accept.users=casuser::s3cret",
        "not supported",
        true,
        "users file",
    ),
    (
        "cas.authn.accept.users=",
        "default anyway",
        false,
        "users file",
    ),
    (
        "cas.authn.ldap[0].bind-credential=s3cret",
        "not supported",
        true,
        "LDAP",
    ),
    (
        "cas.authn.throttle.failure.threshold=3",
        "mapped",
        false,
        "authn.throttle.user_failures = 3",
    ),
    (
        "cas.authn.throttle.failure.threshold=-1",
        "mapped",
        false,
        "authn.throttle.enabled = false",
    ),
    (
        "cas.authn.throttle.failure.threshold=many",
        "not supported",
        true,
        "no number",
    ),
    (
        "cas.authn.throttle.failure.rangeSeconds=600",
        "mapped",
        false,
        "authn.throttle.window = \"10m\"",
    ),
    (
        "cas.authn.throttle.failure.range-seconds=7200",
        "not supported",
        true,
        "1h",
    ),
    (
        "cas.authn.throttle.failure.throttle-window-seconds=PT2M",
        "mapped",
        false,
        "authn.throttle.max_delay = \"2m\"",
    ),
    (
        "cas.authn.throttle.failure.range-seconds=30",
        "mapped",
        false,
        "authn.throttle.max_delay = \"1m\"",
    ),
    (
        "cas.authn.throttle.core.username-parameter=username",
        "default anyway",
        false,
        "user and address",
    ),
    (
        "cas.authn.throttle.bucket4j.bandwidth[0].capacity=10",
        "not supported",
        true,
        "proxy",
    ),
    (
        "cas.warning-cookie.name=CASPRIVACY",
        "default anyway",
        false,
        "CASPRIVACY",
    ),
    (
        "cas.warning-cookie.same-site-policy=lax",
        "mapped",
        false,
        "web.cookie.same_site",
    ),
    (
        "cas.authn.mfa.duo[0].duo-secret-key=s3cret",
        "not supported",
        true,
        "factors",
    ),
    (
        "cas.authn.something-new.enabled=true",
        "not supported",
        true,
        "users file",
    ),
    (
        "cas.saml-core.issuer=sso.example.org",
        "mapped",
        false,
        "saml.issuer",
    ),
    (
        "cas.http-client.connection-timeout=5000",
        "mapped",
        false,
        "outbound.connect_timeout = \"5s\"",
    ),
    (
        "cas.view.cas2.v3-forward-compatible=false",
        "not supported",
        true,
        "tells attributes",
    ),
    (
        "cas.view.cas2.v3ForwardCompatible=true",
        "default anyway",
        false,
        "tells attributes",
    ),
    (
        "cas.interrupt.json.location=file:/etc/cas/interrupt.json",
        "not supported",
        true,
        "no such step",
    ),
    (
        "spring.config.import=file:/etc/cas/more.properties",
        "not supported",
        true,
        "import each",
    ),
    (
        "spring.profiles.active=standalone",
        "not supported",
        true,
        "import each",
    ),
    (
        "cas.http-client.host-name-verifier=NONE",
        "not supported",
        true,
        "verified",
    ),
    (
        "management.endpoints.web.exposure.include=*",
        "default anyway",
        false,
        "ops.listen",
    ),
    (
        "cas.theme.default-theme-name=x",
        "not supported",
        false,
        "[web]",
    ),
    ("cas.brand-new.thing=x", "not supported", false, "not known"),
    (
        "cas.brand-new.trusted-hosts=x",
        "not supported",
        true,
        "not known",
    ),
    ("my.own.property=x", "not supported", false, "not known"),
];

fn one(line: &str) -> (Import, Outcome) {
    let import = import(line).unwrap_or_else(|error| panic!("{line}: {error:?}"));
    let outcome = import.outcomes[0].clone();
    (import, outcome)
}

/// What the loader of `castor serve` makes of it.
fn loaded(toml: &str) -> config::Config {
    let sources = Sources {
        file: Some("castor.toml".into()),
        set: vec!["node.name=cas1".to_owned()],
        ..Default::default()
    };
    config::load_text(&sources, toml)
        .unwrap_or_else(|error| panic!("{toml}\n{error}"))
        .config
}

#[test]
fn each_property_has_its_verdict() {
    for (line, expected, security, note) in CASES {
        let (import, outcome) = one(line);
        assert_eq!(verdict(&outcome), *expected, "{line}: {}", outcome.note);
        assert_eq!(outcome.matters(), *security, "{line}");
        assert!(outcome.note.contains(note), "{line}: {}", outcome.note);
        loaded(&import.toml("cas.properties"));
        let shown = format!("{}{}", as_text(&import), as_json(&import, ""));
        assert!(
            !shown.contains("s3cret") && !shown.contains("changeit"),
            "{shown}"
        );
    }
}

#[test]
fn every_rule_is_reached_by_its_own_name() {
    for (at, (name, _)) in rules::RULES.iter().enumerate() {
        let name = properties::canonical(name).replace(".*", ".some[0].thing");
        let found = rules::rule(&name).map(|(at, _)| at);
        assert_eq!(found, Some(at), "{name}");
    }
}

/// A file of an ordinary house.
const HOUSE: &str = "\
# CAS
cas.server.name=https://sso.example.org
cas.server.prefix=${cas.server.name}/cas
server.servlet.context-path=/cas
server.port=8443
cas.ticket.tgt.primary.max-time-to-live-in-seconds=PT1H
cas.ticket.tgt.remember-me.enabled=true
cas.ticket.tgt.rememberMe.timeToKillInSeconds=604800
cas.service-registry.json.location=file:/etc/cas/services
cas.logout.follow-service-redirects=true
cas.tgc.crypto.signing.key=s3cret
cas.ticket.registry.hazelcast.cluster.network.members=\\
    10.0.0.1,\\
    10.0.0.2
cas.ticket.st.time-to-kill-in-seconds=PT20S
cas.ticket.st.timeToKillInSeconds=PT30S
";

#[test]
fn a_whole_file_becomes_a_configuration() {
    let import = import(HOUSE).unwrap();
    assert_eq!(import.security_relevant(), 0, "{}", as_text(&import));
    let toml = import.toml("cas.properties");
    let config = loaded(&toml);
    assert_eq!(
        config.http.public_url.unwrap().0,
        "https://sso.example.org/cas"
    );
    assert_eq!(config.http.prefix.0, "/cas");
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8443");
    // The default of 2 h would be longer than the life.
    assert_eq!(config.tickets.tgt.max_life.as_secs(), 3600);
    assert_eq!(config.tickets.tgt.idle.as_secs(), 3600);
    assert_eq!(config.tickets.remember_me.max_life.as_secs(), 604_800);
    assert!(config.tickets.remember_me.enabled && config.logout.follow_service_redirects);
    assert_eq!(config.tickets.st.life.as_secs(), 30);
    assert_eq!(
        config.services.folder.display().to_string(),
        "/etc/cas/services"
    );
    assert!(
        toml.contains("public_url = \"https://sso.example.org/cas\"  # cas.server.prefix"),
        "{toml}"
    );
    let lines: Vec<usize> = import.outcomes.iter().map(|o| o.line).collect();
    assert!(lines.is_sorted(), "{lines:?}");
}

#[test]
fn a_line_that_a_later_one_overrides_is_listed() {
    let text =
        "cas.saml-core.issuer=first\ncas.samlCore.issuer=second\ncas.saml-core.issuer=third\n";
    let import = import(text).unwrap();
    let rows: Vec<_> = import
        .outcomes
        .iter()
        .map(|o| (o.line, verdict(o)))
        .collect();
    assert_eq!(rows, [(1, "overridden"), (2, "overridden"), (3, "mapped")]);
    assert!(
        import.outcomes[0].note.contains("line 2"),
        "{}",
        as_text(&import)
    );
    assert!(
        import.outcomes[1].note.contains("line 3"),
        "{}",
        as_text(&import)
    );
    assert_eq!(loaded(&import.toml("x")).saml.issuer, "third");
    assert!(
        !as_text(&import).contains("first"),
        "a value that is not mapped"
    );
}

#[test]
fn a_throttle_that_is_weaker_than_the_default_is_told() {
    const FAILURE: &str = "cas.authn.throttle.failure.";
    for (property, weaker) in [
        ("threshold=100", true),
        ("threshold=6", true),
        ("threshold=5", false),
        ("threshold=0", true),
        ("range-seconds=60", true),
        ("range-seconds=899", true),
        ("range-seconds=900", false),
        ("range-seconds=1800", false),
    ] {
        let import = import(&format!("{FAILURE}{property}\n")).unwrap();
        let table = as_text(&import);
        assert_eq!(
            table.contains("weaker than Castor's default"),
            weaker,
            "{table}"
        );
        assert!(!weaker || table.contains("5 failures in 15m"), "{table}");
    }
    let defaults = config::Config::defaults().unwrap().authn.throttle;
    assert_eq!(
        (defaults.user_failures, defaults.window.as_secs()),
        (5, 900)
    );
}

#[test]
fn names_that_say_different_things_do_not_both_count() {
    let text = "cas.ticket.tgt.max-time-to-live-in-seconds=PT4H\n\
                cas.ticket.tgt.primary.max-time-to-live-in-seconds=PT8H\n";
    let import = import(text).unwrap();
    assert_eq!(import.security_relevant(), 1);
    assert!(
        import.outcomes[0].note.contains("primary"),
        "{}",
        as_text(&import)
    );
    assert_eq!(
        loaded(&import.toml("x")).tickets.tgt.max_life.as_secs(),
        8 * 3600
    );
}

#[test]
fn hostile_files_end_in_a_table() {
    let long = format!("cas.saml-core.issuer={}", "x".repeat(70_000));
    for text in [
        "cas.saml-core.issuer=a\\u0000\\n\\\"]\n[http]\nlisten=\"0.0.0.0:1\"",
        "cas.saml-core.issuer\\n[http]\\n=x",
        "\u{1b}[2J=x",
        "cas.logout.redirect-url=https://x/\\u0022\\nlisten=1",
        &long,
        &"a\\\n".repeat(10_000),
        &"cas.server.name=${cas.server.name}\n".repeat(100),
        "",
    ] {
        let import = import(text).unwrap();
        loaded(&import.toml("cas.properties"));
        let shown = as_text(&import);
        assert!(!shown.contains(['\u{1b}', '\u{0}']), "{shown:?}");
    }
}

fn run_import(args: &[&str]) -> Done {
    use clap::Parser as _;
    let all = ["castor", "config", "import"].iter().chain(args);
    match super::super::Castor::try_parse_from(all).unwrap().command {
        super::super::Command::Config(args) => super::super::config::run(args),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_exit_code_says_whether_something_must_be_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(at("good"), HOUSE).unwrap();
    std::fs::write(
        at("bad"),
        "cas.authn.ldap[0].ldap-url=ldaps://d\nserver.port=8443\n",
    )
    .unwrap();
    std::fs::write(at("huge"), vec![b'#'; 1 << 21]).unwrap();
    let (good, bad, out) = (at("good"), at("bad"), at("castor.toml"));
    run_import(&[&good]).unwrap();
    run_import(&[&good, "--json"]).unwrap();
    run_import(&[&good, "--out", &out]).unwrap();
    loaded(&std::fs::read_to_string(&out).unwrap());
    let again = run_import(&[&good, "--out", &out]).unwrap_err();
    assert!(matches!(again, Failure::Failed(_)), "{again:?}");
    let failed = run_import(&[&bad, "--out", &out, "--force"]).unwrap_err();
    let Failure::Failed(error) = failed else {
        panic!("{failed:?}");
    };
    assert!(
        error.to_string().starts_with("1 property that matters "),
        "{error}"
    );
    // What could be mapped is there all the same.
    assert!(
        std::fs::read_to_string(&out)
            .unwrap()
            .contains("127.0.0.1:8443")
    );
    for wrong in [at("none"), at("huge")] {
        assert!(run_import(&[&wrong]).is_err());
    }
}
