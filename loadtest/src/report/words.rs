//! What a record says in words, for the page and for Markdown alike.
//!
//! Promises: the verdict is one plain sentence that a person who has never seen the program
//! understands. Does not: escape.

use super::number;
use crate::histogram::answers_for;
use crate::run::{Cell, Ended, Latency, Run, UNKNOWN};

/// How a run is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Everything that was judged was right.
    Good,
    /// Something was wrong.
    Bad,
    /// Nothing was judged, or only a part ran.
    Unsure,
}

/// How this run is to be seen.
pub fn sight(run: &Run) -> Sight {
    let verdict = &run.verdict;
    if !verdict.passed() {
        Sight::Bad
    } else if run.ended == Ended::Interrupted || verdict.judged == 0 {
        Sight::Unsure
    } else {
        Sight::Good
    }
}

/// One word or two.
pub fn badge(run: &Run) -> &'static str {
    match sight(run) {
        Sight::Bad => "Failed",
        Sight::Good => "Passed",
        Sight::Unsure if run.ended == Ended::Interrupted => "Interrupted",
        Sight::Unsure => "Measured",
    }
}

/// The verdict in a sentence or two.
pub fn verdict(run: &Run) -> String {
    let verdict = &run.verdict;
    let (judged, wrong) = (number::count(verdict.judged), number::count(verdict.wrong));
    let mut text = match (verdict.judged, verdict.wrong) {
        (0, 0) => "No answer was judged in this run.".to_owned(),
        (_, 0) => format!("All {judged} answers were right."),
        _ if verdict.wrong > verdict.forgiven => {
            let forgiven = match verdict.forgiven {
                0 => String::new(),
                forgiven => format!(" The run forgives {}.", number::count(forgiven)),
            };
            format!(
                "{wrong} of {judged} answers were wrong: {}.{forgiven}",
                kinds(run)
            )
        }
        _ => format!(
            "Of {judged} answers {wrong} were not as on a healthy cluster, which this run allows: {}.",
            kinds(run)
        ),
    };
    if !verdict.failures.is_empty() && verdict.wrong <= verdict.forgiven {
        text.push_str(" But the run missed what it had to reach, see below.");
    }
    if run.ended == Ended::Interrupted {
        text.push_str(" It was interrupted: the figures are of the part that ran.");
    }
    text
}

fn kinds(run: &Run) -> String {
    let kinds = run.verdict.kinds.iter().filter(|(_, count)| *count > 0);
    let kinds: Vec<String> = kinds
        .map(|(kind, count)| format!("{} {kind}", number::count(*count)))
        .collect();
    if kinds.is_empty() {
        "of unknown kind".to_owned()
    } else {
        kinds.join(", ")
    }
}

/// `issue_validate` as people write it.
pub fn name(name: &str) -> String {
    name.replace('_', " ")
}

/// A cell as text.
pub fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Number(number) => number::value(*number),
        Cell::Text(text) => text.clone(),
    }
}

/// `2026-11-22T01:02:03Z` as `2026-11-22 01:02:03 UTC`; anything else as it is.
pub fn time(text: &str) -> String {
    match text.strip_suffix('Z').and_then(|text| text.split_once('T')) {
        Some((day, time)) => format!("{day} {time} UTC"),
        None => text.to_owned(),
    }
}

/// Where and how, as pairs of name and value; what is unknown is left out.
pub fn circumstances(run: &Run) -> Vec<(&'static str, String)> {
    let found = &run.environment;
    let memory = match found.memory_mib {
        0 => String::new(),
        mib => format!(", {} MiB of memory", number::count(mib)),
    };
    let machine = match found.processors {
        0 => String::new(),
        count => format!("{count} × {}{memory}", found.processor),
    };
    let scale = match run.time_scale {
        scale if (scale - 1.0).abs() < f64::EPSILON => String::new(),
        scale => format!("{} times faster than the clock", number::value(scale)),
    };
    let pairs = [
        ("Began", time(&run.began)),
        ("Lasted", number::seconds(run.lasted_s)),
        ("Seed", run.seed.to_string()),
        ("Time", scale),
        ("Machine", machine),
        ("System", found.system.clone()),
        ("Commit", found.commit.clone()),
        ("castor-loadtest", found.version.clone()),
    ];
    let known = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    known.collect()
}

/// The percentiles that a table shows.
pub const PERCENTILES: [(f64, &str); 5] = [
    (50.0, "p50"),
    (90.0, "p90"),
    (99.0, "p99"),
    (99.9, "p99.9"),
    (100.0, "slowest"),
];

/// The value at a percentile, when there were answers enough for it; records of older versions have it of
/// fewer, too.
pub fn percentile(latency: &Latency, wanted: f64) -> Option<f64> {
    if latency.count < answers_for(wanted) {
        return None;
    }
    let mut percentiles = latency.percentiles.iter();
    let found = percentiles.find(|(percentile, _)| (percentile - wanted).abs() < 1e-9);
    found.map(|(_, value)| *value)
}

/// Why some latencies have no percentiles, when there are such.
pub fn too_few(run: &Run) -> Option<String> {
    let few = |latency: &Latency| {
        let mut shown = PERCENTILES.iter();
        shown.any(|(percentile, _)| latency.count < answers_for(*percentile))
    };
    if !run.latencies.iter().any(few) {
        return None;
    }
    let needs = PERCENTILES
        .iter()
        .filter(|(percentile, _)| *percentile < 100.0);
    let needs: Vec<String> = needs
        .map(|(percentile, name)| {
            format!("{name} needs {}", number::count(answers_for(*percentile)))
        })
        .collect();
    Some(format!(
        "{UNKNOWN}: too few answers for this percentile: {}.",
        needs.join(", ")
    ))
}
