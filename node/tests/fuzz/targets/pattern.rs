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
    let matches = |pattern: &Pattern| super::within(MOST, || pattern.matches(url));
    let full = full.as_ref().map(matches);
    let part = part.as_ref().map(matches);
    if let (Ok(Ok(true)), Ok(Ok(part))) = (full, part) {
        assert!(part, "what covers the whole text is found in it");
    }
}
