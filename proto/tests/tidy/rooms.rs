//! Rooms of the node: who imports whom, by the floors of docs/architecture.md.

use std::collections::BTreeSet;

use crate::source::{File, Hide, Repository, blank, line_of};

/// The floors of node/src, top first. A room may import rooms of lower floors, never its neighbours.
const FLOORS: [&[&str]; 9] = [
    &["main"],
    &["cli", "demo"],
    &["app"],
    &["routes", "actuator"],
    &["cas", "saml", "admin"],
    &["slo"],
    &["authn", "services", "tickets", "web", "xml", "ops"],
    &["server", "outbound"],
    &["config", "state", "clock", "error"],
];

/// Everyone may call these; they import nothing above themselves.
const SINKS: [&str; 5] = [
    "ops::metrics",
    "ops::logging",
    "ops::audit",
    "error",
    "clock",
];

pub(crate) fn check(repository: &Repository) -> Vec<String> {
    let files = repository.files(|f| f.path.starts_with("node/src/") && f.path.ends_with(".rs"));
    let mut findings = BTreeSet::new();
    for file in files {
        findings.extend(imports_of(file));
    }
    findings.into_iter().collect()
}

/// The room of a file: its first folder, or its own name at the root.
fn room_of(path: &str) -> &str {
    let inside = path.trim_start_matches("node/src/");
    inside
        .split('/')
        .next()
        .unwrap_or(inside)
        .trim_end_matches(".rs")
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn imports_of(file: &File) -> Vec<String> {
    let room = room_of(&file.path);
    if room == "lib" {
        return Vec::new();
    }
    let Some(floor) = floor_of(room) else {
        return vec![format!(
            "{}: room {room} has no floor in proto/tests/tidy/rooms.rs",
            file.path
        )];
    };
    let code = blank(file.production_text(), Hide::CommentsAndStrings);
    let mut findings = Vec::new();
    for (offset, import) in imports(&code) {
        let target = import.split("::").next().unwrap_or_default();
        let sink = SINKS
            .iter()
            .any(|s| import == *s || import.starts_with(&format!("{s}::")));
        if target == room || sink {
            continue;
        }
        // Names that are no room are items of lib.rs.
        if let Some(other) = floor_of(target)
            && other <= floor
        {
            let line = line_of(&code, offset);
            findings.push(format!(
                "{}:{line}: {room} may not import {import}",
                file.path
            ));
        }
    }
    findings
}

/// What follows each `crate::`, groups taken apart.
fn imports(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (offset, matched) in code.match_indices("crate::") {
        let rest = code[offset + matched.len()..].trim_start();
        for path in heads(rest) {
            found.push((offset, path));
        }
    }
    found
}

/// The one or more paths that begin here, plain ones cut to two segments.
fn heads(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | ':'));
        let path = rest[..end.unwrap_or(rest.len())].trim_end_matches(':');
        let segments: Vec<&str> = path.split("::").collect();
        let opens = rest[path.len()..].trim_start_matches(':').starts_with('{');
        if segments.len() == 1 && opens {
            let inner = rest[path.len()..].trim_start_matches(':');
            return heads(inner)
                .into_iter()
                .map(|tail| format!("{path}::{tail}"))
                .collect();
        }
        return vec![segments[..segments.len().min(2)].join("::")];
    };
    let mut depth = 0;
    let mut start = 0;
    let mut found = Vec::new();
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth > 0 => depth -= 1,
            b',' | b'}' if depth == 0 => {
                let item = group[start..at].trim();
                if !item.is_empty() {
                    found.extend(heads(item));
                }
                start = at + 1;
                if byte == b'}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

#[test]
fn imports_are_taken_apart() {
    let code = "use crate::{cas::login::X, ops::{audit::Event, health}};\ncrate::web::y();\n\
                use crate::ops::{metrics, logging::L};";
    let paths: Vec<String> = imports(code).into_iter().map(|(_, p)| p).collect();
    let expected = [
        "cas::login",
        "ops::audit::Event",
        "ops::health",
        "web::y",
        "ops::metrics",
    ];
    assert_eq!(paths[..5], expected);
    assert_eq!(paths[5], "ops::logging::L");
}

#[test]
fn protocols_do_not_import_each_other() {
    let text = "//! x\nuse crate::cas::login;\nuse crate::ops::audit;\nuse crate::xml::write;\n";
    let file = File {
        path: "node/src/saml/sso.rs".to_owned(),
        text: text.to_owned(),
    };
    let findings = imports_of(&file);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].contains("saml may not import cas"));
}
