//! What every request of a run asked and was answered, in the format of `castor-loadtest check`, and
//! that program's judgement of it.

use std::fmt::Write as _;

use castor_loadtest::check::{self, Limits};
use castor_loadtest::history::{Call, Header, Line, Op, Out, Phase};

use crate::node::{Fault, NODES, name};
use crate::trace;

/// A history that is being made.
#[derive(Default)]
pub struct Story {
    lines: Vec<Line>,
    /// Service tickets that may be refused, because the nodes that knew them have gone.
    pub may_go: u64,
    /// Callers that may call again; one that got no answer never does.
    free: Vec<u64>,
    callers: u64,
    sessions: u64,
    pub calls: u64,
    pub valid: u64,
    pub refused: u64,
    pub unanswered: u64,
}

/// A call under way.
pub struct Pending {
    process: u64,
    node: usize,
    op: Op,
    began: u64,
}

impl Story {
    /// A call begins.
    pub fn begin(&mut self, node: usize, op: Op) -> Pending {
        let process = self.free.pop().unwrap_or_else(|| {
            self.callers += 1;
            self.callers
        });
        Pending {
            process,
            node,
            op,
            began: trace::now(),
        }
    }

    /// It has ended, or was given up.
    pub fn end(&mut self, pending: Pending, out: Out, attributes: Option<String>) {
        self.calls += 1;
        match (&pending.op, &out) {
            (_, Out::Unknown) => self.unanswered += 1,
            (Op::Validate { .. }, Out::Ok(_)) => self.valid += 1,
            (Op::Validate { .. }, Out::Fail(_)) => self.refused += 1,
            _ => {}
        }
        let ended = (out != Out::Unknown).then(trace::now);
        if ended.is_some() {
            self.free.push(pending.process);
        }
        let line = Line::Call(Call {
            process: pending.process,
            at: name(pending.node),
            op: pending.op,
            began: pending.began,
            ended,
            out,
            attributes,
        });
        self.put(trace::now(), line);
    }

    /// A name for a session that was just acknowledged.
    pub fn new_session(&mut self) -> String {
        self.sessions += 1;
        format!("s{}", self.sessions)
    }

    /// A fault begins or ends, at this many simulated microseconds.
    pub fn nemesis(&mut self, name: &str, phase: Phase, at: u64) {
        let name = name.to_owned();
        self.put(at, Line::Nemesis { name, phase, at });
    }

    fn put(&mut self, at: u64, line: Line) {
        let number = self.lines.len() as u64 + 2;
        trace::event_at(at, &line.write(number).expect("a line"));
        self.lines.push(line);
    }

    /// The rules that were broken.
    pub fn judge(&self) -> Result<Vec<String>, Fault> {
        let header = Line::Header(Header {
            doors: (0..NODES).map(name).collect(),
            ..Header::default()
        });
        let mut text = String::new();
        let lines = [&header].into_iter().chain(&self.lines).chain([&Line::End]);
        for (line, number) in lines.zip(1..) {
            writeln!(text, "{}", line.write(number)?)?;
        }
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), text)?;
        let limits = Limits {
            refused_max: self.may_go,
            ..Limits::default()
        };
        let verdict = check::run(file.path(), &limits)?;
        let mut broken = verdict.failures;
        broken.extend(verdict.examples.into_values().flatten());
        for rule in [verdict.b1, verdict.b3] {
            broken.extend(rule.examples);
        }
        if !broken.is_empty() {
            broken.extend(verdict.refused_examples);
        }
        Ok(broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(validations: &[&str]) -> Story {
        let mut story = Story::default();
        let text = str::to_owned;
        let service = text("http://app0.example.org/");
        let login = story.begin(0, Op::Login { user: text("ada") });
        let session = story.new_session();
        story.end(login, Out::Ok(session.clone()), None);
        let issue = Op::Issue {
            session,
            service: service.clone(),
        };
        let issue = story.begin(0, issue);
        story.end(issue, Out::Ok(text("ST-1")), None);
        for user in validations {
            let ticket = text("ST-1");
            let service = service.clone();
            let validate = story.begin(1, Op::Validate { ticket, service });
            story.end(validate, Out::Ok(text(user)), None);
        }
        story
    }

    #[test]
    fn a_ticket_that_was_validated_twice_is_noticed() {
        assert_eq!(story(&["ada"]).judge().expect("a verdict"), [""; 0]);
        let broken = story(&["ada", "ada"]).judge().expect("a verdict");
        assert!(
            broken.iter().any(|rule| rule.starts_with("S1")),
            "{broken:?}"
        );
        let broken = story(&["bob"]).judge().expect("a verdict");
        assert!(
            broken.iter().any(|rule| rule.starts_with("S5")),
            "{broken:?}"
        );
    }
}
