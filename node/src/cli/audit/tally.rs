//! Counts events: by action, by node, and by step of time, so that silence can be seen.
//!
//! Pure and bounded: what it keeps depends on the number of nodes and steps, never on the number of
//! lines, and lines may come in any order.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use castor_proto::ids::NodeName;
use serde::Deserialize;

use super::interval::Interval;
use super::lines::Line;
use crate::ops::audit::Action;

/// Nodes that are told apart; a cluster has nine at most, but nodes get new names over the years.
const NODES_MAX: usize = 64;
/// Names of unknown actions that are kept.
const UNKNOWN_MAX: usize = 20;
/// Longest name of an unknown action that is kept, in characters.
const UNKNOWN_CHARS: usize = 64;
/// Steps of time in an interval, at most.
const STEPS_MAX: i64 = 10_000;
/// The shortest step.
const STEP_MS_MIN: i64 = 60_000;
/// A node that takes its turn is not silent while each of the others records this many, on average.
const SILENCE_EVENTS: u64 = 50;

/// What is read of a line.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    when: Cow<'a, str>,
    #[serde(borrow)]
    node: Cow<'a, str>,
}

/// What one node recorded.
#[derive(Clone, Debug)]
pub(super) struct NodeLines {
    /// Events in the interval, in the order of [`Action::ALL`].
    pub(super) counts: Vec<u64>,
    /// Events in the interval, unknown actions included.
    pub(super) events: u64,
    /// First and last event in the interval.
    pub(super) first_last_ms: Option<(i64, i64)>,
    steps: Vec<u32>,
}

/// A time in which a node recorded nothing though the others did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Silence {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    /// Events of the other nodes.
    pub(super) elsewhere: u64,
}

/// All counts of a report.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) interval: Interval,
    /// Events in the interval, in the order of [`Action::ALL`].
    pub(super) totals: Vec<u64>,
    pub(super) nodes: BTreeMap<String, NodeLines>,
    /// Actions that this version does not know, in the interval.
    pub(super) unknown: BTreeMap<String, u64>,
    /// Events of further unknown actions.
    pub(super) unknown_more: u64,
    /// Lines that are no event.
    pub(super) broken: u64,
    /// Events before or after the interval.
    pub(super) outside: u64,
    /// Events in the interval of nodes beyond those that are told apart.
    pub(super) nodes_more: u64,
    actions: HashMap<&'static str, usize>,
    step_ms: i64,
}

impl Tally {
    /// Counts what lies in `interval`; `expected` nodes are reported even without lines.
    pub(super) fn new(interval: Interval, expected: &[String]) -> Result<Self, String> {
        let step = interval.length_ms().div_ceil_at_least(STEPS_MAX);
        let names = Action::ALL.iter().enumerate();
        let mut tally = Self {
            interval,
            totals: vec![0; Action::ALL.len()],
            nodes: BTreeMap::new(),
            unknown: BTreeMap::new(),
            unknown_more: 0,
            broken: 0,
            outside: 0,
            nodes_more: 0,
            actions: names.map(|(at, (action, _))| (action.name(), at)).collect(),
            step_ms: step.max(STEP_MS_MIN),
        };
        for name in expected {
            if NodeName::parse(name).is_err() {
                return Err(format!("--node {name:?} is no name of a node"));
            }
            tally.node(name);
        }
        Ok(tally)
    }

    /// Takes one line.
    pub(super) fn line(&mut self, line: Line<'_>) {
        let Line::Whole(text) = line else {
            self.broken += 1;
            return;
        };
        if text.trim_ascii().is_empty() {
            return;
        }
        let record: Option<Record<'_>> = serde_json::from_slice(text).ok();
        let Some(record) = record.filter(|r| NodeName::parse(&r.node).is_ok()) else {
            self.broken += 1;
            return;
        };
        match record.when.parse::<jiff::Timestamp>() {
            Ok(when) => self.event(&record, when.as_millisecond()),
            Err(_) => self.broken += 1,
        }
    }

    fn event(&mut self, record: &Record<'_>, at_ms: i64) {
        let inside = self.interval.holds(at_ms);
        let action = self.actions.get(&*record.action).copied();
        let step = (at_ms - self.interval.from_ms) / self.step_ms;
        let known = self.node(&record.node);
        if !inside {
            self.outside += 1;
            return;
        }
        match known {
            Some(node) => node.take(action, at_ms, usize::try_from(step).unwrap_or(usize::MAX)),
            None => self.nodes_more += 1,
        }
        match action.and_then(|at| self.totals.get_mut(at)) {
            Some(total) => *total += 1,
            None => self.unknown_action(&record.action),
        }
    }

    fn unknown_action(&mut self, name: &str) {
        let name: String = name.chars().take(UNKNOWN_CHARS).collect();
        if self.unknown.len() < UNKNOWN_MAX || self.unknown.contains_key(&name) {
            *self.unknown.entry(name).or_default() += 1;
        } else {
            self.unknown_more += 1;
        }
    }

    /// The node of this name; `None` when there are too many.
    fn node(&mut self, name: &str) -> Option<&mut NodeLines> {
        if !self.nodes.contains_key(name) {
            if self.nodes.len() >= NODES_MAX {
                return None;
            }
            let steps = self.interval.length_ms().div_ceil_at_least(self.step_ms);
            let new = NodeLines {
                counts: vec![0; Action::ALL.len()],
                events: 0,
                first_last_ms: None,
                steps: vec![0; usize::try_from(steps).unwrap_or_default()],
            };
            self.nodes.insert(name.to_owned(), new);
        }
        self.nodes.get_mut(name)
    }

    /// How often `action` happened.
    pub(super) fn total(&self, action: Action) -> u64 {
        let at = self.actions.get(action.name());
        at.and_then(|at| self.totals.get(*at)).copied().unwrap_or(0)
    }

    /// Events in the interval.
    pub(super) fn events(&self) -> u64 {
        let unknown: u64 = self.unknown.values().sum();
        self.totals.iter().sum::<u64>() + unknown + self.unknown_more
    }

    /// When `node` recorded nothing though the others did so much that it should have.
    pub(super) fn silences(&self, node: &NodeLines) -> Vec<Silence> {
        let living = self.nodes.values().filter(|n| n.events > 0).count();
        let others = living.saturating_sub(1) as u64;
        let mut found = Vec::new();
        let mut begun: Option<(i64, u64)> = None;
        for (at, own) in node.steps.iter().enumerate() {
            let elsewhere: u64 = self
                .nodes
                .values()
                .filter_map(|n| n.steps.get(at))
                .map(|c| u64::from(*c))
                .sum();
            let start = self.interval.from_ms
                + i64::try_from(at)
                    .unwrap_or(i64::MAX)
                    .saturating_mul(self.step_ms);
            if *own == 0 {
                let (since, so_far) = begun.unwrap_or((start, 0));
                begun = Some((since, so_far + elsewhere));
            } else if let Some((since, elsewhere)) = begun.take() {
                found.push(Silence {
                    from_ms: since,
                    to_ms: start,
                    elsewhere,
                });
            }
        }
        if let Some((since, elsewhere)) = begun {
            found.push(Silence {
                from_ms: since,
                to_ms: self.interval.to_ms,
                elsewhere,
            });
        }
        found.retain(|s| others > 0 && s.elsewhere >= SILENCE_EVENTS * others);
        found
    }
}

impl NodeLines {
    fn take(&mut self, action: Option<usize>, at_ms: i64, step: usize) {
        self.events += 1;
        if let Some(count) = action.and_then(|at| self.counts.get_mut(at)) {
            *count += 1;
        }
        if let Some(count) = self.steps.get_mut(step) {
            *count = count.saturating_add(1);
        }
        let (first, last) = self.first_last_ms.unwrap_or((at_ms, at_ms));
        self.first_last_ms = Some((first.min(at_ms), last.max(at_ms)));
    }
}

/// Division that rounds up; signed numbers have none in the standard library yet.
trait DivCeil {
    fn div_ceil_at_least(self, by: i64) -> i64;
}

impl DivCeil for i64 {
    fn div_ceil_at_least(self, by: i64) -> i64 {
        let by = by.max(1);
        self.saturating_add(by - 1) / by
    }
}
