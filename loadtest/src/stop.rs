//! Ctrl-C: a run ends early but cleanly, and its record and report are still written.
//!
//! Promises: the first SIGINT or SIGTERM sets the flag and says so; the second ends the program at
//! once with code 130. Does not: end anything itself; a run that does not look goes on.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::progress::say;
use crate::run::Ended;

/// Exit code after a second interrupt.
const SECOND: i32 = 130;

/// Whether a run is to end. Cheap to clone; clones share the flag.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// A flag that only [`Stop::set`] sets.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// A flag that SIGINT and SIGTERM set, too. Inside a runtime only, once per program.
    ///
    /// # Errors
    /// When the signals cannot be listened to.
    pub fn on_signals() -> std::io::Result<Self> {
        let stop = Self::new();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let set = stop.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if set.is_set() {
                    say("interrupted twice: nothing is written");
                    std::process::exit(SECOND);
                }
                say(
                    "interrupted: ending the run; what was measured so far is reported. Once more to end at once",
                );
                set.set();
            }
        });
        Ok(stop)
    }

    /// Ends the run.
    pub fn set(&self) {
        self.0.send_replace(true);
    }

    /// Whether it is to end.
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is to end.
    pub async fn wait(&self) {
        let mut changes = self.0.subscribe();
        // The sender lives as long as `self`.
        let _ = changes.wait_for(|set| *set).await;
    }

    /// For the record.
    pub fn ended(&self) -> Ended {
        if self.is_set() {
            Ended::Interrupted
        } else {
            Ended::Whole
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_that_wait_are_woken_whenever_it_is_set() {
        let stop = Stop::new();
        assert_eq!(stop.ended(), Ended::Whole);
        let other = stop.clone();
        let ((), ()) = tokio::join!(stop.wait(), async move { other.set() });
        stop.wait().await;
        assert_eq!(stop.ended(), Ended::Interrupted);
    }
}
