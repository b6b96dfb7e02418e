//! How a command fills a record.
//!
//! Promises: what is no number becomes a note or is left out, so that a record can always be
//! written. Does not: measure.

use super::{
    Cell, Ended, FORMAT, Figure, Kind, Latency, Line, Log, Mark, Plot, Run, SHORT, Series, Style,
    Table, UNKNOWN, Verdict,
};
use crate::environment::Environment;
use crate::histogram::{Latencies, Percentiles};
use crate::judge::Tally;

impl Run {
    /// A run without results yet; `began`, `command` and `seed` are those of `environment`.
    pub fn new(kind: Kind, title: impl Into<String>, environment: Environment) -> Self {
        Self {
            format: FORMAT,
            kind,
            title: title.into(),
            command: environment.command.clone(),
            seed: environment.seed,
            time_scale: 1.0,
            began: environment.time.clone(),
            lasted_s: 0.0,
            ended: Ended::Whole,
            environment,
            figures: Vec::new(),
            tables: Vec::new(),
            plots: Vec::new(),
            latencies: Vec::new(),
            series: Vec::new(),
            marks: Vec::new(),
            verdict: Verdict::default(),
            notes: Vec::new(),
        }
    }

    /// Adds a number. One that is none is left out with a note.
    pub fn figure(&mut self, name: &str, value: f64, unit: &str) -> &mut Self {
        self.figure_with(name, value, unit, "")
    }

    /// Adds a number with a remark.
    pub fn figure_with(&mut self, name: &str, value: f64, unit: &str, note: &str) -> &mut Self {
        if value.is_finite() {
            self.figures.push(Figure {
                name: name.to_owned(),
                value,
                unit: unit.to_owned(),
                note: note.to_owned(),
            });
        } else {
            self.notes.push(format!("{name} could not be measured"));
        }
        self
    }

    /// Adds a number of things.
    pub fn count(&mut self, name: &str, count: u64) -> &mut Self {
        self.figure(name, as_f64(count), "")
    }

    /// Adds what was measured of one kind of request, if anything was.
    pub fn latency(&mut self, name: &str, latencies: &Latencies) -> &mut Self {
        self.percentiles(name, &latencies.percentiles())
    }

    /// As [`Run::latency`], of figures that are taken already.
    pub fn percentiles(&mut self, name: &str, percentiles: &Percentiles) -> &mut Self {
        if percentiles.count > 0 {
            self.latencies.push(Latency {
                name: name.to_owned(),
                count: percentiles.count,
                unit: "ms".to_owned(),
                percentiles: percentiles.curve.clone(),
            });
        }
        self
    }

    /// Adds a series in a frame of its own.
    pub fn sampled(&mut self, name: &str, unit: &str, points: Vec<(f64, f64)>) -> &mut Self {
        self.series.push(Series {
            name: name.to_owned(),
            unit: unit.to_owned(),
            panel: None,
            points,
        });
        self
    }

    /// Adds a series to the frame `panel`, which others share.
    pub fn sampled_in(
        &mut self,
        panel: &str,
        name: &str,
        unit: &str,
        points: Vec<(f64, f64)>,
    ) -> &mut Self {
        self.series.push(Series {
            name: name.to_owned(),
            unit: unit.to_owned(),
            panel: Some(panel.to_owned()),
            points,
        });
        self
    }

    /// Adds a remark.
    pub fn note(&mut self, note: impl Into<String>) -> &mut Self {
        self.notes.push(note.into());
        self
    }

    /// Notes what was not reached, though nothing was wrong; the last lines of the output repeat it.
    pub fn short(&mut self, what: impl std::fmt::Display) -> &mut Self {
        self.note(format!("{SHORT}{what}"))
    }

    /// Says that the run ended by an error on the way; what was measured before stays.
    pub fn broke_off(&mut self, error: &anyhow::Error) -> &mut Self {
        self.ended = Ended::Interrupted;
        self.failed(format!("ended by an error: {error:#}"))
    }

    /// A run in which no answer was judged shows nothing, and has not passed.
    pub fn must_be_judged(&mut self) -> &mut Self {
        if self.verdict.judged == 0 && self.verdict.failures.is_empty() {
            self.failed("nothing was measured: no answer was judged");
        }
        self
    }

    /// Says why the run failed.
    pub fn failed(&mut self, why: impl Into<String>) -> &mut Self {
        self.verdict.failures.push(why.into());
        self
    }
}

impl Table {
    /// A table without rows.
    pub fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        Self {
            title: title.into(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, cut or filled to the number of columns.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) -> &mut Self {
        let mut row: Vec<Cell> = cells.into_iter().take(self.columns.len()).collect();
        row.resize(self.columns.len(), Cell::Text(String::new()));
        self.rows.push(row);
        self
    }
}

impl Plot {
    /// A plot without lines, its axes linear.
    pub fn new(title: impl Into<String>, x: &str, y: &str) -> Self {
        Self {
            title: title.into(),
            x: x.to_owned(),
            y: y.to_owned(),
            log: Log::None,
            lines: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Makes axes logarithmic.
    pub fn with_log(mut self, log: Log) -> Self {
        self.log = log;
        self
    }

    /// Adds a line.
    pub fn line(&mut self, name: &str, style: Style, points: Vec<(f64, f64)>) -> &mut Self {
        self.lines.push(Line {
            name: name.to_owned(),
            points,
            style,
        });
        self
    }
}

impl Mark {
    /// A moment.
    pub fn at(x: f64, text: impl Into<String>) -> Self {
        Self {
            x,
            until: None,
            text: text.into(),
        }
    }

    /// A stretch.
    pub fn between(x: f64, until: f64, text: impl Into<String>) -> Self {
        Self {
            x,
            until: Some(until),
            text: text.into(),
        }
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        if number.is_finite() {
            Self::Number(number)
        } else {
            Self::Text(UNKNOWN.to_owned())
        }
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Number(as_f64(number))
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Self {
        Self::Number(as_f64(number as u64))
    }
}

impl From<Option<u64>> for Cell {
    fn from(number: Option<u64>) -> Self {
        number.map_or_else(|| Self::Text(UNKNOWN.to_owned()), Self::from)
    }
}

/// A count as a number of a record.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub fn as_f64(count: u64) -> f64 {
    count as f64
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Option<f64>> for Cell {
    fn from(number: Option<f64>) -> Self {
        number.map_or_else(|| Self::Text(UNKNOWN.to_owned()), Self::from)
    }
}

impl From<&Tally> for Verdict {
    fn from(tally: &Tally) -> Self {
        Self {
            judged: tally.right + tally.wrong(),
            wrong: tally.wrong(),
            forgiven: 0,
            kinds: tally
                .sins
                .iter()
                .map(|(sin, count)| (sin.title().to_owned(), *count))
                .collect(),
            examples: tally.examples.clone(),
            failures: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::judge::Sin;

    #[test]
    fn what_is_no_number_is_noted_and_not_kept() {
        let mut run = Run::new(Kind::Bench, "a", Environment::unknown());
        run.figure("rate", f64::NAN, "1/s").figure("count", 2.0, "");
        assert_eq!(run.figures.len(), 1);
        assert_eq!(run.notes, ["rate could not be measured"]);
    }

    #[test]
    fn latencies_keep_their_count_and_slowest() {
        let mut latencies = Latencies::new();
        for ms in 1..=1000 {
            latencies.record(Duration::from_millis(ms));
        }
        let mut run = Run::new(Kind::Bench, "a", Environment::unknown());
        run.latency("validate", &latencies)
            .latency("never", &Latencies::new());
        let [latency] = run.latencies.as_slice() else {
            panic!("{:?}", run.latencies);
        };
        assert_eq!(latency.count, 1000);
        let (percentile, slowest) = latency.percentiles.last().copied().unwrap();
        assert!((percentile, slowest) > (99.9, 999.0), "{slowest}");
    }

    #[test]
    fn a_verdict_has_every_sin_of_the_tally() {
        let mut tally = Tally::default();
        tally.right();
        tally.sin(Sin::ValidatedTwice, || "ST-1".to_owned());
        let verdict = Verdict::from(&tally);
        assert_eq!((verdict.judged, verdict.wrong), (2, 1));
        assert_eq!(verdict.kinds, [("validated twice".to_owned(), 1)]);
        assert!(!verdict.passed());
    }

    #[test]
    fn rows_are_as_long_as_their_heads() {
        let mut table = Table::new("t", &["a", "b"]);
        table
            .row([1.0.into()])
            .row([Cell::from("x"), Cell::from(7_u64), Cell::from(Some(1.0))]);
        assert!(table.rows.iter().all(|row| row.len() == 2));
    }
}
