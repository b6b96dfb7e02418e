//! Patterns of definitions: Java regular expressions, translated or refused.
//!
//! Definitions are written for `java.util.regex`. What means the same here is kept, what means
//! something else is translated (`\d`, `\w`, `\s`, `.`, `\Q..\E`, POSIX classes), and what cannot
//! be translated is an error that names the construct: a pattern never matches silently more or
//! less than its author meant. Look-around, back-references, atomic groups and possessive
//! quantifiers run on a backtracking engine with a step limit; reaching the limit is an error of
//! the match, which callers treat as a refusal.

use std::fmt;

mod java;

/// Largest pattern, in bytes.
pub const PATTERN_MAX: usize = 4096;
/// Largest compiled pattern, in bytes.
const COMPILED_MAX: usize = 2 * 1024 * 1024;
/// Most steps of one backtracking match; a few milliseconds.
const BACKTRACK_MAX: usize = 50_000;

/// Why a pattern is refused, with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(pub String);

/// A match could not be decided within its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the pattern needs too many steps for this text")]
pub struct TooHard;

/// How much of the text the pattern must cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The whole text (Java's `matches`).
    Full,
    /// Any part of it (Java's `find`).
    Part,
}

/// A compiled pattern.
#[derive(Clone)]
pub struct Pattern {
    source: String,
    engine: Engine,
    ignore_case: bool,
}

#[derive(Clone)]
enum Engine {
    Linear(regex::Regex),
    Backtracking(Box<fancy_regex::Regex>),
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.source)
    }
}

impl Pattern {
    /// Translates and compiles a Java pattern.
    ///
    /// # Errors
    /// Names the construct that cannot be translated, or what the compiler says.
    pub fn compile(source: &str, extent: Extent, ignore_case: bool) -> Result<Self, PatternError> {
        if source.len() > PATTERN_MAX {
            return Err(PatternError(format!(
                "the pattern is longer than {PATTERN_MAX} bytes"
            )));
        }
        let java::Translated {
            text,
            needs_backtracking,
        } = java::translate(source)?;
        let whole = match extent {
            Extent::Full => format!(r"\A(?:{text})\z"),
            Extent::Part => text,
        };
        let engine = if needs_backtracking {
            fancy_regex::RegexBuilder::new(&whole)
                .case_insensitive(ignore_case)
                .backtrack_limit(BACKTRACK_MAX)
                .delegate_size_limit(COMPILED_MAX)
                .build()
                .map(|regex| Engine::Backtracking(Box::new(regex)))
                .map_err(|e| PatternError(one_line(&e.to_string())))?
        } else {
            regex::RegexBuilder::new(&whole)
                .case_insensitive(ignore_case)
                .size_limit(COMPILED_MAX)
                .build()
                .map(Engine::Linear)
                .map_err(|e| PatternError(one_line(&e.to_string())))?
        };
        Ok(Self {
            source: source.to_owned(),
            engine,
            ignore_case,
        })
    }

    /// Whether the text matches.
    ///
    /// # Errors
    /// [`TooHard`] when a backtracking pattern reaches its step limit.
    pub fn matches(&self, text: &str) -> Result<bool, TooHard> {
        // The two characters beyond ASCII that fold to ASCII letters here, but not in Java.
        if self.ignore_case && text.contains(['\u{17f}', '\u{212a}']) {
            return Ok(false);
        }
        match &self.engine {
            Engine::Linear(regex) => Ok(regex.is_match(text)),
            Engine::Backtracking(regex) => regex.is_match(text).map_err(|_| TooHard),
        }
    }

    /// The pattern as its author wrote it.
    pub fn as_str(&self) -> &str {
        &self.source
    }
}

/// The last line of a compiler's message is the reason; the lines before draw the pattern.
fn one_line(message: &str) -> String {
    let last = message.lines().rev().find(|l| !l.trim().is_empty());
    let reason = last.unwrap_or(message).trim();
    reason.strip_prefix("error: ").unwrap_or(reason).to_owned()
}

#[cfg(test)]
mod tests;
