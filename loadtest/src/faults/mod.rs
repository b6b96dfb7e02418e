//! Faults under load: processes are killed, stopped and started again while people sign in and
//! visit applications through the front door.
//!
//! Promises: every session that was acknowledged is checked after every step, on every node that
//! is up; a run fails when one was lost, when an answer was false, or when new sign-ins did not
//! work in time. A ticket may be refused only where a majority of its nodes was killed.
//! Does not: inject faults into the network ([`crate::nemesis`]).

pub mod course;
pub mod kill;
pub mod load;
pub mod nodes;
pub mod races;
pub mod refill;
pub mod report;
pub mod sessions;
pub mod stop;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::clock;
use crate::http::Call;
use crate::lab::Lab;
use crate::person::{Person, SignIn};

/// Time after a loss by which new sign-ins must work.
pub const SIGN_IN_BOUND: Duration = Duration::from_secs(3);
/// Pause between two probes of a condition.
pub(crate) const PROBE_EVERY: Duration = Duration::from_millis(50);

/// What both fault runs need to know.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The `castor` program, for restarts.
    pub castor: PathBuf,
    /// Sessions acknowledged before the first fault.
    pub sessions: usize,
    /// Pairs per second while faults happen.
    pub pairs_per_second: f64,
    /// Sign-ins per second while faults happen.
    pub sign_ins_per_second: f64,
    /// How long the load is watched after each fault.
    pub observe: Duration,
    /// How long a started node may take until it is ready.
    pub ready_within: Duration,
    /// Seed of random choices.
    pub seed: u64,
}

/// Time from `since` until a sign-in that began later was acknowledged; `None` when that did not
/// happen within `bound`.
pub(crate) async fn first_sign_in(lab: &Lab, since: Instant, bound: Duration) -> Option<Duration> {
    let mut attempts = tokio::task::JoinSet::new();
    let deadline = since + bound;
    loop {
        let lab = lab.clone();
        // Attempts overlap, so that one stuck at a dead node does not hide that others work.
        attempts.spawn(async move {
            let mut person = Person::new(&lab);
            lab.try_sign_in(&mut person).await
        });
        let next = clock::monotonic() + 4 * PROBE_EVERY;
        tokio::select! {
            () = clock::sleep_until(next) => {}
            Some(Ok(SignIn::Done)) = attempts.join_next() => {
                return Some(clock::monotonic().duration_since(since));
            }
        }
        if clock::monotonic() >= deadline {
            return None;
        }
    }
}

/// Time until `ops_url`/ready says 200; `None` when it does not within `bound`.
pub(crate) async fn until_ready(lab: &Lab, ops_url: &str, bound: Duration) -> Option<Duration> {
    let started = clock::monotonic();
    while clock::monotonic().duration_since(started) < bound {
        let answer = lab.client.call(Call::get(format!("{ops_url}/ready"))).await;
        if answer.is_ok_and(|answer| answer.status == 200) {
            return Some(clock::monotonic().duration_since(started));
        }
        clock::pause(PROBE_EVERY).await;
    }
    None
}
