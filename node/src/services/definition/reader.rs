//! Reading the members of a definition, with every finding tied to its line and key.
//!
//! Tolerates what Apereo's reader tolerates: typed collections such as
//! `["java.util.ArrayList", [..]]`, maps with an `@class`, numbers and booleans in quotes, and
//! `null` for absent. A member nobody asked for is reported when the reader is finished.

use crate::services::json::{Member, Node, Value};

/// One thing worth telling, at a line and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// 1-based line.
    pub line: u32,
    /// Path of the key, such as `accessStrategy.enabled`; empty for the whole text.
    pub key: String,
    /// What is the matter and what to do.
    pub says: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.key.is_empty() {
            write!(f, "line {}: {}", self.line, self.says)
        } else {
            write!(f, "line {}, key `{}`: {}", self.line, self.key, self.says)
        }
    }
}

/// What reading a definition found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The definition cannot be used.
    pub errors: Vec<Finding>,
    /// It can, but its author should know.
    pub warnings: Vec<Finding>,
}

impl Report {
    /// Adds an error.
    pub fn error(&mut self, line: u32, key: &str, says: &str) {
        self.errors.push(Finding {
            line,
            key: key.to_owned(),
            says: says.to_owned(),
        });
    }

    /// Puts findings in the order of the lines.
    pub(super) fn sort(&mut self) {
        self.errors.sort_by_key(|finding| finding.line);
        self.warnings.sort_by_key(|finding| finding.line);
    }

    /// Adds a warning.
    pub fn warn(&mut self, line: u32, key: &str, says: &str) {
        self.warnings.push(Finding {
            line,
            key: key.to_owned(),
            says: says.to_owned(),
        });
    }
}

/// Where the classes of Apereo CAS live, now and until version 4.
const OWN_PACKAGES: [&str; 2] = ["org.apereo.cas", "org.jasig.cas"];

/// What to do with members that nobody asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// Tell.
    Warn,
    /// Refuse: inside a policy every member may decide who gets in.
    Refuse,
}

/// The members of one object, ticked off as they are read.
pub(super) struct Fields<'n, 'r> {
    path: String,
    line: u32,
    members: Vec<(&'n Member, bool)>,
    report: &'r mut Report,
}

impl<'n, 'r> Fields<'n, 'r> {
    /// The document itself; reports and returns `None` when it is not an object.
    pub(super) fn of_document(node: &'n Node, report: &'r mut Report) -> Option<Self> {
        match &node.value {
            Value::Object(members) => Some(Self {
                path: String::new(),
                line: node.line,
                members: members.iter().map(|m| (m, false)).collect(),
                report,
            }),
            other => {
                let says = format!("a definition is an object `{{..}}`, not {other}");
                report.error(node.line, "", &says);
                None
            }
        }
    }

    fn key_path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn take(&mut self, key: &str) -> Option<&'n Member> {
        let (member, used) = self.members.iter_mut().find(|(m, _)| m.key == key)?;
        *used = true;
        (member.node.value != Value::Null).then_some(*member)
    }

    fn line_of(&self, key: &str) -> u32 {
        self.members
            .iter()
            .find(|(m, _)| m.key == key)
            .map_or(self.line, |(m, _)| m.line)
    }

    /// Reports an error at a key, or at the object when the key is absent.
    pub(super) fn error_at(&mut self, key: &str, says: &str) {
        let (line, path) = (self.line_of(key), self.key_path(key));
        self.report.error(line, &path, says);
    }

    /// Reports a warning at a key.
    pub(super) fn warn_at(&mut self, key: &str, says: &str) {
        let (line, path) = (self.line_of(key), self.key_path(key));
        self.report.warn(line, &path, says);
    }

    fn wrong_type(&mut self, member: &Member, wanted: &str) {
        let says = format!("must be {wanted}, not {}", member.node.value);
        let path = self.key_path(&member.key);
        self.report.error(member.node.line, &path, &says);
    }

    /// The `@class`, whole.
    pub(super) fn class(&mut self) -> Option<String> {
        self.text("@class")
    }

    /// The last part of the `@class`; empty when it is missing. Classes of foreign packages keep
    /// their whole name, so that nobody takes them for one of the same last name.
    pub(super) fn short_class(&mut self) -> String {
        let class = self.class().unwrap_or_default();
        let (package, short) = class.rsplit_once('.').unwrap_or(("", &class));
        if OWN_PACKAGES.iter().any(|own| package.starts_with(own)) || package.is_empty() {
            short.to_owned()
        } else {
            class
        }
    }

    /// Refuses the object for its class, with what to do.
    pub(super) fn unsupported_class(&mut self, class: &str, remedy: &str) {
        let says = if class.is_empty() {
            format!("is missing; {remedy}")
        } else {
            format!("{class} is not supported; {remedy}")
        };
        self.error_at("@class", &says);
    }

    /// A text; `None` when absent, empty or of another type (which is reported).
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let member = self.take(key)?;
        match &member.node.value {
            Value::String(s) => (!s.trim().is_empty()).then(|| s.clone()),
            _ => {
                self.wrong_type(member, "a string");
                None
            }
        }
    }

    /// A text, number or boolean, as text.
    pub(super) fn scalar(&mut self, key: &str) -> Option<String> {
        let member = self.take(key)?;
        let text = text_of(&member.node);
        if text.is_none() {
            self.wrong_type(member, "a string or a number");
        }
        text.filter(|text| !text.trim().is_empty())
    }

    /// A text that must be there, of at most `max` bytes.
    pub(super) fn required_text(&mut self, key: &str, max: usize) -> Option<String> {
        let before = self.report.errors.len();
        let text = self.text(key);
        match &text {
            None if self.report.errors.len() == before => self.error_at(key, "is required"),
            Some(text) if text.len() > max => {
                self.error_at(key, &format!("is longer than {max} bytes"));
            }
            _ => {}
        }
        text
    }

    /// A whole number; also in quotes.
    pub(super) fn number(&mut self, key: &str) -> Option<i64> {
        let member = self.take(key)?;
        let parsed = match &member.node.value {
            Value::Number(n) | Value::String(n) => n.trim().parse().ok(),
            _ => None,
        };
        if parsed.is_none() {
            self.wrong_type(member, "a whole number");
        }
        parsed
    }

    /// A whole number that must be there.
    pub(super) fn required_number(&mut self, key: &str) -> Option<i64> {
        let before = self.report.errors.len();
        let number = self.number(key);
        if number.is_none() && self.report.errors.len() == before {
            self.error_at(key, "is required");
        }
        number
    }

    /// `evaluationOrder`, 0 when absent.
    pub(super) fn order(&mut self) -> i32 {
        let order = self.number("evaluationOrder").unwrap_or(0);
        i32::try_from(order).unwrap_or_else(|_| {
            self.error_at("evaluationOrder", "does not fit 32 bits");
            0
        })
    }

    /// A boolean; also in quotes.
    pub(super) fn flag(&mut self, key: &str, default: bool) -> bool {
        let Some(member) = self.take(key) else {
            return default;
        };
        match &member.node.value {
            Value::Bool(b) => *b,
            Value::String(s) if s.eq_ignore_ascii_case("true") => true,
            Value::String(s) if s.eq_ignore_ascii_case("false") => false,
            _ => {
                self.wrong_type(member, "true or false");
                default
            }
        }
    }

    /// An http or https URL.
    pub(super) fn web_url(&mut self, key: &str) -> Option<String> {
        let url = self.text(key)?;
        if is_web_url(&url) {
            return Some(url);
        }
        self.error_at(key, "must be an http or https URL");
        None
    }

    /// A nested object.
    pub(super) fn object(&mut self, key: &str) -> Option<Fields<'n, '_>> {
        let member = self.take(key)?;
        let path = self.key_path(key);
        match &member.node.value {
            Value::Object(members) => Some(self.inner(&path, member.node.line, members)),
            _ => {
                self.wrong_type(member, "an object");
                None
            }
        }
    }

    /// A list of texts, plain or typed; `None` when absent.
    pub(super) fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let member = self.take(key)?;
        let list = texts_of(&member.node);
        if list.is_none() {
            self.wrong_type(member, "a list of strings");
        }
        list
    }

    /// A map from a name to texts; `None` when absent.
    pub(super) fn text_map(&mut self, key: &str) -> Option<Vec<(String, Vec<String>)>> {
        let member = self.take(key)?;
        let map = match &member.node.value {
            Value::Object(members) => members
                .iter()
                .filter(|m| m.key != "@class")
                .map(|m| texts_of(&m.node).map(|list| (m.key.clone(), list)))
                .collect(),
            _ => None,
        };
        if map.is_none() {
            self.wrong_type(member, "a map from attribute names to lists of strings");
        }
        map
    }

    /// Hands each object of a list to a function; typed lists too.
    pub(super) fn each(&mut self, key: &str, mut read: impl FnMut(Fields<'n, '_>)) {
        let Some(member) = self.take(key) else { return };
        let path = self.key_path(key);
        for item in items_of(&member.node).unwrap_or_default() {
            let Value::Object(members) = &item.value else {
                self.wrong_type(member, "a list of objects");
                return;
            };
            read(self.inner(&path, item.line, members));
        }
        if items_of(&member.node).is_none() {
            self.wrong_type(member, "a list of objects");
        }
    }

    /// Hands each member of an object, which are objects again, to a function.
    pub(super) fn each_named(&mut self, key: &str, mut read: impl FnMut(&str, Fields<'n, '_>)) {
        let Some(member) = self.take(key) else { return };
        let Value::Object(members) = &member.node.value else {
            self.wrong_type(member, "an object of objects");
            return;
        };
        for inner in members.iter().filter(|m| m.key != "@class") {
            let path = format!("{}.{}", self.key_path(key), inner.key);
            let Value::Object(fields) = &inner.node.value else {
                self.wrong_type(member, "an object of objects");
                return;
            };
            read(&inner.key, self.inner(&path, inner.line, fields));
        }
    }

    fn inner(&mut self, path: &str, line: u32, members: &'n [Member]) -> Fields<'n, '_> {
        Fields {
            path: path.to_owned(),
            line,
            members: members.iter().map(|m| (m, false)).collect(),
            report: self.report,
        }
    }

    /// Whether a member is there and says something; does not tick it off.
    pub(super) fn says(&self, key: &str) -> bool {
        let found = self.members.iter().find(|(m, _)| m.key == key);
        found.is_some_and(|(m, _)| says_something(&m.node))
    }

    /// Line of a member, for what is found wrong with it later.
    pub(super) fn line(&self, key: &str) -> u32 {
        self.line_of(key)
    }

    /// Warns of a member that is present and says something.
    pub(super) fn warn_if_set(&mut self, key: &str, says: &str) {
        if self.take(key).is_some_and(|m| says_something(&m.node)) {
            self.warn_at(key, says);
        }
    }

    /// Reports an error at a line and a path below this object.
    pub(super) fn error_on(&mut self, line: u32, key: &str, says: &str) {
        let path = self.key_path(key);
        self.report.error(line, &path, says);
    }

    /// Reports a warning at a line and a path below this object.
    pub(super) fn warn_on(&mut self, line: u32, key: &str, says: &str) {
        let path = self.key_path(key);
        self.report.warn(line, &path, says);
    }

    /// Ticks members off without a word.
    pub(super) fn ignore(&mut self, keys: &[&str]) {
        for (member, used) in &mut self.members {
            *used |= keys.contains(&member.key.as_str());
        }
    }

    /// Refuses a member that is present and says something.
    pub(super) fn refuse_if_set(&mut self, key: &str, remedy: &str) {
        let set = self.take(key).is_some_and(|m| says_something(&m.node));
        if set {
            self.error_at(key, &format!("is not supported: {remedy}"));
        }
    }

    /// Drops the object without looking at what is left.
    pub(super) fn abandon(mut self) {
        self.members.clear();
    }

    /// Reports what nobody asked for.
    pub(super) fn finish(mut self, unknown: Unknown) {
        let left: Vec<&Member> = self
            .members
            .iter()
            .filter(|(m, used)| !used && m.key != "@class" && says_something(&m.node))
            .map(|(m, _)| *m)
            .collect();
        for member in left {
            let policy_like = ["Policy", "Strategy", "Provider"]
                .iter()
                .any(|end| member.key.ends_with(end));
            if unknown == Unknown::Refuse || policy_like {
                let says = "is not known here and could change who gets in or what is released; \
                            remove it if it is not needed";
                self.error_at(&member.key, says);
            } else {
                self.warn_at(&member.key, "is unknown and ignored");
            }
        }
    }
}

/// Whether a URL is http or https, without user, control characters or blanks.
pub(super) fn is_web_url(url: &str) -> bool {
    let lower = url.to_ascii_lowercase();
    let rest = lower
        .strip_prefix("https://")
        .or_else(|| lower.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        !authority.is_empty()
            && !authority.contains(['@', '\\'])
            && !url.chars().any(|c| c.is_control() || c.is_whitespace())
    })
}

fn says_something(node: &Node) -> bool {
    match &node.value {
        Value::Null => false,
        Value::Array(items) => items.iter().any(|i| match &i.value {
            Value::String(s) => !s.starts_with("java.util."),
            _ => says_something(i),
        }),
        Value::Object(members) => members.iter().any(|m| m.key != "@class"),
        Value::String(s) => !s.is_empty(),
        _ => true,
    }
}

/// The items of a list, plain or typed as in `["java.util.ArrayList", [..]]`.
fn items_of(node: &Node) -> Option<&[Node]> {
    let Value::Array(items) = &node.value else {
        return None;
    };
    if let [tag, list] = items.as_slice()
        && let (Value::String(tag), Value::Array(inner)) = (&tag.value, &list.value)
        && tag.starts_with("java.util.")
    {
        return Some(inner);
    }
    Some(items)
}

/// A list of texts, or a single text. Numbers and booleans are texts too.
fn texts_of(node: &Node) -> Option<Vec<String>> {
    match items_of(node) {
        Some(items) => items.iter().map(text_of).collect(),
        None => text_of(node).map(|text| vec![text]),
    }
}

fn text_of(node: &Node) -> Option<String> {
    match &node.value {
        Value::String(text) | Value::Number(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
