//! Layers between crates, read from their manifests: who may depend on whom, and on what.

use toml::{Table, Value};

use crate::source::{File, Repository};

/// Crates of the house and the crates of the house they may name.
const CRATES: [(&str, &[&str]); 8] = [
    ("castor-proto", &[]),
    ("castor-replication", &["castor-proto"]),
    ("castor-sim", &["castor-proto", "castor-replication"]),
    ("castor-node", &["castor-proto", "castor-replication"]),
    ("castor-loadtest", &[]),
    (
        "castor-turmoil",
        &[
            "castor-loadtest",
            "castor-node",
            "castor-proto",
            "castor-replication",
        ],
    ),
    ("castor-proto-fuzz", &["castor-proto"]),
    (
        "castor-node-fuzz",
        &["castor-proto", "castor-replication", "castor-node"],
    ),
];

/// What tests may name besides: the engine's own tests drive it in the simulated world.
const IN_TESTS: [(&str, &str); 1] = [("castor-replication", "castor-sim")];

/// Planted defects are for the simulator alone, and there only when asked for.
const DEFECTS: &str = "mutants";

/// Libraries that belong to one crate.
const OWNED: [(&str, &str); 6] = [
    ("wincode", "castor-proto"),
    ("bincode", "castor-proto"),
    ("quinn", "castor-replication"),
    ("chitchat", "castor-replication"),
    ("dashmap", "castor-replication"),
    ("axum", "castor-node"),
];

/// And who may name one besides its owner: the bare server that the node is measured against.
const LENT: [(&str, &str); 1] = [("axum", "castor-loadtest")];

/// What the wire format may not bring along: a runtime, a clock, a source of chance.
const NOT_IN_PROTO: [&str; 7] = [
    "tokio",
    "quinn",
    "axum",
    "hyper",
    "jiff",
    "getrandom",
    "tracing-subscriber",
];

/// What the engine may not see: everything that touches network, clock or operating system.
const DRIVER_ONLY: [&str; 6] = [
    "tokio",
    "quinn",
    "quinn-proto",
    "chitchat",
    "rustls",
    "socket2",
];

pub(crate) fn check(repository: &Repository) -> Vec<String> {
    let manifests = repository.files(|f| f.path.ends_with("/Cargo.toml"));
    assert!(manifests.len() >= 4, "fewer manifests than crates");
    manifests.iter().flat_map(|file| manifest(file)).collect()
}

fn manifest(file: &File) -> Vec<String> {
    let table: Table = match file.text.parse() {
        Ok(table) => table,
        Err(error) => return vec![format!("{}: {error}", file.path)],
    };
    let name = table
        .get("package")
        .and_then(|p| p.get("name"))
        .and_then(Value::as_str);
    let Some(name) = name else {
        return vec![format!("{}: no package name", file.path)];
    };
    let Some((_, allowed)) = CRATES.iter().find(|(n, _)| *n == name) else {
        return vec![format!(
            "{}: {name} has no place in proto/tests/tidy/layers.rs",
            file.path
        )];
    };
    let mut findings = Vec::new();
    for (section, dependency, value) in dependencies(&table) {
        let mut fault = |why: &str| {
            findings.push(format!("{}: [{section}] {dependency}: {why}", file.path));
        };
        let shipped = section == "dependencies";
        let tested = !shipped && IN_TESTS.contains(&(name, dependency));
        if dependency.starts_with("castor-") && !allowed.contains(&dependency) && !tested {
            fault("this layer may not see it");
        }
        if OWNED
            .iter()
            .any(|(owned, owner)| *owned == dependency && *owner != name)
            && !LENT.contains(&(dependency, name))
        {
            fault("another crate owns it");
        }
        if dependency == "bincode" && shipped {
            fault("an oracle for tests, not to be shipped");
        }
        if name == "castor-proto" && shipped && NOT_IN_PROTO.contains(&dependency) {
            fault("the wire format has no runtime, clock or chance of its own");
        }
        let optional = value.get("optional").and_then(Value::as_bool) == Some(true);
        let engine = name == "castor-replication" && shipped && DRIVER_ONLY.contains(&dependency);
        if engine && !optional {
            fault("belongs to the driver: optional, behind its feature");
        }
        if asks_for(value.get("features"), DEFECTS) {
            fault("planted defects are switched on by a feature of castor-sim alone");
        }
        // Default features can be left out of a dependency of the house only where it is named in full.
        let bare = value.get("path").is_some() && value.get("version").is_none();
        let lean = value.get("default-features").and_then(Value::as_bool) == Some(false);
        let inherited = value.get("workspace").and_then(Value::as_bool) == Some(true);
        let ours = bare && lean && dependency.starts_with("castor-");
        if !inherited && !ours {
            fault("take the version from [workspace.dependencies]");
        }
    }
    findings.extend(defects(&file.path, name, &table));
    findings
}

/// No feature but castor-sim's own of that name may switch planted defects on.
fn defects(path: &str, name: &str, table: &Table) -> Vec<String> {
    let features = table.get("features").and_then(Value::as_table);
    let names = |wanted: &Value| {
        let wanted = wanted.as_str().unwrap_or_default();
        wanted.split('/').next_back() == Some(DEFECTS)
    };
    let mut findings = Vec::new();
    for (feature, list) in features.into_iter().flatten() {
        let switches = list.as_array().is_some_and(|list| list.iter().any(names));
        if switches && !(name == "castor-sim" && feature == DEFECTS) {
            findings.push(format!(
                "{path}: feature {feature} switches planted defects on"
            ));
        }
    }
    findings
}

fn asks_for(features: Option<&Value>, wanted: &str) -> bool {
    let list = features.and_then(Value::as_array);
    list.is_some_and(|list| list.iter().any(|name| name.as_str() == Some(wanted)))
}

fn dependencies(table: &Table) -> Vec<(&'static str, &str, &Value)> {
    let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
    let mut found = Vec::new();
    for section in sections {
        let entries = table.get(section).and_then(Value::as_table);
        for (name, value) in entries.into_iter().flatten() {
            found.push((section, name.as_str(), value));
        }
    }
    found
}

#[test]
fn a_manifest_that_breaks_the_layers_is_refused() {
    let text = "[package]\nname = \"castor-proto\"\n[dependencies]\ncastor-node.workspace = true\n\
                tokio.workspace = true\nquinn = \"1\"\nbincode.workspace = true\n";
    let file = File {
        path: "proto/Cargo.toml".to_owned(),
        text: text.to_owned(),
    };
    let findings = manifest(&file);
    assert_eq!(findings.len(), 6, "{findings:#?}");
}

#[test]
fn planted_defects_stay_out_of_what_serves() {
    let text = "[package]\nname = \"castor-node\"\n[features]\ndefault = [\"castor-replication/mutants\"]\n\
                [dependencies]\ncastor-replication = { workspace = true, features = [\"mutants\"] }\n";
    let file = File {
        path: "node/Cargo.toml".to_owned(),
        text: text.to_owned(),
    };
    let findings = manifest(&file);
    assert_eq!(findings.len(), 2, "{findings:#?}");
}
