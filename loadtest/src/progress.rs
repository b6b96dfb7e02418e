//! How far a run is: a bar on a terminal, a plain line every few seconds elsewhere; with the rate,
//! the wrong answers and the time left.
//!
//! Promises: writes to standard error only, so that standard output stays the result.
//! Does not: slow a run down; a tick is an atomic addition and a look at the clock.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock;
use crate::run::build::as_f64;

const LINE_EVERY: Duration = Duration::from_secs(5);
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// The bar counts in thousandths of the phase.
const WHOLE: u64 = 1_000;

/// Progress of one phase.
pub struct Progress {
    name: String,
    end: End,
    began: Instant,
    done: AtomicU64,
    wrong: AtomicU64,
    bar: Option<ProgressBar>,
    shown: Mutex<Shown>,
}

/// What ends a phase.
#[derive(Debug, Clone, Copy)]
enum End {
    Steps(u64),
    Time(Duration),
}

/// What the last line said.
struct Shown {
    at: Instant,
    done: u64,
}

/// What a line is made of.
struct Now {
    end: End,
    elapsed: Duration,
    done: u64,
    wrong: u64,
    /// Steps a second since the last line.
    rate: f64,
}

impl Progress {
    /// Starts a phase of `total` steps.
    pub fn new(name: &str, total: u64) -> Self {
        Self::start(name, End::Steps(total))
    }

    /// Starts a phase that takes `time`; steps only show the rate.
    pub fn timed(name: &str, time: Duration) -> Self {
        Self::start(name, End::Time(time))
    }

    fn start(name: &str, end: End) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(WHOLE), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{prefix:18} {bar:32} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(name.to_owned());
            bar
        });
        let began = clock::monotonic();
        Self {
            name: name.to_owned(),
            end,
            began,
            done: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
            bar,
            shown: Mutex::new(Shown { at: began, done: 0 }),
        }
    }

    /// One step more.
    pub fn tick(&self) {
        self.advance(1);
        self.refresh();
    }

    /// `steps` more, shown with the next [`Progress::refresh`].
    pub fn advance(&self, steps: u64) {
        self.done.fetch_add(steps, Ordering::Relaxed);
    }

    /// `wrong` wrong answers more.
    pub fn wrong(&self, wrong: u64) {
        self.wrong.fetch_add(wrong, Ordering::Relaxed);
    }

    /// Shows where it stands when that is due. For those who watch a run in which no step may come
    /// for long.
    pub fn refresh(&self) {
        // Whoever does not get the lock leaves the line to the one who has it.
        let Ok(mut shown) = self.shown.try_lock() else {
            return;
        };
        let every = if self.bar.is_some() {
            DRAW_EVERY
        } else {
            LINE_EVERY
        };
        let at = clock::monotonic();
        let passed = at.duration_since(shown.at);
        if passed < every {
            return;
        }
        let now = self.now(at, &shown);
        *shown = Shown { at, done: now.done };
        match &self.bar {
            Some(bar) => {
                bar.set_position(now.thousandths());
                bar.set_message(now.text());
            }
            None => say(&format!("{}: {}", self.name, now.text())),
        }
    }

    fn now(&self, at: Instant, shown: &Shown) -> Now {
        let done = self.done.load(Ordering::Relaxed);
        Now {
            end: self.end,
            elapsed: at.duration_since(self.began),
            done,
            wrong: self.wrong.load(Ordering::Relaxed),
            rate: per_second(done - shown.done.min(done), at.duration_since(shown.at)),
        }
    }

    /// A line that stays, above the bar.
    pub fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => say(line),
        }
    }

    /// Ends the phase.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now(clock::monotonic(), &shown);
        let wrong = now.wrong_text();
        say(&format!("{}: {} done{wrong}", self.name, now.done));
    }
}

impl Now {
    fn text(&self) -> String {
        let done = match self.end {
            End::Steps(total) => format!("{}/{total}", self.done),
            End::Time(_) => self.done.to_string(),
        };
        let left = self
            .left()
            .map_or_else(|| "-".to_owned(), |left| short(left.as_secs()));
        let wrong = self.wrong_text();
        format!("{done}, {:.0}/s{wrong}, {left} left", self.rate)
    }

    fn wrong_text(&self) -> String {
        match self.wrong {
            0 => String::new(),
            wrong => format!(", {wrong} WRONG"),
        }
    }

    /// By the mean rate so far; unknown before the first step.
    fn left(&self) -> Option<Duration> {
        match self.end {
            End::Time(time) => Some(time.saturating_sub(self.elapsed)),
            End::Steps(total) => {
                let mean = per_second(self.done, self.elapsed);
                let left = as_f64(total.saturating_sub(self.done)) / mean;
                Duration::try_from_secs_f64(left).ok()
            }
        }
    }

    fn thousandths(&self) -> u64 {
        let part = match self.end {
            End::Steps(total) => self.done.saturating_mul(WHOLE) / total.max(1),
            End::Time(time) => {
                let whole = time.as_millis().max(1);
                let part = self.elapsed.as_millis() * u128::from(WHOLE) / whole;
                u64::try_from(part).unwrap_or(WHOLE)
            }
        };
        part.min(WHOLE)
    }
}

fn per_second(steps: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 {
        as_f64(steps) / seconds
    } else {
        0.0
    }
}

/// `12s`, `3m05s`, `2h07m`.
fn short(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// A plain line on standard error.
pub fn say(line: &str) {
    // A closed terminal must not end a run.
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(end: End, done: u64, wrong: u64) -> Now {
        Now {
            end,
            elapsed: Duration::from_secs(10),
            done,
            wrong,
            rate: 123.4,
        }
    }

    #[test]
    fn a_line_has_rate_errors_and_the_time_left() {
        let steps = now(End::Steps(4_000), 1_000, 0);
        assert_eq!(steps.text(), "1000/4000, 123/s, 30s left");
        assert_eq!(steps.thousandths(), 250);
        let time = now(End::Time(Duration::from_secs(135)), 7, 2);
        assert_eq!(time.text(), "7, 123/s, 2 WRONG, 2m05s left");
        assert_eq!(time.thousandths(), 74);
    }

    #[test]
    fn before_the_first_step_nobody_knows_what_is_left() {
        assert_eq!(now(End::Steps(5), 0, 0).text(), "0/5, 123/s, - left");
        assert_eq!(now(End::Steps(0), 0, 0).thousandths(), 0);
        assert_eq!(short(7_620), "2h07m");
    }
}
