//! Processor time of processes that are counted together.
//!
//! Promises: a process that is gone counts nothing. Does not: see threads that ended before.

use std::time::Duration;

use crate::process;

/// Name of this process in tables.
pub const OWN: &str = "generator";

/// Processes that are counted together.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// Name in tables.
    pub name: String,
    /// Process ids.
    pub pids: Vec<u32>,
}

impl Group {
    /// Processes under a name.
    pub fn new(name: &str, pids: impl IntoIterator<Item = u32>) -> Self {
        Self {
            name: name.to_owned(),
            pids: pids.into_iter().filter(|pid| *pid > 0).collect(),
        }
    }

    /// The process with this id and its children, such as nginx and its workers.
    pub fn tree(name: &str, pid: u32) -> Self {
        let file = format!("/proc/{pid}/task/{pid}/children");
        let children = std::fs::read_to_string(file).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|c| c.parse().ok());
        Self::new(name, std::iter::once(pid).chain(children))
    }

    /// Processor time so far, in user and kernel.
    pub fn spent(&self) -> Duration {
        let used = self.pids.iter().filter_map(|pid| process::used(*pid));
        Duration::from_millis(used.map(|used| used.cpu_ms).sum())
    }
}

/// This process.
pub fn own() -> Group {
    Group::new(OWN, [std::process::id()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_gone_used_nothing() {
        assert_eq!(Group::new("gone", [u32::MAX]).spent(), Duration::ZERO);
    }
}
