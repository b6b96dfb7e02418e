//! `castor config import`: a castor.toml from the properties of Apereo CAS, and what became of each.
//!
//! It never guesses: a property without a counterpart is told, and one that could keep people out makes
//! the command fail. Values of such properties are never shown, since they may be secrets. What is printed
//! as castor.toml has passed the loader that `castor serve` uses.

mod judge;
mod properties;
mod rules;
mod values;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use super::table::{harmless, table};
use super::words::count_of;
use super::{Done, Failure, files, print, print_json};
use judge::{Import, Outcome, Verdict};
use properties::Looks;

/// Largest file that is read, in bytes.
const FILE_MAX: u64 = 1 << 20;
/// Longest name and note shown in the table, in characters.
const NAME_SHOWN: usize = 120;
const NOTE_SHOWN: usize = 300;
/// What is said of YAML.
const YAML: &str = "is YAML, and only properties are read: write each value on a line with its whole name, \
    such as cas.server.name=https://sso.example.org, into a .properties file, and import that";

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The file of Apereo CAS, such as /etc/cas/config/cas.properties.
    file: PathBuf,
    /// Writes castor.toml here, instead of to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replaces the file that --out names.
    #[arg(long)]
    force: bool,
    /// Prints everything as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ImportArgs) -> Done {
    if let Some(out) = &args.out {
        files::must_be_new(&[out], args.force)?;
    }
    let text = read(&args.file)?;
    must_be_properties(&args.file, &text)?;
    let import = judge::import(&text)?;
    let name = args.file.file_name().unwrap_or_default().to_string_lossy();
    let toml = import.toml(&harmless(&name));
    if let Some(out) = &args.out {
        files::write(out, toml.as_bytes(), files::PUBLIC)?;
    }
    match (args.json, &args.out) {
        (true, _) => print_json(&as_json(&import, &toml))?,
        (false, Some(_)) => print(&as_text(&import))?,
        (false, None) => {
            print(&toml)?;
            // Beside it, so that `> castor.toml` gets the configuration alone.
            eprint(&as_text(&import));
        }
    }
    match import.security_relevant() {
        0 => Ok(()),
        count => Err(anyhow::anyhow!(
            "{} that matter{} to security {} not supported: see the table",
            count_of(count, "property", "properties"),
            if count == 1 { "s" } else { "" },
            if count == 1 { "is" } else { "are" },
        )
        .into()),
    }
}

/// Refuses what Java would read as properties that nobody meant.
fn must_be_properties(path: &Path, text: &str) -> Done {
    let shown = path.display();
    let extension = path.extension().and_then(|extension| extension.to_str());
    let named_yaml =
        extension.is_some_and(|e| ["yml", "yaml"].iter().any(|y| e.eq_ignore_ascii_case(y)));
    let error = match properties::looks(text) {
        _ if named_yaml => anyhow::anyhow!("{shown} {YAML}"),
        Looks::Yaml => anyhow::anyhow!("{shown} {YAML}"),
        Looks::Nothing => anyhow::anyhow!("{shown} has no property: a line is NAME=VALUE"),
        Looks::Properties => return Ok(()),
    };
    Err(error.into())
}

fn read(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {shown}"))?;
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {shown}"))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(anyhow::anyhow!("{shown} is larger than 1 MiB").into());
    }
    Ok(properties::text_of(&bytes))
}

fn eprint(text: &str) {
    use std::io::Write as _;
    // Nobody left to tell.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

fn verdict(outcome: &Outcome) -> &'static str {
    match outcome.verdict {
        Verdict::Mapped(_) => "mapped",
        Verdict::Anyway => "default anyway",
        Verdict::Overridden => "overridden",
        Verdict::NotSupported { .. } => "not supported",
    }
}

fn shown(text: &str, chars: usize) -> String {
    let text: String = text.chars().take(chars).collect();
    harmless(&text)
}

fn as_text(import: &Import) -> String {
    let heading = ["LINE", "PROPERTY", "VERDICT", "SECURITY", "NOTE"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for outcome in &import.outcomes {
        let security = if outcome.matters() { "yes" } else { "-" };
        rows.push(vec![
            outcome.line.to_string(),
            shown(&outcome.name, NAME_SHOWN),
            verdict(outcome).to_owned(),
            security.to_owned(),
            shown(&outcome.note, NOTE_SHOWN),
        ]);
    }
    table(&rows)
}

fn as_json(import: &Import, toml: &str) -> Value {
    let outcomes = import.outcomes.iter().map(|outcome| {
        let keys = match &outcome.verdict {
            Verdict::Mapped(keys) => keys.iter().map(|(key, _)| *key).collect(),
            Verdict::Anyway | Verdict::Overridden | Verdict::NotSupported { .. } => Vec::new(),
        };
        json!({
            "line": outcome.line,
            "property": outcome.name,
            "verdict": verdict(outcome),
            "security": outcome.matters(),
            "keys": keys,
            "note": outcome.note,
        })
    });
    json!({
        "toml": toml,
        "properties": outcomes.collect::<Vec<_>>(),
        "not_supported_security": import.security_relevant(),
    })
}

#[cfg(test)]
mod tests;
