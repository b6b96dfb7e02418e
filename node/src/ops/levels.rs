//! Which log lines are written: the configured filter, and what operators set for the time being.
//!
//! A filter is a list of a level for everything and levels for targets; the longest target that a line's
//! target begins with counts. What an operator sets goes before the configuration and is not written to
//! any file.

use std::collections::BTreeMap;

/// Targets with a level of their own for the time being.
pub const FOR_NOW_MAX: usize = 64;

/// The levels, from nothing to everything.
pub const LEVELS: [&str; 6] = ["OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

/// Our own crates: the targets of all lines but those of libraries begin so.
pub const OURS: [&str; 3] = ["castor_node", "castor_proto", "castor_replication"];

/// Too many targets have a level of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{FOR_NOW_MAX} targets have a level of their own; give one back with configuredLevel null")]
pub struct TooMany;

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    configured: String,
    /// By target; everything else under `None`.
    for_now: BTreeMap<Option<String>, &'static str>,
}

/// The level of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// The target; `None` for everything else.
    pub target: Option<String>,
    /// The level it has been given, by the configuration or for now.
    pub own: Option<&'static str>,
    /// The level that counts.
    pub effective: &'static str,
}

/// A level's name, whatever the case.
pub fn level(text: &str) -> Option<&'static str> {
    LEVELS.into_iter().find(|l| l.eq_ignore_ascii_case(text))
}

/// Whether lines can have this target: a path of modules.
pub fn is_target(text: &str) -> bool {
    let part = |part: &str| {
        let mut chars = part.chars();
        chars
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    text.len() <= 128 && text.split("::").all(part)
}

impl Levels {
    /// What the configuration says, and nothing else.
    pub(super) fn new(configured: &str) -> Self {
        Self {
            configured: configured.to_owned(),
            for_now: BTreeMap::new(),
        }
    }

    /// Takes a configuration; another one than before drops what was set for the time being.
    pub(super) fn configure(&mut self, configured: &str) {
        if self.configured != configured {
            *self = Self::new(configured);
        }
    }

    pub(super) fn set_for_now(
        &mut self,
        target: Option<&str>,
        level: Option<&'static str>,
    ) -> Result<(), TooMany> {
        let target = target.map(str::to_owned);
        match level {
            None => {
                self.for_now.remove(&target);
            }
            Some(_) if self.for_now.len() >= FOR_NOW_MAX && !self.for_now.contains_key(&target) => {
                return Err(TooMany);
            }
            Some(level) => {
                self.for_now.insert(target, level);
            }
        }
        Ok(())
    }

    /// As the filter's parser reads it; of two for one target the later one counts.
    pub(super) fn directives(&self) -> String {
        let mut text = self.configured.clone();
        for (target, level) in &self.for_now {
            text.push(',');
            if let Some(target) = target {
                text.push_str(target);
                text.push('=');
            }
            text.push_str(level);
        }
        text
    }

    /// What each target was given; filters of spans and fields are left out.
    fn given(&self) -> BTreeMap<Option<String>, &'static str> {
        let mut given = BTreeMap::new();
        for part in self.configured.split(',') {
            let (target, named) = match part.trim().rsplit_once('=') {
                Some((target, named)) => (Some(target.trim()), named.trim()),
                None => (None, part.trim()),
            };
            if let Some(level) = level(named)
                && target.is_none_or(is_target)
            {
                given.insert(target.map(str::to_owned), level);
            }
        }
        given.extend(self.for_now.clone());
        given
    }

    /// The level of a target, or of everything else.
    pub fn of(&self, target: Option<&str>) -> Level {
        let given = self.given();
        let wider = given.iter().filter(|(prefix, _)| match (prefix, target) {
            (None, _) => true,
            (Some(prefix), Some(target)) => target.starts_with(prefix.as_str()),
            (Some(_), None) => false,
        });
        let length = |prefix: &Option<String>| prefix.as_ref().map_or(0, String::len);
        let nearest = wider.max_by_key(|(prefix, _)| length(prefix));
        Level {
            target: target.map(str::to_owned),
            own: given.get(&target.map(str::to_owned)).copied(),
            effective: nearest.map_or("OFF", |(_, level)| level),
        }
    }

    /// Everything else first, then our own crates and every target that was given a level.
    pub fn all(&self) -> Vec<Level> {
        let mut targets: Vec<String> = self.given().into_keys().flatten().collect();
        targets.extend(OURS.map(str::to_owned));
        targets.sort_unstable();
        targets.dedup();
        let mut all = vec![self.of(None)];
        all.extend(targets.iter().map(|target| self.of(Some(target))));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effective(levels: &Levels, target: &str) -> &'static str {
        levels.of(Some(target)).effective
    }

    #[test]
    fn the_nearest_level_counts_and_what_is_set_for_now_goes_first() {
        let mut levels = Levels::new("info,castor_node::cas=debug");
        assert_eq!(levels.of(None).own, Some("INFO"));
        assert_eq!(effective(&levels, "castor_node::cas::login"), "DEBUG");
        assert_eq!(effective(&levels, "quinn"), "INFO");
        assert_eq!(levels.of(Some("quinn")).own, None);
        levels
            .set_for_now(Some("castor_node"), Some("TRACE"))
            .unwrap();
        levels.set_for_now(None, Some("WARN")).unwrap();
        assert_eq!(effective(&levels, "castor_node::ops"), "TRACE");
        assert_eq!(effective(&levels, "castor_node::cas"), "DEBUG");
        assert_eq!(effective(&levels, "quinn"), "WARN");
        assert_eq!(
            levels.directives(),
            "info,castor_node::cas=debug,WARN,castor_node=TRACE"
        );
        levels.set_for_now(None, None).unwrap();
        assert_eq!(effective(&levels, "quinn"), "INFO");
    }

    #[test]
    fn another_configuration_drops_what_was_set_for_now_and_the_same_one_does_not() {
        let mut levels = Levels::new("info");
        levels
            .set_for_now(Some("castor_node"), Some("DEBUG"))
            .unwrap();
        levels.configure("info");
        assert_eq!(effective(&levels, "castor_node"), "DEBUG");
        levels.configure("warn");
        assert_eq!(effective(&levels, "castor_node"), "WARN");
        let targets = levels.all().into_iter().map(|level| level.target);
        assert_eq!(targets.flatten().collect::<Vec<_>>(), OURS);
    }

    #[test]
    fn what_is_set_for_now_is_bounded() {
        let mut levels = Levels::new("info");
        for number in 0..FOR_NOW_MAX {
            let target = format!("t{number}");
            levels.set_for_now(Some(&target), Some("DEBUG")).unwrap();
        }
        assert_eq!(
            levels.set_for_now(Some("more"), Some("DEBUG")),
            Err(TooMany)
        );
        levels.set_for_now(Some("t1"), Some("WARN")).unwrap();
        levels.set_for_now(Some("t1"), None).unwrap();
        levels.set_for_now(Some("more"), Some("DEBUG")).unwrap();
    }

    #[test]
    fn only_paths_of_modules_are_targets() {
        for good in ["castor_node", "castor_node::cas::login", "_x"] {
            assert!(is_target(good), "{good}");
        }
        let long = "x".repeat(200);
        for bad in [
            "",
            "a::",
            "org.apereo.cas",
            "a=b",
            "a,b",
            "a[b]",
            "ä",
            &long,
        ] {
            assert!(!is_target(bad), "{bad}");
        }
    }
}
