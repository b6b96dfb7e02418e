//! What a check found, as text and JSON.
//!
//! Promises: every rule is named, also when it holds; examples are few. Does not: judge lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::Limits;
use crate::history::{Call, Out};

/// The rules that must hold without exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Rule {
    /// A ticket is validated at most once.
    S1,
    /// What is validated was given out before, once, for this service.
    S2,
    /// Nothing works past its life.
    S3,
    /// A signed-out session gives no tickets, and never comes back.
    S4,
    /// The user and the attributes are those of the sign-in.
    S5,
}

impl Rule {
    const ALL: [Self; 5] = [Self::S1, Self::S2, Self::S3, Self::S4, Self::S5];

    fn says(self) -> &'static str {
        match self {
            Self::S1 => "a ticket is validated at most once",
            Self::S2 => "what is validated was given out, for this service",
            Self::S3 => "nothing works past its life",
            Self::S4 => "a signed-out session stays signed out",
            Self::S5 => "user and attributes are those of the sign-in",
        }
    }
}

/// How often something happened that is allowed within a bound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Bounded {
    /// Answers, or sessions, that could have shown it; with 0 the history says nothing about the rule.
    pub looked_at: u64,
    /// It happened within the bound; none when nothing was looked at, and for a rule that has no bound in time.
    pub within: Option<u64>,
    /// Longest of those, in microseconds.
    pub longest_us: Option<u64>,
    /// It happened beyond the bound.
    pub beyond: u64,
    /// Some of these.
    pub examples: Vec<String>,
}

impl Bounded {
    /// Examples kept of each rule.
    pub(super) const EXAMPLES_MAX: usize = 10;

    /// One more answer that can show it.
    pub(super) fn looked(&mut self) {
        self.looked_at += 1;
        self.within.get_or_insert(0);
    }

    /// That answer showed it, `late` after the beginning of the bound.
    pub(super) fn seen(&mut self, late: u64) {
        *self.within.get_or_insert(0) += 1;
        self.longest_us = self.longest_us.max(Some(late));
    }

    pub(super) fn broken(&mut self, says: impl FnOnce() -> String) {
        self.beyond += 1;
        if self.examples.len() < Self::EXAMPLES_MAX {
            self.examples.push(says());
        }
    }
}

/// Validations while one fault was on, or shortly after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Calls for tickets that were given out.
    pub validations: u64,
    /// Calls without an answer.
    pub unanswered: u64,
    /// Live tickets refused although nothing can have used them.
    pub refused: u64,
    /// No fault was on.
    #[serde(skip)]
    pub(super) calm: bool,
}

/// The result.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verdict {
    /// Whether every S rule holds and every B rule is within its bound.
    pub passed: bool,
    /// The history.
    pub file: String,
    /// Calls by kind.
    pub calls: BTreeMap<&'static str, u64>,
    /// Calls without an answer.
    pub unknown: u64,
    /// Tickets given out.
    pub tickets: usize,
    /// Sessions acknowledged.
    pub sessions: usize,
    /// How often each S rule was broken; all must be 0.
    pub safety: BTreeMap<Rule, u64>,
    /// Some examples.
    pub examples: BTreeMap<Rule, Vec<String>>,
    /// B1: sessions not known yet; beyond the bound and known later.
    pub b1: Bounded,
    /// B2: tickets given after an acknowledged sign-out; sessions with one beyond the bound, which also break S4.
    pub b2: Bounded,
    /// B3: acknowledged sessions lost.
    pub b3: Bounded,
    /// B4: validations by fault.
    pub b4: BTreeMap<String, Fault>,
    /// Some of the live tickets that were refused.
    pub refused_examples: Vec<String>,
    /// What is wrong, in words; empty when it passed.
    pub failures: Vec<String>,
}

impl Verdict {
    /// How often `rule` was broken.
    pub fn broken_times(&self, rule: Rule) -> u64 {
        self.safety.get(&rule).copied().unwrap_or(0)
    }

    /// Live tickets refused, in all.
    pub fn refused(&self) -> u64 {
        self.b4.values().map(|fault| fault.refused).sum()
    }

    /// All calls.
    pub fn operations(&self) -> u64 {
        self.calls.values().sum()
    }

    pub(super) fn count(&mut self, call: &Call) {
        *self.calls.entry(call.op.name()).or_default() += 1;
        self.unknown += u64::from(call.out == Out::Unknown);
    }

    pub(super) fn broken(&mut self, rule: Rule, says: impl FnOnce() -> String) {
        *self.safety.entry(rule).or_default() += 1;
        let examples = self.examples.entry(rule).or_default();
        if examples.len() < Bounded::EXAMPLES_MAX {
            examples.push(says());
        }
    }

    pub(super) fn conclude(&mut self, file: &Path, limits: &Limits) {
        self.file = file.display().to_string();
        for rule in Rule::ALL {
            let times = *self.safety.entry(rule).or_default();
            if times > 0 {
                let says = format!("{rule:?} broken {times} times: {}", rule.says());
                self.failures.push(says);
            }
        }
        if self.b1.beyond > 0 {
            let times = self.b1.beyond;
            let says = format!("B1: a session was not visible in time, {times} times");
            self.failures.push(says);
        }
        let lost = self.b3.beyond;
        if lost > limits.lost_max {
            let says = format!("B3: {lost} sessions lost, allowed are {}", limits.lost_max);
            self.failures.push(says);
        }
        let calm: u64 = self.b4.values().filter(|f| f.calm).map(|f| f.refused).sum();
        let faulty = self.refused() - calm;
        if calm > 0 {
            let says = format!("B4: {calm} live tickets refused without a fault");
            self.failures.push(says);
        }
        if faulty > limits.refused_max {
            let most = limits.refused_max;
            let says = format!("B4: {faulty} live tickets refused in faults, allowed are {most}");
            self.failures.push(says);
        }
        if self.operations() == 0 {
            self.failures.push("no call was written down".to_owned());
        }
        self.passed = self.failures.is_empty();
    }

    /// The result for people.
    pub fn text(&self) -> String {
        let calls: Vec<String> = self.calls.iter().map(|(f, n)| format!("{n} {f}")).collect();
        let mut text = format!(
            "{}: {} calls ({}), {} without an answer; {} sessions, {} tickets\n",
            self.file,
            self.operations(),
            calls.join(", "),
            self.unknown,
            self.sessions,
            self.tickets
        );
        for (rule, times) in &self.safety {
            let _ = writeln!(text, "  {rule:?}  {times:>6}  {}", rule.says());
            for example in self.examples.get(rule).into_iter().flatten() {
                let _ = writeln!(text, "              {example}");
            }
        }
        self.bounded(&mut text);
        for failure in &self.failures {
            let _ = writeln!(text, "{failure}");
        }
        let _ = writeln!(text, "{}", if self.passed { "passed" } else { "FAILED" });
        text
    }

    fn bounded(&self, text: &mut String) {
        let rows = [
            ("B1", &self.b1, "sessions not visible in time"),
            (
                "B2",
                &self.b2,
                "(counted as S4) sign-outs not in force in time",
            ),
            ("B3", &self.b3, "sessions lost"),
        ];
        for (name, rule, says) in rows {
            let _ = write!(text, "  {name}  {:>6}  {says}", rule.beyond);
            if let (Some(within), Some(longest)) = (rule.within, rule.longest_us) {
                let longest = longest / 1000;
                let _ = write!(text, "; {within} within the bound, longest {longest} ms");
            }
            if rule.looked_at == 0 {
                text.push_str("; nothing was asked that could show it");
            }
            text.push('\n');
            for example in &rule.examples {
                let _ = writeln!(text, "              {example}");
            }
        }
        let _ = writeln!(text, "  B4  {:>6}  live tickets refused", self.refused());
        for (name, fault) in &self.b4 {
            let (refused, unanswered) = (fault.refused, fault.unanswered);
            let _ = writeln!(
                text,
                "              {name}: {refused} refused, {unanswered} without an answer, of {} \
                 validations",
                fault.validations
            );
        }
        for example in &self.refused_examples {
            let _ = writeln!(text, "              {example}");
        }
    }
}
