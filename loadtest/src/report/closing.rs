//! The last lines of a run on a terminal: what was compared, what was too slow, and how the run ended.
//!
//! Promises: the same for every command; a run that was interrupted never ends as one that was not, and a load that
//! did not keep its rate is told before the end. Does not: explain; that is above it.

use std::fmt::Write as _;

use crate::run::{Ended, RATIO, Run, SHORT};

/// The last lines.
pub fn closing(run: &Run) -> String {
    let mut text = String::new();
    for figure in &run.figures {
        if figure.note.starts_with(RATIO) {
            let _ = writeln!(text, "{}: {} {}", figure.name, figure.value, figure.note);
        }
    }
    for note in run.notes.iter().filter(|note| note.starts_with(SHORT)) {
        let _ = writeln!(text, "{note}");
    }
    text.push_str(end(run));
    text.push('\n');
    text
}

fn end(run: &Run) -> &'static str {
    match (run.ended, run.verdict.passed()) {
        (Ended::Interrupted, true) => "interrupted: nothing was wrong in the part that ran",
        (Ended::Interrupted, false) => "FAILED, interrupted: the figures are of the part that ran",
        (Ended::Whole, false) => "FAILED",
        (Ended::Whole, true) if run.verdict.judged == 0 => "no answer was judged",
        (Ended::Whole, true) => "passed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::run::Kind;

    #[test]
    fn only_a_whole_run_with_right_answers_has_passed() {
        let mut run = Run::new(Kind::Bench, "a", Environment::unknown());
        assert_eq!(closing(&run), "no answer was judged\n");
        run.verdict.judged = 1;
        assert_eq!(closing(&run), "passed\n");
        run.ended = Ended::Interrupted;
        assert!(closing(&run).starts_with("interrupted: "));
        run.verdict.wrong = 1;
        assert!(closing(&run).starts_with("FAILED, interrupted: "));
        run.ended = Ended::Whole;
        assert_eq!(closing(&run), "FAILED\n");
    }

    #[test]
    fn what_was_short_and_what_was_compared_stand_before_the_end() {
        let mut run = Run::new(Kind::Bench, "a", Environment::unknown());
        run.figure_with("share", 2.0, "1/s", "ratio 0.500")
            .note("something else")
            .short("9/s of 10/s");
        run.verdict.judged = 1;
        let lines = "share: 2 ratio 0.500\nshort: 9/s of 10/s\npassed\n";
        assert_eq!(closing(&run), lines);
    }
}
