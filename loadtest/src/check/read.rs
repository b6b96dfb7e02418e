//! Reads a history line by line.
//!
//! Promises: one line is held at a time, of at most [`LINE_BYTES_MAX`]; the numbers in the lines
//! must follow each other, the first must be the header and the last the end. An error names file,
//! line and what is wrong. Does not: judge.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::history::Line;

/// Longest line, in bytes.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// A history that cannot be checked.
#[derive(Debug)]
pub struct BadHistory(String);

impl BadHistory {
    pub(super) fn at(file: &Path, line: u64, what: impl std::fmt::Display) -> Self {
        Self(format!("{}:{line}: {what}", file.display()))
    }

    fn of(file: &Path, what: impl std::fmt::Display) -> Self {
        Self(format!("{}: {what}", file.display()))
    }
}

impl std::fmt::Display for BadHistory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadHistory {}

/// The lines of a file, with their numbers from 1.
pub struct Lines {
    file: PathBuf,
    input: BufReader<File>,
    number: u64,
    state: State,
    text: Vec<u8>,
}

#[derive(PartialEq, Eq)]
enum State {
    Start,
    Inside,
    Ended,
    Done,
}

impl Lines {
    /// Opens `file`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(file: &Path) -> Result<Self, BadHistory> {
        let input = File::open(file).map_err(|error| BadHistory::of(file, error))?;
        Ok(Self {
            file: file.to_owned(),
            input: BufReader::with_capacity(1 << 18, input),
            number: 0,
            state: State::Start,
            text: Vec::new(),
        })
    }

    fn read(&mut self) -> Result<Option<Line>, String> {
        self.text.clear();
        let bound = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
        let read = (&mut self.input)
            .take(bound)
            .read_until(b'\n', &mut self.text)
            .map_err(|error| error.to_string())?;
        if read == 0 {
            return match self.state {
                State::Ended => Ok(None),
                State::Start => Err("the file is empty".to_owned()),
                _ => Err(
                    "the history ends here without its last line: the run was cut off, \
                     or the file was"
                        .to_owned(),
                ),
            };
        }
        if self.text.last() != Some(&b'\n') {
            return Err(if read >= LINE_BYTES_MAX {
                format!("longer than {LINE_BYTES_MAX} bytes")
            } else {
                "the file ends within this line".to_owned()
            });
        }
        let text = std::str::from_utf8(&self.text).map_err(|_| "not UTF-8".to_owned())?;
        let (number, line) = Line::read(text.trim_end())?;
        if number != self.number {
            return Err(format!(
                "\"i\" is {number}, not {}: lines are missing or twice here",
                self.number
            ));
        }
        self.state = match (&self.state, &line) {
            (State::Start, Line::Header(_)) => State::Inside,
            (State::Start, _) => return Err("the first line must be the header".to_owned()),
            (State::Inside, Line::Header(_)) => return Err("a second header".to_owned()),
            (State::Inside, Line::End) => State::Ended,
            (State::Inside, _) => State::Inside,
            (State::Ended | State::Done, _) => return Err("a line after the end".to_owned()),
        };
        Ok(Some(line))
    }
}

impl Iterator for Lines {
    type Item = Result<(u64, Line), BadHistory>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Done {
            return None;
        }
        self.number += 1;
        match self.read() {
            Ok(Some(line)) => Some(Ok((self.number, line))),
            Ok(None) => {
                self.state = State::Done;
                None
            }
            Err(what) => {
                self.state = State::Done;
                Some(Err(BadHistory::at(&self.file, self.number, what)))
            }
        }
    }
}
