//! Whole files, and the command.

use super::super::judge::import;
use super::super::*;
use super::loaded;

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
    let defaults = crate::config::Config::defaults().unwrap().authn.throttle;
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
    match crate::cli::Castor::try_parse_from(all).unwrap().command {
        crate::cli::Command::Config(args) => crate::cli::config::run(args),
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
    std::fs::write(at("cas.yml"), HOUSE).unwrap();
    std::fs::write(at("yaml"), "cas:\n  server:\n    name: https://a\n").unwrap();
    std::fs::write(at("at"), "@@\n").unwrap();
    for (wrong, says) in [
        ("cas.yml", "is YAML"),
        ("yaml", "is YAML"),
        ("at", "has no property"),
    ] {
        let failed = run_import(&[&at(wrong), "--out", &at("new.toml")]).unwrap_err();
        assert!(
            matches!(&failed, Failure::Failed(error) if error.to_string().contains(says)),
            "{failed:?}"
        );
        assert!(!dir.path().join("new.toml").exists());
    }
    for wrong in [at("none"), at("huge")] {
        assert!(run_import(&[&wrong]).is_err());
    }
}
