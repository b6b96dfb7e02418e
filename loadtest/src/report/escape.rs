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

/// A text inside a line or a cell of Markdown.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().map(printable) {
        match c {
            '<' => out.push_str("&lt;"),
            '\\' | '`' | '*' | '[' | ']' | '|' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
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
        assert_eq!(code("a`b\r"), "a'b ");
    }
}
