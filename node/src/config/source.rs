//! Where values come from: one TOML file, then environment variables, then `--set`.
//!
//! Later layers win key by key. Every value keeps its origin, so that a message can name the file
//! and line, the variable or the option. Unknown keys are found here, with the nearest known one.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::schema::Problem;

/// Largest configuration or secret file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: usize,
    },
    /// An environment variable, by name.
    Env(String),
    /// The command line.
    Set,
}

impl Origin {
    /// What a message begins with: the place of the value, a colon and a space.
    pub fn prefix(&self) -> String {
        match self {
            Self::Default => String::new(),
            Self::File { path, line } => format!("{}:{line}: ", path.display()),
            Self::Env(name) => format!("{name}: "),
            Self::Set => "--set ".to_owned(),
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Set => f.write_str("--set"),
        }
    }
}

/// A value before its type is known.
#[derive(Clone, Debug)]
pub enum Raw {
    /// From the file.
    Toml(toml::Value),
    /// From an override.
    Text(String),
}

/// A value and its origin.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The value.
    pub raw: Raw,
    /// Where it came from.
    pub origin: Origin,
}

/// Everything a configuration is made from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The configuration file; `None` reads none.
    pub file: Option<PathBuf>,
    /// Environment variables; those without the prefix `CASTOR_` or without `__` are ignored.
    pub env: Vec<(String, String)>,
    /// Arguments of `--set`, each `section.key=value`.
    pub set: Vec<String>,
}

impl Sources {
    /// The file and options given, with this process's environment.
    pub fn with_environment(file: Option<PathBuf>, set: Vec<String>) -> Self {
        // A variable that is not UTF-8 is nobody's configuration.
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| env_key(name).is_some())
            .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
            .collect();
        Self { file, env, set }
    }

    /// Reads the file, when one is named.
    ///
    /// # Errors
    ///
    /// Why it cannot be read, with the remedy.
    pub fn read(&self) -> Result<String, Problem> {
        let Some(path) = &self.file else {
            return Ok(String::new());
        };
        read_bounded(path).map_err(|error| {
            Problem::new(format!(
                "{}: cannot read the configuration: {error}; name another file with --config",
                path.display()
            ))
        })
    }

    /// Merges the layers; `text` is what the file says and `known` holds every key that may be set.
    pub fn merge(&self, text: &str, known: &[String]) -> (BTreeMap<String, Entry>, Vec<Problem>) {
        let mut entries = BTreeMap::new();
        let mut problems = Vec::new();
        if let Some(path) = &self.file {
            merge_file(path, text, known, &mut entries, &mut problems);
        }
        for (name, value) in &self.env {
            let Some(key) = env_key(name) else { continue };
            let origin = Origin::Env(name.clone());
            insert_text(key, value, origin, known, &mut entries, &mut problems);
        }
        for argument in &self.set {
            let Some((key, value)) = argument.split_once('=') else {
                problems.push(Problem::new(format!(
                    "--set {argument}: write it as section.key=value"
                )));
                continue;
            };
            let key = key.trim().to_owned();
            let file = format!("{key}_file");
            if known.contains(&file) {
                // Only a secret has a file beside it.
                problems.push(Problem::new(format!(
                    "--set {key}: a secret on the command line is seen by everybody on this \
                     machine; write it to a file and use --set {file}=PATH"
                )));
                continue;
            }
            insert_text(key, value, Origin::Set, known, &mut entries, &mut problems);
        }
        problems.extend(both_ways(&entries));
        (entries, problems)
    }
}

/// Reads a text file of at most 1 MiB.
///
/// # Errors
///
/// What the system said, or that the file is too large or not UTF-8.
pub fn read_bounded(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other("larger than 1 MiB"));
    }
    Ok(text)
}

/// `CASTOR_HTTP__TLS__KEY` → `http.tls.key`; `None` when the variable is not ours.
fn env_key(name: &str) -> Option<String> {
    let rest = name.strip_prefix("CASTOR_")?;
    rest.contains("__")
        .then(|| rest.to_ascii_lowercase().replace("__", "."))
}

fn insert_text(
    key: String,
    value: &str,
    origin: Origin,
    known: &[String],
    entries: &mut BTreeMap<String, Entry>,
    problems: &mut Vec<Problem>,
) {
    if known.contains(&key) {
        // A secret given in a later layer replaces the file named in an earlier one, and the reverse.
        entries.remove(&format!("{key}_file"));
        if let Some(inline) = key.strip_suffix("_file") {
            entries.remove(inline);
        }
        let raw = Raw::Text(value.to_owned());
        entries.insert(key, Entry { raw, origin });
    } else {
        problems.push(unknown(&key, &origin, known));
    }
}

fn merge_file(
    path: &Path,
    text: &str,
    known: &[String],
    entries: &mut BTreeMap<String, Entry>,
    problems: &mut Vec<Problem>,
) {
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            let says = error.message().replace('\n', ", ");
            problems.push(Problem::new(format!(
                "{}:{line}: not valid TOML: {says}",
                path.display()
            )));
            return;
        }
    };
    let mut walk = Walk {
        path,
        text,
        known,
        entries,
        problems,
    };
    walk.table("", table.get_ref());
}

struct Walk<'a> {
    path: &'a Path,
    text: &'a str,
    known: &'a [String],
    entries: &'a mut BTreeMap<String, Entry>,
    problems: &'a mut Vec<Problem>,
}

impl Walk<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = match prefix {
                "" => name.get_ref().to_string(),
                _ => format!("{prefix}.{}", name.get_ref()),
            };
            let origin = Origin::File {
                path: self.path.to_owned(),
                line: line_of(self.text, name.span().start),
            };
            let is_section = || {
                let below = format!("{key}.");
                self.known.iter().any(|known| known.starts_with(&below))
            };
            if self.known.contains(&key) {
                match to_toml(value.get_ref()) {
                    Some(value) => {
                        let raw = Raw::Toml(value);
                        self.entries.insert(key, Entry { raw, origin });
                    }
                    None => self.problems.push(Problem::new(format!(
                        "{}{key}: the number is too large",
                        origin.prefix()
                    ))),
                }
            } else if !is_section() {
                self.problems.push(unknown(&key, &origin, self.known));
            } else if let DeValue::Table(inner) = value.get_ref() {
                self.table(&key, inner);
            } else {
                self.problems.push(Problem::new(format!(
                    "{}{key}: this is a section; write [{key}] and its keys below it",
                    origin.prefix()
                )));
            }
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

fn to_toml(value: &DeValue<'_>) -> Option<toml::Value> {
    Some(match value {
        DeValue::String(text) => toml::Value::String(text.to_string()),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
            toml::Value::Integer(number)
        }
        DeValue::Float(number) => toml::Value::Float(number.as_str().parse().ok()?),
        DeValue::Boolean(truth) => toml::Value::Boolean(*truth),
        DeValue::Datetime(date) => toml::Value::Datetime(*date),
        DeValue::Array(items) => toml::Value::Array(
            items
                .iter()
                .map(|item| to_toml(item.get_ref()))
                .collect::<Option<_>>()?,
        ),
        DeValue::Table(table) => toml::Value::Table(
            table
                .iter()
                .map(|(name, value)| Some((name.get_ref().to_string(), to_toml(value.get_ref())?)))
                .collect::<Option<_>>()?,
        ),
    })
}

/// A secret given both inline and as a file in the same layer leaves open which one counts.
fn both_ways(entries: &BTreeMap<String, Entry>) -> Vec<Problem> {
    entries
        .iter()
        .filter_map(|(key, entry)| {
            let inline = key.strip_suffix("_file")?;
            entries.contains_key(inline).then(|| {
                Problem::new(format!(
                    "{}{key}: {inline} is set too; keep one of them",
                    entry.origin.prefix()
                ))
            })
        })
        .collect()
}

fn unknown(key: &str, origin: &Origin, known: &[String]) -> Problem {
    let hint = match nearest(key, known) {
        Some(near) => format!("did you mean {near}?"),
        None => "`castor config reference` lists every key".to_owned(),
    };
    Problem::new(format!("{}{key}: unknown key; {hint}", origin.prefix()))
}

/// The known key with the smallest edit distance, when it is near enough to be meant.
fn nearest<'a>(key: &str, known: &'a [String]) -> Option<&'a str> {
    let sections = known.iter().filter_map(|key| Some(key.rsplit_once('.')?.0));
    // A key far longer than any known one is not a slip of the pen, and comparing it costs time.
    if key.len() > 120 {
        return None;
    }
    known
        .iter()
        .map(String::as_str)
        .chain(sections)
        .map(|candidate| (edit_distance(key, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= 2 + candidate.len() / 4)
        .map(|(_, candidate)| candidate)
        .or_else(|| shortened(key, known))
}

/// The longest known key that the unknown one goes on from, as `http.listen_address` does.
fn shortened<'a>(key: &str, known: &'a [String]) -> Option<&'a str> {
    let goes_on = |candidate: &&str| {
        let rest = key.strip_prefix(candidate);
        rest.is_some_and(|rest| rest.starts_with(['_', '-']))
    };
    let candidates = known.iter().map(String::as_str).filter(goes_on);
    candidates.max_by_key(|candidate| candidate.len())
}

/// Number of inserted, removed, replaced or swapped characters between `a` and `b`.
fn edit_distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (row[j] + usize::from(x != y)).min(row[j + 1] + 1);
            cost = cost.min(next[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before[j - 1] + 1);
            }
            next.push(cost);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_counts_single_slips_as_one() {
        for (a, b, distance) in [
            ("", "", 0),
            ("listen", "listen", 0),
            ("lisetn", "listen", 1),
            ("lsten", "listen", 1),
            ("listten", "listen", 1),
            ("lostem", "listen", 2),
            ("abc", "", 3),
        ] {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
        }
    }

    #[test]
    fn only_variables_with_two_underscores_are_keys() {
        assert_eq!(
            env_key("CASTOR_HTTP__TLS__KEY").as_deref(),
            Some("http.tls.key")
        );
        assert_eq!(env_key("CASTOR_HOME"), None);
        assert_eq!(env_key("OTHER__KEY"), None);
    }
}
