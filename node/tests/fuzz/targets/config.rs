//! The configuration: a file, environment variables, `--set`.

use std::sync::LazyLock;

use castor_node::config::{Loaded, Sources, load_text, reference, sections};
use toml::de::DeTable;

const FILE: &str = "/nowhere/castor.toml";

/// Keys that name the file of a secret, which is read at once; without their section.
static FILES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let keys = sections().into_iter().flat_map(|section| section.keys);
    let secret = keys.filter(|key| key.secret);
    let last = |key: String| key.rsplit('.').next().map(|name| format!("{name}_file"));
    secret.filter_map(|key| last(key.key)).collect()
});

/// The text of the file; then, after zero bytes, variables (`CASTOR_…=value`) and arguments of
/// `--set`.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if opens_files(text) {
        return;
    }
    let mut parts = text.split('\0');
    let file = parts.next().unwrap_or_default();
    let (env, set): (Vec<&str>, Vec<&str>) =
        parts.take(32).partition(|part| part.starts_with("CASTOR_"));
    let variable = |part: &str| {
        let (name, value) = part.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let sources = Sources {
        file: Some(FILE.into()),
        env: env.into_iter().filter_map(variable).collect(),
        set: set.into_iter().map(str::to_owned).collect(),
    };
    let most = 512 * bytes.len() + (1 << 20);
    match super::within(most, || load_text(&sources, file)) {
        Ok(loaded) => taken(&loaded),
        Err(error) => {
            let problems: Vec<&str> = error.problems.iter().map(|problem| &*problem.0).collect();
            assert!(!problems.is_empty());
            for problem in &problems {
                told(problem, file.matches('\n').count() + 1);
            }
            if let Some(other) = with_another_token(file) {
                let again = load_text(&sources, &other).expect_err("as wrong as before");
                let again: Vec<&str> = again.problems.iter().map(|problem| &*problem.0).collect();
                assert_eq!(problems, again, "what is said depends on a secret");
            }
        }
    }
}

/// Whether the file of a secret could be one of this machine: plain names are of a folder that is
/// not there. A letter's number can spell both the key and the path.
fn opens_files(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let spelt = text.contains("\\u") || text.contains("\\x");
    let names_one = FILES.iter().any(|name| text.contains(name.as_str()));
    spelt || (names_one && text.contains('/'))
}

/// One line, which names a line that is there.
fn told(problem: &str, lines: usize) {
    assert!(
        !problem.is_empty() && !problem.chars().any(char::is_control),
        "not one line: {problem:?}"
    );
    let place = problem
        .strip_prefix(FILE)
        .and_then(|rest| rest.strip_prefix(':'));
    let line = place.and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
    assert!(
        line.is_none_or(|line| (1..=lines).contains(&line)),
        "{problem:?}"
    );
}

/// What is in force, written as a file, gives the same.
fn taken(loaded: &Loaded) {
    let mut text = String::new();
    for item in &loaded.resolved {
        if let Some(value) = &item.value {
            text.push_str(&format!("{} = {value}\n", item.key));
        }
    }
    let sources = Sources {
        file: Some(FILE.into()),
        ..Sources::default()
    };
    let again = load_text(&sources, &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    for (item, other) in loaded.resolved.iter().zip(&again.resolved) {
        assert_eq!((&item.key, &item.value), (&other.key, &other.value));
        assert!(
            !item.secret || item.value.is_none() || {
                let shown = reference::show(std::slice::from_ref(item));
                shown.starts_with(&format!("{} = ***  # ", item.key))
            }
        );
    }
}

/// The file with other letters in place of the secret in it, when there is one.
fn with_another_token(file: &str) -> Option<String> {
    let table = DeTable::parse(file).ok()?;
    let ops = table.get_ref().get("ops")?.get_ref().as_table()?;
    let token = ops.get("token")?;
    let (secret, place) = (token.get_ref().as_str()?, token.span());
    let other = format!("\"{}\"", "x".repeat(secret.len()));
    (!file.get(place.clone())?.contains('\n'))
        .then(|| format!("{}{other}{}", &file[..place.start], &file[place.end..]))
}
