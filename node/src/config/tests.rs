//! What a configuration promises: precedence, origins, and one clear line for everything wrong.

use std::path::{Path, PathBuf};

use super::schema::Section as _;
use super::*;

struct File {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn file(text: &str) -> File {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("castor.toml");
    std::fs::write(&path, text).unwrap();
    File { _dir: dir, path }
}

fn load_with(text: &str, env: &[(&str, &str)], set: &[&str]) -> Result<Loaded, Vec<String>> {
    let file = file(text);
    let sources = Sources {
        file: Some(file.path.clone()),
        env: env
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        set: set.iter().map(|s| (*s).to_owned()).collect(),
    };
    let folder = format!("{}/", file.path.parent().unwrap().display());
    load(&sources).map_err(|error| {
        error
            .problems
            .into_iter()
            .map(|Problem(line)| line.replace(&folder, ""))
            .collect()
    })
}

fn problems(text: &str) -> Vec<String> {
    load_with(text, &[], &[]).expect_err("must be refused")
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    assert_eq!(
        problems("[http]\nlisen = \"127.0.0.1:1\"\n"),
        ["castor.toml:2: http.lisen: unknown key; did you mean http.listen?"]
    );
    assert_eq!(
        problems("[htpt]\n[tickets.tgt]\nmax_live = \"1h\"\n"),
        [
            "castor.toml:1: htpt: unknown key; did you mean http?",
            "castor.toml:3: tickets.tgt.max_live: unknown key; did you mean tickets.tgt.max_life?",
        ]
    );
    assert_eq!(
        problems("[http]\nlisten_address = \"127.0.0.1:1\"\n"),
        ["castor.toml:2: http.listen_address: unknown key; did you mean http.listen?"]
    );
}

#[test]
fn a_wrong_type_names_file_line_key_and_what_is_expected() {
    assert_eq!(
        problems("# one\n\n[http]\nheader_timeout = 5\n"),
        [
            "castor.toml:4: http.header_timeout: expected a duration such as \"500ms\", \"10s\" \
          or \"8h\", found integer 5"
        ]
    );
    assert_eq!(
        problems("[ops]\nallow = [\"10.0.0.0/40\"]\n"),
        [
            "castor.toml:2: ops.allow: expected a list such as [\"10.0.0.0/8\", \"192.0.2.7\"], \
          found list [\"10.0.0.0/40\"] (\"10.0.0.0/40\" is not an address range such as \
          \"10.0.0.0/8\": the part after / is 0 to 32)"
        ]
    );
    assert_eq!(
        problems("http = 1\n"),
        ["castor.toml:1: http: this is a section; write [http] and its keys below it"]
    );
}

#[test]
fn a_value_out_of_range_names_the_range() {
    assert_eq!(
        problems("[cluster]\nview_size = 9\n"),
        ["castor.toml:2: cluster.view_size: integer 9 is out of range; use 1 to 5"]
    );
}

#[test]
fn broken_toml_names_the_line() {
    let found = problems("[http]\nlisten = \n");
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("castor.toml:2: not valid TOML: "),
        "{found:?}"
    );
}

#[test]
fn a_missing_file_is_named_with_the_remedy() {
    let sources = Sources {
        file: Some("/nonexistent/castor.toml".into()),
        ..Sources::default()
    };
    let says = load(&sources).unwrap_err().to_string();
    assert!(
        says.starts_with("/nonexistent/castor.toml: cannot read"),
        "{says}"
    );
    assert!(says.contains("--config"), "{says}");
    assert!(!says.contains('\n'), "one line: {says}");
}

#[test]
fn the_environment_beats_the_file_and_set_beats_both() {
    let text = "[http]\nidle_timeout = \"11s\"\nmax_connections = 11\nheader_timeout = \"1s\"\n";
    let env = [
        ("CASTOR_HTTP__MAX_CONNECTIONS", "12"),
        ("CASTOR_HTTP__HEADER_TIMEOUT", "2s"),
        ("CASTOR_HTTP__TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7"),
        ("CASTOR_HOME", "ignored: it has no two underscores"),
        ("OTHER__KEY", "ignored: it is not ours"),
    ];
    let loaded = load_with(text, &env, &["http.header_timeout=3s"]).unwrap();
    let http = &loaded.config.http;
    assert_eq!(http.idle_timeout.as_millis(), 11_000);
    assert_eq!(http.max_connections, 12);
    assert_eq!(http.header_timeout.as_millis(), 3_000);
    assert_eq!(http.trusted_proxies.len(), 2);
    let shown = reference::show(&loaded.resolved);
    for line in [
        "castor.toml:2",
        "http.max_connections = 12  # environment CASTOR_HTTP__MAX_CONNECTIONS",
        "http.header_timeout = \"3s\"  # --set",
        "http.max_body = \"64KiB\"  # default",
    ] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
}

#[test]
fn overrides_are_checked_like_the_file() {
    let found = load_with(
        "",
        &[("CASTOR_HTTP__LISTN", "x"), ("CASTOR_LOG__LEVEL", "loud")],
        &["http.max_connections=many", "log.level"],
    )
    .unwrap_err();
    assert_eq!(
        found,
        [
            "CASTOR_HTTP__LISTN: http.listn: unknown key; did you mean http.listen?",
            "--set log.level: write it as section.key=value",
            "--set http.max_connections: expected a whole number, found \"many\"",
            "CASTOR_LOG__LEVEL: log.level: expected a level (error, warn, info, debug, trace) or \
             a filter such as \"info,castor_node=debug\", found \"loud\"",
        ]
    );
}

#[test]
fn plain_text_is_refused_beyond_this_machine() {
    for address in ["0.0.0.0:8443", "192.0.2.1:80", "[::]:8443"] {
        let found = problems(&format!("[http]\nlisten = \"{address}\"\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("http.listen") && found[0].contains("http.tls.certificate"),
            "{found:?}"
        );
    }
    for address in ["127.0.0.1:0", "[::1]:8443", "unix:http.sock"] {
        load_with(&format!("[http]\nlisten = \"{address}\"\n"), &[], &[]).unwrap();
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    for (text, key) in [
        ("[http.tls]\ncertificate = \"c.pem\"\n", "http.tls.key"),
        ("[audit]\noutput = \"file\"\n", "audit.file"),
        ("[tickets.tgt]\nidle = \"9h\"\n", "tickets.tgt.max_life"),
        (
            "[cluster]\nseeds = [\"a.example:8445\"]\n",
            "cluster.advertise",
        ),
        (
            "[http]\npublic_url = \"https://a.example/sso\"\n",
            "http.prefix",
        ),
        ("[cluster]\nname = \"A B\"\n", "cluster.name"),
        ("[cluster]\nview_size = 2\n", "cluster.view_size"),
    ] {
        let found = problems(text);
        assert!(
            found.len() == 1 && found[0].contains(key) && found[0].starts_with("castor.toml:"),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let file = file("[services]\nfolder = \"services\"\n");
    let sources = Sources {
        file: Some(file.path.clone()),
        set: vec!["authn.file.path=users.toml".to_owned()],
        ..Sources::default()
    };
    let config = load(&sources).unwrap().config;
    assert_eq!(
        config.services.folder,
        file.path.with_file_name("services"),
        "from the file"
    );
    assert_eq!(
        config.authn.file.path,
        PathBuf::from("users.toml"),
        "from --set: where the command runs"
    );
}

#[test]
fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
    let secret = "0123456789abcdef0123";
    let says = load_with("", &[], &[&format!("ops.token={secret}")]).unwrap_err();
    assert!(says[0].starts_with("--set ops.token: "), "{says:?}");
    assert!(says[0].contains("ops.token_file=PATH"), "{says:?}");
    assert!(!says[0].contains(secret), "{says:?}");
    load_with("", &[("CASTOR_OPS__TOKEN", secret)], &[]).unwrap();
}

#[test]
fn a_secret_comes_from_its_file_and_is_never_shown() {
    let secret = "0123456789abcdef0123";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, format!("{secret}\n")).unwrap();
    let set = format!("ops.token_file={}", path.display());
    let loaded = load_with("", &[], &[&set]).unwrap();
    let token = loaded.config.ops.token.as_ref().unwrap();
    assert_eq!(token.reveal(), secret);
    let everything = format!(
        "{:?} {} {}",
        loaded.config,
        reference::show(&loaded.resolved),
        reference::show_json(&loaded.resolved)
    );
    assert!(!everything.contains(secret));

    let short = load_with("[ops]\ntoken = \"hunter2\"\n", &[], &[]).unwrap_err();
    assert!(
        short.len() == 1 && !short[0].contains("hunter2"),
        "{short:?}"
    );
    let both = load_with(
        "[ops]\ntoken = \"0123456789abcdef\"\ntoken_file = \"t\"\n",
        &[],
        &[],
    );
    assert!(both.unwrap_err()[0].contains("keep one of them"));
    let unreadable = load_with("", &[], &["ops.token_file=/nonexistent"]).unwrap_err();
    assert!(
        unreadable[0].contains("--set ops.token_file: cannot read /nonexistent"),
        "{unreadable:?}"
    );
}

#[test]
fn every_default_of_the_reference_is_a_value_that_is_accepted() {
    let uncommented: String = reference::as_toml()
        .lines()
        .filter_map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => (!rest.ends_with('=')).then_some(rest),
            Some(_) => None,
            None => Some(line),
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let loaded = load_with(&uncommented, &[], &[]).unwrap();
    let from_file = loaded
        .resolved
        .iter()
        .filter(|item| matches!(item.origin, source::Origin::File { .. }))
        .count();
    let with_default = sections()
        .iter()
        .flat_map(|section| &section.keys)
        .filter(|key| key.default_toml.is_some())
        .count();
    assert_eq!(from_file, with_default);
}

#[test]
fn every_key_has_a_doc_and_a_range_that_holds_its_default() {
    let mut specs = Vec::new();
    Config::describe(&mut specs);
    let keys: Vec<_> = specs.into_iter().flat_map(|section| section.keys).collect();
    assert!(keys.len() > 40, "the table is complete");
    for key in keys {
        assert!(key.doc.ends_with('.'), "{}: {:?}", key.key, key.doc);
    }
    // A default out of its own range would make this fail.
    let all_set: Vec<String> = sections()
        .into_iter()
        .flat_map(|section| section.keys)
        .filter(|key| !key.default.is_empty())
        .map(|key| format!("{}={}", key.key, key.default))
        .collect();
    let sources = Sources {
        set: all_set,
        ..Sources::default()
    };
    load(&sources).unwrap();
}

#[test]
fn address_ranges_hold_what_they_say() {
    let cidr = |text: &str| {
        <Cidr as value::Value>::from_toml(&toml::Value::String(text.to_owned()), Path::new(""))
    };
    for (range, address, inside) in [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.0.0.0/8", "::ffff:10.1.1.1", true),
        ("192.0.2.7", "192.0.2.7", true),
        ("192.0.2.7", "192.0.2.8", false),
        ("0.0.0.0/0", "203.0.113.1", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("2001:db8::/32", "2001:db8:1::1", true),
        ("::/0", "2001:db8::1", true),
    ] {
        let found = cidr(range).unwrap().contains(address.parse().unwrap());
        assert_eq!(found, inside, "{range} {address}");
    }
    for bad in ["", "10.0.0.0/33", "10.0.0/8", "a", "::/129", "10.0.0.0/-1"] {
        assert!(cidr(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_reload_takes_what_it_may_and_names_what_waits_for_a_restart() {
    let file = file("[log]\nlevel = \"info\"\n");
    let sources = Sources {
        file: Some(file.path.clone()),
        ..Sources::default()
    };
    let started = load(&sources).unwrap();
    let live = Live::new(started.config.clone());
    std::fs::write(
        &file.path,
        "[log]\nlevel = \"debug\"\nformat = \"text\"\n[http]\ntrusted_proxies = [\"::1\"]\n",
    )
    .unwrap();
    assert_eq!(live.reload(&started).unwrap(), ["log.format"]);
    assert_eq!(live.load().log.level.0, "debug");
    assert_eq!(live.load().http.trusted_proxies.len(), 1);
    assert_eq!(live.load().log.format, types::LogFormat::Json);

    std::fs::write(&file.path, "[log]\nlevel = 1\n").unwrap();
    let says = live.reload(&started).unwrap_err().to_string();
    assert!(says.contains("castor.toml:2: log.level: "), "{says}");
    assert_eq!(live.load().log.level.0, "debug", "the old one stays");
}

#[test]
fn a_log_filter_with_other_letters_is_refused() {
    let says = problems("[log]\nlevel = \"\\tª=\"\n");
    assert!(
        says[0].starts_with("castor.toml:2: log.level: "),
        "{says:?}"
    );
}

proptest::proptest! {
    #[test]
    fn any_file_is_answered_not_crashed_on(text in ".{0,400}") {
        let _ = load_with(&text, &[], &[]);
    }

    #[test]
    fn any_override_is_answered_not_crashed_on(key in "[a-z._]{0,30}", value in ".{0,60}") {
        let sources = Sources { set: vec![format!("{key}={value}")], ..Sources::default() };
        let _ = load(&sources);
    }

    #[test]
    fn any_value_of_a_known_key_is_answered(index in 0_usize..60, value in ".{0,60}") {
        let keys: Vec<_> = sections().into_iter().flat_map(|section| section.keys).collect();
        let key = &keys[index % keys.len()].key;
        let sources = Sources { set: vec![format!("{key}={value}")], ..Sources::default() };
        let _ = load(&sources);
    }
}
