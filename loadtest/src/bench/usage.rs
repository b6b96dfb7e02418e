//! Processor time of processes, from /proc.
//!
//! Promises: a process that is gone counts nothing. Does not: see threads that ended before.

use std::time::Duration;

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
        self.pids.iter().filter_map(|pid| spent(*pid)).sum()
    }
}

/// This process.
pub fn own() -> Group {
    Group::new("generator", [std::process::id()])
}

fn spent(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let per_second = rustix::param::clock_ticks_per_second();
    ticks(&stat).map(|ticks| Duration::from_millis(ticks * 1000 / per_second.max(1)))
}

/// `utime` and `stime` of proc(5): fields 14 and 15; the name in field 2 may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_found_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 120 30 5 6 20 0 1 0 99 1 1";
        assert_eq!(ticks(stat), Some(150));
        assert_eq!(ticks("nothing"), None);
        assert_eq!(Group::new("gone", [u32::MAX]).spent(), Duration::ZERO);
    }
}
