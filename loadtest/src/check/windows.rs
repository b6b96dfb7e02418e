//! When faults were on.
//!
//! Promises: a promise with a time bound is called broken only when it had that long without any
//! fault in between. Does not: know which nodes a fault touched; any fault excuses all.

use std::collections::BTreeMap;

use crate::history::Phase;

/// The faults of a history.
#[derive(Debug, Default)]
pub struct Windows {
    open: BTreeMap<String, u64>,
    spans: Vec<Span>,
    /// Latest end among this span and those before it.
    reach: Vec<u64>,
    /// Spans that touch, put together.
    merged: Vec<(u64, u64)>,
}

#[derive(Debug)]
struct Span {
    name: String,
    began: u64,
    ended: u64,
}

impl Windows {
    /// Takes a nemesis line.
    ///
    /// # Errors
    /// When a fault begins twice or ends without having begun.
    pub fn take(&mut self, name: &str, phase: Phase, at: u64) -> Result<(), String> {
        match (phase, self.open.remove(name)) {
            (Phase::Begin, None) => {
                self.open.insert(name.to_owned(), at);
                Ok(())
            }
            (Phase::End, Some(began)) if began <= at => {
                self.spans.push(Span {
                    name: name.to_owned(),
                    began,
                    ended: at,
                });
                Ok(())
            }
            (Phase::Begin, Some(_)) => Err(format!("{name:?} begins twice")),
            (Phase::End, Some(_)) => Err(format!("{name:?} ends before it begins")),
            (Phase::End, None) => Err(format!("{name:?} ends without having begun")),
        }
    }

    /// All lines were taken; a fault that did not end lasts for ever.
    pub fn close(&mut self) {
        for (name, began) in std::mem::take(&mut self.open) {
            self.spans.push(Span {
                name,
                began,
                ended: u64::MAX,
            });
        }
        self.spans.sort_by_key(|span| span.began);
        let mut reach = 0;
        for span in &self.spans {
            reach = reach.max(span.ended);
            self.reach.push(reach);
            match self.merged.last_mut() {
                Some(last) if last.1 >= span.began => last.1 = last.1.max(span.ended),
                _ => self.merged.push((span.began, span.ended)),
            }
        }
    }

    /// The fault that was on at `at`, or had ended at most `after` before; the latest to begin.
    pub fn at(&self, at: u64, after: u64) -> Option<&str> {
        let count = self.spans.partition_point(|span| span.began <= at);
        for (span, reach) in self.spans.iter().zip(&self.reach).take(count).rev() {
            if span.ended.saturating_add(after) >= at {
                return Some(&span.name);
            }
            if reach.saturating_add(after) < at {
                return None;
            }
        }
        None
    }

    /// Whether there was, between `from` and `to`, a time without faults of more than `calm`, or of
    /// more than `healed` when a fault came before it.
    pub fn had_time(&self, from: u64, to: u64, calm: u64, healed: u64) -> bool {
        let (mut since, mut bound) = (from, calm);
        let first = self.merged.partition_point(|(_, ended)| *ended <= from);
        for (began, ended) in self.merged.iter().skip(first) {
            if *began >= to {
                break;
            }
            if began.saturating_sub(since) > bound {
                return true;
            }
            (since, bound) = (*ended, healed);
        }
        to.saturating_sub(since) > bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(spans: &[(&str, u64, u64)]) -> Windows {
        let mut windows = Windows::default();
        for (name, began, ended) in spans {
            windows.take(name, Phase::Begin, *began).unwrap();
            if *ended < u64::MAX {
                windows.take(name, Phase::End, *ended).unwrap();
            }
        }
        windows.close();
        windows
    }

    #[test]
    fn the_latest_fault_that_is_still_felt() {
        let faults = windows(&[
            ("long", 10, 100),
            ("short", 20, 30),
            ("last", 200, u64::MAX),
        ]);
        assert_eq!(faults.at(9, 5), None);
        assert_eq!(faults.at(25, 5), Some("short"));
        assert_eq!(faults.at(35, 5), Some("short"));
        assert_eq!(faults.at(36, 5), Some("long"));
        assert_eq!(faults.at(106, 5), None);
        assert_eq!(faults.at(1_000_000, 5), Some("last"));
    }

    #[test]
    fn a_bound_needs_its_time_without_faults() {
        let faults = windows(&[("cut", 100, 200), ("kill", 150, 220)]);
        assert!(!faults.had_time(50, 60, 10, 40));
        assert!(faults.had_time(50, 61, 10, 40));
        // Before the first fault the calm bound counts, after it the healed one.
        assert!(faults.had_time(80, 120, 10, 40));
        assert!(!faults.had_time(95, 260, 10, 40));
        assert!(faults.had_time(95, 261, 10, 40));
        assert!(!faults.had_time(110, 215, 10, 40));
    }

    #[test]
    fn begin_and_end_must_fit() {
        let mut faults = Windows::default();
        assert!(faults.take("cut", Phase::End, 5).is_err());
        faults.take("cut", Phase::Begin, 5).unwrap();
        assert!(faults.take("cut", Phase::Begin, 6).is_err());
    }
}
