//! Where and how a report was made: machine, commit, command, time, seed.
//!
//! Promises: what cannot be found out is "unknown", never an error.
//! Does not: name users, passwords or hosts of others.

use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::clock;

/// What a reader needs to judge or repeat a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// Start of the run, UTC.
    pub time: String,
    /// Command line as given, passwords masked.
    pub command: String,
    /// Commit of the working directory, with `+changes` when it has any; elsewhere that which this program was
    /// built from, when the build said so.
    pub commit: String,
    /// Version of this program.
    pub version: String,
    /// Processor model.
    pub processor: String,
    /// Logical processors.
    pub processors: usize,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Kernel and distribution.
    pub system: String,
    /// Seed of random choices.
    pub seed: u64,
}

impl Environment {
    /// Looks around.
    pub fn find(seed: u64) -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let kernel = read("/proc/sys/kernel/osrelease");
        let system = field(&read("/etc/os-release"), "PRETTY_NAME=").replace('"', "");
        Self {
            time: clock::wall_text(),
            command: command(std::env::args()),
            commit: commit(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            processor: field(&cpuinfo, "model name")
                .trim_start_matches([' ', '\t', ':'])
                .into(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: field(&read("/proc/meminfo"), "MemTotal:")
                .split_whitespace()
                .next()
                .and_then(|kib| kib.parse::<u64>().ok())
                .map_or(0, |kib| kib / 1024),
            system: format!("{system}, Linux {}", kernel.trim()),
            seed,
        }
    }

    /// Of a record that does not say.
    pub fn unknown() -> Self {
        Self::default()
    }

    /// Rows of a Markdown table.
    pub fn markdown(&self) -> String {
        format!(
            "| | |\n|---|---|\n| time | {} |\n| command | `{}` |\n| commit | {} |\n\
             | castor-loadtest | {} |\n| machine | {} x {}, {} MiB |\n| system | {} |\n| seed | {} |\n",
            self.time,
            self.command,
            self.commit,
            self.version,
            self.processors,
            self.processor,
            self.memory_mib,
            self.system,
            self.seed
        )
    }
}

/// As one would type it, program without its folder.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> = Vec::new();
    for argument in arguments {
        let secret = words.last().is_some_and(|last| is_secret(last));
        let word = match argument.split_once('=') {
            _ if secret => "***".to_owned(),
            Some((name, _)) if is_secret(name) => format!("{name}=***"),
            _ if words.is_empty() => {
                let name = argument.rsplit('/').next();
                name.unwrap_or("castor-loadtest").to_owned()
            }
            _ if argument.contains(char::is_whitespace) => format!("'{argument}'"),
            _ => argument,
        };
        words.push(word);
    }
    words.join(" ")
}

fn is_secret(option: &str) -> bool {
    let name = option.strip_prefix("--").unwrap_or_default();
    ["password", "token"].iter().any(|end| name.ends_with(end))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|_| "unknown".to_owned())
}

fn field(text: &str, key: &str) -> String {
    text.lines()
        .find_map(|line| line.strip_prefix(key))
        .map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return option_env!("CASTOR_REVISION")
            .unwrap_or("unknown")
            .to_owned();
    };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if !changes.is_empty() => format!("{commit}+changes"),
        _ => commit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_shows_no_password() {
        let line = "/opt/bin/castor-loadtest swarm --password hunter2 --admin-token=abc --seed 7";
        let words = line.split(' ').map(str::to_owned);
        let shown = "castor-loadtest swarm --password *** --admin-token=*** --seed 7";
        assert_eq!(command(words), shown);
    }
}
