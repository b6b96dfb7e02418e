//! `castor services list|check`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::serve::SourceArgs;
use super::table::{harmless, table};
use super::words::count_of;
use super::{Done, Failure, print, print_json};
use crate::config;
use crate::services::definition::{Finding, Outline};
use crate::services::file::{self, Examination, Examined};
use crate::services::registry::Snapshot;

/// Longest pattern shown in a table, in characters.
const PATTERN_SHOWN: usize = 60;

/// About a definition whose applications hear of logouts at public addresses only.
const PUBLIC_ONLY: &str = "serviceId leaves the host open, so of its applications only those at public \
    addresses hear of a logout: for one at a private address, write a definition that has its whole host, \
    such as ^https://app\\.example\\.edu/.*, or logoutUrl, or put its network into outbound.private_networks";

/// Lists and checks service definitions.
#[derive(Debug, Args)]
pub(super) struct ServicesArgs {
    #[command(subcommand)]
    command: ServicesCommand,
}

#[derive(Debug, Subcommand)]
enum ServicesCommand {
    /// Lists the definitions in the folder of the configuration, in the order in which they are asked.
    #[command(after_help = "Examples:\n  castor services list\n  \
        castor services list --config ./castor.toml --json")]
    List {
        #[command(flatten)]
        source: SourceArgs,
        /// Prints the definitions as JSON, without salts.
        #[arg(long)]
        json: bool,
    },
    /// Reads a folder of definitions as a node would, and says what is refused and what is different.
    #[command(
        after_help = "Examples:\n  castor services check /etc/castor/services\n  \
        castor services check ./from-apereo --json\n\n\
        Exits 1 when a definition is refused: a node would then take none of the folder; and when there is none."
    )]
    Check {
        /// The folder.
        folder: PathBuf,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: &ServicesArgs) -> Done {
    match &args.command {
        ServicesCommand::List { source, json } => list(source, *json),
        ServicesCommand::Check { folder, json } => check(folder, *json),
    }
}

fn list(source: &SourceArgs, json: bool) -> Done {
    let loaded = config::load(&source.clone().sources())
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let services = file::load(&loaded.config.services.folder)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let snapshot = Snapshot::new(services.services);
    if json {
        let documents: Vec<Value> = snapshot.iter().map(|s| s.document.clone()).collect();
        return print_json(&Value::Array(documents));
    }
    let mut rows = vec![heading(&["ID", "NAME", "ORDER", "PATTERN"])];
    rows.extend(snapshot.iter().map(|service| {
        let outline = Outline {
            id: Some(service.id),
            name: Some(service.name.clone()),
            order: Some(service.evaluation_order.into()),
            pattern: Some(service.service_id.clone()),
        };
        cells(&outline).to_vec()
    }));
    print(&table(&rows))
}

fn heading(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn cells(outline: &Outline) -> [String; 4] {
    let dash = || "-".to_owned();
    let pattern = outline.pattern.as_ref().map_or_else(dash, |pattern| {
        let mut shown: String = pattern.chars().take(PATTERN_SHOWN).collect();
        if shown.len() < pattern.len() {
            shown.push_str("...");
        }
        shown
    });
    [
        outline.id.map_or_else(dash, |id| id.to_string()),
        outline.name.clone().unwrap_or_else(dash),
        outline.order.map_or_else(dash, |order| order.to_string()),
        pattern,
    ]
}

fn check(folder: &Path, json: bool) -> Done {
    let examination = file::examine(folder);
    if json {
        print_json(&as_json(folder, &examination))?;
    } else {
        print(&as_text(folder, &examination))?;
    }
    if examination.is_good() {
        return if examination.files.is_empty() {
            Err(anyhow::anyhow!("no definitions: a node would refuse every application").into())
        } else {
            Ok(())
        };
    }
    let refused = examination
        .files
        .iter()
        .filter(|f| !f.report.errors.is_empty());
    let says = match (refused.count(), examination.files.len()) {
        (0, _) => "the folder is refused".to_owned(),
        (refused, all) => format!(
            "{refused} of {} refused",
            count_of(all, "definition", "definitions")
        ),
    };
    Err(anyhow::anyhow!(says).into())
}

fn verdict(file: &Examined) -> &'static str {
    let report = &file.report;
    if !report.errors.is_empty() {
        "refused"
    } else if !report.warnings.is_empty() {
        "warnings"
    } else if note(file).is_some() {
        "note"
    } else {
        "good"
    }
}

/// What is no fault of a definition, and surprises whoever comes from Apereo CAS.
fn note(file: &Examined) -> Option<&'static str> {
    let service = file.service.as_ref()?;
    service.is_told_in_public_only().then_some(PUBLIC_ONLY)
}

/// The files in the order in which their definitions are asked, those that could not be read last.
fn ordered(examination: &Examination) -> Vec<&Examined> {
    let mut files: Vec<&Examined> = examination.files.iter().collect();
    files.sort_by_cached_key(|file| {
        let outline = &file.outline;
        let name = outline.name.clone().unwrap_or_default().to_lowercase();
        (outline.id.is_none(), outline.order, name, outline.id)
    });
    files
}

fn as_text(folder: &Path, examination: &Examination) -> String {
    let mut rows = vec![heading(&[
        "VERDICT", "ID", "NAME", "ORDER", "PATTERN", "FILE",
    ])];
    let mut says = String::new();
    for file in ordered(examination) {
        let shown = file.path.strip_prefix(folder).unwrap_or(&file.path);
        let shown = harmless(&shown.display().to_string());
        let mut row = vec![verdict(file).to_owned()];
        row.extend(cells(&file.outline));
        row.push(shown.clone());
        rows.push(row);
        let findings = |kind: &str, findings: &[Finding]| -> String {
            let line = |finding: &Finding| format!("{kind}: {shown}: {}\n", told(finding));
            findings.iter().map(line).collect()
        };
        says.push_str(&findings("error", &file.report.errors));
        says.push_str(&findings("warning", &file.report.warnings));
        if let Some(note) = note(file) {
            says.push_str(&format!("note: {shown}: {note}\n"));
        }
    }
    for problem in &examination.problems {
        says.push_str(&format!("error: {problem}\n"));
    }
    says.push_str(&ignored(folder, examination));
    let mut out = String::new();
    if !examination.files.is_empty() {
        out.push_str(&table(&rows));
    }
    if !says.is_empty() {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&says);
    }
    out
}

/// The files that were not read, each on a line.
fn ignored(folder: &Path, examination: &Examination) -> String {
    let ignored = &examination.ignored;
    let line = |path: &PathBuf| {
        let shown = path.strip_prefix(folder).unwrap_or(path);
        let shown = harmless(&shown.display().to_string());
        format!("not read: {shown}: its name does not end in .json\n")
    };
    let mut says: String = ignored.files.iter().map(line).collect();
    let more = ignored.count.saturating_sub(ignored.files.len());
    if more > 0 {
        let files = count_of(more, "more file", "more files");
        says.push_str(&format!("not read: {files}\n"));
    }
    says
}

fn told(finding: &Finding) -> String {
    if finding.line == 0 {
        finding.says.clone()
    } else {
        finding.to_string()
    }
}

fn as_json(folder: &Path, examination: &Examination) -> Value {
    let findings = |findings: &[Finding]| -> Vec<Value> {
        let one = |f: &Finding| json!({ "line": f.line, "key": f.key, "says": f.says });
        findings.iter().map(one).collect()
    };
    let files = ordered(examination).into_iter().map(|file| {
        json!({
            "file": file.path.display().to_string(),
            "verdict": verdict(file),
            "id": file.outline.id,
            "name": file.outline.name,
            "order": file.outline.order,
            "pattern": file.outline.pattern,
            "errors": findings(&file.report.errors),
            "warnings": findings(&file.report.warnings),
            "notes": note(file).into_iter().collect::<Vec<_>>(),
        })
    });
    let problems = examination.problems.iter().map(ToString::to_string);
    let ignored = &examination.ignored;
    let names = ignored.files.iter().map(|path| path.display().to_string());
    json!({
        "folder": folder.display().to_string(),
        "good": examination.is_good(),
        "problems": problems.collect::<Vec<_>>(),
        "not_read": names.collect::<Vec<_>>(),
        "not_read_count": ignored.count,
        "definitions": files.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, id: u32, rest: &str) {
        let text = format!(
            r#"{{"@class": "org.apereo.cas.services.CasRegisteredService", "id": {id},
                "name": "n{id}", {rest}}}"#
        );
        std::fs::write(folder.join(name), text).unwrap();
    }

    #[test]
    fn a_definition_that_leaves_the_host_open_has_a_note() {
        let dir = tempfile::tempdir().unwrap();
        let open = r#""serviceId": "^https?://.*""#;
        write(dir.path(), "open-1.json", 1, open);
        let urls = format!(r#"{open}, "logoutUrl": "https://10.0.0.1/out", "evaluationOrder": 2"#);
        write(
            dir.path(),
            "urls-2.json",
            2,
            &urls.replace("^https?", "https?"),
        );
        let front = format!(r#"{open}, "logoutType": "FRONT_CHANNEL", "evaluationOrder": 3"#);
        write(
            dir.path(),
            "front-3.json",
            3,
            &front.replace("^https?", "http"),
        );
        write(
            dir.path(),
            "one-4.json",
            4,
            r#""serviceId": "^https://a\\.edu/.*""#,
        );
        check(dir.path(), false).unwrap();
        check(dir.path(), true).unwrap();
        let examination = file::examine(dir.path());
        let text = as_text(dir.path(), &examination);
        assert!(
            text.contains("note: open-1.json: serviceId leaves"),
            "{text}"
        );
        assert_eq!(text.matches("note: ").count(), 1, "{text}");
        let json = as_json(dir.path(), &examination);
        let verdicts: Vec<_> = json["definitions"].as_array().unwrap().iter().collect();
        let verdicts: Vec<_> = verdicts.iter().map(|d| (&d["id"], &d["verdict"])).collect();
        assert!(verdicts.contains(&(&json!(1), &json!("note"))), "{json:#}");
        assert!(verdicts.contains(&(&json!(4), &json!("good"))), "{json:#}");
    }

    #[test]
    fn what_is_not_read_is_named_and_a_folder_without_definitions_fails() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["README.md", ".app.json.swp", "app-1.yml", "b\u{1b}"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        for json in [false, true] {
            let Err(Failure::Failed(error)) = check(dir.path(), json) else {
                panic!("a folder with nothing to read is good");
            };
            assert!(error.to_string().starts_with("no definitions"), "{error}");
        }
        let text = as_text(dir.path(), &file::examine(dir.path()));
        assert_eq!(
            text,
            "not read: app-1.yml: its name does not end in .json\n\
             not read: b\\u{1b}: its name does not end in .json\n"
        );
        for number in 0..30 {
            std::fs::write(dir.path().join(format!("{number}.bak")), "x").unwrap();
        }
        write(
            dir.path(),
            "a-1.json",
            1,
            r#""serviceId": "^https://a\\.edu/.*""#,
        );
        check(dir.path(), false).unwrap();
        let examination = file::examine(dir.path());
        let text = as_text(dir.path(), &examination);
        assert_eq!(text.matches("not read: ").count(), 21, "{text}");
        assert!(text.ends_with("not read: 12 more files\n"), "{text}");
        assert_eq!(as_json(dir.path(), &examination)["not_read_count"], 32);
    }
}
