//! What is too much for a record, and what is no number.
//!
//! Promises: after [`Run::bound`] a record fits the bounds below and every number in it is finite;
//! a series that is too long is thinned evenly and keeps its ends, everything else is cut with a
//! note. Does not: refuse; the reader does that by the size of the file.

use super::{Cell, Mark, Run, UNKNOWN};

/// Numbers in a record.
pub const FIGURES_MAX: usize = 1_000;
/// Tables, plots, latencies, series and notes, each.
pub const PARTS_MAX: usize = 200;
/// Columns of a table, lines of a plot, kinds and examples of a verdict.
pub const PIECES_MAX: usize = 64;
/// Rows of a table.
pub const ROWS_MAX: usize = 5_000;
/// Points of a series or of a line.
pub const POINTS_MAX: usize = 50_000;
/// Marks on an axis.
pub const MARKS_MAX: usize = 500;
/// Bytes of a text.
pub const TEXT_MAX: usize = 4_096;

impl Run {
    /// Cuts to the bounds and leaves out what is not finite.
    pub fn bound(&mut self) {
        let mut cut = Vec::new();
        self.figures.retain(|figure| figure.value.is_finite());
        shorten(&mut self.figures, FIGURES_MAX, "figures", &mut cut);
        shorten(&mut self.tables, PARTS_MAX, "tables", &mut cut);
        shorten(&mut self.plots, PARTS_MAX, "plots", &mut cut);
        shorten(&mut self.latencies, PARTS_MAX, "latencies", &mut cut);
        shorten(&mut self.series, PARTS_MAX, "series", &mut cut);
        self.tables(&mut cut);
        for plot in &mut self.plots {
            shorten(&mut plot.lines, PIECES_MAX, "lines of a plot", &mut cut);
            for line in &mut plot.lines {
                points(&mut line.points);
            }
            marks(&mut plot.marks, &mut cut);
        }
        for latency in &mut self.latencies {
            latency
                .percentiles
                .retain(|(p, _)| (0.0..=100.0).contains(p));
            points(&mut latency.percentiles);
            latency.percentiles.truncate(PIECES_MAX);
        }
        for series in &mut self.series {
            points(&mut series.points);
        }
        marks(&mut self.marks, &mut cut);
        for number in [&mut self.time_scale, &mut self.lasted_s] {
            if !number.is_finite() {
                *number = 0.0;
            }
        }
        let verdict = &mut self.verdict;
        shorten(&mut verdict.kinds, PIECES_MAX, "kinds", &mut cut);
        shorten(&mut verdict.examples, PIECES_MAX, "examples", &mut cut);
        shorten(&mut verdict.failures, PIECES_MAX, "failures", &mut cut);
        self.notes.truncate(PARTS_MAX);
        self.notes.extend(cut);
        self.notes.truncate(PARTS_MAX + PIECES_MAX);
        self.texts();
    }

    fn tables(&mut self, cut: &mut Vec<String>) {
        for table in &mut self.tables {
            shorten(&mut table.columns, PIECES_MAX, "columns of a table", cut);
            shorten(&mut table.rows, ROWS_MAX, "rows of a table", cut);
            for row in &mut table.rows {
                row.resize(table.columns.len(), Cell::Text(String::new()));
                for cell in row {
                    if matches!(cell, Cell::Number(number) if !number.is_finite()) {
                        *cell = Cell::Text(UNKNOWN.to_owned());
                    }
                }
            }
        }
    }

    fn texts(&mut self) {
        let head = [&mut self.title, &mut self.command, &mut self.began];
        head.into_iter().for_each(text);
        self.notes.iter_mut().for_each(text);
        for figure in &mut self.figures {
            [&mut figure.name, &mut figure.unit, &mut figure.note]
                .into_iter()
                .for_each(text);
        }
        for table in &mut self.tables {
            text(&mut table.title);
            table.columns.iter_mut().for_each(text);
            for cell in table.rows.iter_mut().flatten() {
                if let Cell::Text(words) = cell {
                    text(words);
                }
            }
        }
        for plot in &mut self.plots {
            [&mut plot.title, &mut plot.x, &mut plot.y]
                .into_iter()
                .for_each(text);
            plot.lines.iter_mut().for_each(|line| text(&mut line.name));
            plot.marks.iter_mut().for_each(|mark| text(&mut mark.text));
        }
        for latency in &mut self.latencies {
            [&mut latency.name, &mut latency.unit]
                .into_iter()
                .for_each(text);
        }
        for series in &mut self.series {
            [&mut series.name, &mut series.unit]
                .into_iter()
                .for_each(text);
            series.panel.iter_mut().for_each(text);
        }
        self.marks.iter_mut().for_each(|mark| text(&mut mark.text));
        let verdict = &mut self.verdict;
        verdict.kinds.iter_mut().for_each(|(kind, _)| text(kind));
        verdict.examples.iter_mut().for_each(text);
        verdict.failures.iter_mut().for_each(text);
    }
}

fn shorten<T>(list: &mut Vec<T>, most: usize, what: &str, cut: &mut Vec<String>) {
    if list.len() > most {
        cut.push(format!("only {most} of {} {what} are kept", list.len()));
        list.truncate(most);
    }
}

fn text(text: &mut String) {
    if text.len() > TEXT_MAX {
        text.truncate(text.floor_char_boundary(TEXT_MAX));
        text.push('…');
    }
}

fn marks(marks: &mut Vec<Mark>, cut: &mut Vec<String>) {
    marks.retain(|mark| mark.x.is_finite() && mark.until.is_none_or(f64::is_finite));
    shorten(marks, MARKS_MAX, "marks", cut);
}

/// Leaves out what is not finite, and every second point as long as there are too many.
fn points(points: &mut Vec<(f64, f64)>) {
    points.retain(|(x, y)| x.is_finite() && y.is_finite());
    while points.len() > POINTS_MAX {
        let last = points.len() - 1;
        let mut at = 0;
        points.retain(|_| {
            let keep = at % 2 == 0 || at == last;
            at += 1;
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::run::{Kind, Table};

    #[test]
    fn a_series_that_is_too_long_is_thinned_and_keeps_its_ends() {
        let mut run = Run::new(Kind::Soak, "long", Environment::unknown());
        let long = (0..180_000_u32).map(|s| (f64::from(s), f64::NAN.max(f64::from(s))));
        run.sampled("requests", "1/s", long.collect());
        run.bound();
        let points = &run.series[0].points;
        assert!((POINTS_MAX / 2..=POINTS_MAX).contains(&points.len()));
        assert!(points.first() == Some(&(0.0, 0.0)));
        assert!(points.last() == Some(&(179_999.0, 179_999.0)));
    }

    #[test]
    fn nothing_that_is_no_number_is_left() {
        let mut run = Run::new(Kind::Bench, "x".repeat(10_000), Environment::unknown());
        run.sampled("s", "", vec![(0.0, f64::INFINITY), (1.0, 1.0)]);
        run.marks.push(Mark::at(f64::NAN, "never"));
        let mut table = Table::new("t", &["a", "b"]);
        table.rows.push(vec![Cell::Number(f64::NAN)]);
        run.tables.push(table);
        run.notes = vec![String::new(); 1_000];
        run.bound();
        assert_eq!(run.series[0].points, [(1.0, 1.0)]);
        assert!(run.marks.is_empty() && run.title.len() < 5_000);
        assert_eq!(run.tables[0].rows[0].len(), 2);
        assert!(run.notes.len() <= PARTS_MAX);
        let text = serde_json::to_string(&run).unwrap();
        assert!(!text.contains("null"), "{text}");
        assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), run);
    }
}
