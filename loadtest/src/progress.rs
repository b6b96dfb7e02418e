//! How far a run is: a bar on a terminal, a plain line every few seconds elsewhere.
//!
//! Promises: writes to standard error only, so that standard output stays the result.
//! Does not: slow a run down; a tick is an atomic addition.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock;

const LINE_EVERY: Duration = Duration::from_secs(5);

/// Progress of one phase.
pub struct Progress {
    name: String,
    total: u64,
    done: AtomicU64,
    bar: Option<ProgressBar>,
    last_line: Mutex<Instant>,
}

impl Progress {
    /// Starts a phase of `total` steps.
    pub fn new(name: &str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template(
                "{msg:18} {bar:32} {human_pos:>9}/{human_len} {per_sec:>12} {eta:>5} left",
            );
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_message(name.to_owned());
            bar
        });
        Self {
            name: name.to_owned(),
            total,
            done: AtomicU64::new(0),
            bar,
            last_line: Mutex::new(clock::monotonic()),
        }
    }

    /// One step more.
    pub fn tick(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(bar) = &self.bar {
            bar.inc(1);
            return;
        }
        // Whoever does not get the lock leaves the line to the one who has it.
        let Ok(mut last) = self.last_line.try_lock() else {
            return;
        };
        let now = clock::monotonic();
        if now.duration_since(*last) >= LINE_EVERY {
            *last = now;
            say(&format!("{}: {done}/{}", self.name, self.total));
        }
    }

    /// Ends the phase.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let done = self.done.load(Ordering::Relaxed);
        drop(
            self.last_line
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        say(&format!("{}: {done} done", self.name));
    }
}

/// A plain line on standard error.
pub fn say(line: &str) {
    // A closed terminal must not end a run.
    let _ = writeln!(std::io::stderr(), "{line}");
}
