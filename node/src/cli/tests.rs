//! The commands as a shell would use them, as far as they need no node.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use clap::CommandFactory as _;

use super::*;

fn pki(args: &[&str]) -> Done {
    let mut line = vec!["castor", "pki"];
    line.extend(args);
    match Castor::try_parse_from(line).unwrap().command {
        Command::Pki(args) => pki::run(&args),
        other => panic!("{other:?}"),
    }
}

fn says(done: Done) -> String {
    match done {
        Err(Failure::Failed(error)) => format!("{error:#}"),
        Err(Failure::Usage(says)) => says,
        other => panic!("{other:?}"),
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_commands_are_consistent_and_have_examples() {
    fn walk(command: &clap::Command) {
        if command.has_subcommands() {
            command.get_subcommands().for_each(walk);
        } else if command.get_name() != "help" {
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            assert!(help.contains("Example"), "{}", command.get_name());
        }
    }
    Castor::command().debug_assert();
    walk(&Castor::command());
}

#[test]
fn an_authority_a_ring_and_a_certificate_make_a_node() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let folder = dir.path().to_str().unwrap();
    pki(&["init", "--cluster", "example", "--dir", folder]).unwrap();
    pki(&["issue", "cas1", "--dir", folder]).unwrap();
    for (name, expected) in [
        ("ca.pem", 0o644),
        ("ca.key", 0o600),
        ("keyring", 0o600),
        ("cas1/node.pem", 0o644),
        ("cas1/node.key", 0o600),
    ] {
        assert_eq!(mode(&at(name)), expected, "{name}");
    }
    let read = |name: &str| std::fs::read(at(name)).unwrap();
    let (certificate, key, authority) =
        (read("cas1/node.pem"), read("cas1/node.key"), read("ca.pem"));
    let pem = castor_replication::driver::tls::IdentityPem {
        certificate: &certificate,
        key: &key,
        authority: &authority,
    };
    let node = castor_proto::ids::NodeName::parse("cas1").unwrap();
    let now = crate::clock::Clock::system().wall_ms();
    castor_replication::driver::tls::NodeIdentity::from_pem(&pem, "example", &node, now).unwrap();
    let ring = String::from_utf8(read("keyring")).unwrap();
    castor_proto::seal::keyring::KeyRing::parse(&ring).unwrap();
}

#[test]
fn files_are_never_replaced_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    pki(&["init", "--cluster", "example", "--dir", folder]).unwrap();
    pki(&["issue", "cas1", "--dir", folder]).unwrap();
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let before = (read("ca.key"), read("keyring"), read("cas1/node.key"));
    let refused = says(pki(&["init", "--cluster", "example", "--dir", folder]));
    assert!(refused.contains("--force"), "{refused}");
    let refused = says(pki(&["issue", "cas1", "--dir", folder]));
    assert!(refused.contains("--force"), "{refused}");
    assert_eq!(
        before,
        (read("ca.key"), read("keyring"), read("cas1/node.key"))
    );
    pki(&["renew", "cas1", "--dir", folder]).unwrap();
    assert_ne!(before.2, read("cas1/node.key"));
    assert_eq!(before.0, read("ca.key"));
}

#[test]
fn wrong_names_and_missing_files_are_told_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    let missing = says(pki(&["issue", "cas1", "--dir", folder]));
    assert!(missing.contains("castor pki init"), "{missing}");
    let name = says(pki(&["init", "--cluster", "A B", "--dir", folder]));
    assert!(name.contains("not a cluster name"), "{name}");
    let node = Castor::try_parse_from(["castor", "pki", "issue", "CAS 1"]).unwrap_err();
    assert_eq!(node.exit_code(), 2);
}

fn services(args: &[&str]) -> Done {
    let all = ["castor", "services"].iter().chain(args);
    match Castor::try_parse_from(all).unwrap().command {
        Command::Services(args) => services::run(&args),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_with_a_refused_definition_fails_the_check() {
    let testdata = |name: &str| format!("{}/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
    for json in [&[][..], &["--json"]] {
        let check = |folder: &str| services(&[&["check", folder], json].concat());
        check(&testdata("definitions")).unwrap();
        let refused = check(&testdata("refused")).unwrap_err();
        let Failure::Failed(error) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(error.to_string(), "5 of 6 definitions refused");
        let nowhere = says(check(&testdata("nowhere")));
        assert_eq!(nowhere, "the folder is refused");
    }
    let folder = format!("services.folder=\"{}\"", testdata("refused"));
    let missing = "/nonexistent/castor.toml";
    let list = services(&["list", "--config", missing, "--set", &folder]);
    assert!(matches!(list, Err(Failure::Usage(_))), "{list:?}");
}

/// A page of the documents and what it should hold; `CASTOR_BLESS=1` writes it.
fn is_current(page: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(page);
    if std::env::var_os("CASTOR_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(text.lines()).find(|(a, b)| a != b);
    assert!(
        kept == text,
        "docs/{page} is not current, first difference: {differs:?}; CASTOR_BLESS=1 writes it"
    );
}

#[test]
fn the_configuration_page_is_current() {
    let text = crate::config::reference::as_markdown();
    is_current("reference/configuration.md", &text);
}

#[test]
fn the_commands_page_is_current() {
    is_current("reference/cli.md", &reference::as_markdown());
}

#[test]
fn every_action_is_in_the_audit_page() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/audit.md");
    let page = std::fs::read_to_string(path).unwrap();
    for (action, _) in crate::ops::audit::Action::ALL {
        assert!(page.contains(&format!("`{}`", action.name())), "{action:?}");
    }
}

/// Every configuration that the documents show is one that is accepted.
#[test]
fn configurations_in_the_documents_are_accepted() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut seen = 0;
    for page in ["operating/cluster.md", "operating/install.md"] {
        let text = std::fs::read_to_string(docs.join(page)).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let toml = block.split("```").next().unwrap();
            // A users file: the test beside its reader reads it.
            if toml.starts_with("[[user]]") {
                continue;
            }
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("castor.toml");
            std::fs::write(&file, toml).unwrap();
            let sources = crate::config::Sources {
                file: Some(file),
                ..Default::default()
            };
            crate::config::load(&sources).unwrap_or_else(|error| panic!("{page}: {error}"));
            seen += 1;
        }
    }
    assert!(seen > 0, "no configuration found in any page");
}
