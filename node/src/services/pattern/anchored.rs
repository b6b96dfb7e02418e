//! Patterns for whole texts that begin with literal text, as those of service URLs do.
//!
//! The literal beginning is compared directly, and only the rest is left to a regular expression. With
//! a thousand patterns this is what keeps each of them cheap: an automaton has a state for every
//! character of a host name, and those of a thousand patterns do not fit the processor's caches.

use regex_syntax::hir::{Hir, HirKind, Look};

/// A pattern that must cover the whole text, whatever the case.
#[derive(Debug, Clone)]
pub(super) struct Anchored {
    /// ASCII, in small letters.
    head: String,
    /// Covers the rest.
    tail: regex::Regex,
}

impl Anchored {
    /// Compiles a pattern in the syntax of the linear engine.
    pub(super) fn compile(pattern: &str, size_limit: usize) -> Result<Self, regex::Error> {
        let whole = |pattern: &str, ignore_case: bool| {
            regex::RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
                .case_insensitive(ignore_case)
                .size_limit(size_limit)
                .build()
        };
        if let Some((head, rest)) = split(pattern) {
            // Its cases are in it already.
            if let Ok(tail) = whole(&rest, false) {
                return Ok(Self { head, tail });
            }
        }
        Ok(Self {
            head: String::new(),
            tail: whole(pattern, true)?,
        })
    }

    /// Whether it covers a text.
    pub(super) fn covers(&self, text: &str) -> bool {
        self.after_head(text)
            .is_some_and(|rest| self.tail.is_match(rest))
    }

    /// The whole text and those of the groups, when it covers the text. No group is in the head.
    pub(super) fn groups(&self, text: &str) -> Option<Vec<Option<String>>> {
        let found = self.tail.captures(self.after_head(text)?)?;
        let groups = found.iter().skip(1);
        let texts = groups.map(|group| group.map(|group| group.as_str().to_owned()));
        Some(
            std::iter::once(Some(text.to_owned()))
                .chain(texts)
                .collect(),
        )
    }

    /// How many groups there are, the whole text included.
    pub(super) fn groups_len(&self) -> usize {
        self.tail.captures_len()
    }

    fn after_head<'t>(&self, text: &'t str) -> Option<&'t str> {
        let (head, rest) = text.split_at_checked(self.head.len())?;
        head.eq_ignore_ascii_case(&self.head).then_some(rest)
    }
}

/// The literal beginning and a pattern for the rest; none when there is nothing to gain, or the rest
/// looks back at what stands before it.
fn split(pattern: &str) -> Option<(String, String)> {
    let hir = regex_syntax::ParserBuilder::new()
        .case_insensitive(true)
        .build()
        .parse(pattern)
        .ok()?;
    let HirKind::Concat(parts) = hir.kind() else {
        return None;
    };
    let mut head = String::new();
    let mut rest = parts.iter().peekable();
    while let Some(part) = rest.peek() {
        match part.kind() {
            HirKind::Look(Look::Start) if head.is_empty() => {}
            _ => match letters(part) {
                Some(letters) => head.push_str(&letters),
                None => break,
            },
        }
        rest.next();
    }
    let rest = Hir::concat(rest.cloned().collect());
    let looks = rest.properties().look_set();
    let looks_ahead = looks.is_empty() || (looks.len() == 1 && looks.contains(Look::End));
    (!head.is_empty() && looks_ahead).then(|| (head, rest.to_string()))
}

/// Text that a part stands for, whatever its case: ASCII without letters, or both cases of a letter.
fn letters(part: &Hir) -> Option<String> {
    match part.kind() {
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok()?;
            let caseless = |c: char| c.is_ascii() && !c.is_ascii_alphabetic();
            text.chars().all(caseless).then(|| text.to_owned())
        }
        HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => {
            let mut members = class.iter().flat_map(|range| range.start()..=range.end());
            let letter = members.next().filter(char::is_ascii_uppercase)?;
            let small = letter.to_ascii_lowercase();
            // The two letters beyond ASCII that fold to `s` and `k` are kept out before.
            let folds = |c: char| c == small || matches!(c, '\u{17f}' | '\u{212a}');
            let both = class.ranges().len() <= 3 && members.all(folds);
            let has_small = class.iter().any(|r| r.start() <= small && small <= r.end());
            (both && has_small).then(|| small.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_taken_as_far_as_they_go() {
        for (pattern, head) in [
            (r"^https://Ask\.example\.edu/.*", "https://ask.example.edu/"),
            (r"^https?://a\.edu", "http"),
            (r"x(y|z)", "x"),
            (r"abc", "abc"),
            (r"a(?-i)b", "a"),
            (r"aé.*", "a"),
            (r"a\bb", ""),
            (r"a|b", ""),
            (r"[ab]c", ""),
            (r"[Aé]c", ""),
            (r"a^b", ""),
            (r"", ""),
        ] {
            let anchored = Anchored::compile(pattern, 1 << 20).unwrap();
            assert_eq!(anchored.head, head, "{pattern}");
        }
    }

    #[test]
    fn groups_are_numbered_as_if_there_were_no_head() {
        let anchored = Anchored::compile(r"ab(c)(d)?(?<e>e.*)", 1 << 20).unwrap();
        assert_eq!(anchored.head, "ab");
        assert_eq!(anchored.groups_len(), 4);
        let groups = anchored.groups("ABcEf").unwrap();
        let texts: Vec<Option<&str>> = groups.iter().map(Option::as_deref).collect();
        assert_eq!(texts, [Some("ABcEf"), Some("c"), None, Some("Ef")]);
        assert_eq!(anchored.groups("xbce"), None);
    }
}
