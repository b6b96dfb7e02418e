//! From the syntax of `java.util.regex` to the syntax of the engines here.
//!
//! One pass over the pattern. Java's defaults are ASCII (`\d`, `\w`, `\s`, `\p{Alpha}`), the
//! engines' are Unicode, so each class is written out. Constructs that exist on both sides with
//! different meaning (`a++`, `\<`, `(?U)`, `\v`, `[[:x:]]`, `--` inside a class) are the reason
//! for this file: passing them through would change what a definition covers.

use super::PatternError;

/// A translated pattern and what it needs to run.
pub(super) struct Translated {
    pub(super) text: String,
    pub(super) needs_backtracking: bool,
    /// Covers at least what `text` covers, without anything that needs backtracking.
    pub(super) superset: String,
}

/// Rewrites a Java pattern.
///
/// In `part` of a text `$` also stands before a line end that ends the text, as in Java's `find`.
pub(super) fn translate(source: &str, part: bool) -> Result<Translated, PatternError> {
    let mut translator = Translator {
        rest: source,
        loose_end: part,
        out: String::with_capacity(source.len() + 16),
        superset: String::with_capacity(source.len() + 16),
        groups: Vec::new(),
        class_depth: 0,
        needs_backtracking: false,
        after_quantifier: false,
    };
    while translator.step()? {}
    if translator.class_depth > 0 {
        return Err(error("a character class `[` is not closed"));
    }
    Ok(Translated {
        text: translator.out,
        needs_backtracking: translator.needs_backtracking,
        superset: translator.superset,
    })
}

fn error(says: impl Into<String>) -> PatternError {
    PatternError(says.into())
}

struct Translator<'a> {
    rest: &'a str,
    out: String,
    superset: String,
    /// Of each open group: where a look-around began in the superset, which has none.
    groups: Vec<Option<usize>>,
    class_depth: usize,
    needs_backtracking: bool,
    after_quantifier: bool,
    /// Whether `$` also stands before the last line end.
    loose_end: bool,
}

impl Translator<'_> {
    fn take(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or("");
        Some(c)
    }

    fn put(&mut self, c: char) {
        self.out.push(c);
        self.superset.push(c);
    }

    fn put_str(&mut self, text: &str) {
        self.out.push_str(text);
        self.superset.push_str(text);
    }

    fn step(&mut self) -> Result<bool, PatternError> {
        let Some(c) = self.take() else {
            return Ok(false);
        };
        if c == '\\' {
            self.after_quantifier = false;
            self.escape()?;
        } else if self.class_depth > 0 {
            self.in_class(c)?;
        } else {
            self.outside(c)?;
        }
        Ok(true)
    }

    fn outside(&mut self, c: char) -> Result<(), PatternError> {
        let was_quantifier = std::mem::take(&mut self.after_quantifier);
        match c {
            '[' => self.open_class()?,
            '(' => self.group()?,
            ')' => self.end_of_group(),
            '.' => self.put_str(r"[^\n\r\x{85}\x{2028}\x{2029}]"),
            '+' if was_quantifier => {
                self.needs_backtracking = true;
                // Giving back covers more.
                self.out.push(c);
            }
            '?' if was_quantifier => self.put(c),
            '*' | '+' | '?' if was_quantifier => {
                return Err(error(format!("`{c}` follows another quantifier")));
            }
            '*' | '+' | '?' => {
                self.after_quantifier = true;
                self.put(c);
            }
            '{' => self.counted()?,
            '$' if self.loose_end => {
                self.put_str(r"(?:\r\n|[\n\r\x{85}\x{2028}\x{2029}])?\z");
            }
            _ => self.put(c),
        }
        Ok(())
    }

    fn counted(&mut self) -> Result<(), PatternError> {
        let inner = self.rest.split('}').next().unwrap_or("");
        let mut parts = inner.split(',');
        let low_ok = parts.next().is_some_and(is_number);
        let high_ok = parts
            .next()
            .is_none_or(|high| high.is_empty() || is_number(high));
        if !low_ok || !high_ok || parts.next().is_some() || inner.len() == self.rest.len() {
            return Err(error(
                "`{` must begin a count such as {2} or {1,3}; a literal brace is `\\{`",
            ));
        }
        self.put('{');
        self.put_str(inner);
        self.put('}');
        self.rest = self.rest.get(inner.len() + 1..).unwrap_or("");
        self.after_quantifier = true;
        Ok(())
    }

    fn group(&mut self) -> Result<(), PatternError> {
        let Some(spec) = self.rest.strip_prefix('?') else {
            self.groups.push(None);
            self.put('(');
            return Ok(());
        };
        for kind in ["=", "!", "<=", "<!", ">"] {
            if let Some(rest) = spec.strip_prefix(kind) {
                self.needs_backtracking = true;
                self.rest = rest;
                self.out.push_str("(?");
                self.out.push_str(kind);
                self.groups
                    .push((kind != ">").then_some(self.superset.len()));
                self.superset.push_str("(?:");
                return Ok(());
            }
        }
        self.groups.push(None);
        self.put('(');
        if spec.starts_with(':') || spec.starts_with('<') {
            return Ok(());
        }
        let flags: String = spec
            .chars()
            .take_while(|c| !matches!(c, ':' | ')'))
            .collect();
        // `(?m)` gives `$` a meaning that it has here too.
        self.loose_end &= !flags.contains('m');
        match flags.chars().find(|c| !matches!(c, 'i' | 's' | 'm' | '-')) {
            None if !flags.is_empty() => Ok(()),
            Some(flag) => Err(error(format!(
                "the flag `(?{flag})` is not supported; i, s and m are"
            ))),
            None => Err(error("`(?` begins no group that is supported")),
        }
    }

    fn end_of_group(&mut self) {
        self.put(')');
        if let Some(began) = self.groups.pop().flatten() {
            self.superset.truncate(began);
            self.superset.push_str("(?:)");
        }
    }

    fn open_class(&mut self) -> Result<(), PatternError> {
        self.class_depth += 1;
        self.put('[');
        if let Some(rest) = self.rest.strip_prefix('^') {
            self.rest = rest;
            self.put('^');
        }
        if self.rest.starts_with(']') {
            return Err(error("a character class is empty; a literal `]` is `\\]`"));
        }
        if self.rest.starts_with(':') && self.class_depth > 1 {
            return Err(error(
                "`[[:name:]]` means something else in Java; write \\p{Alpha}, \\p{Digit} ...",
            ));
        }
        Ok(())
    }

    fn in_class(&mut self, c: char) -> Result<(), PatternError> {
        match c {
            '[' => self.open_class()?,
            ']' => {
                self.class_depth -= 1;
                self.put(']');
            }
            '-' if self.rest.starts_with('-') => {
                return Err(error(
                    "`--` inside a character class; a literal dash is `\\-`",
                ));
            }
            '~' if self.rest.starts_with('~') => self.put_str(r"\~"),
            _ => self.put(c),
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), PatternError> {
        let Some(c) = self.take() else {
            return Err(error("the pattern ends in a single backslash"));
        };
        let in_class = self.class_depth > 0;
        match c {
            'Q' => self.quoted(),
            'd' if in_class => self.put_str("0-9"),
            'w' if in_class => self.put_str("a-zA-Z0-9_"),
            's' if in_class => self.put_str(r"\t\n\x0B\x0C\r\x20"),
            'd' => self.put_str("[0-9]"),
            'w' => self.put_str("[a-zA-Z0-9_]"),
            's' => self.put_str(r"[\t\n\x0B\x0C\r\x20]"),
            'D' => self.put_str("[^0-9]"),
            'W' => self.put_str("[^a-zA-Z0-9_]"),
            'S' => self.put_str(r"[^\t\n\x0B\x0C\r\x20]"),
            't' | 'n' | 'r' | 'f' | 'a' => self.copy_escape(c),
            'A' | 'z' | 'b' if !in_class => self.copy_escape(c),
            'x' | 'u' => self.hex(c)?,
            'p' | 'P' => self.property(c == 'P')?,
            '1'..='9' if !in_class => {
                let digits = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
                self.reference(c, self.rest.len() - digits.len());
            }
            'k' if !in_class && self.rest.starts_with('<') => {
                let name = self.rest.find('>').map_or(self.rest.len(), |end| end + 1);
                self.reference(c, name);
            }
            _ if c.is_ascii_alphanumeric() => {
                return Err(error(format!("the escape `\\{c}` is not supported here")));
            }
            _ => self.literal(c),
        }
        Ok(())
    }

    /// A back-reference with `len` more bytes; the superset takes any text in its place.
    fn reference(&mut self, c: char, len: usize) {
        self.needs_backtracking = true;
        self.out.push('\\');
        self.out.push(c);
        self.out.push_str(self.rest.get(..len).unwrap_or(""));
        self.rest = self.rest.get(len..).unwrap_or("");
        self.superset.push_str("(?s:.*)");
    }

    fn copy_escape(&mut self, c: char) {
        self.put('\\');
        self.put(c);
    }

    fn literal(&mut self, c: char) {
        if c.is_ascii_punctuation() && !matches!(c, '<' | '>' | '/' | '"' | '\'' | '%' | '@') {
            self.put('\\');
        }
        self.put(c);
    }

    /// `\Q..\E`: everything between is literal; without `\E` it runs to the end.
    fn quoted(&mut self) {
        let (text, rest) = match self.rest.split_once("\\E") {
            Some((text, rest)) => (text, rest),
            None => (self.rest, ""),
        };
        self.rest = rest;
        for c in text.chars() {
            self.literal(c);
        }
    }

    fn hex(&mut self, kind: char) -> Result<(), PatternError> {
        let braced = self.rest.strip_prefix('{').filter(|_| kind == 'x');
        let (digits, used) = match braced {
            Some(inner) => {
                let digits = inner.split('}').next().unwrap_or("");
                (digits, digits.len() + 2)
            }
            None => {
                let len = if kind == 'x' { 2 } else { 4 };
                (self.rest.get(..len).unwrap_or(""), len)
            }
        };
        let code = u32::from_str_radix(digits, 16)
            .ok()
            .and_then(char::from_u32);
        let Some(c) = code.filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit())) else {
            return Err(error(format!(
                "`\\{kind}` needs a hexadecimal character code"
            )));
        };
        self.rest = self.rest.get(used..).unwrap_or("");
        self.put_str(&format!(r"\x{{{:x}}}", u32::from(c)));
        Ok(())
    }

    fn property(&mut self, negated: bool) -> Result<(), PatternError> {
        let name = match self.rest.strip_prefix('{') {
            Some(inner) => inner.split('}').next().unwrap_or(""),
            None => self.rest.get(..1).unwrap_or(""),
        };
        let used = name.len() + if self.rest.starts_with('{') { 2 } else { 0 };
        if let Some(class) = posix(name) {
            let caret = if negated { "^" } else { "" };
            self.put_str(&format!("[{caret}[:{class}:]]"));
        } else if let Some(category) = general_category(name) {
            let p = if negated { 'P' } else { 'p' };
            self.put_str(&format!(r"\{p}{{{category}}}"));
        } else {
            return Err(error(format!("the class `\\p{{{name}}}` is not supported")));
        }
        self.rest = self.rest.get(used..).unwrap_or("");
        Ok(())
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit())
}

/// Java's POSIX classes are ASCII only.
fn posix(name: &str) -> Option<&'static str> {
    Some(match name {
        "Alpha" => "alpha",
        "Digit" => "digit",
        "Alnum" => "alnum",
        "Upper" => "upper",
        "Lower" => "lower",
        "Punct" => "punct",
        "Space" => "space",
        "XDigit" => "xdigit",
        "ASCII" => "ascii",
        "Graph" => "graph",
        "Print" => "print",
        "Blank" => "blank",
        "Cntrl" => "cntrl",
        _ => return None,
    })
}

/// General categories such as `L` or `Lu`, also with Java's prefix `Is`.
fn general_category(name: &str) -> Option<&str> {
    const KNOWN: [&str; 14] = [
        "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "N", "Nd", "P", "S", "Z", "Zs", "C",
    ];
    let name = name.strip_prefix("Is").unwrap_or(name);
    KNOWN.contains(&name).then_some(name)
}
