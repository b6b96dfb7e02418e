//! Decides property by property, and puts the keys together into a castor.toml that the loader accepts.

use std::collections::BTreeMap;

use toml::Value;

use super::super::Failure;
use super::super::table::harmless;
use super::properties::{self, Placeholders, Property};
use super::rules::{self, What};
use super::values::{self, Keys, Mapped};
use crate::config::{self, Sources};

/// What the result is called.
const NAME: &str = "castor.toml";

/// Castor's defaults of `authn.throttle.user_failures` and `authn.throttle.window`.
const THROTTLE_FAILURES: i64 = 5;
const THROTTLE_WINDOW_MS: u64 = 15 * 60 * 1_000;

/// What became of a property.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Castor has it, by these keys.
    Mapped(Keys),
    /// Castor does so anyway, or does not need it.
    Anyway,
    /// A later line of the file takes its place.
    Overridden,
    /// Castor has no counterpart.
    NotSupported {
        /// Whether somebody could rely on it to keep people out.
        security: bool,
    },
}

/// A property and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) verdict: Verdict,
    pub(super) note: String,
}

impl Outcome {
    /// Whether somebody must look at it before people sign in.
    pub(super) fn matters(&self) -> bool {
        self.verdict == Verdict::NotSupported { security: true }
    }
}

/// A whole file.
#[derive(Debug)]
pub(super) struct Import {
    /// In the order of the file.
    pub(super) outcomes: Vec<Outcome>,
    /// Each key with its value and the property it is from.
    keys: BTreeMap<&'static str, (Value, String)>,
}

/// Judges every property of a file.
///
/// # Errors
///
/// When the result is not accepted by the loader, which the tests rule out for what they know.
pub(super) fn import(text: &str) -> Result<Import, Failure> {
    let (all, overridden) = properties::parse(text);
    let placeholders = Placeholders::of(&all);
    let ranked =
        |property: &Property| rules::rule(&property.canonical()).map_or(usize::MAX, |(at, _)| at);
    // The newer name of a thing stands first in the table, and wins.
    let mut order: Vec<&Property> = all.iter().collect();
    order.sort_by_cached_key(|property| ranked(property));
    let mut import = Import {
        outcomes: Vec::new(),
        keys: BTreeMap::new(),
    };
    for property in order {
        let outcome = judge(property, &placeholders, &mut import.keys);
        import.outcomes.push(outcome);
    }
    import.public_url(&all, &placeholders);
    import.idle_within_life();
    import.pause_within_window();
    import.weaker_throttle();
    import
        .outcomes
        .extend(overridden.into_iter().map(|earlier| Outcome {
            line: earlier.property.line,
            name: earlier.property.name,
            verdict: Verdict::Overridden,
            note: format!("line {} says it again, and counts", earlier.by),
        }));
    import.outcomes.sort_by_key(|outcome| outcome.line);
    match accepted(&import.toml("")) {
        Ok(()) => Ok(import),
        Err(says) => Err(anyhow::anyhow!("the result is not accepted: {says}").into()),
    }
}

fn judge(
    property: &Property,
    placeholders: &Placeholders<'_>,
    keys: &mut BTreeMap<&'static str, (Value, String)>,
) -> Outcome {
    let canonical = property.canonical();
    let value = placeholders.resolve(&property.value);
    let value = value.and_then(|value| match value.starts_with("{c") {
        true => Err("is encrypted".to_owned()),
        false => Ok(value),
    });
    let refused = |security: bool, note: String| (Verdict::NotSupported { security }, note);
    let (verdict, note) = match rules::rule(&canonical).map(|(_, what)| what) {
        None => refused(rules::is_telling(&canonical), "not known".to_owned()),
        Some(What::Anyway(why)) => (Verdict::Anyway, (*why).to_owned()),
        Some(What::Missing(why)) => refused(true, (*why).to_owned()),
        Some(What::Dropped(why)) => refused(false, (*why).to_owned()),
        Some(What::AnywayIf(fine, why)) => match value {
            Ok(value) if fine.contains(&value.as_str()) => (Verdict::Anyway, (*why).to_owned()),
            Ok(_) | Err(_) => refused(true, format!("this value has no counterpart: {why}")),
        },
        Some(What::Map(map, security)) => {
            match value
                .and_then(|value| map(&value))
                .and_then(|new| taken(new, keys))
            {
                Ok(new) => {
                    for (key, value) in &new {
                        keys.insert(key, (value.clone(), property.name.clone()));
                    }
                    mapped(new)
                }
                Err(why) => refused(*security, why),
            }
        }
    };
    Outcome {
        line: property.line,
        name: property.name.clone(),
        verdict,
        note,
    }
}

fn mapped(keys: Keys) -> (Verdict, String) {
    if keys.is_empty() {
        return (Verdict::Anyway, "not set".to_owned());
    }
    let note: Vec<String> = keys
        .iter()
        .map(|(key, value)| format!("{key} = {value}"))
        .collect();
    (Verdict::Mapped(keys), note.join(", "))
}

/// The keys, when the loader takes each and no other property has said otherwise.
fn taken(new: Keys, keys: &BTreeMap<&'static str, (Value, String)>) -> Mapped {
    for (key, value) in &new {
        if let Some((other, from)) = keys.get(key)
            && other != value
        {
            return Err(format!(
                "{from} says otherwise, and it is the one that counts"
            ));
        }
    }
    let mut together: Vec<(&'static str, &Value)> =
        new.iter().map(|(key, value)| (*key, value)).collect();
    // Alone, one of these two would be judged against the other's default.
    let pair = ["tickets.tgt.max_life", "tickets.tgt.idle"];
    if let [(key, value)] = *together.as_slice()
        && pair.contains(&key)
    {
        together = pair.map(|key| (key, value)).to_vec();
    }
    accepted(&written(together.into_iter(), |_| String::new()))?;
    Ok(new)
}

/// Whether the loader takes it; else what it says, without the place.
fn accepted(toml: &str) -> Result<(), String> {
    let sources = Sources {
        // Not read: it is where the text is from.
        file: Some(NAME.into()),
        // The name of this machine need not be one of a node.
        set: vec!["node.name=import".to_owned()],
        ..Default::default()
    };
    match config::load_text(&sources, toml) {
        Ok(_) => Ok(()),
        Err(error) => {
            let lines = error
                .problems
                .iter()
                .map(|problem| without_place(&problem.0));
            Err(lines.collect::<Vec<_>>().join("; "))
        }
    }
}

/// `castor.toml:3: key: says` without file and line, which nobody has seen yet.
fn without_place(problem: &str) -> &str {
    let after = problem
        .strip_prefix(NAME)
        .and_then(|rest| rest.strip_prefix(':'));
    let after = after.and_then(|rest| rest.split_once(": "));
    after.map_or(problem, |(_, says)| says)
}

/// TOML of the keys, by section; `beside` is a comment for each.
fn written<'a>(
    keys: impl Iterator<Item = (&'static str, &'a Value)>,
    beside: impl Fn(&str) -> String,
) -> String {
    let mut sections: BTreeMap<&str, String> = BTreeMap::new();
    for (key, value) in keys {
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        let line = format!("{name} = {value}{}\n", beside(key));
        sections.entry(section).or_default().push_str(&line);
    }
    let texts = sections
        .iter()
        .map(|(name, lines)| format!("\n[{name}]\n{lines}"));
    texts.collect()
}

impl Import {
    /// How many properties somebody must look at.
    pub(super) fn security_relevant(&self) -> usize {
        self.outcomes.iter().filter(|o| o.matters()).count()
    }

    /// The castor.toml, made from a file called `name`.
    pub(super) fn toml(&self, name: &str) -> String {
        let keys = self.keys.iter().map(|(key, (value, _))| (*key, value));
        let beside = |key: &str| match self.keys.get(key) {
            Some((_, from)) => format!("  # {}", harmless(from)),
            None => String::new(),
        };
        format!(
            "# From {name}. Each node also needs: node.name, [cluster], [http.tls] or a local\n\
             # http.listen, http.trusted_proxies, authn.file.path.\n{}",
            written(keys, beside)
        )
    }

    /// With `cas.server.name` alone, the address people see is that and the path.
    fn public_url(&mut self, all: &[Property], placeholders: &Placeholders<'_>) {
        let name = all.iter().find(|p| p.canonical() == "cas.server.name");
        let Some(name) = name.filter(|_| !self.keys.contains_key("http.public_url")) else {
            return;
        };
        let prefix = match self.keys.get("http.prefix") {
            Some((Value::String(prefix), _)) => prefix.clone(),
            _ => "/cas".to_owned(),
        };
        let whole = |value: String| {
            let url = format!("{}{prefix}", value.trim_end_matches('/'));
            values::server_prefix(&url).and_then(|new| taken(new, &self.keys))
        };
        let outcome = placeholders.resolve(&name.value).and_then(whole);
        let (verdict, note) = match outcome {
            Ok(new) => {
                for (key, value) in &new {
                    let from = || (value.clone(), name.name.clone());
                    self.keys.entry(key).or_insert_with(from);
                }
                mapped(new)
            }
            Err(why) => (Verdict::NotSupported { security: false }, why),
        };
        if let Some(row) = self.outcomes.iter_mut().find(|o| o.line == name.line) {
            (row.verdict, row.note) = (verdict, note);
        }
    }

    /// Apereo lets the longest pause be longer than the longest life, where it means nothing.
    fn idle_within_life(&mut self) {
        let most = ("tickets.tgt.max_life", "8h");
        self.no_longer(("tickets.tgt.idle", "2h"), most);
    }

    /// Apereo refuses for as long as it was told, whatever it counts.
    fn pause_within_window(&mut self) {
        let most = ("authn.throttle.window", "15m");
        self.no_longer(("authn.throttle.max_delay", "5m"), most);
    }

    /// Says where the file lets people guess more often than Castor would without it.
    fn weaker_throttle(&mut self) {
        let defaults = format!(
            "weaker than Castor's default, {THROTTLE_FAILURES} failures in {}; leave the key out to have that",
            values::period(THROTTLE_WINDOW_MS)
        );
        for outcome in &mut self.outcomes {
            let Verdict::Mapped(keys) = &outcome.verdict else {
                continue;
            };
            let weaker = keys.iter().any(|(key, value)| match *key {
                "authn.throttle.enabled" => value.as_bool() == Some(false),
                "authn.throttle.user_failures" => {
                    value.as_integer().is_some_and(|n| n > THROTTLE_FAILURES)
                }
                "authn.throttle.window" => value.as_str().is_some_and(|window| {
                    values::duration_ms(window, 1).is_ok_and(|ms| ms < THROTTLE_WINDOW_MS)
                }),
                _ => false,
            });
            if weaker {
                outcome.note = format!("{}; {defaults}", outcome.note);
            }
        }
    }

    /// Cuts the first key to the second, each with its default.
    fn no_longer(
        &mut self,
        (key, default): (&'static str, &str),
        (most_key, most_default): (&'static str, &str),
    ) {
        let ms = |key: &str, default: &str| {
            let set = self.keys.get(key).and_then(|(value, _)| value.as_str());
            values::duration_ms(set.unwrap_or(default), 1).unwrap_or(u64::MAX)
        };
        let most = ms(most_key, most_default);
        if ms(key, default) > most {
            let value = Value::String(values::period(most));
            let why = format!("no longer than {most_key}");
            self.keys.insert(key, (value, why));
        }
    }
}
