//! Patterns of definitions: Java regular expressions, translated or refused.
//!
//! Definitions are written for `java.util.regex`. What means the same here is kept, what means
//! something else is translated (`\d`, `\w`, `\s`, `.`, `\Q..\E`, POSIX classes), and what cannot
//! be translated is an error that names the construct: a pattern never matches silently more or
//! less than its author meant. Look-around, back-references, atomic groups and possessive
//! quantifiers run on a backtracking engine with a step limit; reaching the limit is an error of
//! the match, which callers treat as a refusal. Before it starts, a linear engine asks whether the
//! text is covered by the same pattern without those constructs, which most texts are not.

use std::fmt;

use anchored::Anchored;

mod anchored;
mod java;
mod literals;
mod named;

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

/// A match could not be decided: it would take too many steps, or whatever the case would mean
/// something else than in Java.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the pattern cannot be decided for this text")]
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
    /// What it covers at least, in the syntax of the linear engine.
    superset: String,
    engine: Engine,
    extent: Extent,
    ignore_case: bool,
}

#[derive(Clone)]
enum Engine {
    Whole(Anchored),
    Linear(regex::Regex),
    Backtracking {
        superset: Superset,
        exact: Box<fancy_regex::Regex>,
    },
}

/// The linear engine in front of the backtracking one.
#[derive(Clone)]
enum Superset {
    Whole(Anchored),
    Linear(regex::Regex),
}

impl Superset {
    fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Whole(anchored) => anchored.covers(text),
            Self::Linear(regex) => regex.is_match(text),
        }
    }
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
        let translated = java::translate(source, extent == Extent::Part)?;
        let whole = |text: &str| match extent {
            Extent::Full => format!(r"\A(?:{text})\z"),
            Extent::Part => text.to_owned(),
        };
        let refused = |e: regex::Error| PatternError(one_line(&e.to_string()));
        let linear = |text: &str| {
            if extent == Extent::Full && ignore_case {
                let anchored = Anchored::compile(text, COMPILED_MAX);
                return anchored.map(Superset::Whole).map_err(refused);
            }
            regex::RegexBuilder::new(&whole(text))
                .case_insensitive(ignore_case)
                .size_limit(COMPILED_MAX)
                .build()
                .map(Superset::Linear)
                .map_err(refused)
        };
        let engine = if translated.needs_backtracking {
            let exact = fancy_regex::RegexBuilder::new(&whole(&translated.text))
                .case_insensitive(ignore_case)
                .backtrack_limit(BACKTRACK_MAX)
                .delegate_size_limit(COMPILED_MAX)
                .build()
                .map_err(|e| PatternError(one_line(&e.to_string())))?;
            Engine::Backtracking {
                superset: linear(&translated.superset)?,
                exact: Box::new(exact),
            }
        } else {
            match linear(&translated.text)? {
                Superset::Whole(anchored) => Engine::Whole(anchored),
                Superset::Linear(regex) => Engine::Linear(regex),
            }
        };
        Ok(Self {
            source: source.to_owned(),
            superset: translated.superset,
            engine,
            extent,
            ignore_case: ignore_case || translated.folds,
        })
    }

    /// Whether the text matches.
    ///
    /// # Errors
    /// [`TooHard`] when a backtracking pattern reaches its step limit, or a letter folds as in no Java.
    pub fn matches(&self, text: &str) -> Result<bool, TooHard> {
        self.within_reach(text)?;
        match &self.engine {
            Engine::Whole(anchored) => Ok(anchored.covers(text)),
            Engine::Linear(regex) => Ok(regex.is_match(text)),
            Engine::Backtracking { superset, exact } => {
                if superset.is_match(text) {
                    exact.is_match(text).map_err(|_| TooHard)
                } else {
                    Ok(false)
                }
            }
        }
    }

    /// The texts of the groups of the first match, the whole match first; `None` for a group that
    /// took no part.
    ///
    /// # Errors
    /// [`TooHard`] when a backtracking pattern reaches its step limit, or a letter folds as in no Java.
    pub fn groups(&self, text: &str) -> Result<Option<Vec<Option<String>>>, TooHard> {
        self.within_reach(text)?;
        Ok(match &self.engine {
            Engine::Whole(anchored) => anchored.groups(text),
            Engine::Linear(regex) => regex.captures(text).map(|groups| {
                let texts = groups.iter();
                texts.map(|g| g.map(|g| g.as_str().to_owned())).collect()
            }),
            Engine::Backtracking { exact, .. } => {
                let groups = exact.captures(text).map_err(|_| TooHard)?;
                groups.map(|groups| {
                    let texts = groups.iter();
                    texts.map(|g| g.map(|g| g.as_str().to_owned())).collect()
                })
            }
        })
    }

    /// How many groups [`Pattern::groups`] tells besides the whole match.
    pub fn group_count(&self) -> usize {
        let with_whole = match &self.engine {
            Engine::Whole(anchored) => anchored.groups_len(),
            Engine::Linear(regex) => regex.captures_len(),
            Engine::Backtracking { exact, .. } => exact.captures_len(),
        };
        with_whole.saturating_sub(1)
    }

    /// The text without what the pattern matches.
    ///
    /// # Errors
    /// [`TooHard`] when a backtracking pattern reaches its step limit, or a letter folds as in no Java.
    pub fn remove_from(&self, text: &str) -> Result<String, TooHard> {
        self.within_reach(text)?;
        match &self.engine {
            Engine::Whole(anchored) if anchored.covers(text) => Ok(String::new()),
            Engine::Whole(_) => Ok(text.to_owned()),
            Engine::Linear(regex) => Ok(regex.replace_all(text, "").into_owned()),
            Engine::Backtracking { exact, .. } => exact
                .try_replacen(text, 0, "")
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| TooHard),
        }
    }

    /// Two characters beyond ASCII fold to ASCII letters here, but not in Java. A text with one of them
    /// is not decided: "no match" would hand it to the next definition, or let a value through that is
    /// to be kept out.
    fn within_reach(&self, text: &str) -> Result<(), TooHard> {
        if self.ignore_case && text.contains(['\u{17f}', '\u{212a}']) {
            return Err(TooHard);
        }
        Ok(())
    }

    /// Whether matching may need many steps for one text.
    pub fn backtracks(&self) -> bool {
        matches!(self.engine, Engine::Backtracking { .. })
    }

    /// Sets of literals, in small letters: of each set at least one occurs in every text that the
    /// pattern covers, whatever the case.
    pub fn needles(&self) -> Vec<Vec<Vec<u8>>> {
        literals::needles(&self.superset)
    }

    /// Whether the host of a URL that is covered is written out in the pattern, so that nobody but its
    /// author chose it.
    pub fn names_host(&self, url: &str) -> bool {
        named::names_host(&self.superset, self.extent, url)
    }

    /// Whether it covers http(s) URLs whose host it does not name.
    pub fn leaves_host_open(&self) -> bool {
        named::leaves_host_open(&self.superset, self.extent)
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
