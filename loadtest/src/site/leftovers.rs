//! What a run that was killed could not remove: the next run does.
//!
//! Promises: only what carries the number of a process that does not exist any more; mounts first,
//! then folders. Does not: end processes; the kernel did when their run was killed.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::mount::{UnmountFlags, unmount};

use super::hosts::{PREFIX, ip};
use crate::progress::say;

const NAMESPACES: &str = "/run/netns";
/// Where control groups of memory are, in the first version of control groups.
pub(super) const GROUPS: &str = "/sys/fs/cgroup/memory";

/// The folder of the run of process `process`.
pub fn folder(process: u32) -> PathBuf {
    std::env::temp_dir().join(format!("{PREFIX}{process}"))
}

/// Removes all of it.
///
/// # Errors
/// When something cannot be removed.
pub(super) fn remove() -> anyhow::Result<()> {
    for mount in mounts()? {
        unmount(&mount, UnmountFlags::DETACH)
            .with_context(|| format!("cannot unmount {}", mount.display()))?;
    }
    for path in left_in(&std::env::temp_dir()) {
        std::fs::remove_dir_all(&path).with_context(|| path.display().to_string())?;
        say(&format!("removed {}, left by a killed run", path.display()));
    }
    for path in left_in(Path::new(GROUPS)) {
        std::fs::remove_dir(&path).with_context(|| path.display().to_string())?;
    }
    for path in left_in(Path::new(NAMESPACES)) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        ip(&["netns", "del", &name])?;
    }
    Ok(())
}

/// Entries of `folder` that a dead process of ours had made; none when there is no such folder.
fn left_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| is_left(&name.to_string_lossy()))
        })
        .collect()
}

fn is_left(name: &str) -> bool {
    let process = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split('-').next());
    let process = process.and_then(|number| number.parse::<u32>().ok());
    process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists())
}

fn mounts() -> anyhow::Result<Vec<PathBuf>> {
    let all = std::fs::read_to_string("/proc/self/mounts").context("/proc/self/mounts")?;
    let temp = std::env::temp_dir();
    let places = all.lines().filter_map(|line| line.split(' ').nth(1));
    let ours = |place: &&str| {
        let inside = Path::new(place).strip_prefix(&temp).ok();
        let first = inside.and_then(|inside| inside.components().next());
        first.is_some_and(|first| is_left(&first.as_os_str().to_string_lossy()))
    };
    Ok(places.filter(ours).map(PathBuf::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_process_made_is_ours_to_remove() {
        let alive = format!("{PREFIX}{}-node1", std::process::id());
        assert!(!is_left(&alive));
        // Beyond the largest number a process can have.
        assert!(is_left(&format!("{PREFIX}4194305-node1")));
        assert!(is_left(&format!("{PREFIX}4194305")));
        for other in [
            "castor-lab-",
            "castor-lab-x-node1",
            "castor-4194305",
            "lab-4194305",
        ] {
            assert!(!is_left(other), "{other}");
        }
    }
}
