//! `check`: whether a history keeps the promises of a CAS cluster.
//!
//! The rooms: [`read`] (lines of a file), [`windows`] (when faults were on), [`single_use`] (one
//! ticket), [`facts`] (what was given out: the first pass), [`rules`] (what came back: the second
//! pass), [`verdict`] (the result).
//!
//! Promises: linear in the lines; the file is read twice and never held; what is held is about 250
//! bytes for each ticket and session, and [`Limits::entries_max`] of them at most. A call without
//! an answer never counts against the server. Does not: need the lines in any order.

pub mod facts;
pub mod read;
pub mod rules;
pub mod single_use;
pub mod verdict;
pub mod windows;

use std::path::Path;
use std::time::Duration;

pub use read::BadHistory;
pub use verdict::Verdict;

/// What is promised, and what is forgiven.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long a service ticket lives; the history's own word comes first.
    pub ticket_life: Option<Duration>,
    /// How long a session lives at most; the history's own word comes first.
    pub session_life: Option<Duration>,
    /// How far clocks may be apart.
    pub clock_tolerance: Duration,
    /// B1: an acknowledged session gives tickets on every node after this.
    pub visible_within: Duration,
    /// B2: an acknowledged sign-out counts on every node after this.
    pub logout_within: Duration,
    /// Both, after a fault has ended.
    pub healed_within: Duration,
    /// B3: acknowledged sessions that may be lost.
    pub lost_max: u64,
    /// B4: live tickets that may be refused in or shortly after a fault; outside, none may.
    pub refused_max: u64,
    /// Tickets and sessions that may be held.
    pub entries_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ticket_life: None,
            session_life: None,
            clock_tolerance: Duration::from_secs(2),
            visible_within: Duration::from_secs(1),
            logout_within: Duration::from_secs(1),
            healed_within: Duration::from_secs(5),
            lost_max: 0,
            refused_max: 0,
            entries_max: 10_000_000,
        }
    }
}

/// Ticket and session lives of a CAS server that nobody configured.
pub const TICKET_LIFE: Duration = Duration::from_secs(10);
/// As above.
pub const SESSION_LIFE: Duration = Duration::from_secs(8 * 3600);

/// Checks `file`.
///
/// # Errors
/// When it cannot be read, with the line and what is wrong there.
pub fn run(file: &Path, limits: &Limits) -> Result<Verdict, BadHistory> {
    let facts = facts::Facts::gather(file, limits)?;
    let mut rules = rules::Rules::new(facts, limits);
    for line in read::Lines::open(file)? {
        let (number, line) = line?;
        rules
            .take(number, &line)
            .map_err(|what| BadHistory::at(file, number, what))?;
    }
    Ok(rules.finish(file))
}

/// Whole microseconds.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
