//! Java patterns and the URLs they are compared with.

use castor_node::services::pattern::{Extent, PATTERN_MAX, Pattern};

/// What a compiled pattern may take, and as much again while it is compiled or at work.
const MOST: usize = 64 << 20;

/// A pattern, a line feed, a text.
pub fn pattern(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (source, url) = text
        .split_once('\n')
        .unwrap_or((text, "https://a.example.edu/"));
    let compile = |extent| super::within(MOST, || Pattern::compile(source, extent, true));
    let (full, part) = (compile(Extent::Full), compile(Extent::Part));
    if source.len() > PATTERN_MAX {
        assert!(full.is_err() && part.is_err());
    }
    if !is_balanced(source) {
        assert!(full.is_err() && part.is_err(), "Java refuses it");
    }
    let matches = |pattern: &Pattern| super::within(MOST, || pattern.matches(url));
    if let Ok(pattern) = &full
        && matches(pattern) == Ok(true)
        && super::within(MOST, || pattern.names_host(url))
        && let Some(other) = elsewhere(url)
        && !source.contains("nobody")
    {
        assert_ne!(pattern.matches(&other), Ok(true), "{other} too");
    }
    let full = full.as_ref().map(matches);
    let part = part.as_ref().map(matches);
    if let (Ok(Ok(true)), Ok(Ok(part))) = (full, part) {
        assert!(part, "what covers the whole text is found in it");
    }
}

/// Whether every bracket of a Java pattern has its other one.
fn is_balanced(source: &str) -> bool {
    let (mut groups, mut classes) = (0_u32, 0_u32);
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => match rest.strip_prefix('Q') {
                Some(quoted) => rest = quoted.split_once("\\E").map_or("", |(_, rest)| rest),
                None => {
                    let escaped = rest.chars().next().map_or(0, char::len_utf8);
                    rest = &rest[escaped..];
                }
            },
            '[' => classes += 1,
            ']' if classes > 0 => classes -= 1,
            '(' if classes == 0 => groups += 1,
            ')' if classes == 0 => match groups.checked_sub(1) {
                Some(left) => groups = left,
                None => return false,
            },
            _ => {}
        }
    }
    groups == 0 && classes == 0
}

/// The URL on a host that nobody named.
fn elsewhere(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    let host = match authority.find(']') {
        Some(bracket) if authority.starts_with('[') => bracket + 1,
        _ => authority.find(':').unwrap_or(authority.len()),
    };
    let port = &authority[host..];
    Some(format!("{scheme}://nobody.invalid{port}{after}"))
}
