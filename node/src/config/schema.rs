//! The one table behind the parser, the reference and `config show`.
//!
//! Each section is written once with [`section!`]: the doc comment, the type, the default, the range
//! and whether a reload takes the key stand beside each other, and everything else is derived from
//! that. It does not know where values come from ([`super::source`]) nor what they mean together
//! (the `check` of each section).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::source::{Entry, Origin, Raw};
use super::value::Value;

/// Whether a running node takes a changed value of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// SIGHUP or a changed file is enough.
    Reload,
    /// The node must be restarted.
    Restart,
}

/// What is known about one key, from the same source as its parser.
#[derive(Clone, Debug)]
pub struct KeySpec {
    /// Full dotted name, such as `http.tls.certificate`.
    pub key: String,
    /// The doc comment, one paragraph.
    pub doc: String,
    /// What a value looks like, such as `a duration such as "10s"`.
    pub expected: &'static str,
    /// The default as it would be written on the command line; empty when there is none.
    pub default: &'static str,
    /// The default as TOML; absent when the key is unset by default.
    pub default_toml: Option<toml::Value>,
    /// Smallest and largest allowed value.
    pub range: Option<(&'static str, &'static str)>,
    /// Whether a reload takes it.
    pub change: Change,
    /// Whether the value is a secret that is never shown and may also stand in a file.
    pub secret: bool,
}

/// One thing that is wrong, told in one line with its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(pub String);

impl Problem {
    /// Says this in one line whatever it quotes: control characters are written as their escapes.
    pub fn new(says: impl AsRef<str>) -> Self {
        let says = says.as_ref();
        let mut line = String::with_capacity(says.len());
        for character in says.chars() {
            if character.is_control() {
                line.extend(character.escape_default());
            } else {
                line.push(character);
            }
        }
        Self(line)
    }
}

/// A group of keys below one dotted name.
pub trait Section: Sized {
    /// Dotted name of the section, empty for the root.
    const NAME: &'static str;
    /// Appends the section's heading and keys, and those of its subsections, in order.
    fn describe(out: &mut Vec<SectionSpec>);
    /// Takes the section's values out of `reader`; `None` when a problem was noted.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;
    /// Takes over what a reload may change from a newer configuration.
    fn adopt(&mut self, newer: &Self);
}

/// A section's heading and its own keys.
#[derive(Clone, Debug)]
pub struct SectionSpec {
    /// Dotted name.
    pub name: &'static str,
    /// The doc comment of the section.
    pub doc: String,
    /// Keys that stand directly in it.
    pub keys: Vec<KeySpec>,
}

/// A value in force and where it came from.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Full dotted name.
    pub key: String,
    /// The value as TOML; absent when unset.
    pub value: Option<toml::Value>,
    /// Where it came from.
    pub origin: Origin,
    /// Whether it must not be shown.
    pub secret: bool,
    /// Whether a reload takes it.
    pub change: Change,
}

/// Hands out the merged values, section by section, and gathers what is wrong with them.
pub struct Reader<'a> {
    entries: &'a BTreeMap<String, Entry>,
    file: Option<&'a Path>,
    base: &'a Path,
    /// Values in force so far.
    pub resolved: Vec<Resolved>,
    /// What is wrong so far.
    pub problems: Vec<Problem>,
    /// The keys of secrets so far, each with the file that holds it.
    pub secret_files: Vec<(String, PathBuf)>,
}

impl<'a> Reader<'a> {
    /// Reads from merged `entries`; relative paths written in `file` start at its folder.
    pub fn new(entries: &'a BTreeMap<String, Entry>, file: Option<&'a Path>) -> Self {
        Self {
            entries,
            file,
            base: file.and_then(Path::parent).unwrap_or(Path::new("")),
            resolved: Vec::new(),
            problems: Vec::new(),
            secret_files: Vec::new(),
        }
    }

    /// Reads one key; notes a problem and returns `None` when it is missing or does not fit.
    pub fn take<T: Value>(&mut self, spec: &KeySpec) -> Option<T> {
        let entry = match self.entries.get(&spec.key) {
            Some(entry) => {
                if let (true, Origin::File { path, .. }) = (T::SECRET, &entry.origin) {
                    self.secret_files.push((spec.key.clone(), path.clone()));
                }
                entry.clone()
            }
            None if T::SECRET => match self.secret_from_file(&spec.key)? {
                Some(entry) => entry,
                None => return self.take_default(spec),
            },
            None => return self.take_default(spec),
        };
        let base = match entry.origin {
            Origin::File { .. } => self.base,
            Origin::Default | Origin::Env(_) | Origin::Set => Path::new(""),
        };
        let value = match &entry.raw {
            Raw::Toml(value) => value.clone(),
            Raw::Text(text) => T::text_to_toml(text),
        };
        let parsed = match T::from_toml(&value, base) {
            Ok(parsed) => parsed,
            Err(mismatch) => {
                let found = if T::SECRET {
                    "something else".to_owned()
                } else {
                    describe_found(&value)
                };
                let why = mismatch.0.map(|d| format!(" ({d})")).unwrap_or_default();
                self.note(
                    &entry.origin,
                    &spec.key,
                    &format!("expected {}, found {found}{why}", T::EXPECTED),
                );
                return None;
            }
        };
        if let Some((low, high)) = spec.range
            && !within::<T>(&parsed, low, high)
        {
            self.note(
                &entry.origin,
                &spec.key,
                &format!(
                    "{} is out of range; use {low} to {high}",
                    describe_found(&value)
                ),
            );
            return None;
        }
        self.record::<T>(spec, Some(value), entry.origin);
        Some(parsed)
    }

    fn take_default<T: Value>(&mut self, spec: &KeySpec) -> Option<T> {
        let value = spec.default_toml.clone();
        let parsed = match &value {
            Some(value) => T::from_toml(value, Path::new("")).ok(),
            None => T::absent(),
        };
        if parsed.is_none() {
            let says = format!("must be set to {}", T::EXPECTED);
            self.note(&Origin::Default, &spec.key, &says);
        }
        self.record::<T>(spec, value, Origin::Default);
        parsed
    }

    fn record<T: Value>(&mut self, spec: &KeySpec, value: Option<toml::Value>, origin: Origin) {
        self.resolved.push(Resolved {
            key: spec.key.clone(),
            value,
            origin,
            secret: T::SECRET,
            change: spec.change,
        });
    }

    /// The secret that `<key>_file` names; the outer `None` says that a problem was noted.
    fn secret_from_file(&mut self, key: &str) -> Option<Option<Entry>> {
        let file_key = format!("{key}_file");
        let Some(entry) = self.entries.get(&file_key).cloned() else {
            return Some(None);
        };
        let text = match &entry.raw {
            Raw::Text(text) => text.clone(),
            Raw::Toml(toml::Value::String(text)) => text.clone(),
            Raw::Toml(other) => {
                let found = describe_found(other);
                let says = format!("expected the path of a file with the secret, found {found}");
                self.note(&entry.origin, &file_key, &says);
                return None;
            }
        };
        let path = match entry.origin {
            Origin::File { .. } => self.base.join(text),
            Origin::Default | Origin::Env(_) | Origin::Set => text.into(),
        };
        match super::source::read_bounded(&path) {
            Ok(secret) => {
                self.secret_files.push((file_key, path));
                Some(Some(Entry {
                    raw: Raw::Text(secret.trim_end_matches(['\n', '\r']).to_owned()),
                    origin: entry.origin,
                }))
            }
            Err(error) => {
                let says = format!(
                    "cannot read {}: {error}; make it readable for the service",
                    path.display()
                );
                self.note(&entry.origin, &file_key, &says);
                None
            }
        }
    }

    /// Notes a problem of `key`, told with the place its value came from.
    pub fn note(&mut self, origin: &Origin, key: &str, says: &str) {
        // A key that is missing belongs into the file.
        let place = match (origin, self.file) {
            (Origin::Default, Some(file)) => format!("{}: ", file.display()),
            _ => origin.prefix(),
        };
        self.problems
            .push(Problem::new(format!("{place}{key}: {says}")));
    }

    /// Notes a problem of `key` wherever its value came from.
    pub fn note_key(&mut self, key: &str, says: &str) {
        let origin = self
            .entries
            .get(key)
            .map_or(Origin::Default, |entry| entry.origin.clone());
        self.note(&origin, key, says);
    }
}

fn within<T: Value>(parsed: &T, low: &str, high: &str) -> bool {
    let bound = |text: &str| {
        T::from_toml(&T::text_to_toml(text), Path::new(""))
            .ok()
            .and_then(|v| v.magnitude())
    };
    match (parsed.magnitude(), bound(low), bound(high)) {
        (Some(value), Some(low), Some(high)) => (low..=high).contains(&value),
        // An unset optional value has no magnitude and nothing to be out of.
        _ => true,
    }
}

/// How a message names a value that was found: its kind, and the value itself when it is short.
fn describe_found(value: &toml::Value) -> String {
    let shown = value.to_string();
    let kind = match value {
        toml::Value::String(_) => "",
        toml::Value::Integer(_) => "integer ",
        toml::Value::Float(_) => "float ",
        toml::Value::Boolean(_) => "boolean ",
        toml::Value::Datetime(_) => "date ",
        toml::Value::Array(_) => "list ",
        toml::Value::Table(_) => return "a table".to_owned(),
    };
    match shown.char_indices().nth(60) {
        Some((cut, _)) => format!("{kind}{}…", shown.get(..cut).unwrap_or_default()),
        None => format!("{kind}{shown}"),
    }
}

/// The doc comment's lines as one paragraph.
pub fn paragraph(lines: &[&str]) -> String {
    lines
        .iter()
        .map(|line| line.trim())
        .collect::<Vec<_>>()
        .join(" ")
        .trim()
        .to_owned()
}

/// Makes the [`KeySpec`] of a key whose type is `T`.
pub fn spec<T: Value>(
    section: &str,
    name: &str,
    doc: &[&str],
    default: &'static str,
    range: Option<(&'static str, &'static str)>,
    change: Change,
) -> KeySpec {
    let default_toml =
        (!default.is_empty() || T::EMPTY_IS_A_VALUE).then(|| T::text_to_toml(default));
    KeySpec {
        key: format!("{section}.{name}"),
        doc: paragraph(doc),
        expected: T::EXPECTED,
        default,
        default_toml,
        range,
        change,
        secret: T::SECRET,
    }
}

/// Declares a section: a struct, its keys with default, range and reload, and its subsections.
macro_rules! section {
    (
        $(#[doc = $doc:literal])+
        pub struct $Name:ident($name:literal) {
            $(
                $(#[doc = $kdoc:literal])+
                $key:ident: $Type:ty = $default:literal $(in $low:literal..=$high:literal)?,
                    $change:ident;
            )*
        }
        $(sections { $( $(#[doc = $sdoc:literal])+ $sub:ident: $Sub:ty, )+ })?
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug)]
        pub struct $Name {
            $( $(#[doc = $kdoc])+ pub $key: $Type, )*
            $($( $(#[doc = $sdoc])+ pub $sub: $Sub, )+)?
        }

        impl $crate::config::schema::Section for $Name {
            const NAME: &'static str = $name;

            fn describe(out: &mut Vec<$crate::config::schema::SectionSpec>) {
                out.push($crate::config::schema::SectionSpec {
                    name: $name,
                    doc: $crate::config::schema::paragraph(&[$($doc),+]),
                    keys: vec![$(
                        $crate::config::schema::section!(
                            @spec $name, $key, [$($kdoc),+], $Type, $default,
                            [$($low, $high)?], $change
                        ),
                    )*],
                });
                $($( <$Sub as $crate::config::schema::Section>::describe(out); )+)?
            }

            fn read(reader: &mut $crate::config::schema::Reader<'_>) -> Option<Self> {
                $(
                    let $key: Option<$Type> = reader.take(&$crate::config::schema::section!(
                        @spec $name, $key, [$($kdoc),+], $Type, $default,
                        [$($low, $high)?], $change
                    ));
                )*
                $($(
                    let $sub = <$Sub as $crate::config::schema::Section>::read(reader);
                )+)?
                Some(Self {
                    $( $key: $key?, )*
                    $($( $sub: $sub?, )+)?
                })
            }

            // A section without keys, or with none that a reload takes, has nothing to do here.
            #[allow(unused_variables, reason = "depends on the section")]
            fn adopt(&mut self, newer: &Self) {
                $( $crate::config::schema::section!(@adopt $change, self.$key, newer.$key); )*
                $($(
                    $crate::config::schema::Section::adopt(&mut self.$sub, &newer.$sub);
                )+)?
            }
        }
    };
    (@adopt Reload, $old:expr, $new:expr) => { $old = $new.clone() };
    (@adopt Restart, $old:expr, $new:expr) => {};
    (@spec $name:literal, $key:ident, [$($kdoc:literal),+], $Type:ty, $default:literal,
        [], $change:ident) => {
        $crate::config::schema::spec::<$Type>(
            $name, stringify!($key), &[$($kdoc),+], $default, None,
            $crate::config::schema::Change::$change,
        )
    };
    (@spec $name:literal, $key:ident, [$($kdoc:literal),+], $Type:ty, $default:literal,
        [$low:literal, $high:literal], $change:ident) => {
        $crate::config::schema::spec::<$Type>(
            $name, stringify!($key), &[$($kdoc),+], $default, Some(($low, $high)),
            $crate::config::schema::Change::$change,
        )
    };
}
pub(crate) use section;
