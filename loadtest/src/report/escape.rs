//! Texts from a record, as they may stand in a page or in Markdown.
//!
//! Promises: what comes out holds no markup and no control character, so that a record can change
//! neither page nor terminal. Does not: shorten; records are bounded.

use std::fmt;

/// A text inside an element or a quoted attribute.
pub struct Html<'a>(pub &'a str);

impl fmt::Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for c in self.0.chars().map(printable) {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A text inside a line or a cell of Markdown, or at the beginning of a line.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    if begins_a_block(text) {
        out.push('\\');
    }
    let mut before = None;
    let mut rest = text.chars().map(printable).peekable();
    while let Some(c) = rest.next() {
        let within_a_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            // Within a word it is no mark, and names of figures stay as they are.
            '_' if within_a_word(before) && within_a_word(rest.peek().copied()) => out.push(c),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
        before = Some(c);
    }
    out
}

/// Whether a line of this text would be a heading, a quotation, an item of a list or a rule.
fn begins_a_block(text: &str) -> bool {
    let line = |mark: char| text.len() > 2 && text.trim_end().chars().all(|c| c == mark);
    let Some(mark @ ('#' | '>' | '-' | '+' | '=')) = text.chars().next() else {
        return false;
    };
    let rest = text.trim_start_matches(mark);
    matches!(mark, '#' | '>') || rest.starts_with(' ') || line(mark)
}

/// A text inside a code span of Markdown; the span's own mark is replaced.
pub fn code(text: &str) -> String {
    text.chars()
        .map(printable)
        .map(|c| if c == '`' { '\'' } else { c })
        .collect()
}

/// Spaces for what moves a cursor, turns the direction of writing or is not allowed in XML.
fn printable(c: char) -> char {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || turns || matches!(c, '\u{fffe}' | '\u{ffff}') {
        ' '
    } else {
        c
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        let hostile = "<b a=\"1\" c='2'>&\u{1b}[31m\u{202e}";
        assert_eq!(
            Html(hostile).to_string(),
            "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp; [31m "
        );
        assert_eq!(
            markdown("a|b\n`<i>` [x](y)"),
            "a\\|b \\`&lt;i>\\` \\[x\\](y)"
        );
        assert_eq!(markdown("a&lt; _b_ c_d"), "a&amp;lt; \\_b\\_ c_d");
        for (text, safe) in [
            ("# a", "\\# a"),
            ("> a", "\\> a"),
            ("- a", "\\- a"),
            ("---", "\\---"),
            ("-", "-"),
            ("-5", "-5"),
        ] {
            assert_eq!(markdown(text), safe);
        }
        assert_eq!(code("a`b\r"), "a'b ");
    }
}
