//! The record of a run: one JSON format for every command that measures, and for `report`.
//!
//! The rooms: [`build`] (how a command fills it), [`bounds`] (what is too much, and what is no
//! number), `file` (reading and writing), [`rates`] (how often in each second). The fields are public surface.
//!
//! Promises: what is written can be read again; every list is bounded; a reader that meets fields
//! it does not know ignores them. Does not: draw.

pub mod bounds;
pub mod build;
pub mod file;
pub mod rates;

use serde::{Deserialize, Serialize};

use crate::environment::Environment;

/// The format that this program writes and reads.
pub const FORMAT: u32 = 1;

/// Before the ratio in the remark of a figure that was compared.
pub const RATIO: &str = "ratio ";
/// In place of a number that is not known.
pub const UNKNOWN: &str = "–";
/// Before a note of what was not reached: a rate, or a wanted figure.
pub const SHORT: &str = "short: ";

/// What a run was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A population of people.
    Swarm,
    /// The six published trials.
    Trials,
    /// A measurement of a healthy cluster.
    Bench,
    /// The same load at several numbers of nodes.
    Growth,
    /// A long run that looks for leaks and drift.
    Soak,
    /// A run with faults.
    Faults,
}

impl Kind {
    /// Name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Swarm => "population",
            Self::Trials => "trials",
            Self::Bench => "bench",
            Self::Growth => "growth",
            Self::Soak => "soak",
            Self::Faults => "faults",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// As planned.
    #[default]
    Whole,
    /// By Ctrl-C or an error on the way: the figures are those of the part that ran.
    Interrupted,
}

/// A run, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`FORMAT`].
    pub format: u32,
    /// What it was.
    pub kind: Kind,
    /// One line for people.
    pub title: String,
    /// The command line.
    pub command: String,
    /// Seed of random choices.
    pub seed: u64,
    /// How many times faster than the clock the population lived; 1 for real time.
    #[serde(default = "one")]
    pub time_scale: f64,
    /// Beginning, RFC 3339 in UTC.
    pub began: String,
    /// Seconds from beginning to end.
    pub lasted_s: f64,
    /// How it ended.
    #[serde(default)]
    pub ended: Ended,
    /// Machine, commit and versions.
    pub environment: Environment,
    /// The results in a few numbers.
    #[serde(default)]
    pub figures: Vec<Figure>,
    /// Tables.
    #[serde(default)]
    pub tables: Vec<Table>,
    /// Plots.
    #[serde(default)]
    pub plots: Vec<Plot>,
    /// Latencies.
    #[serde(default)]
    pub latencies: Vec<Latency>,
    /// What was sampled over time.
    #[serde(default)]
    pub series: Vec<Series>,
    /// What happened at which second; drawn through all series.
    #[serde(default)]
    pub marks: Vec<Mark>,
    /// The judgement.
    pub verdict: Verdict,
    /// Remarks.
    #[serde(default)]
    pub notes: Vec<String>,
}

fn one() -> f64 {
    1.0
}

/// One number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Name, as in `issue_validate_of_ceiling`.
    pub name: String,
    /// Value.
    pub value: f64,
    /// Unit; empty for a ratio or a count.
    #[serde(default)]
    pub unit: String,
    /// A remark.
    #[serde(default)]
    pub note: String,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// Heads of the columns, with their units.
    pub columns: Vec<String>,
    /// Rows, as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// A number.
    Number(f64),
    /// Words.
    Text(String),
}

/// A plot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// Name and unit of the horizontal axis.
    pub x: String,
    /// Name and unit of the vertical axis.
    pub y: String,
    /// Whether each axis is logarithmic.
    #[serde(default)]
    pub log: Log,
    /// The lines.
    pub lines: Vec<Line>,
    /// Moments or places on the horizontal axis.
    #[serde(default)]
    pub marks: Vec<Mark>,
}

/// Which axes are logarithmic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Log {
    /// None.
    #[default]
    None,
    /// The horizontal one.
    X,
    /// The vertical one.
    Y,
    /// Both.
    Both,
}

/// A line of a plot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Name in the legend.
    pub name: String,
    /// Points, x and y.
    pub points: Vec<(f64, f64)>,
    /// How it is drawn.
    #[serde(default)]
    pub style: Style,
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// Joined.
    #[default]
    Line,
    /// Single points, as measurements are.
    Dots,
    /// Joined with dashes, as predictions are.
    Dashed,
}

/// A place on the horizontal axis, or a stretch of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Where.
    pub x: f64,
    /// Where it ends; a moment when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<f64>,
    /// What.
    pub text: String,
}

/// Latencies of one kind of request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Kind of request.
    pub name: String,
    /// How many were measured.
    pub count: u64,
    /// Unit of the values.
    pub unit: String,
    /// Percentile (50, 99.9; 100 for the slowest) and value, rising.
    pub percentiles: Vec<(f64, f64)>,
}

/// Something sampled over the time of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Name.
    pub name: String,
    /// Unit.
    #[serde(default)]
    pub unit: String,
    /// Series with the same panel are drawn in one frame; `name` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panel: Option<String>,
    /// Seconds since the beginning, and value.
    pub points: Vec<(f64, f64)>,
}

/// The judgement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Answers that were judged.
    pub judged: u64,
    /// Those that were wrong.
    pub wrong: u64,
    /// How many of the wrong ones the run allows, as `faults` does while nodes are dead.
    #[serde(default)]
    pub forgiven: u64,
    /// What was wrong, and how often.
    #[serde(default)]
    pub kinds: Vec<(String, u64)>,
    /// Some of them in words.
    #[serde(default)]
    pub examples: Vec<String>,
    /// Why the run failed, apart from wrong answers: a figure beyond its bound, work not done.
    #[serde(default)]
    pub failures: Vec<String>,
}

impl Verdict {
    /// Whether the run passed: exit code 0.
    pub fn passed(&self) -> bool {
        self.failures.is_empty() && self.wrong <= self.forgiven
    }
}
