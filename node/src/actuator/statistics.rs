//! `GET /statistics`: uptime, memory and tickets, under the names that Apereo CAS had for them.
//!
//! A ticket that has expired is not counted but forgotten, so what Apereo calls expired is here what was ended
//! and is remembered; of service tickets nobody counts that, and the answer says `null`.

use axum::Json;
use axum::extract::State;
use castor_proto::ticket::TicketKind;
use serde_json::{Value, json};

use super::Actuator;

/// Largest file of the system's that is looked at, bytes.
const FILE_MAX: u64 = 64 * 1024;

pub(super) async fn statistics(State(actuator): State<Actuator>) -> Json<Value> {
    let store = actuator.handle.store();
    let gauges = store.gauges();
    let live = gauges.tickets(TicketKind::Tgt) + gauges.tickets(TicketKind::Pgt);
    let held = i64::try_from(store.len()).unwrap_or(i64::MAX);
    let status = actuator.handle.status().await.ok();
    let memory = Memory::read();
    Json(json!({
        "upTime": actuator.uptime(),
        "totalMemory": memory.resident.map(shown),
        "maxMemory": memory.most.map(shown),
        "freeMemory": memory.available.map(shown),
        "unexpiredTgts": live,
        "unexpiredSts": status.map(|status| status.singles),
        "expiredTgts": held.saturating_sub(live).max(0),
        "expiredSts": null,
    }))
}

/// Bytes; absent what the system does not tell.
#[derive(Debug, Default, PartialEq, Eq)]
struct Memory {
    resident: Option<u64>,
    most: Option<u64>,
    available: Option<u64>,
}

impl Memory {
    fn read() -> Self {
        let own = text("/proc/self/status");
        let all = text("/proc/meminfo");
        let limit = text("/sys/fs/cgroup/memory.max").trim().parse().ok();
        Self::of(&own, &all, limit)
    }

    fn of(own: &str, all: &str, limit: Option<u64>) -> Self {
        let total = kilobytes(all, "MemTotal:");
        Self {
            resident: kilobytes(own, "VmRSS:"),
            most: limit.into_iter().chain(total).min(),
            available: kilobytes(all, "MemAvailable:"),
        }
    }
}

fn text(path: &str) -> String {
    use std::io::Read as _;
    let mut text = String::new();
    // What cannot be read is not told.
    if let Ok(file) = std::fs::File::open(path) {
        let _ = file.take(FILE_MAX).read_to_string(&mut text);
    }
    text
}

/// The value of a line such as `VmRSS:   1234 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let value = value.trim().strip_suffix("kB")?;
    value.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// In the largest unit of which there is a whole one, rounded down.
fn shown(bytes: u64) -> String {
    let units = ["KB", "MB", "GB", "TB", "PB", "EB"];
    let mut shown = format!("{bytes} bytes");
    let mut rest = bytes;
    for unit in units {
        rest /= 1024;
        if rest == 0 {
            break;
        }
        shown = format!("{rest} {unit}");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_systems_words() {
        let own = "Name:\tcastor\nVmHWM:\t  99 kB\nVmRSS:\t    2048 kB\n";
        let all = "MemTotal:       4194304 kB\nMemFree: 1 kB\nMemAvailable:    1048576 kB\n";
        let memory = Memory::of(own, all, Some(1 << 30));
        assert_eq!(memory.resident.map(shown).unwrap(), "2 MB");
        assert_eq!(memory.most.map(shown).unwrap(), "1 GB");
        assert_eq!(memory.available, Some(1 << 30));
        assert_eq!(Memory::of(own, all, None).most.map(shown).unwrap(), "4 GB");
        assert_eq!(Memory::of("", "MemTotal: x kB", None), Memory::default());
    }

    #[test]
    fn sizes_are_whole_and_rounded_down() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1 KB"),
            (2 * 1024 * 1024 - 1, "1 MB"),
            (u64::MAX, "15 EB"),
        ] {
            assert_eq!(shown(bytes), text);
        }
    }

    #[test]
    fn this_process_has_memory() {
        let memory = Memory::read();
        assert!(memory.resident.is_some_and(|bytes| bytes > 0));
        assert!(memory.most >= memory.resident);
    }
}
