//! Scenario files: what a population is like, in TOML.
//!
//! Promises: a scenario that was read is in range, so that a model of it ends; an error names file and
//! key. Does not: run anything.

use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::day::{DAY_S, Day};

/// Scenarios that the program brings along.
pub const BUILT_IN: [(&str, &str); 3] = [
    ("lafayette", include_str!("../../scenarios/lafayette.toml")),
    ("ha_guide", include_str!("../../scenarios/ha_guide.toml")),
    (
        "new_school",
        include_str!("../../scenarios/new_school.toml"),
    ),
];
/// Largest scenario file, in bytes.
const FILE_MAX: u64 = 1 << 20;
/// A step that is later than this share of the shortest wait thins the load.
const LATE_SHARE: f64 = 0.1;
/// Most users at the same time.
pub const USERS_MAX: u32 = 20_000;
/// Longest run, in minutes of the population.
pub const MINUTES_MAX: f64 = 100_000.0;

/// A scenario.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Scenario {
    /// A number of users who live, die and are born again.
    Population(Population),
    /// A day with given counts of events, along a curve.
    Day(Day),
}

/// Users who live, die and are born again.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Population {
    /// What it is, in a sentence.
    pub about: String,
    /// Users at the same time.
    pub users: u32,
    /// Users who begin in each second.
    pub hatch_rate: f64,
    /// How long it lasts.
    pub minutes: f64,
    /// Accounts to draw from.
    pub accounts: u16,
    /// Applications to draw from.
    pub services: u16,
    /// Seconds from one ticket to the next: least and most.
    pub wait: [f64; 2],
    /// Share by which lives are spread around their mean, uniformly.
    pub life_spread: f64,
    /// Share of users who sign out when they die.
    pub log_out: f64,
    /// Share of sign-ins with a wrong password.
    pub wrong_password: f64,
    /// The classes of lives.
    #[serde(rename = "class")]
    pub classes: Vec<Class>,
    /// What its source says came of it.
    #[serde(default)]
    pub expect: Option<Expect>,
}

/// One class of lives.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Name for people.
    pub name: String,
    /// Share of the users, in proportion to the other classes.
    pub share: f64,
    /// Mean life in seconds.
    pub life: f64,
}

/// Figures that the source of a scenario tells.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// HTTP requests in each second.
    pub requests_per_second: f64,
    /// Tickets that were asked for and validated, in each hour.
    pub authentications_per_hour: f64,
}

impl Scenario {
    /// The built-in scenario of this name, or else the file.
    ///
    /// # Errors
    /// When there is neither, or a value is out of range.
    pub fn open(name: &str) -> anyhow::Result<Self> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            return Self::parse(text).with_context(|| format!("scenario {name}"));
        }
        let names = BUILT_IN.map(|(name, _)| name).join(", ");
        let text = read_small(Path::new(name), FILE_MAX)
            .with_context(|| format!("scenario {name:?}: neither a file nor one of {names}"))?;
        Self::parse(&text).with_context(|| format!("scenario {name}"))
    }

    /// The population that this scenario is.
    ///
    /// # Errors
    /// When it is a day.
    pub fn population(self) -> anyhow::Result<Population> {
        match self {
            Self::Population(population) => Ok(population),
            Self::Day(_) => bail!("the scenario is a day, not a number of users"),
        }
    }

    /// How long it lasts, in minutes of its own time.
    pub fn minutes(&self) -> f64 {
        match self {
            Self::Population(population) => population.minutes,
            Self::Day(_) => DAY_S / 60.0,
        }
    }

    /// Accounts that users draw from.
    pub fn accounts(&self) -> u16 {
        match self {
            Self::Population(population) => population.accounts,
            Self::Day(day) => day.accounts,
        }
    }

    /// Applications that are visited.
    pub fn services(&self) -> u16 {
        match self {
            Self::Population(population) => population.services,
            Self::Day(day) => day.services,
        }
    }

    /// Seconds by which a step may be late without thinning the load.
    pub fn patience(&self) -> f64 {
        match self {
            Self::Population(population) => population.wait[0] * LATE_SHARE,
            Self::Day(_) => 60.0,
        }
    }

    /// Reads the text of a scenario.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let scenario: Self = toml::from_str(text)?;
        match &scenario {
            Self::Population(population) => population.check()?,
            Self::Day(day) => day.check()?,
        }
        Ok(scenario)
    }
}

impl Population {
    /// Whether every value is in range.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> anyhow::Result<()> {
        if !(1..=USERS_MAX).contains(&self.users) {
            bail!("users must be 1 to {USERS_MAX}");
        }
        within("hatch_rate", self.hatch_rate, 0.001, 100_000.0)?;
        within("minutes", self.minutes, 0.01, MINUTES_MAX)?;
        if self.accounts == 0 || self.services == 0 {
            bail!("accounts and services must be at least 1");
        }
        let [least, most] = self.wait;
        within("wait", least, 0.01, 86_400.0)?;
        within("wait", most, least, 86_400.0)?;
        within("life_spread", self.life_spread, 0.0, 0.95)?;
        within("log_out", self.log_out, 0.0, 1.0)?;
        // Who fails is born again at once: with 1 nobody would ever get further.
        within("wrong_password", self.wrong_password, 0.0, 0.9)?;
        if self.classes.is_empty() || self.classes.len() > 100 {
            bail!("there must be 1 to 100 classes");
        }
        for class in &self.classes {
            within("class.share", class.share, 0.0, 1e6)?;
            within("class.life", class.life, 1.0, 1e7)?;
        }
        if self.classes.iter().map(|class| class.share).sum::<f64>() <= 0.0 {
            bail!("class.share: at least one must be above 0");
        }
        Ok(())
    }
}

/// What a scenario is called: a built-in name, or a file's without folder and end.
pub fn name_of(scenario: &str) -> String {
    let stem = Path::new(scenario).file_stem();
    stem.map_or_else(
        || scenario.to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}

pub(super) fn within(key: &str, value: f64, least: f64, most: f64) -> anyhow::Result<()> {
    if value.is_finite() && (least..=most).contains(&value) {
        return Ok(());
    }
    bail!("{key} is {value}; it must be {least} to {most}")
}

/// Reads a text file of at most `bytes`.
pub(crate) fn read_small(file: &Path, bytes: u64) -> anyhow::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let says = || format!("cannot read {}", file.display());
    std::fs::File::open(file)
        .with_context(says)?
        .take(bytes + 1)
        .read_to_string(&mut text)
        .with_context(says)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > bytes {
        bail!("{} has more than {bytes} bytes", file.display());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_brings_along_can_be_read() {
        for (name, _) in BUILT_IN {
            Scenario::open(name).unwrap();
        }
        let error = format!("{:#}", Scenario::open("nonsense").unwrap_err());
        assert!(error.contains("nonsense") && error.contains("lafayette"));
    }

    #[test]
    fn says_which_key_is_wrong() {
        let text = include_str!("../../scenarios/lafayette.toml");
        for (from, to, says) in [
            ("users = 150", "users = 0", "users"),
            ("wait = [5.0, 15.0]", "wait = [15.0, 5.0]", "wait"),
            (
                "wrong_password = 0.01",
                "wrong_password = 1.0",
                "wrong_password",
            ),
            ("life = 60.0", "life = nan", "class.life"),
            ("services = 3", "servces = 3", "servces"),
        ] {
            let error = Scenario::parse(&text.replace(from, to)).unwrap_err();
            assert!(format!("{error:#}").contains(says), "{error:#}");
        }
    }
}
