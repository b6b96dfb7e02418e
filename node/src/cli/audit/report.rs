//! Shows the counts: the nine rows that operators of CAS compare, the rest, the nodes.

use serde_json::{Map, Value, json};

use super::super::table::table;
use super::super::words::count_of;
use super::interval::moment;
use super::tally::{NodeLines, Silence, Tally};
use crate::ops::audit::Action;

/// The rows of the table, in its order.
pub(super) const ROWS: [Action; 9] = [
    Action::AuthenticationEventTriggered,
    Action::AuthenticationSuccess,
    Action::AuthenticationFailed,
    Action::ServiceTicketCreated,
    Action::ServiceTicketNotCreated,
    Action::ServiceTicketValidated,
    Action::ServiceTicketValidateFailed,
    Action::TicketGrantingTicketCreated,
    Action::TicketGrantingTicketDestroyed,
];

/// Times of silence that are told of one node.
const SILENCES_TOLD: usize = 5;

/// `SERVICE_TICKET_CREATED` as `Service Ticket Created`.
fn title(action: Action) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        format!("{first}{}", rest.to_lowercase())
    };
    let words: Vec<String> = action.name().split('_').map(word).collect();
    words.join(" ")
}

/// With a comma between thousands.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// An average as people read it: whole, but never 0 when there was something.
fn average(per_day: f64) -> String {
    if per_day > 0.0 && per_day < 0.5 {
        return "<1".to_owned();
    }
    let rounded = per_day.round() as u64;
    thousands(rounded)
}

/// Pads a column on the left, as numbers are read.
fn right(rows: &mut [Vec<String>], column: usize) {
    let cells = rows.iter().filter_map(|row| row.get(column));
    let width = cells.map(|c| c.chars().count()).max().unwrap_or(0);
    for cell in rows.iter_mut().filter_map(|row| row.get_mut(column)) {
        *cell = format!("{cell:>width$}");
    }
}

fn row(tally: &Tally, name: String, total: u64) -> Vec<String> {
    let per_day = average(tally.interval.per_day(total));
    vec![name, thousands(total), per_day]
}

fn heading(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

/// Actions beside the nine rows that happened.
fn others(tally: &Tally) -> Vec<(Action, u64)> {
    let all = Action::ALL.iter().map(|(action, _)| *action);
    let others = all.filter(|action| !ROWS.contains(action));
    let counted = others.map(|action| (action, tally.total(action)));
    counted.filter(|(_, total)| *total > 0).collect()
}

/// The report for people.
pub(super) fn as_text(tally: &Tally) -> String {
    let mut rows = vec![heading(&["EVENT", "TOTAL", "PER DAY"])];
    rows.extend(ROWS.map(|action| row(tally, title(action), tally.total(action))));
    for (action, total) in others(tally) {
        rows.push(row(tally, title(action), total));
    }
    for (name, total) in &tally.unknown {
        rows.push(row(
            tally,
            format!("unknown: {}", name.escape_default()),
            *total,
        ));
    }
    if tally.unknown_more > 0 {
        rows.push(row(tally, "unknown: others".to_owned(), tally.unknown_more));
    }
    rows.push(row(tally, "Sum".to_owned(), tally.events()));
    right(&mut rows, 1);
    right(&mut rows, 2);

    let mut nodes = vec![heading(&["NODE", "EVENTS", "FIRST", "LAST"])];
    for (name, node) in &tally.nodes {
        let at = |ms: Option<i64>| ms.map_or_else(|| "-".to_owned(), moment);
        nodes.push(vec![
            name.clone(),
            thousands(node.events),
            at(node.first_last_ms.map(|(first, _)| first)),
            at(node.first_last_ms.map(|(_, last)| last)),
        ]);
    }
    right(&mut nodes, 1);
    let interval = tally.interval;
    format!(
        "From {} to {} ({}), {}\n\n{}\n{}\n{} outside the interval, {} broken\n",
        moment(interval.from_ms),
        moment(interval.to_ms),
        days(&interval.days()),
        count_of(tally.nodes.len(), "node", "nodes"),
        table(&rows),
        table(&nodes),
        counted(tally.outside, "line", "lines"),
        thousands(tally.broken),
    )
}

/// As `count_of`, with the number in groups of three.
fn counted(count: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        thousands(count),
        if count == 1 { one } else { many }
    )
}

fn days(number: &str) -> String {
    format!("{number} {}", if number == "1" { "day" } else { "days" })
}

/// What makes the counts doubtful: nodes without lines or silent, lines that are no events.
pub(super) fn warnings(tally: &Tally) -> Vec<String> {
    let mut says = Vec::new();
    if tally.nodes.is_empty() {
        says.push("there are no events of any node".to_owned());
    }
    for (name, node) in &tally.nodes {
        if node.events == 0 {
            says.push(format!("{name} has no lines in the interval"));
            continue;
        }
        let silences = tally.silences(node);
        for silence in silences.iter().take(SILENCES_TOLD) {
            says.push(format!("{name} {}", told(tally, node, silence)));
        }
        if silences.len() > SILENCES_TOLD {
            let more = silences.len() - SILENCES_TOLD;
            let times = count_of(more, "time", "times");
            says.push(format!("{name} was silent {times} more"));
        }
    }
    if tally.broken > 0 {
        says.push(counted(
            tally.broken,
            "line is no event",
            "lines are no events",
        ));
    }
    if !tally.unknown.is_empty() {
        let unknown: u64 = tally.unknown.values().sum();
        says.push(counted(
            unknown + tally.unknown_more,
            "event has an action that is not known",
            "events have actions that are not known",
        ));
    }
    if tally.nodes_more > 0 {
        says.push(counted(
            tally.nodes_more,
            "event is of a node beyond the first 64",
            "events are of nodes beyond the first 64",
        ));
    }
    says
}

fn told(tally: &Tally, node: &NodeLines, silence: &Silence) -> String {
    let elsewhere = format!(
        "while the other nodes recorded {}",
        counted(silence.elsewhere, "event", "events")
    );
    let (first, last) = node.first_last_ms.unwrap_or_default();
    if silence.to_ms == tally.interval.to_ms {
        format!("stops at {} {elsewhere}", moment(last))
    } else if silence.from_ms == tally.interval.from_ms {
        format!("begins at {} {elsewhere}", moment(first))
    } else {
        let (from, to) = (moment(silence.from_ms), moment(silence.to_ms));
        format!("is silent from {from} to {to} {elsewhere}")
    }
}

/// The report for programs.
pub(super) fn as_json(tally: &Tally) -> Value {
    let event = |action: Action, total: u64| {
        json!({
            "name": title(action),
            "action": action.name(),
            "total": total,
            "per_day": hundredths(tally.interval.per_day(total)),
        })
    };
    let rows = ROWS.map(|action| event(action, tally.total(action)));
    let others: Vec<Value> = others(tally)
        .into_iter()
        .map(|(a, n)| event(a, n))
        .collect();
    let nodes: Vec<Value> = tally
        .nodes
        .iter()
        .map(|(name, node)| one(tally, name, node))
        .collect();
    json!({
        "from": moment(tally.interval.from_ms),
        "to": moment(tally.interval.to_ms),
        "events": rows,
        "other_events": others,
        "unknown_actions": tally.unknown,
        "unknown_more": tally.unknown_more,
        "sum": tally.events(),
        "nodes": nodes,
        "outside": tally.outside,
        "broken": tally.broken,
        "warnings": warnings(tally),
    })
}

fn one(tally: &Tally, name: &str, node: &NodeLines) -> Value {
    let counts = Action::ALL.iter().zip(&node.counts);
    let counts = counts.filter(|(_, count)| **count > 0);
    let actions: Map<String, Value> = counts
        .map(|((action, _), count)| (action.name().to_owned(), (*count).into()))
        .collect();
    let silences = tally.silences(node).into_iter().map(|silence| {
        json!({
            "from": moment(silence.from_ms),
            "to": moment(silence.to_ms),
            "events_elsewhere": silence.elsewhere,
        })
    });
    json!({
        "node": name,
        "events": node.events,
        "first": node.first_last_ms.map(|(first, _)| moment(first)),
        "last": node.first_last_ms.map(|(_, last)| moment(last)),
        "actions": actions,
        "silences": silences.collect::<Vec<_>>(),
    })
}

fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
