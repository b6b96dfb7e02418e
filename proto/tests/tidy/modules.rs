//! Files and modules: a header in each, none forgotten, one way to lay out a folder.

use std::collections::BTreeSet;

use crate::source::{File, Hide, Repository, blank, line_of, words};

pub(crate) fn headers(repository: &Repository) -> Vec<String> {
    let missing = |file: &&&File| !file.text.starts_with("//! ");
    let rust = repository.rust();
    let name = |file: &&File| format!("{}:1: starts without a `//!` purpose", file.path);
    rust.iter().filter(missing).map(name).collect()
}

pub(crate) fn reachable(repository: &Repository) -> Vec<String> {
    let mut findings = Vec::new();
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<String> = repository
        .rust()
        .iter()
        .filter(|f| is_root(f))
        .map(|f| f.path.clone())
        .collect();
    assert!(
        waiting.len() >= 4,
        "fewer crate roots than crates: {waiting:?}"
    );
    while let Some(path) = waiting.pop() {
        let Some(file) = repository.get(&path) else {
            continue;
        };
        if !reached.insert(path.clone()) {
            continue;
        }
        for (name, line, elsewhere) in declared(&file.text) {
            let located = match elsewhere {
                Some(to) => relative(&path, &to),
                None => locate(repository, file, &name),
            };
            match located {
                Ok(child) => waiting.push(child),
                Err(why) => findings.push(format!("{path}:{line}: mod {name}: {why}")),
            }
        }
    }
    for file in repository.rust() {
        if !reached.contains(&file.path) {
            findings.push(format!("{}: no `mod` leads to this file", file.path));
        }
    }
    findings
}

/// Whether cargo itself finds the file.
fn is_root(file: &File) -> bool {
    let parts: Vec<&str> = file.path.split('/').collect();
    let tail = |n: usize| parts.len().checked_sub(n).map(|i| parts[i]);
    let last = tail(1).unwrap_or_default();
    let folders = ["tests", "benches", "examples", "bin", "fuzz_targets"];
    match tail(2) {
        Some("src") => matches!(last, "lib.rs" | "main.rs"),
        Some(folder) if folders.contains(&folder) => !file.path.contains("/src/tests/"),
        _ if last == "build.rs" => true,
        _ => last == "main.rs" && tail(3).is_some_and(|f| folders.contains(&f)),
    }
}

/// The `mod name;` lines of a file, each with the place that a `#[path = "…"]` above it names.
fn declared(source: &str) -> Vec<(String, usize, Option<String>)> {
    let code = blank(source, Hide::CommentsAndStrings);
    let mut found = Vec::new();
    let mut after_mod = false;
    for (offset, word) in words(&code) {
        if after_mod && code[offset + word.len()..].trim_start().starts_with(';') {
            let line = line_of(&code, offset);
            let above = source
                .lines()
                .nth(line.saturating_sub(2))
                .unwrap_or_default();
            let path = above.strip_prefix("#[path = \"");
            let path = path.and_then(|rest| rest.strip_suffix("\"]"));
            found.push((word.to_owned(), line, path.map(str::to_owned)));
        }
        after_mod = word == "mod";
    }
    found
}

/// The file that a `#[path]` in the file at `from` means.
fn relative(from: &str, to: &str) -> Result<String, String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in to.split('/') {
        match part {
            ".." => drop(parts.pop().ok_or("leads out of the repository")?),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// The file a `mod name;` stands for, in the one form of the house.
fn locate(repository: &Repository, file: &File, name: &str) -> Result<String, String> {
    let (folder, last) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let stem = last.trim_end_matches(".rs");
    let is_room = is_root(file) || last == "mod.rs";
    if !is_room {
        let tests = format!("{folder}/{stem}/{name}.rs");
        return if name == "tests" && repository.get(&tests).is_some() {
            Ok(tests)
        } else {
            Err(format!(
                "a file with modules is called {stem}/mod.rs here, not {last}"
            ))
        };
    }
    let leaf = format!("{folder}/{name}.rs");
    let room = format!("{folder}/{name}/mod.rs");
    match (repository.get(&leaf), repository.get(&room)) {
        (Some(_), None) => Ok(leaf),
        (None, Some(_)) => Ok(room),
        (Some(_), Some(_)) => Err("both forms are there".to_owned()),
        (None, None) => Err(format!("neither {leaf} nor {room} is there")),
    }
}

#[test]
fn module_declarations_are_found_in_code_only() {
    let source = "// mod gone;\npub(crate) mod a;\n#[cfg(test)]\nmod tests;\nmod inline { }\n\
                  #[path = \"../b/c.rs\"]\nmod c;\n";
    let elsewhere = Some("../b/c.rs".to_owned());
    assert_eq!(
        declared(source),
        [
            ("a".to_owned(), 2, None),
            ("tests".to_owned(), 4, None),
            ("c".to_owned(), 7, elsewhere)
        ]
    );
    let meant = relative("x/fuzz/src/lib.rs", "../../tests/mod.rs");
    assert_eq!(meant.as_deref(), Ok("x/tests/mod.rs"));
}
