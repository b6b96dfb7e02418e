//! What happened, by kind and by minute of the population.
//!
//! Promises: an event is counted once, in the minute it is given for; at most [`MINUTES_KEPT`]
//! minutes, later ones count into the last. Does not: judge.

use std::ops::AddAssign;

use serde::Serialize;

use super::scenario::MINUTES_MAX;

/// Minutes kept apart.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a whole number"
)]
const MINUTES_KEPT: usize = MINUTES_MAX as usize;

/// How often something happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Sessions that began: TICKET_GRANTING_TICKET_CREATED.
    pub sign_ins: u64,
    /// Sign-ins with a wrong password, refused: AUTHENTICATION_FAILED.
    pub refused: u64,
    /// Tickets: SERVICE_TICKET_CREATED.
    pub tickets: u64,
    /// Tickets that were validated: SERVICE_TICKET_VALIDATED.
    pub validations: u64,
    /// Sessions that were ended: TICKET_GRANTING_TICKET_DESTROYED.
    pub sign_outs: u64,
    /// Passwords that a program checked without a session: AUTHENTICATION_SUCCESS, as sessions have it.
    pub checks: u64,
    /// Tickets that were refused, as they must be: SERVICE_TICKET_NOT_CREATED.
    pub not_created: u64,
    /// Used tickets that were refused: SERVICE_TICKET_VALIDATE_FAILED.
    pub replays: u64,
    /// HTTP requests.
    pub requests: u64,
}

impl Counts {
    /// Events as the Lafayette trials count them.
    pub fn events(&self) -> u64 {
        self.sign_ins + self.tickets + self.validations
    }

    /// Sessions that began less those that were ended.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn net_sessions(&self) -> f64 {
        self.sign_ins as f64 - self.sign_outs as f64
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.sign_ins += other.sign_ins;
        self.refused += other.refused;
        self.tickets += other.tickets;
        self.validations += other.validations;
        self.sign_outs += other.sign_outs;
        self.checks += other.checks;
        self.not_created += other.not_created;
        self.replays += other.replays;
        self.requests += other.requests;
    }
}

/// Counts of each minute.
#[derive(Debug, Clone, Default)]
pub struct Minutes(Vec<Counts>);

impl Minutes {
    /// Adds what happened `at` seconds.
    pub fn add(&mut self, at: f64, counts: Counts) {
        let minute = minute_of(at).min(MINUTES_KEPT - 1);
        if self.0.len() <= minute {
            self.0.resize(minute + 1, Counts::default());
        }
        if let Some(slot) = self.0.get_mut(minute) {
            *slot += counts;
        }
    }

    /// All minutes together.
    pub fn total(&self) -> Counts {
        self.0.iter().fold(Counts::default(), |mut sum, minute| {
            sum += *minute;
            sum
        })
    }

    /// Minute by minute.
    pub fn all(&self) -> &[Counts] {
        &self.0
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a conversion of floats saturates"
)]
fn minute_of(at: f64) -> usize {
    (at / 60.0) as usize
}

/// `count` in each of `minutes`.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub fn per_minute(count: u64, minutes: f64) -> f64 {
    if minutes > 0.0 {
        count as f64 / minutes
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_add_up_to_the_total() {
        let mut minutes = Minutes::default();
        let ticket = Counts {
            tickets: 1,
            requests: 1,
            ..Counts::default()
        };
        for at in [0.0, 59.9, 60.0, 150.0] {
            minutes.add(at, ticket);
        }
        let by_minute: Vec<u64> = minutes.all().iter().map(Counts::events).collect();
        assert_eq!(by_minute, [2, 1, 1]);
        assert_eq!(minutes.total().tickets, 4);
        minutes.add(f64::MAX, ticket);
        assert_eq!(minutes.all().len(), MINUTES_KEPT);
    }
}
