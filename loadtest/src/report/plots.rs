//! Which plots a record gives: its own, its latencies, and what was sampled over time.
//!
//! Promises: series share one time axis, with the marks of the run through all of them.
//! Does not: draw lines ([`super::frame`]).

use std::fmt::Write as _;

use super::escape::Html;
use super::frame::{COLOURS, Frame};
use super::number;
use super::scale::Scale;
use super::words;
use crate::histogram::answers_for;
use crate::run::{Latency, Line, Log, Mark, Plot, Run, Series, Style};

const HEIGHT: f64 = 260.0;
const PANEL_HEIGHT: f64 = 120.0;
/// About so many ticks on an axis.
const TICKS_X: f64 = 8.0;
const TICKS_Y: f64 = 5.0;
const TICKS_PANEL: f64 = 3.0;
/// Latencies that are further apart than this factor are drawn on a logarithmic axis.
const FAR: f64 = 12.0;

/// Whether a horizontal axis is seconds, by its name.
fn is_seconds(name: &str) -> bool {
    matches!(
        name.trim(),
        "s" | "time" | "time, s" | "seconds" | "time (s)" | "t, s"
    )
}

/// Draws the plots that the run brings.
pub fn own(run: &Run, page: &mut String) {
    for plot in &run.plots {
        if plot.lines.iter().any(|line| !line.points.is_empty()) {
            one(plot, page);
        }
    }
}

fn one(plot: &Plot, page: &mut String) {
    let points = || plot.lines.iter().flat_map(|line| &line.points);
    let xs = || points().map(|(x, _)| *x);
    let ys = points().map(|(_, y)| *y);
    let time = is_seconds(&plot.x);
    let x = match plot.log {
        Log::X | Log::Both => Scale::log(xs()),
        _ if time => Scale::time(xs().fold(0.0, f64::max), TICKS_X),
        _ => Scale::span(xs(), TICKS_X),
    };
    let y = match plot.log {
        Log::Y | Log::Both => Scale::log(ys),
        _ => Scale::amount(ys, TICKS_Y),
    };
    let x_title = if time {
        format!("time, {}", x.unit)
    } else {
        plot.x.clone()
    };
    let frame = Frame {
        title: &plot.title,
        y_title: &plot.y,
        x_title,
        x,
        y,
        height: HEIGHT,
        lines: &plot.lines,
        marks: &plot.marks,
        gaps: time,
        numbered: true,
        says: &|line: &Line, (x, y)| {
            let (x, y) = (at(time, x, &plot.x), number::value(y));
            format!("{}\n{x}\n{y} {}", line.name, plot.y)
        },
    };
    frame.draw(page);
    list(&plot.marks, time, page);
}

fn at(time: bool, x: f64, name: &str) -> String {
    if time {
        format!("at {}", number::seconds(x))
    } else {
        format!("{} {name}", number::value(x))
    }
}

/// Draws latencies over percentiles: each unit in a plot of its own.
pub fn latencies(run: &Run, page: &mut String) {
    let mut units: Vec<&str> = Vec::new();
    for latency in &run.latencies {
        if !units.contains(&latency.unit.as_str()) {
            units.push(&latency.unit);
        }
    }
    for unit in units {
        let these = run.latencies.iter().filter(|latency| latency.unit == unit);
        let these: Vec<&Latency> = these.collect();
        for group in groups(&these) {
            percentiles(group, unit, page);
        }
    }
}

/// What fits into one plot: all of them, or those that begin with the same two words, or so many.
fn groups<'a>(latencies: &'a [&'a Latency]) -> Vec<&'a [&'a Latency]> {
    fn begins(latency: &Latency) -> Vec<&str> {
        latency.name.split([' ', '_']).take(2).collect()
    }
    if latencies.len() <= COLOURS {
        return vec![latencies];
    }
    let alike: Vec<_> = latencies.chunk_by(|a, b| begins(a) == begins(b)).collect();
    let fits = |group: &&[&Latency]| (2..=COLOURS).contains(&group.len());
    if alike.iter().all(fits) {
        return alike;
    }
    latencies.chunks(COLOURS).collect()
}

fn percentiles(latencies: &[&Latency], unit: &str, page: &mut String) {
    let lines: Vec<Line> = latencies.iter().map(|latency| curve(latency)).collect();
    let points = || lines.iter().flat_map(|line| &line.points);
    let values = || points().map(|(_, y)| *y).filter(|y| *y > 0.0);
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(0.0, f64::max);
    if high <= 0.0 {
        return;
    }
    let y = if high > FAR * low {
        Scale::log(values())
    } else {
        Scale::amount(values(), TICKS_Y)
    };
    let frame = Frame {
        title: "Latency by percentile",
        y_title: unit,
        x_title: "so many per cent of the answers were as fast or faster".to_owned(),
        x: Scale::nines(points().map(|(x, _)| *x).fold(99.0, f64::max)),
        y,
        height: HEIGHT,
        lines: &lines,
        marks: &[],
        gaps: false,
        numbered: false,
        says: &|line: &Line, (p, value)| {
            format!("{}\np{p}: {} {unit}", line.name, number::value(value))
        },
    };
    frame.draw(page);
}

/// From the median to the last percentile that at least two answers lie above.
fn curve(latency: &Latency) -> Line {
    let shown = latency.percentiles.iter().filter(|(percentile, _)| {
        (50.0..=99.99).contains(percentile) && latency.count >= answers_for(*percentile)
    });
    Line {
        name: words::name(&latency.name),
        points: shown.copied().collect(),
        style: Style::Line,
    }
}

/// Draws what was sampled: one frame a panel, one time axis for all.
pub fn series(run: &Run, page: &mut String) {
    let series = || run.series.iter().filter(|one| !one.points.is_empty());
    let last = series()
        .flat_map(|one| &one.points)
        .map(|(x, _)| *x)
        .fold(run.lasted_s, f64::max);
    let mut panels: Vec<(&str, Vec<&Series>)> = Vec::new();
    for one in series() {
        let name = one.panel.as_deref().unwrap_or(&one.name);
        match panels.iter_mut().find(|(panel, _)| *panel == name) {
            Some((_, members)) => members.push(one),
            None => panels.push((name, vec![one])),
        }
    }
    let count = panels.len();
    for (index, (name, members)) in panels.into_iter().enumerate() {
        let lines: Vec<Line> = members
            .iter()
            .map(|one| Line {
                name: one.name.clone(),
                points: one.points.clone(),
                style: Style::Line,
            })
            .collect();
        let unit = members.first().map_or("", |one| &one.unit);
        let x = Scale::time(last, TICKS_X);
        let bottom = index + 1 == count;
        let values = lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y);
        let frame = Frame {
            title: name,
            y_title: unit,
            x_title: if bottom {
                format!("time, {}", x.unit)
            } else {
                String::new()
            },
            x,
            y: Scale::amount(values, TICKS_PANEL),
            height: PANEL_HEIGHT,
            lines: &lines,
            marks: &run.marks,
            gaps: true,
            numbered: index == 0,
            says: &|line: &Line, (x, y)| {
                let (x, y) = (number::seconds(x), number::value(y));
                format!("{}\nat {x}\n{y} {unit}", line.name)
            },
        };
        frame.draw(page);
    }
    if count > 0 {
        list(&run.marks, true, page);
    }
}

/// The marks in words.
fn list(marks: &[Mark], time: bool, page: &mut String) {
    if marks.is_empty() {
        return;
    }
    page.push_str("<ol class=\"marks\">");
    for mark in marks {
        let place = |x: f64| {
            if time {
                number::seconds(x)
            } else {
                number::value(x)
            }
        };
        let until = mark
            .until
            .map_or_else(String::new, |until| format!(" to {}", place(until)));
        let _ = write!(
            page,
            "<li><b>{}</b> <span class=\"quiet\">{}{until}</span></li>",
            Html(&mark.text),
            place(mark.x)
        );
    }
    page.push_str("</ol>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouped(names: &[&str]) -> Vec<usize> {
        let latency = |name: &&str| Latency {
            name: (*name).to_owned(),
            count: 1,
            unit: "ms".to_owned(),
            percentiles: Vec::new(),
        };
        let all: Vec<Latency> = names.iter().map(latency).collect();
        let all: Vec<&Latency> = all.iter().collect();
        groups(&all).iter().map(|group| group.len()).collect()
    }

    #[test]
    fn no_plot_of_latencies_has_more_lines_than_colours() {
        assert_eq!(grouped(&["a"; 8]), [8]);
        let trials = ["trial 01 a", "trial 01 b", "trial 01 c"];
        let others = ["trial_02_a", "trial_02_b", "trial_03_a", "trial_03_b"];
        let all = [&trials[..], &others, &["trial 04 a", "trial 04 b"]].concat();
        assert_eq!(grouped(&all), [3, 2, 2, 2]);
        assert_eq!(grouped(&["a"; 20]), [8, 8, 4]);
    }
}
