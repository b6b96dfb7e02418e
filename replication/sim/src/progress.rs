//! How far a run of seeds is: a bar on a terminal, a plain line every few seconds elsewhere. Standard
//! error only, so that standard output stays the result.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock;

const LINE_EVERY: Duration = Duration::from_secs(10);

/// Progress towards a number of seeds, or towards a moment when no number is given.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    last_line: Instant,
}

impl Progress {
    /// Towards `total` steps; without an end when that is `None`.
    pub(crate) fn new(total: Option<u64>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
            let template = match total {
                Some(_) => "{bar:32} {human_pos:>8}/{human_len} {eta:>5} left  {msg}",
                None => "{spinner} {human_pos:>8}  {elapsed:>5}  {msg}",
            };
            let style = ProgressStyle::with_template(template);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self {
            bar,
            last_line: clock::monotonic(),
        }
    }

    /// One step more; `state` says where the run stands.
    pub(crate) fn tick(&mut self, state: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_message(state());
            return bar.inc(1);
        }
        let now = clock::monotonic();
        if now.duration_since(self.last_line) >= LINE_EVERY {
            self.last_line = now;
            say(&state());
        }
    }

    /// The end.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A plain line on standard error.
pub(crate) fn say(line: &str) {
    // A closed terminal must not end a run.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A plain line of the result.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
