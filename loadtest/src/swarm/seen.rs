//! What a population has seen: judged answers, counts, latencies, and old tickets to try again.
//!
//! Promises: bounded: the last tickets are known ([`crate::issued`]), at most [`OLD_MAX`] tickets wait to be
//! tried again. Does not: send anything.

use std::collections::VecDeque;

use super::counts::{Counts, Minutes};
use super::drift::Quarters;
use super::slices::Lately;
use crate::histogram::Latencies;
use crate::issued::Recent;
use crate::judge::Tally;

/// Used tickets kept to be tried again.
pub const OLD_MAX: usize = 256;

/// What was seen.
#[derive(Default)]
pub struct Seen {
    /// Judged answers.
    pub tally: Tally,
    /// What happened until the end, by the minute in which it was done.
    pub minutes: Minutes,
    /// What was due before the end and done after it: a server that is too slow does not keep the rate.
    pub too_late: Counts,
    /// Sign-ins: the page and the form together.
    pub sign_in: Latencies,
    /// Requests for a ticket.
    pub ticket: Latencies,
    /// Validations.
    pub validate: Latencies,
    /// Of tickets and validations, what came since it was last looked at.
    pub lately: Lately,
    /// The validations in each quarter of the run.
    pub quarters: Quarters,
    /// Sign-outs.
    pub sign_out: Latencies,
    /// How late steps began: what the generator, not the server, is to be blamed for.
    pub late: Latencies,
    /// Used tickets that were tried again.
    pub replayed: u64,
    /// Lives that ended before their time.
    pub cut_short: u64,
    issued: Recent,
    old: VecDeque<Old>,
}

/// A used ticket.
#[derive(Clone)]
pub struct Old {
    /// The ticket.
    pub ticket: String,
    /// Number of its application.
    pub service: usize,
}

impl Seen {
    /// Counts what was done `at` seconds of a population that ends at `end`.
    pub fn happened(&mut self, at: f64, end: f64, counts: Counts) {
        if at < end {
            self.minutes.add(at, counts);
        } else {
            self.too_late += counts;
        }
    }

    /// False when this ticket was issued before.
    pub fn is_new(&mut self, ticket: &str) -> bool {
        self.issued.is_new(ticket)
    }

    /// Keeps a used ticket; hands back the oldest one when there are enough.
    pub fn keep(&mut self, old: Old) -> Option<Old> {
        self.old.push_back(old);
        if self.old.len() > OLD_MAX {
            self.old.pop_front()
        } else {
            None
        }
    }

    /// The tickets that are still kept.
    pub fn take_old(&mut self) -> Vec<Old> {
        self.old.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_new_once_and_an_old_one_comes_back() {
        let mut seen = Seen::default();
        assert!(seen.is_new("ST-1") && seen.is_new("ST-2") && !seen.is_new("ST-1"));
        let old = |number: usize| Old {
            ticket: format!("ST-{number}"),
            service: 0,
        };
        assert!((0..OLD_MAX).all(|number| seen.keep(old(number)).is_none()));
        assert_eq!(seen.keep(old(OLD_MAX)).unwrap().ticket, "ST-0");
        assert_eq!(seen.take_old().len(), OLD_MAX);
    }
}
