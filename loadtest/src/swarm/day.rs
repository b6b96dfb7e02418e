//! A day with given counts of events: which sessions begin when, and what each of them does.
//!
//! Promises: the counts come out exactly, whatever the seed; when things happen follows the curve. No clock, no
//! network. Does not: hold a day in memory: sessions are made one after the other, in the order of their
//! beginning.

use anyhow::bail;
use serde::Deserialize;

use super::scenario::within;
use crate::rng::Rng;
use crate::run::build::as_f64;

/// Hours of a day.
pub const HOURS: usize = 24;
const HOUR_S: f64 = 3600.0;
/// Seconds of a day.
pub const DAY_S: f64 = 86_400.0;
/// Most events of one kind.
const EVENTS_MAX: u64 = 10_000_000;

/// A day.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Day {
    /// What it is, in a sentence.
    pub about: String,
    /// Accounts to draw from.
    pub accounts: u16,
    /// Applications to draw from.
    pub services: u16,
    /// Share of the sessions that begin in each hour.
    pub curve: Vec<f64>,
    /// Minutes over which a session asks for its tickets.
    pub session_minutes: f64,
    /// Events of the day.
    pub events: Events,
}

/// The nine counts, by their names in the audit record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// AUTHENTICATION_EVENT_TRIGGERED.
    pub authentication_triggered: u64,
    /// AUTHENTICATION_SUCCESS.
    pub authentication_success: u64,
    /// AUTHENTICATION_FAILED.
    pub authentication_failed: u64,
    /// SERVICE_TICKET_CREATED.
    pub service_ticket_created: u64,
    /// SERVICE_TICKET_NOT_CREATED.
    pub service_ticket_not_created: u64,
    /// SERVICE_TICKET_VALIDATED.
    pub service_ticket_validated: u64,
    /// SERVICE_TICKET_VALIDATE_FAILED.
    pub service_ticket_validate_failed: u64,
    /// TICKET_GRANTING_TICKET_CREATED.
    pub ticket_granting_ticket_created: u64,
    /// TICKET_GRANTING_TICKET_DESTROYED.
    pub ticket_granting_ticket_destroyed: u64,
}

impl Events {
    /// Name in the audit record and count, in the order of the publication.
    pub fn rows(&self) -> [(&'static str, u64); 9] {
        [
            (
                "AUTHENTICATION_EVENT_TRIGGERED",
                self.authentication_triggered,
            ),
            ("AUTHENTICATION_SUCCESS", self.authentication_success),
            ("AUTHENTICATION_FAILED", self.authentication_failed),
            ("SERVICE_TICKET_CREATED", self.service_ticket_created),
            (
                "SERVICE_TICKET_NOT_CREATED",
                self.service_ticket_not_created,
            ),
            ("SERVICE_TICKET_VALIDATED", self.service_ticket_validated),
            (
                "SERVICE_TICKET_VALIDATE_FAILED",
                self.service_ticket_validate_failed,
            ),
            (
                "TICKET_GRANTING_TICKET_CREATED",
                self.ticket_granting_ticket_created,
            ),
            (
                "TICKET_GRANTING_TICKET_DESTROYED",
                self.ticket_granting_ticket_destroyed,
            ),
        ]
    }
}

/// What a ticket is asked for and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is never validated.
    Left,
    /// It is validated.
    Validated,
    /// It is validated, and once more.
    Again,
    /// There is none: the application is not for this person.
    Refused,
}

/// A ticket of a session.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ticket {
    /// Seconds since midnight.
    pub at: f64,
    /// Which application.
    pub service: usize,
    /// What becomes of it.
    pub fate: Fate,
}

/// Somebody who comes along.
#[derive(Debug, Clone, PartialEq)]
pub struct Visit {
    /// Seconds since midnight.
    pub at: f64,
    /// Which account.
    pub account: usize,
    /// What they do.
    pub kind: Kind,
}

/// What somebody does who comes along.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Signs in with a wrong password and goes.
    Wrong,
    /// A program checks a password; no session begins.
    Check,
    /// A session.
    Session {
        /// The tickets, in the order in which they are asked for.
        tickets: Vec<Ticket>,
        /// When they sign out, if they do.
        signs_out: Option<f64>,
    },
}

impl Day {
    /// Whether every value is in range, and the counts can come of one day.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.accounts == 0 || self.services == 0 {
            bail!("accounts and services must be at least 1");
        }
        if self.curve.len() != HOURS {
            bail!(
                "curve must have {HOURS} numbers, it has {}",
                self.curve.len()
            );
        }
        for share in &self.curve {
            within("curve", *share, 0.0, 1e6)?;
        }
        if self.curve.iter().sum::<f64>() <= 0.0 {
            bail!("curve: at least one share must be above 0");
        }
        within("session_minutes", self.session_minutes, 0.0, 24.0 * 60.0)?;
        let events = &self.events;
        for (name, count) in events.rows() {
            if count > EVENTS_MAX {
                bail!("{name} is {count}, at most {EVENTS_MAX}");
            }
        }
        let sessions = events.ticket_granting_ticket_created;
        let tickets = events.service_ticket_created;
        for (what, fewer, more) in [
            (
                "sessions than sign-ins",
                sessions,
                events.authentication_success,
            ),
            (
                "sign-outs than sessions",
                events.ticket_granting_ticket_destroyed,
                sessions,
            ),
            (
                "validations than tickets",
                events.service_ticket_validated,
                tickets,
            ),
            (
                "used tickets validated again than validations",
                events.service_ticket_validate_failed,
                events.service_ticket_validated,
            ),
        ] {
            if fewer > more {
                bail!("events: there cannot be more {what}");
            }
        }
        if sessions == 0 && tickets + events.service_ticket_not_created > 0 {
            bail!("events: tickets need sessions");
        }
        Ok(())
    }

    /// How many come along.
    pub fn visits(&self) -> u64 {
        self.events.authentication_success + self.events.authentication_failed
    }

    /// The visits, in the order in which they begin.
    pub fn plan(&self, seed: u64) -> impl Iterator<Item = Visit> + '_ {
        let mut rng = Rng::new(seed);
        let all = self.visits();
        (0..all).map(move |number| {
            // Spread evenly under the curve, each at a chance place in its share.
            let at = self.time((as_f64(number) + rng.unit()) / as_f64(all));
            let account = rng.below(usize::from(self.accounts));
            let kind = self.kind(number, at, &mut rng);
            Visit { at, account, kind }
        })
    }

    fn kind(&self, number: u64, at: f64, rng: &mut Rng) -> Kind {
        let events = &self.events;
        let (all, sessions) = (self.visits(), events.ticket_granting_ticket_created);
        let Some(session) = nth(number, sessions, all) else {
            let others = number - share_before(number, sessions, all);
            let wrong = nth(others, events.authentication_failed, all - sessions);
            return if wrong.is_some() {
                Kind::Wrong
            } else {
                Kind::Check
            };
        };
        let span = self.session_minutes * 60.0;
        // A session of the last half hour hurries, so that the day ends with its last second.
        let span = span.min(DAY_S - at);
        let wanted = events.service_ticket_created + events.service_ticket_not_created;
        let first = share_before(session, wanted, sessions);
        let last = share_before(session + 1, wanted, sessions);
        let mut times: Vec<f64> = (first..last).map(|_| at + span * rng.unit()).collect();
        times.sort_by(f64::total_cmp);
        let tickets = (first..last).zip(times).map(|(ticket, at)| Ticket {
            at,
            service: rng.below(usize::from(self.services)),
            fate: self.fate(ticket, wanted),
        });
        let tickets = tickets.collect();
        let signs_out = nth(session, events.ticket_granting_ticket_destroyed, sessions);
        Kind::Session {
            tickets,
            signs_out: signs_out.map(|_| at + span),
        }
    }

    fn fate(&self, ticket: u64, wanted: u64) -> Fate {
        let events = &self.events;
        let created = events.service_ticket_created;
        let Some(created_number) = nth(ticket, created, wanted) else {
            return Fate::Refused;
        };
        let validated = events.service_ticket_validated;
        let Some(validated_number) = nth(created_number, validated, created) else {
            return Fate::Left;
        };
        match nth(
            validated_number,
            events.service_ticket_validate_failed,
            validated,
        ) {
            Some(_) => Fate::Again,
            None => Fate::Validated,
        }
    }

    /// The second of the day before which this share of the sessions has begun.
    fn time(&self, share: f64) -> f64 {
        let all: f64 = self.curve.iter().sum();
        let mut left = share * all;
        let mut hour = 0.0;
        for part in &self.curve {
            if left < *part {
                return (hour + left / part) * HOUR_S;
            }
            left -= part;
            hour += 1.0;
        }
        DAY_S
    }
}

/// How many of `some` fall on the first `number` of `all`, when they are spread evenly.
fn share_before(number: u64, some: u64, all: u64) -> u64 {
    let wide = u128::from(number) * u128::from(some) / u128::from(all.max(1));
    u64::try_from(wide).unwrap_or(u64::MAX)
}

/// Which of `some`, spread evenly over `all`, number `number` of all is; `None` when it is none of them.
fn nth(number: u64, some: u64, all: u64) -> Option<u64> {
    let before = share_before(number, some, all);
    (share_before(number + 1, some, all) > before).then_some(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::scenario::Scenario;

    fn new_school() -> Day {
        match Scenario::open("new_school").unwrap() {
            Scenario::Day(day) => day,
            Scenario::Population(_) => panic!("a population"),
        }
    }

    /// What the plan comes to, counted as a server would.
    fn count(day: &Day, seed: u64) -> Events {
        let mut seen = Events::default();
        for visit in day.plan(seed) {
            match visit.kind {
                Kind::Wrong => seen.authentication_failed += 1,
                Kind::Check => seen.authentication_success += 1,
                Kind::Session { tickets, signs_out } => {
                    seen.authentication_success += 1;
                    seen.ticket_granting_ticket_created += 1;
                    seen.ticket_granting_ticket_destroyed += u64::from(signs_out.is_some());
                    for ticket in tickets {
                        match ticket.fate {
                            Fate::Refused => seen.service_ticket_not_created += 1,
                            fate => {
                                seen.service_ticket_created += 1;
                                seen.service_ticket_validated += u64::from(fate != Fate::Left);
                                seen.service_ticket_validate_failed +=
                                    u64::from(fate == Fate::Again);
                            }
                        }
                    }
                }
            }
        }
        seen
    }

    #[test]
    fn the_published_counts_come_out_exactly_whatever_the_seed() {
        let day = new_school();
        for seed in [1, 2] {
            let seen = count(&day, seed);
            let wanted = Events {
                authentication_triggered: 0,
                ..day.events
            };
            assert_eq!(seen, wanted);
        }
    }

    #[test]
    fn the_day_follows_its_curve_in_order() {
        let day = new_school();
        let mut hours = [0.0; HOURS];
        let mut before = 0.0;
        for visit in day.plan(3) {
            assert!(visit.at >= before && visit.at < DAY_S);
            before = visit.at;
            let hour = (0..HOURS).rfind(|hour| visit.at >= *hour as f64 * HOUR_S);
            hours[hour.unwrap()] += 1.0;
            if let Kind::Session { tickets, signs_out } = visit.kind {
                let times = tickets.iter().map(|ticket| ticket.at);
                let times: Vec<f64> = [visit.at]
                    .into_iter()
                    .chain(times)
                    .chain(signs_out)
                    .collect();
                assert!(times.is_sorted() && times.iter().all(|at| *at <= DAY_S));
                assert!(times.last().unwrap() - visit.at <= day.session_minutes * 60.0 + 1e-6);
            }
        }
        let (all, sum): (f64, f64) = (as_f64(day.visits()), day.curve.iter().sum());
        for (hour, share) in hours.iter().zip(&day.curve) {
            assert!((hour / all - share / sum).abs() < 0.001);
        }
    }

    #[test]
    fn counts_that_cannot_be_are_refused() {
        let mut day = new_school();
        day.events.service_ticket_validated = day.events.service_ticket_created + 1;
        let error = day.check().unwrap_err().to_string();
        assert!(error.contains("validations than tickets"), "{error}");
        day = new_school();
        day.curve.pop();
        assert!(day.check().unwrap_err().to_string().contains("24"));
    }
}
