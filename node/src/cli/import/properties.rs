//! Java's `.properties` format, with Spring's placeholders and relaxed names.
//!
//! Total and bounded: any text gives properties, a name given twice keeps its last value as in Java,
//! and placeholders are resolved within the file only.

use std::collections::BTreeMap;

/// How deep placeholders may lie in each other's values.
const DEPTH_MAX: usize = 8;
/// How many placeholders one value may need.
const PLACEHOLDERS_MAX: usize = 1000;
/// Longest value after placeholders are resolved, in bytes.
const VALUE_MAX: usize = 64 * 1024;

/// One property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Property {
    /// 1-based line on which it begins.
    pub(super) line: usize,
    /// The name as written.
    pub(super) name: String,
    /// The value as written, escapes resolved.
    pub(super) value: String,
}

/// A property that stands in the file again further down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Overridden {
    pub(super) property: Property,
    /// The line that takes its place.
    pub(super) by: usize,
}

impl Property {
    /// The name by which Spring compares: `maxTimeToLive` and `max-time-to-live` are one.
    pub(super) fn canonical(&self) -> String {
        canonical(&self.name)
    }
}

/// A name without case, hyphens and underscores.
pub(super) fn canonical(name: &str) -> String {
    let kept = name.chars().filter(|c| !matches!(c, '-' | '_'));
    kept.flat_map(char::to_lowercase).collect()
}

/// The text of a file: UTF-8, or else Latin-1, which the format was made for.
pub(super) fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}').to_owned(),
        Err(_) => bytes.iter().map(|b| char::from(*b)).collect(),
    }
}

/// Every property of `text`, in the order of first mention, and the mentions that a later one overrides.
pub(super) fn parse(text: &str) -> (Vec<Property>, Vec<Overridden>) {
    let mut found: Vec<Property> = Vec::new();
    let mut overridden = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (line, logical) in logical_lines(text) {
        let (name, value) = split(&logical);
        if name.is_empty() {
            continue;
        }
        let property = Property { line, name, value };
        match places
            .get(&property.canonical())
            .and_then(|at| found.get_mut(*at))
        {
            Some(earlier) => {
                let by = property.line;
                let property = std::mem::replace(earlier, property);
                overridden.push(Overridden { property, by });
            }
            None => {
                places.insert(property.canonical(), found.len());
                found.push(property);
            }
        }
    }
    (found, overridden)
}

/// Lines with continuations joined, without comments and empty ones.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    let text = text.replace("\r\n", "\n");
    for (index, natural) in text.split(['\n', '\r']).enumerate() {
        let natural = natural.trim_start_matches([' ', '\t', '\u{c}']);
        let (number, mut logical) = match open.take() {
            Some(begun) => begun,
            None if natural.is_empty() || natural.starts_with(['#', '!']) => continue,
            None => (index + 1, String::new()),
        };
        let slashes = natural.bytes().rev().take_while(|b| *b == b'\\').count();
        if slashes % 2 == 1 {
            logical.push_str(natural.strip_suffix('\\').unwrap_or(natural));
            open = Some((number, logical));
        } else {
            logical.push_str(natural);
            lines.push((number, logical));
        }
    }
    lines.extend(open);
    lines
}

/// What a file seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    Properties,
    Yaml,
    /// No name has a value.
    Nothing,
}

/// What a text seems to be: Java reads any text as properties, also one in another format.
pub(super) fn looks(text: &str) -> Looks {
    let (mut heading, mut pair) = (false, false);
    for (_, line) in logical_lines(text) {
        let (name, separator, value) = halves(&line);
        match separator {
            Some('=') if !name.is_empty() => return Looks::Properties,
            // Of YAML this is the name of what is indented below it.
            Some(':') if value.is_empty() => heading = true,
            _ => {}
        }
        pair |= !name.is_empty() && (separator.is_some() || !value.is_empty());
    }
    match (heading, pair) {
        (true, _) => Looks::Yaml,
        (false, true) => Looks::Properties,
        (false, false) => Looks::Nothing,
    }
}

/// Name and value of a logical line, unescaped.
fn split(line: &str) -> (String, String) {
    let (name, _, value) = halves(line);
    (unescaped(name), unescaped(value))
}

/// Name, separator and value of a logical line as they are written; a blank separates, too.
fn halves(line: &str) -> (&str, Option<char>, &str) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = !escaped && matches!(c, '=' | ':' | ' ' | '\t' | '\u{c}');
        escaped = c == '\\' && !escaped;
        ends
    });
    let (name, rest) = line
        .split_at_checked(end.unwrap_or(line.len()))
        .unwrap_or((line, ""));
    let blanks = [' ', '\t', '\u{c}'];
    let rest = rest.trim_start_matches(blanks);
    let separator = rest.chars().next().filter(|c| matches!(c, '=' | ':'));
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (name, separator, rest.trim_start_matches(blanks))
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut units: Vec<u16> = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            flush(&mut units, &mut out);
            out.push(c);
            continue;
        }
        let escape = chars.next();
        if escape == Some('u') {
            let hex: String = chars.as_str().chars().take(4).collect();
            let digits = hex.len() == 4 && hex.bytes().all(|b| b.is_ascii_hexdigit());
            if let (true, Ok(unit)) = (digits, u16::from_str_radix(&hex, 16)) {
                // Two of them may be one character.
                units.push(unit);
                chars = chars.as_str().get(4..).unwrap_or_default().chars();
                continue;
            }
        }
        flush(&mut units, &mut out);
        match escape {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some(other) => out.push(other),
            None => {}
        }
    }
    flush(&mut units, &mut out);
    out
}

fn flush(units: &mut Vec<u16>, out: &mut String) {
    let decoded = char::decode_utf16(units.drain(..));
    out.extend(decoded.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

/// The values that placeholders may name.
pub(super) struct Placeholders<'a>(BTreeMap<String, &'a str>);

impl<'a> Placeholders<'a> {
    pub(super) fn of(all: &'a [Property]) -> Self {
        let pairs = all.iter().map(|p| (p.canonical(), p.value.as_str()));
        Self(pairs.collect())
    }

    /// The value with `${name}` and `${name:default}` replaced.
    ///
    /// # Errors
    ///
    /// When a placeholder names something outside the file, or there are too many in each other.
    pub(super) fn resolve(&self, value: &str) -> Result<String, String> {
        let mut left = PLACEHOLDERS_MAX;
        let text = self.expand(value, DEPTH_MAX, &mut left)?;
        Ok(text.trim().to_owned())
    }

    fn expand(&self, value: &str, depth: usize, left: &mut usize) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = value;
        while let Some((before, after)) = rest.split_once("${") {
            let (Some(depth), Some(less)) = (depth.checked_sub(1), left.checked_sub(1)) else {
                return Err("its placeholders do not end".to_owned());
            };
            *left = less;
            out.push_str(before);
            let end = closing(after).ok_or("a placeholder has no end")?;
            let inner = after.get(..end).unwrap_or_default();
            rest = after.get(end + 1..).unwrap_or_default();
            let (name, default) = match inner.split_once(':') {
                Some((name, default)) => (name, Some(default)),
                None => (inner, None),
            };
            let found = self.0.get(&canonical(name)).copied().or(default);
            let found = found.ok_or_else(|| format!("${{{name}}} is set outside this file"))?;
            out.push_str(&self.expand(found, depth, left)?);
            if out.len() > VALUE_MAX {
                return Err("it is too long".to_owned());
            }
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// Where the brace is that ends a placeholder.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}
