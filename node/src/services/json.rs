//! A tolerant JSON reader that remembers the line of every value.
//!
//! Service definitions are written by hand and pasted from many places, so comments, trailing
//! commas, unquoted keys and single-quoted strings are accepted, and an error can name the line
//! and the key. Bounded: text size, nesting and number of values; a key given twice is refused,
//! because which of the two is in force would be a guess. Not a general Hjson reader: values that
//! are neither quoted nor a number, `true`, `false` or `null` are errors.

use std::fmt;

/// Largest definition, in bytes.
pub const TEXT_MAX: usize = 256 * 1024;
const DEPTH_MAX: usize = 32;
const VALUES_MAX: usize = 20_000;

/// What is wrong with a text, and on which line (1-based).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {says}")]
pub struct JsonError {
    /// 1-based line.
    pub line: u32,
    /// What is wrong and what to do.
    pub says: String,
}

/// A value and the line on which it begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// 1-based line.
    pub line: u32,
    /// The value.
    pub value: Value,
}

/// One JSON value; numbers stay text so that nothing is rounded.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as written.
    Number(String),
    /// A string, unescaped.
    String(String),
    /// A list.
    Array(Vec<Node>),
    /// Members in the order of the text.
    Object(Vec<Member>),
}

/// One member of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The key.
    pub key: String,
    /// 1-based line of the key.
    pub line: u32,
    /// Its value.
    pub node: Node,
}

impl Value {
    /// The kind of value in words, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

/// Reads one document.
///
/// # Errors
/// Names the line and what is wrong; nothing of the text beyond a key or a character is repeated.
pub fn parse(text: &str) -> Result<Node, JsonError> {
    if text.len() > TEXT_MAX {
        return Err(JsonError {
            line: 1,
            says: format!("the file is larger than {TEXT_MAX} bytes"),
        });
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser {
        rest: text,
        line: 1,
        values: 0,
    };
    parser.skip_blank()?;
    let node = parser.value(0)?;
    parser.skip_blank()?;
    match parser.peek() {
        None => Ok(node),
        Some(c) => Err(parser.error(format!("{c:?} after the end of the definition"))),
    }
}

struct Parser<'a> {
    rest: &'a str,
    line: u32,
    values: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or("");
        if c == '\n' {
            self.line = self.line.saturating_add(1);
        }
        Some(c)
    }

    fn error(&self, says: impl Into<String>) -> JsonError {
        JsonError {
            line: self.line,
            says: says.into(),
        }
    }

    fn skip_blank(&mut self) -> Result<(), JsonError> {
        loop {
            if self.rest.starts_with("/*") {
                self.block_comment()?;
            } else if self.rest.starts_with("//") || self.rest.starts_with('#') {
                while self.peek().is_some_and(|c| c != '\n') {
                    self.bump();
                }
            } else if self.peek().is_some_and(char::is_whitespace) {
                self.bump();
            } else {
                return Ok(());
            }
        }
    }

    fn block_comment(&mut self) -> Result<(), JsonError> {
        let opened = self.line;
        while !self.rest.starts_with("*/") {
            if self.bump().is_none() {
                return Err(JsonError {
                    line: opened,
                    says: "a comment /* is never closed".into(),
                });
            }
        }
        self.bump();
        self.bump();
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Node, JsonError> {
        if depth > DEPTH_MAX {
            return Err(self.error(format!("nested more than {DEPTH_MAX} levels deep")));
        }
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(self.error(format!("more than {VALUES_MAX} values")));
        }
        let line = self.line;
        let value = match self.peek() {
            Some('{') => self.object(depth)?,
            Some('[') => self.array(depth)?,
            Some('"' | '\'') => Value::String(self.string()?),
            Some(_) => self.word()?,
            None => return Err(self.error("the text ends where a value is expected")),
        };
        Ok(Node { line, value })
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        let opened = self.line;
        self.bump();
        let mut members: Vec<Member> = Vec::new();
        loop {
            self.skip_blank()?;
            match self.peek() {
                Some('}') => {
                    self.bump();
                    return Ok(Value::Object(members));
                }
                None => return Err(self.unclosed('{', opened)),
                Some(_) => {}
            }
            let line = self.line;
            let key = self.key()?;
            if members.iter().any(|m| m.key == key) {
                return Err(self.error(format!("key `{key}` is given twice")));
            }
            self.skip_blank()?;
            if self.peek() != Some(':') {
                return Err(self.error(format!("`:` is missing after the key `{key}`")));
            }
            self.bump();
            self.skip_blank()?;
            let node = self.value(depth + 1)?;
            members.push(Member { key, line, node });
            self.separator('}', '{', opened)?;
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        let opened = self.line;
        self.bump();
        let mut items = Vec::new();
        loop {
            self.skip_blank()?;
            match self.peek() {
                Some(']') => {
                    self.bump();
                    return Ok(Value::Array(items));
                }
                None => return Err(self.unclosed('[', opened)),
                Some(_) => items.push(self.value(depth + 1)?),
            }
            self.separator(']', '[', opened)?;
        }
    }

    fn separator(&mut self, close: char, open: char, opened: u32) -> Result<(), JsonError> {
        self.skip_blank()?;
        match self.peek() {
            Some(',') => {
                self.bump();
                Ok(())
            }
            Some(c) if c == close => Ok(()),
            Some(c) => Err(self.error(format!("`,` or `{close}` is expected, not {c:?}"))),
            None => Err(self.unclosed(open, opened)),
        }
    }

    fn unclosed(&self, open: char, opened: u32) -> JsonError {
        self.error(format!(
            "the text ends, but `{open}` of line {opened} is not closed"
        ))
    }

    fn key(&mut self) -> Result<String, JsonError> {
        if matches!(self.peek(), Some('"' | '\'')) {
            return self.string();
        }
        let word = self.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '@' | '$' | '-'));
        if word.is_empty() {
            return Err(self.error("a key is expected, in double quotes"));
        }
        Ok(word.to_owned())
    }

    fn word(&mut self) -> Result<Value, JsonError> {
        let word = self.take_while(|c| c.is_alphanumeric() || matches!(c, '+' | '-' | '.' | '_'));
        match word {
            "null" => Ok(Value::Null),
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ if word.parse::<f64>().is_ok_and(f64::is_finite) => {
                Ok(Value::Number(word.to_owned()))
            }
            _ => Err(self.error("a value is expected: text goes in double quotes")),
        }
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !accept(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let opened = self.line;
        let quote = self.bump();
        let mut out = String::new();
        loop {
            match self.bump() {
                None | Some('\n') => {
                    return Err(JsonError {
                        line: opened,
                        says: "a string is not closed before the end of its line".into(),
                    });
                }
                c if c == quote => return Ok(out),
                Some('\\') => out.push(self.escape()?),
                Some(c) => out.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        match self.bump() {
            Some(c @ ('"' | '\'' | '\\' | '/')) => Ok(c),
            Some('b') => Ok('\u{8}'),
            Some('f') => Ok('\u{c}'),
            Some('n') => Ok('\n'),
            Some('r') => Ok('\r'),
            Some('t') => Ok('\t'),
            Some('u') => self.unicode_escape(),
            Some(c) => Err(self.error(format!(
                "`\\{c}` is not an escape of JSON: in a pattern write `\\\\{c}`"
            ))),
            None => Err(self.error("the text ends inside a string")),
        }
    }

    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let first = self.hex4()?;
        let code = if (0xd800..0xdc00).contains(&first) && self.rest.starts_with("\\u") {
            self.bump();
            self.bump();
            let second = self.hex4()?;
            0x10000 + ((first - 0xd800) << 10) + (second.wrapping_sub(0xdc00) & 0x3ff)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.error("half of a surrogate pair in a string"))
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.rest.get(..4).unwrap_or("");
        let code = u32::from_str_radix(digits, 16)
            .ok()
            .filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .ok_or_else(|| self.error("`\\u` needs four hexadecimal digits"))?;
        self.rest = self.rest.get(4..).unwrap_or("");
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(text: &str) -> Vec<(String, u32)> {
        match parse(text).unwrap().value {
            Value::Object(members) => members.into_iter().map(|m| (m.key, m.line)).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_and_tolerances() {
        let text = "// note\n{\n  # hash\n  \"a\": 1, /* two\nlines */ b: 'it''s'\n}";
        assert!(parse(text).is_err(), "two strings side by side");
        let text = "// note\n{\n  # hash\n  \"a\": 1, /* two\nlines */ b: 'x',\n}\n";
        assert_eq!(keys(text), [("a".to_owned(), 4), ("b".to_owned(), 5)]);
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line, part) in [
            ("{\n \"a\": 1\n \"b\": 2 }", 3, "`,` or `}`"),
            ("{\n\n \"a\" 1}", 3, "`:` is missing"),
            ("{\"a\": \"^https:\\/\\/a\\.b\"}", 1, "write `\\\\.`"),
            ("{\n\"a\": [1,\n2", 3, "`[` of line 2"),
            ("{\"a\": yes}", 1, "double quotes"),
            ("{\"a\": 1,\n\"a\": 2}", 2, "given twice"),
            ("{\"a\": \"x\n\"}", 1, "not closed"),
            ("{} x", 1, "after the end"),
            ("{\"a\": \"\\ud800\"}", 1, "surrogate"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.says.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn bounds_hold() {
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&" ".repeat(TEXT_MAX + 1)).is_err());
        let many = format!("[{}]", "1,".repeat(VALUES_MAX + 1));
        assert!(parse(&many).is_err());
    }

    #[test]
    fn escapes_are_those_of_json() {
        let node = parse(r#""a\u00e9\ud83d\ude00\n\/""#).unwrap();
        assert_eq!(node.value, Value::String("a\u{e9}\u{1f600}\n/".into()));
    }

    fn to_plain(node: &Node) -> serde_json::Value {
        match &node.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(b) => (*b).into(),
            Value::Number(n) => serde_json::from_str(n).unwrap(),
            Value::String(s) => s.clone().into(),
            Value::Array(items) => items.iter().map(to_plain).collect(),
            Value::Object(members) => members
                .iter()
                .map(|m| (m.key.clone(), to_plain(&m.node)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            ".*".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(".*", inner, 0..6)
                    .prop_map(|m| { serde_json::Value::Object(m.into_iter().collect()) }),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_what_strict_json_reads(value in any_json()) {
            let text = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(to_plain(&parse(&text).unwrap()), value);
        }

        #[test]
        fn never_panics(text in ".{0,200}", noise in "[\\[\\]{}\",:'/*#\\\\u0-9a\n]{0,200}") {
            let _ = parse(&text);
            let _ = parse(&noise);
        }
    }
}
