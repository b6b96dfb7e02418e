//! Documents: links lead somewhere, pages are reachable, decisions are complete, metrics are true.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{File, Hide, Repository, blank};

fn pages(repository: &Repository) -> Vec<&File> {
    repository.files(|f| f.path.ends_with(".md"))
}

pub(crate) fn links(repository: &Repository) -> Vec<String> {
    let mut findings = Vec::new();
    let mut seen = 0;
    for page in pages(repository) {
        for (line, target) in links_of(&page.text) {
            seen += 1;
            if let Err(why) = follow(repository, page, &target) {
                findings.push(format!("{}:{line}: {target}: {why}", page.path));
            }
        }
    }
    assert!(seen > 0, "no link found in any page");
    findings
}

pub(crate) fn orphans(repository: &Repository) -> Vec<String> {
    let mut linked = BTreeSet::new();
    for page in pages(repository) {
        for (_, target) in links_of(&page.text) {
            let (path, _) = target.split_once('#').unwrap_or((&target, ""));
            linked.insert(resolve(&page.path, path));
        }
    }
    let docs = repository.files(|f| f.path.starts_with("docs/") && f.path.ends_with(".md"));
    let lost = docs
        .iter()
        .filter(|f| f.path != "docs/README.md" && !linked.contains(&f.path));
    lost.map(|f| format!("{}: no page links to it", f.path))
        .collect()
}

/// Line and target of each relative link outside code.
fn links_of(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        // Every second piece between back-ticks is code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("_");
        for piece in prose.split("](").skip(1) {
            let target = piece.split([')', ' ']).next().unwrap_or_default();
            if !target.contains("://") && !target.starts_with("mailto:") {
                found.push((index + 1, target.to_owned()));
            }
        }
    }
    found
}

fn resolve(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

fn follow(repository: &Repository, page: &File, target: &str) -> Result<(), String> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let goal = if path.is_empty() {
        page.path.clone()
    } else {
        resolve(&page.path, path)
    };
    if !repository.exists(&goal) {
        return Err("not there".to_owned());
    }
    if anchor.is_empty() {
        return Ok(());
    }
    match repository.get(&goal) {
        Some(file) if file.text.lines().filter_map(slug).any(|s| s == anchor) => Ok(()),
        Some(_) => Err(format!("no heading makes #{anchor}")),
        None => Err("an anchor needs a page".to_owned()),
    }
}

/// The anchor a heading gets.
fn slug(line: &str) -> Option<String> {
    let title = line
        .strip_prefix('#')?
        .trim_start_matches('#')
        .strip_prefix(' ')?;
    let kept = title.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    Some(kept.map(|c| if c == ' ' { '-' } else { c }).collect())
}

const DECISION_SECTIONS: [&str; 4] = [
    "## Context",
    "## Decision",
    "## Rejected",
    "## Consequences",
];

pub(crate) fn decisions(repository: &Repository) -> Vec<String> {
    let found = repository.files(|f| f.path.starts_with("docs/decisions/"));
    let mut findings = Vec::new();
    for (index, page) in found.iter().enumerate() {
        let number = format!("docs/decisions/{index:04}-");
        if !page.path.starts_with(&number) {
            findings.push(format!("{}: expected the number {index:04}", page.path));
        }
        for section in DECISION_SECTIONS {
            if !page.text.lines().any(|l| l == section) {
                findings.push(format!("{}: lacks the section `{section}`", page.path));
            }
        }
    }
    assert!(found.len() > 1, "no decision beside the template");
    findings
}

/// Names that begin like a metric and are none.
const NOT_METRICS: [&str; 5] = [
    "castor_proto",
    "castor_replication",
    "castor_node",
    "castor_loadtest",
    "castor_sim",
];
const METRICS_PAGE: &str = "docs/reference/metrics.md";

pub(crate) fn metrics(repository: &Repository) -> Vec<String> {
    let mut in_code: BTreeMap<String, String> = BTreeMap::new();
    for file in repository.rust() {
        let exposes = file.path.starts_with("node/src") || file.path.starts_with("replication/src");
        if exposes && file.is_production() {
            let code = blank(file.production_text(), Hide::Comments);
            for name in metric_names(&code, '"') {
                in_code.entry(name).or_insert_with(|| file.path.clone());
            }
        }
    }
    let Some(page) = repository.get(METRICS_PAGE) else {
        let name = |(name, path)| format!("{path}: {name} is not documented: no {METRICS_PAGE}");
        return in_code.into_iter().map(name).collect();
    };
    let documented: BTreeSet<String> = metric_names(&page.text, '`').into_iter().collect();
    assert!(!documented.is_empty(), "{METRICS_PAGE} names no metric");
    let mut findings = Vec::new();
    for (name, path) in &in_code {
        if !documented.contains(name) {
            findings.push(format!("{path}: {name} is not in {METRICS_PAGE}"));
        }
    }
    for name in documented
        .iter()
        .filter(|name| !in_code.contains_key(*name))
    {
        findings.push(format!("{METRICS_PAGE}: {name} is in no code"));
    }
    findings
}

/// The metric names that follow a quote.
fn metric_names(text: &str, quote: char) -> Vec<String> {
    let opening = format!("{quote}castor_");
    let mut found = Vec::new();
    for piece in text.split(&opening).skip(1) {
        let end = piece.find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '_');
        let end = end.unwrap_or(piece.len());
        let name = format!("castor_{}", &piece[..end]);
        // A name ends at the closing quote or at its labels; a path or a filter goes on otherwise.
        let whole = piece[end..].starts_with(quote) || piece[end..].starts_with('{');
        if whole && !NOT_METRICS.contains(&name.as_str()) {
            found.push(name);
        }
    }
    found
}

#[test]
fn links_headings_and_metrics_are_read_as_meant() {
    let text = "see [a](b.md#c-d) `[x](y)`\n```\n[z](w)\n```\n[e](https://example.org)\n";
    assert_eq!(links_of(text), [(1, "b.md#c-d".to_owned())]);
    assert_eq!(
        resolve("docs/concepts/sso.md", "../glossary.md"),
        "docs/glossary.md"
    );
    assert_eq!(
        slug("## What `castor` does, and not").as_deref(),
        Some("what-castor-does-and-not")
    );
    let code = "\"castor_ready\" \"castor_node=debug\" \"castor_node\" \"castor_lag_seconds\"";
    assert_eq!(
        metric_names(code, '"'),
        ["castor_ready", "castor_lag_seconds"]
    );
}
