//! A tolerant JSON reader that remembers the line of every value.
//!
//! Service definitions are written by hand and pasted from many places, and Apereo CAS reads them as
//! Hjson: comments, trailing and missing commas, keys and values without quotes, single quotes, text
//! of several lines in three single quotes, no braces around the whole. The same is accepted here,
//! and an error can name the line and the key. Bounded: text size, nesting and number of values; a
//! key given twice is refused, because which of the two is in force would be a guess, and so is text
//! without quotes that ends in a comma, because Hjson takes the comma as part of it.

use std::fmt;

/// Largest definition, in bytes.
pub const TEXT_MAX: usize = 256 * 1024;
const DEPTH_MAX: usize = 32;
const VALUES_MAX: usize = 20_000;
/// Longest number, in characters.
const PLAIN_MAX: usize = 64;

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
        column: 0,
    };
    parser.skip_blank()?;
    let node = parser.document()?;
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
    /// Characters since the line began.
    column: usize,
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
            self.column = 0;
        } else {
            self.column += 1;
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

    /// The whole text: one value, or members without braces around them.
    fn document(&mut self) -> Result<Node, JsonError> {
        let line = self.line;
        let before = (self.rest, self.line, self.column);
        let begins_bare = !matches!(self.peek(), None | Some('{' | '['))
            && self.key().is_ok()
            && self.skip_blank().is_ok()
            && self.peek() == Some(':');
        (self.rest, self.line, self.column) = before;
        if begins_bare {
            self.values += 1;
            let value = self.members(None, 0)?;
            return Ok(Node { line, value });
        }
        self.value(0)
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
            Some('\'') if self.rest.starts_with("'''") => Value::String(self.lines()?),
            Some('"' | '\'') => Value::String(self.string()?),
            Some(_) => self.word()?,
            None => return Err(self.error("the text ends where a value is expected")),
        };
        Ok(Node { line, value })
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        let opened = self.line;
        self.bump();
        self.members(Some(opened), depth)
    }

    /// Members up to a brace, or to the end of the text when none was opened.
    fn members(&mut self, opened: Option<u32>, depth: usize) -> Result<Value, JsonError> {
        let mut members: Vec<Member> = Vec::new();
        loop {
            self.skip_blank()?;
            match (self.peek(), opened) {
                (Some('}'), Some(_)) => {
                    self.bump();
                    return Ok(Value::Object(members));
                }
                (None, Some(opened)) => return Err(self.unclosed('{', opened)),
                (None, None) => return Ok(Value::Object(members)),
                (Some(_), _) => {}
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
            self.separator(']', '[', Some(opened))?;
        }
    }

    /// A comma, or the end of a line, or the end of the list or object.
    fn separator(&mut self, close: char, open: char, opened: Option<u32>) -> Result<(), JsonError> {
        let line = self.line;
        self.skip_blank()?;
        match (self.peek(), opened) {
            (Some(','), _) => {
                self.bump();
                Ok(())
            }
            (Some(c), Some(_)) if c == close => Ok(()),
            (Some(_), _) if self.line > line => Ok(()),
            (Some(c), _) => Err(self.error(format!("`,` or `{close}` is expected, not {c:?}"))),
            (None, Some(opened)) => Err(self.unclosed(open, opened)),
            (None, None) => Ok(()),
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
        let word = self.take_while(|c| {
            !c.is_whitespace() && !matches!(c, ',' | ':' | '[' | ']' | '{' | '}' | '"' | '\'')
        });
        if word.is_empty() {
            return Err(self.error("a key is expected, in double quotes"));
        }
        Ok(word.to_owned())
    }

    /// A value without quotes: a number, `true`, `false` or `null` when nothing else follows it, or
    /// else text up to the end of the line.
    fn word(&mut self) -> Result<Value, JsonError> {
        if self
            .peek()
            .is_some_and(|c| matches!(c, ',' | ':' | ']' | '}'))
        {
            return Err(self.error("a value is expected: text goes in double quotes"));
        }
        // Nothing plain is longer; looking further would look at a long line again and again.
        let near: String = self.rest.chars().take(PLAIN_MAX).collect();
        let ends = [",", "]", "}", "#", "//", "/*", "\n"];
        let end = ends.iter().filter_map(|end| near.find(end)).min();
        let word = near.get(..end.unwrap_or(near.len())).unwrap_or("").trim();
        let after = self.rest.get(word.len()..).unwrap_or("");
        let after = after.trim_start_matches([' ', '\t', '\r']);
        let ended = after.is_empty() || ends.iter().any(|end| after.starts_with(end));
        let plain = match word {
            "null" => Some(Value::Null),
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ if is_number(word) => Some(Value::Number(word.to_owned())),
            _ => None,
        };
        if let Some(plain) = plain.filter(|_| ended) {
            self.take(word.len());
            return Ok(plain);
        }
        let text = self.rest.split('\n').next().unwrap_or("").trim();
        if text.ends_with(',') {
            return Err(self.error(
                "text without quotes ends in a comma, which would be part of it: put the text in \
                 double quotes",
            ));
        }
        if text.ends_with(['}', ']']) && !text.contains(['{', '[']) {
            return Err(self.error(
                "text without quotes runs to the end of its line, with the bracket: put the text \
                 in double quotes",
            ));
        }
        self.take(text.len());
        Ok(Value::String(text.to_owned()))
    }

    fn take(&mut self, bytes: usize) {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.column += taken.chars().count();
        self.rest = rest;
    }

    /// Text of several lines in three single quotes, without the indentation of the first.
    fn lines(&mut self) -> Result<String, JsonError> {
        let (opened, indent) = (self.line, self.column);
        self.take(3);
        let Some((inside, rest)) = self.rest.split_once("'''") else {
            return Err(JsonError {
                line: opened,
                says: "text in three single quotes is never closed".into(),
            });
        };
        let breaks = inside.matches('\n').count();
        self.line = self
            .line
            .saturating_add(u32::try_from(breaks).unwrap_or(u32::MAX));
        let last = inside.rsplit('\n').next().unwrap_or("");
        let before = if breaks == 0 { self.column } else { 0 };
        self.column = before + last.chars().count() + 3;
        self.rest = rest;
        let mut lines: Vec<&str> = inside
            .split('\n')
            .map(|l| l.trim_end_matches('\r'))
            .collect();
        if lines.len() > 1 && lines.first().is_some_and(|line| line.trim().is_empty()) {
            lines.remove(0);
        }
        if lines.len() > 1 && lines.last().is_some_and(|line| line.trim().is_empty()) {
            lines.pop();
        }
        let without = lines.into_iter().enumerate().map(|(at, line)| {
            let blank = line.chars().take_while(|c| c.is_whitespace()).count();
            let cut = if at == 0 && breaks == 0 {
                0
            } else {
                blank.min(indent)
            };
            line.chars().skip(cut).collect::<String>()
        });
        Ok(without.collect::<Vec<String>>().join("\n"))
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !accept(c)).unwrap_or(self.rest.len());
        let word = self.rest.get(..end).unwrap_or("");
        self.take(end);
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
        self.take(4);
        Ok(code)
    }
}

fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
        && word.parse::<f64>().is_ok_and(f64::is_finite)
}

#[cfg(test)]
mod tests;
