//! What a process of this machine has used, from /proc.
//!
//! Promises: a process that is gone, or a file of another shape, is nothing. Does not: see threads that
//! ended before.

/// Processor time and memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// User and system time since it started, in ms.
    pub cpu_ms: u64,
    /// Resident bytes.
    pub resident: u64,
}

/// Of the process with this id; nobody has 0.
pub fn used(pid: u32) -> Option<Used> {
    if pid == 0 {
        return None;
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let [ticks, pages] = ticks_and_pages(&stat)?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some(Used {
        cpu_ms: ticks.saturating_mul(1000) / per_second,
        resident: pages.saturating_mul(u64::try_from(rustix::param::page_size()).ok()?),
    })
}

/// `utime` and `stime` of proc(5) together, and `rss`: fields 14, 15 and 24. The name in brackets may
/// hold anything.
fn ticks_and_pages(stat: &str) -> Option<[u64; 2]> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some([number(11)?.checked_add(number(12)?)?, number(21)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_memory_are_found_behind_any_name() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 5 1000 77 184";
        assert_eq!(ticks_and_pages(stat), Some([300, 77]));
        assert_eq!(ticks_and_pages("7 (a"), None);
    }

    #[test]
    fn a_process_of_this_machine_can_be_read() {
        let own = used(std::process::id()).unwrap();
        assert!(own.resident > 100_000, "{own:?}");
        assert_eq!(used(0), None);
    }
}
