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
    /// Some of it is whatever the case, by a flag of its own.
    pub(super) folds: bool,
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
        classes: Vec::new(),
        item: Item::Start,
        needs_backtracking: false,
        folds: false,
        quantified: Quantified::No,
    };
    while translator.step()? {}
    if !translator.classes.is_empty() {
        return Err(error("a character class `[` is not closed"));
    }
    if !translator.groups.is_empty() {
        return Err(error("unclosed group: a `(` has no `)`"));
    }
    Ok(Translated {
        text: translator.out,
        needs_backtracking: translator.needs_backtracking,
        folds: translator.folds,
        superset: translator.superset,
    })
}

fn error(says: impl Into<String>) -> PatternError {
    PatternError(says.into())
}

/// What stands before a quantifier.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quantified {
    /// Something that can be repeated.
    No,
    /// A quantifier, which may be followed by `?` or `+`.
    Once,
    /// Something that Java repeats in no way, or in a way of its own.
    Never,
}

/// What stands before a dash in a class.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Item {
    /// Nothing.
    Start,
    /// A character, with which a range may begin.
    Single,
    /// The dash of a range.
    Dash,
    /// A range or another class: a dash after it is a character.
    Whole,
}

struct Translator<'a> {
    rest: &'a str,
    out: String,
    superset: String,
    /// Of each open group: where a look-around began in the superset, which has none.
    groups: Vec<Option<usize>>,
    /// Of each open class: whether it is negated.
    classes: Vec<bool>,
    /// The last thing in the innermost class.
    item: Item,
    needs_backtracking: bool,
    folds: bool,
    quantified: Quantified,
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
            // An empty quote is nothing at all.
            if !self.rest.starts_with("Q\\E") {
                self.quantified = Quantified::No;
            }
            self.escape()?;
        } else if self.classes.is_empty() {
            self.outside(c)?;
        } else {
            self.in_class(c)?;
        }
        Ok(true)
    }

    fn outside(&mut self, c: char) -> Result<(), PatternError> {
        let before = std::mem::replace(&mut self.quantified, Quantified::No);
        match c {
            '+' | '?' if before == Quantified::Once => {
                self.quantified = Quantified::Never;
                if c == '+' {
                    self.needs_backtracking = true;
                    // Giving back covers more.
                    self.out.push(c);
                } else {
                    self.put(c);
                }
            }
            '*' | '+' | '?' | '{' if before != Quantified::No => {
                return Err(error(format!(
                    "`{c}` follows another quantifier, or what cannot be repeated"
                )));
            }
            '*' | '+' | '?' => {
                self.quantified = Quantified::Once;
                self.put(c);
            }
            '{' => self.counted()?,
            '[' => self.open_class()?,
            '(' => self.group()?,
            ')' => self.end_of_group()?,
            '.' => self.put_str(r"[^\n\r\x{85}\x{2028}\x{2029}]"),
            '$' => {
                self.quantified = Quantified::Never;
                if self.loose_end {
                    self.put_str(r"(?:\r\n|[\n\r\x{85}\x{2028}\x{2029}])?\z");
                } else {
                    self.put(c);
                }
            }
            '^' => {
                self.quantified = Quantified::Never;
                self.put(c);
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
        self.quantified = Quantified::Once;
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
        self.folds |= flags.contains('i');
        match flags.chars().find(|c| !matches!(c, 'i' | 's' | 'm' | '-')) {
            None if !flags.is_empty() => Ok(()),
            Some(flag) => Err(error(format!(
                "the flag `(?{flag})` is not supported; i, s and m are"
            ))),
            None => Err(error("`(?` begins no group that is supported")),
        }
    }

    fn end_of_group(&mut self) -> Result<(), PatternError> {
        let Some(group) = self.groups.pop() else {
            return Err(error("a `)` has no `(`; a literal one is `\\)`"));
        };
        self.put(')');
        if let Some(began) = group {
            self.superset.truncate(began);
            self.superset.push_str("(?:)");
        }
        Ok(())
    }

    fn open_class(&mut self) -> Result<(), PatternError> {
        // Versions of Java differ in what the outer `^` is about.
        if self.classes.contains(&true) {
            return Err(error(
                "a class within a negated class `[^...]`; write what it holds without brackets",
            ));
        }
        self.put('[');
        let negated = self.rest.strip_prefix('^');
        if let Some(rest) = negated {
            self.rest = rest;
            self.put('^');
        }
        if self.rest.starts_with(']') {
            return Err(error("a character class is empty; a literal `]` is `\\]`"));
        }
        if self.rest.starts_with(':') && !self.classes.is_empty() {
            return Err(error(
                "`[[:name:]]` means something else in Java; write \\p{Alpha}, \\p{Digit} ...",
            ));
        }
        self.classes.push(negated.is_some());
        self.item = Item::Start;
        Ok(())
    }

    fn in_class(&mut self, c: char) -> Result<(), PatternError> {
        match c {
            // The end of a range is a character, whichever it is.
            _ if self.item == Item::Dash => self.member(c),
            '[' => self.open_class()?,
            ']' => {
                self.classes.pop();
                self.item = Item::Whole;
                self.put(']');
            }
            '-' if self.rest.starts_with('-') => {
                return Err(error(
                    "`--` inside a character class; a literal dash is `\\-`",
                ));
            }
            '-' if self.item == Item::Single && !self.rest.starts_with(['[', ']']) => {
                self.item = Item::Dash;
                self.put('-');
            }
            '-' => {
                self.literal('-');
                self.item = Item::Whole;
            }
            '&' if self.rest.starts_with('&') => self.intersection()?,
            _ => self.member(c),
        }
        Ok(())
    }

    /// `&&` between two classes.
    fn intersection(&mut self) -> Result<(), PatternError> {
        let right = self.rest.get(1..).unwrap_or_default();
        let negated = self.classes.last() == Some(&true);
        if negated || self.item == Item::Start || right.starts_with(['&', ']']) {
            return Err(error(
                "`&&` must stand between two classes, as in [a-z&&[^x]], and not in `[^...]`",
            ));
        }
        self.rest = right;
        self.item = Item::Start;
        self.put_str("&&");
        Ok(())
    }

    /// A character of a class that was written without a backslash.
    fn member(&mut self, c: char) {
        if matches!(c, '^' | '&' | '~' | '-' | '[' | ']') {
            self.literal(c);
        } else {
            self.put(c);
        }
        self.is_single();
    }

    /// A character that stands for itself, in a class or not.
    fn single(&mut self, c: char) {
        self.literal(c);
        self.is_single();
    }

    /// What was put is one character, also as the end of a range.
    fn is_single(&mut self) {
        self.item = match self.item {
            Item::Dash => Item::Whole,
            Item::Start | Item::Single | Item::Whole => Item::Single,
        };
    }

    /// A class that stands for several characters.
    fn set(&mut self, class: &str) -> Result<(), PatternError> {
        if self.item == Item::Dash && !self.classes.is_empty() {
            return Err(error("a range in a character class ends in a class"));
        }
        self.item = Item::Whole;
        self.put_str(class);
        Ok(())
    }

    fn escape(&mut self) -> Result<(), PatternError> {
        let Some(c) = self.take() else {
            return Err(error("the pattern ends in a single backslash"));
        };
        let in_class = !self.classes.is_empty();
        match c {
            'Q' => self.quoted()?,
            'd' => self.set("[0-9]")?,
            'w' => self.set("[a-zA-Z0-9_]")?,
            's' => self.set(r"[\t\n\x0B\x0C\r\x20]")?,
            'D' => self.set("[^0-9]")?,
            'W' => self.set("[^a-zA-Z0-9_]")?,
            'S' => self.set(r"[^\t\n\x0B\x0C\r\x20]")?,
            't' | 'n' | 'r' | 'f' | 'a' => {
                self.copy_escape(c);
                self.is_single();
            }
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
            _ => self.single(c),
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
    fn quoted(&mut self) -> Result<(), PatternError> {
        if self.item == Item::Dash && !self.classes.is_empty() {
            return Err(error("a range in a character class ends in `\\Q`"));
        }
        let (text, rest) = match self.rest.split_once("\\E") {
            Some((text, rest)) => (text, rest),
            None => (self.rest, ""),
        };
        self.rest = rest;
        for c in text.chars() {
            self.single(c);
        }
        Ok(())
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
        self.is_single();
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
            self.set(&format!("[{caret}[:{class}:]]"))?;
        } else if let Some(category) = general_category(name) {
            let p = if negated { 'P' } else { 'p' };
            self.set(&format!(r"\{p}{{{category}}}"))?;
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
