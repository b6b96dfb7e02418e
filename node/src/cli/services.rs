//! `castor services list|check`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::serve::SourceArgs;
use super::table::table;
use super::words::count_of;
use super::{Done, Failure, print, print_json};
use crate::config;
use crate::services::definition::{Finding, Outline};
use crate::services::file::{self, Examination, Examined};
use crate::services::registry::Snapshot;

/// Longest pattern shown in a table, in characters.
const PATTERN_SHOWN: usize = 60;

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
        Exits 1 when a definition is refused: a node would then take none of the folder."
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
        return Ok(());
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
    match (
        file.report.errors.is_empty(),
        file.report.warnings.is_empty(),
    ) {
        (true, true) => "good",
        (true, false) => "warnings",
        (false, _) => "refused",
    }
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
        let shown = shown.display().to_string();
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
    }
    for problem in &examination.problems {
        says.push_str(&format!("error: {problem}\n"));
    }
    let mut out = String::new();
    if !examination.files.is_empty() || says.is_empty() {
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
        })
    });
    let problems = examination.problems.iter().map(ToString::to_string);
    json!({
        "folder": folder.display().to_string(),
        "good": examination.is_good(),
        "problems": problems.collect::<Vec<_>>(),
        "definitions": files.collect::<Vec<_>>(),
    })
}
