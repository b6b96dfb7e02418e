//! Prints the configuration: every key there is, and every value in force.
//!
//! Made from the same table as the parser. It never prints a secret.

use std::fmt::Write as _;

use super::schema::{Change, KeySpec, Resolved};
use super::sections;

/// The reference as an annotated TOML file: every key with its default, commented out.
pub fn as_toml() -> String {
    let mut out = String::from(
        "# Every key with its default. Overrides: CASTOR_SECTION__KEY=value in the environment,\n\
         # then --set section.key=value.\n",
    );
    for section in sections() {
        let _ = write!(out, "\n# {}\n[{}]\n", section.doc, section.name);
        for key in &section.keys {
            for line in wrap(&key.doc, 96) {
                let _ = writeln!(out, "# {line}");
            }
            let _ = writeln!(out, "# {}", facts(key));
            let name = key.key.rsplit('.').next().unwrap_or_default();
            let value = key
                .default_toml
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            let _ = writeln!(out, "#{}", format!("{name} = {value}").trim_end());
        }
    }
    out
}

/// The reference as a page.
pub fn as_markdown() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         One TOML file, by default `/etc/castor/castor.toml`. Each key can be overridden by an\n\
         environment variable (`http.tls.key` is `CASTOR_HTTP__TLS__KEY`; only variables with `__`\n\
         are read) and then by `--set http.tls.key=value`; in both, the items of a list are\n\
         separated by commas. Relative paths in the file start at the file's folder. Unknown keys\n\
         are refused. A secret can stand in a file of its own, named by the same key with `_file`.\n\
         \n\
         `castor config check` says what is wrong without starting anything, `castor config show`\n\
         what is in force and where each value came from. A key marked *reload* is taken by SIGHUP\n\
         or when the file changes, the others by a restart.\n\
         \n\
         This page is printed by `castor config reference --markdown`.\n",
    );
    for section in sections() {
        let _ = write!(out, "\n## [{}]\n\n{}\n\n", section.name, section.doc);
        out.push_str("| key | value | default | range | change |\n|---|---|---|---|---|\n");
        for key in &section.keys {
            let default = match &key.default_toml {
                Some(value) => format!("`{value}`"),
                None => "unset".to_owned(),
            };
            let range = key
                .range
                .map(|(low, high)| format!("{low} to {high}"))
                .unwrap_or_default();
            let _ = writeln!(
                out,
                "| `{}` | {}<br>{} | {default} | {range} | {} |",
                key.key,
                escape(&key.doc),
                escape(key.expected),
                change(key.change),
            );
        }
    }
    out
}

/// The values in force, with where each came from; secrets are shown as `***`.
pub fn show(resolved: &[Resolved]) -> String {
    let mut out = String::new();
    for item in resolved {
        let value = shown(item);
        let _ = writeln!(out, "{} = {value}  # {}", item.key, item.origin);
    }
    out
}

/// The values in force as JSON: a list of key, value and origin.
pub fn show_json(resolved: &[Resolved]) -> serde_json::Value {
    resolved
        .iter()
        .map(|item| {
            let value = match (&item.value, item.secret) {
                (Some(_), true) => serde_json::Value::from("***"),
                (Some(value), false) => serde_json::to_value(value).unwrap_or_default(),
                (None, _) => serde_json::Value::Null,
            };
            serde_json::json!({
                "key": item.key,
                "value": value,
                "origin": item.origin.to_string(),
                "change": change(item.change),
            })
        })
        .collect()
}

fn shown(item: &Resolved) -> String {
    match (&item.value, item.secret) {
        (Some(_), true) => "***".to_owned(),
        (Some(value), false) => value.to_string(),
        (None, _) => "unset".to_owned(),
    }
}

fn facts(key: &KeySpec) -> String {
    let range = key
        .range
        .map(|(low, high)| format!("; {low} to {high}"))
        .unwrap_or_default();
    format!("{}{range}; {}.", capital(key.expected), change(key.change))
}

fn change(change: Change) -> &'static str {
    match change {
        Change::Reload => "reload",
        Change::Restart => "restart",
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
