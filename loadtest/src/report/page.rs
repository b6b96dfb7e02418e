//! The HTML page of one run or several.
//!
//! Promises: well-formed as XML, too; forbids itself scripts and the network; the verdict is the
//! first thing one reads. Does not: choose plots ([`super::plots`]).

use std::fmt::Write as _;

use super::escape::Html;
use super::{number, plots, words};
use crate::run::{Cell, Figure, Run, Table};

const STYLE: &str = include_str!("page.css");
/// Tables with more columns than this do not fit a phone: their rows become cards there, up to so many rows; a
/// longer table is moved sideways.
const NARROW_COLUMNS: usize = 4;
const CARDS_MAX: usize = 200;
/// Figures shown as tiles; all are in the table of several runs.
const TILES_MAX: usize = 24;

/// The page.
pub fn page(runs: &[Run]) -> String {
    let title = match runs {
        [run] => run.title.as_str(),
        _ => "Runs of castor-loadtest",
    };
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <meta name=\"color-scheme\" content=\"light dark\"/>\
         <title>{}</title><style>\n{STYLE}</style></head>\n<body><main>\n",
        Html(title)
    );
    if runs.len() != 1 {
        contents(runs, &mut page);
    }
    for (index, run) in runs.iter().enumerate() {
        section(run, index + 1, &mut page);
    }
    let _ = write!(
        page,
        "<footer>Written by castor-loadtest {}. This page is one file: it loads nothing and runs \
         nothing.</footer>\n</main></body></html>\n",
        env!("CARGO_PKG_VERSION")
    );
    page
}

/// All runs at a glance, and the figures that several of them have side by side.
fn contents(runs: &[Run], page: &mut String) {
    let _ = write!(
        page,
        "<header class=\"top\"><p class=\"brand\">castor-loadtest</p><h1>{} runs</h1></header>\
         <ol class=\"contents\">",
        runs.len()
    );
    for (index, run) in runs.iter().enumerate() {
        let _ = write!(
            page,
            "<li><a href=\"#run-{}\">{}</a> <span class=\"badge {}\">{}</span> \
             <span class=\"quiet\">{}</span></li>",
            index + 1,
            Html(&run.title),
            sight(run),
            words::badge(run),
            Html(&words::time(&run.began))
        );
    }
    page.push_str("</ol>\n");
    side_by_side(runs, page);
}

fn side_by_side(runs: &[Run], page: &mut String) {
    let mut names: Vec<(&str, &str)> = Vec::new();
    for figure in runs.iter().flat_map(|run| &run.figures) {
        let name = (figure.name.as_str(), figure.unit.as_str());
        let having = runs.iter().filter(|run| find(run, name).is_some()).count();
        if having > 1 && !names.contains(&name) && names.len() < TILES_MAX {
            names.push(name);
        }
    }
    if names.is_empty() {
        return;
    }
    let mut columns = vec!["figure"];
    columns.extend(runs.iter().map(|run| run.title.as_str()));
    let mut table = Table::new("Side by side", &columns);
    for name in names {
        let label = match name.1 {
            "" => words::name(name.0),
            unit => format!("{}, {unit}", words::name(name.0)),
        };
        let values = runs.iter().map(|run| Cell::from(find(run, name)));
        table.row(std::iter::once(Cell::Text(label)).chain(values));
    }
    self::table(&table, page);
}

fn find(run: &Run, name: (&str, &str)) -> Option<f64> {
    let mut figures = run.figures.iter();
    let found = figures.find(|figure| (figure.name.as_str(), figure.unit.as_str()) == name);
    found.map(|figure| figure.value)
}

fn sight(run: &Run) -> &'static str {
    match words::sight(run) {
        words::Sight::Good => "good",
        words::Sight::Bad => "bad",
        words::Sight::Unsure => "unsure",
    }
}

fn section(run: &Run, number: usize, page: &mut String) {
    let _ = writeln!(
        page,
        "<section id=\"run-{number}\"><header><p class=\"brand\">castor-loadtest · {}</p>\
         <h1>{}</h1></header>",
        run.kind.title(),
        Html(&run.title)
    );
    verdict(run, page);
    tiles(&run.figures, page);
    part("Plots", page, |page| plots::own(run, page));
    part("Latency", page, |page| {
        plots::latencies(run, page);
        if !run.latencies.is_empty() {
            latencies(run, page);
        }
    });
    part("Over time", page, |page| plots::series(run, page));
    if !run.tables.is_empty() {
        page.push_str("<h2>Tables</h2>\n");
        run.tables.iter().for_each(|one| table(one, page));
    }
    if !run.notes.is_empty() {
        page.push_str("<h2>Notes</h2>\n");
        items(&run.notes, page);
    }
    circumstances(run, page);
    page.push_str("</section>\n");
}

/// A part with its heading, when there is anything in it.
fn part(heading: &str, page: &mut String, draw: impl FnOnce(&mut String)) {
    let before = page.len();
    let _ = writeln!(page, "<h2>{heading}</h2>");
    let begins = page.len();
    draw(page);
    if page.len() == begins {
        page.truncate(before);
    }
}

fn verdict(run: &Run, page: &mut String) {
    let sign = match words::sight(run) {
        words::Sight::Good => "M5 13l5 5 9-11",
        words::Sight::Bad => "M6 6l12 12M18 6L6 18",
        words::Sight::Unsure => "M12 6v8M12 17.5v.5",
    };
    let _ = write!(
        page,
        "<div class=\"verdict {}\"><svg viewBox=\"0 0 24 24\" width=\"28\" height=\"28\" \
         aria-hidden=\"true\"><path d=\"{sign}\"/></svg><div><p class=\"word\">{}</p><p>{}</p>",
        sight(run),
        words::badge(run),
        Html(&words::verdict(run))
    );
    items(&run.verdict.failures, page);
    if !run.verdict.examples.is_empty() {
        page.push_str("<details><summary>Examples</summary>");
        items(&run.verdict.examples, page);
        page.push_str("</details>");
    }
    page.push_str("</div></div>\n");
}

fn items(texts: &[String], page: &mut String) {
    if texts.is_empty() {
        return;
    }
    page.push_str("<ul>");
    for text in texts {
        let _ = write!(page, "<li>{}</li>", Html(text));
    }
    page.push_str("</ul>");
}

fn tiles(figures: &[Figure], page: &mut String) {
    if figures.is_empty() {
        return;
    }
    page.push_str("<dl class=\"tiles\">");
    for figure in figures.iter().take(TILES_MAX) {
        let _ = write!(
            page,
            "<div><dt>{}</dt><dd><b>{}</b> {}",
            Html(&words::name(&figure.name)),
            number::value(figure.value),
            Html(&figure.unit)
        );
        if !figure.note.is_empty() {
            let _ = write!(page, "<small>{}</small>", Html(&figure.note));
        }
        page.push_str("</dd></div>");
    }
    page.push_str("</dl>\n");
    if let Some(others) = figures.get(TILES_MAX..).filter(|others| !others.is_empty()) {
        let mut rest = Table::new("Further figures", &["figure", "value", "unit", "remark"]);
        for figure in others {
            rest.row([
                words::name(&figure.name).into(),
                figure.value.into(),
                figure.unit.clone().into(),
                figure.note.clone().into(),
            ]);
        }
        table(&rest, page);
    }
}

fn latencies(run: &Run, page: &mut String) {
    let mut columns = vec!["request", "answers"];
    columns.extend(words::PERCENTILES.map(|(_, name)| name));
    columns.push("unit");
    let mut shown = Table::new("Latencies", &columns);
    for latency in &run.latencies {
        let mut row = vec![
            Cell::from(words::name(&latency.name)),
            Cell::from(latency.count),
        ];
        for (wanted, _) in words::PERCENTILES {
            row.push(Cell::from(words::percentile(latency, wanted)));
        }
        row.push(Cell::from(latency.unit.as_str()));
        shown.row(row);
    }
    table(&shown, page);
    if let Some(why) = words::too_few(run) {
        let _ = writeln!(page, "<p class=\"quiet\">{}</p>", Html(&why));
    }
}

fn table(table: &Table, page: &mut String) {
    let cards = table.columns.len() > NARROW_COLUMNS && table.rows.len() <= CARDS_MAX;
    let _ = write!(
        page,
        "<div class=\"wide{}\"><table><caption>{}</caption><thead><tr>",
        if cards { " cards" } else { "" },
        Html(&table.title)
    );
    // A column whose first known value is a number stands to the right.
    let numeric: Vec<bool> = (0..table.columns.len())
        .map(|at| {
            let mut cells = table.rows.iter().filter_map(|row| row.get(at));
            cells.any(|cell| matches!(cell, Cell::Number(_)))
        })
        .collect();
    let class = |at: usize| match numeric.get(at) {
        Some(true) => " class=\"n\"",
        _ => "",
    };
    for (at, column) in table.columns.iter().enumerate() {
        let _ = write!(page, "<th scope=\"col\"{}>{}</th>", class(at), Html(column));
    }
    page.push_str("</tr></thead><tbody>");
    for row in &table.rows {
        page.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            let _ = write!(page, "<td{}", class(at));
            if let Some(column) = table.columns.get(at).filter(|_| cards) {
                let _ = write!(page, " data-of=\"{}\"", Html(column));
            }
            let _ = write!(page, ">{}</td>", Html(&words::cell(cell)));
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div>\n");
}

fn circumstances(run: &Run, page: &mut String) {
    page.push_str("<h2>Where and how</h2>\n<dl class=\"where\">");
    for (name, value) in words::circumstances(run) {
        let _ = write!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", Html(&value));
    }
    let _ = writeln!(
        page,
        "<div class=\"command\"><dt>Command</dt><dd><code>{}</code></dd></div></dl>",
        Html(&run.command)
    );
}
