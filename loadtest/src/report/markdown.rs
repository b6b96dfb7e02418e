//! The Markdown summary, which is what a terminal shows, too.
//!
//! Promises: columns line up, so that it is readable as it stands. Does not: show plots; a series
//! is a row of blocks, means from nothing to its highest value.

use std::fmt::Write as _;

use super::{escape, number, words};
use crate::run::{Cell, Run, Series};

/// Columns of a row of blocks.
const BLOCKS: usize = 48;

/// The summary of the runs.
pub fn markdown(runs: &[Run]) -> String {
    let mut text = String::new();
    for (index, run) in runs.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        one(run, &mut text);
    }
    text
}

fn one(run: &Run, text: &mut String) {
    let _ = writeln!(
        text,
        "# {}\n\n**{}.** {}",
        escape::markdown(&run.title),
        words::badge(run),
        escape::markdown(&words::verdict(run))
    );
    list("", &run.verdict.failures, text);
    list("Examples:", &run.verdict.examples, text);
    if !run.figures.is_empty() {
        let rows = run.figures.iter().map(|figure| {
            let value = number::value(figure.value);
            let value = format!("{value} {}", figure.unit);
            vec![figure.name.clone(), value]
        });
        table("", &["figure", "value"], rows, text);
        // Below, since a sentence in a column would make the table wider than a window.
        let noted = run.figures.iter().filter(|figure| !figure.note.is_empty());
        let notes: Vec<String> = noted
            .map(|figure| format!("{}: {}", figure.name, figure.note))
            .collect();
        list("", &notes, text);
    }
    if !run.latencies.is_empty() {
        let mut columns = vec!["latency", "answers"];
        columns.extend(words::PERCENTILES.map(|(_, name)| name));
        let rows = run.latencies.iter().map(|latency| {
            let name = format!("{}, {}", words::name(&latency.name), latency.unit);
            let mut row = vec![name, number::count(latency.count)];
            for (wanted, _) in words::PERCENTILES {
                row.push(words::cell(&words::percentile(latency, wanted).into()));
            }
            row
        });
        table("", &columns, rows, text);
        if let Some(why) = words::too_few(run) {
            let _ = writeln!(text, "\n{}", escape::markdown(&why));
        }
    }
    for one in &run.tables {
        let columns: Vec<&str> = one.columns.iter().map(String::as_str).collect();
        let rows = one
            .rows
            .iter()
            .map(|row| row.iter().map(words::cell).collect());
        table(&one.title, &columns, rows, text);
    }
    let rows = run.series.iter().filter_map(blocks);
    table("Over time", &["series", "", "highest"], rows, text);
    list("Notes:", &run.notes, text);
    let rows = words::circumstances(run).into_iter();
    let rows = rows.map(|(name, value)| vec![name.to_owned(), value]);
    table("", &["where and how", ""], rows, text);
    let _ = writeln!(text, "\n`{}`", escape::code(&run.command));
}

fn list(head: &str, items: &[String], text: &mut String) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{head}");
    if !head.is_empty() {
        text.push('\n');
    }
    for item in items {
        let _ = writeln!(text, "- {}", escape::markdown(item));
    }
}

fn table(
    title: &str,
    columns: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
    text: &mut String,
) {
    let escaped = |cells: Vec<String>| -> Vec<String> {
        let cells = cells.iter().map(|cell| escape::markdown(cell.trim()));
        cells.collect()
    };
    let head = escaped(columns.iter().map(|&column| column.to_owned()).collect());
    let rows: Vec<Vec<String>> = rows.map(escaped).collect();
    if rows.is_empty() {
        return;
    }
    let widths: Vec<usize> = (0..head.len())
        .map(|at| {
            let cells = rows.iter().chain([&head]).filter_map(|row| row.get(at));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
                .max(3)
        })
        .collect();
    if !title.is_empty() {
        let _ = writeln!(text, "\n## {}", escape::markdown(title));
    }
    text.push('\n');
    line(&head, &widths, text);
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    line(&rule, &widths, text);
    for row in &rows {
        line(row, &widths, text);
    }
}

fn line(cells: &[String], widths: &[usize], text: &mut String) {
    for (cell, width) in cells.iter().zip(widths) {
        let pad = width.saturating_sub(cell.chars().count());
        let number = cell.starts_with(|c: char| c.is_ascii_digit()) && !cell.contains([' ', ':']);
        let (before, after) = if number { (pad, 0) } else { (0, pad) };
        let _ = write!(text, "| {}{cell}{} ", " ".repeat(before), " ".repeat(after));
    }
    text.push_str("|\n");
}

/// Name, course and highest value of a series.
fn blocks(series: &Series) -> Option<Vec<String>> {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let high = series.points.iter().map(|(_, y)| *y).fold(0.0, f64::max);
    if high <= 0.0 {
        return None;
    }
    let row: String = series
        .points
        .chunks(series.points.len().div_ceil(BLOCKS))
        .map(|chunk| {
            let (sum, count) = chunk
                .iter()
                .fold((0.0, 0.0), |(sum, count), (_, y)| (sum + y, count + 1.0));
            let level = LEVELS
                .iter()
                .zip(1_u8..)
                .find(|(_, part)| sum / count / high <= f64::from(*part) / 8.0);
            level.map_or('█', |(block, _)| *block)
        })
        .collect();
    let name = match &series.panel {
        Some(panel) => format!("{panel}, {}", series.name),
        None => series.name.clone(),
    };
    let high = words::cell(&Cell::Number(high));
    Some(vec![
        words::name(&name),
        row,
        format!("{high} {}", series.unit),
    ])
}
