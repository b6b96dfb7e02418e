//! The nodes as processes: started as children, watched, drained, stopped.
//!
//! Promises: a node that ends is reported once and never started again; one that somebody else
//! starts again from the same configuration is noticed, and stopped with the others in the end.
//! A signal goes only to our own children or to processes whose command line names the node's
//! configuration file. Does not: know why a node ended.

use std::ffi::OsStr;
use std::fs::File;
use std::future::Future as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::task::Poll;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::fetch::Fetch;
use super::files::NodeFiles;
use crate::clock;

/// How long the nodes may take until all are ready.
const READY_TIME: Duration = Duration::from_secs(60);
/// How long nodes of an earlier run may drain: longer than their own limit.
const LEFTOVER_TIME: Duration = Duration::from_secs(20);
/// Pause between two looks at a condition that tells nobody when it changes.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long one look may take.
pub(super) const PROBE_TIME: Duration = Duration::from_secs(2);
/// Lines of a log that are shown when a node ends too early.
const LOG_LINES: usize = 12;

/// A node and its process.
#[derive(Debug)]
pub(super) struct NodeProcess {
    pub(super) files: NodeFiles,
    /// Our own child, while it runs.
    child: Option<Child>,
    /// A process that somebody else started from our configuration.
    adopted: Option<u32>,
}

impl NodeProcess {
    /// Process id while the node runs, as far as it is known.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id).or(self.adopted)
    }

    /// Ready, and not somebody else on the same port.
    async fn is_ready_itself(&self, fetch: &Fetch) -> bool {
        is_ready(fetch, &self.files).await && serving_pid(&self.files).await == self.pid()
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            signal_child(child, signal);
        } else if let Some(pid) = self.adopted {
            signal_by_config(pid, &self.files.config, signal);
        }
    }

    fn is_running(&mut self) -> bool {
        if let Some(child) = &mut self.child {
            if !matches!(child.try_wait(), Ok(None)) {
                self.child = None;
            }
        } else if let Some(pid) = self.adopted
            && !runs_config(pid, &self.files.config)
        {
            self.adopted = None;
        }
        self.pid().is_some()
    }
}

/// All nodes.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    pub(super) nodes: Vec<NodeProcess>,
}

impl Fleet {
    /// Starts every node with `castor`.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub(super) fn start(castor: &Path, files: Vec<NodeFiles>) -> anyhow::Result<Self> {
        let mut fleet = Self { nodes: Vec::new() };
        for files in files {
            let child = start_node(castor, &files)?;
            fleet.nodes.push(NodeProcess {
                files,
                child: Some(child),
                adopted: None,
            });
        }
        Ok(fleet)
    }

    /// Waits until every node says that it is ready.
    ///
    /// # Errors
    /// When a node ends or takes too long; the text has the end of its log.
    pub(super) async fn until_ready(&mut self, fetch: &Fetch) -> anyhow::Result<()> {
        let deadline = clock::timer_now() + READY_TIME;
        for node in &mut self.nodes {
            let name = node.files.state.name.clone();
            while !node.is_ready_itself(fetch).await {
                if !node.is_running() {
                    bail!("{name} ended at its start:\n{}", log_end(&node.files.log));
                }
                if clock::timer_now() >= deadline {
                    let log = log_end(&node.files.log);
                    bail!("{name} is not ready after {READY_TIME:?}:\n{log}");
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    /// Waits until one of our children ends; its place among the nodes and how it ended. Never
    /// ends when no child is left.
    ///
    /// *Cancel safety*: safe.
    pub(super) async fn next_end(&mut self) -> (usize, ExitStatus) {
        let ended = std::future::poll_fn(|context| {
            for (index, node) in self.nodes.iter_mut().enumerate() {
                let Some(child) = &mut node.child else {
                    continue;
                };
                if let Poll::Ready(Ok(status)) = pin!(child.wait()).poll(context) {
                    return Poll::Ready((index, status));
                }
            }
            Poll::Pending
        });
        let (index, status) = ended.await;
        if let Some(node) = self.nodes.get_mut(index) {
            node.child = None;
        }
        (index, status)
    }

    /// Looks for nodes that somebody else started again or that ended since; their places.
    pub(super) async fn look_for_changes(&mut self, fetch: &Fetch) -> Vec<Change> {
        let mut changes = Vec::new();
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if node.child.is_some() {
                continue;
            }
            let was = node.adopted;
            if was.is_some() && !node.is_running() {
                changes.push(Change::Ended(index));
            } else if was.is_none()
                && is_ready(fetch, &node.files).await
                && let Some(pid) = serving_pid(&node.files).await
            {
                node.adopted = Some(pid);
                changes.push(Change::Returned(index, pid));
            }
        }
        changes
    }

    /// Asks every node to drain and end, and waits until all have ended.
    pub(super) async fn drain(&mut self) {
        self.signal_all(Signal::TERM);
        while self.any_running() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Ends every node at once.
    pub(super) fn kill(&self) {
        self.signal_all(Signal::KILL);
    }

    fn signal_all(&self, signal: Signal) {
        for node in &self.nodes {
            node.signal(signal);
        }
    }

    fn any_running(&mut self) -> bool {
        // Every node is looked at, so that none stays unreaped.
        self.nodes
            .iter_mut()
            .filter_map(|node| node.is_running().then_some(()))
            .count()
            > 0
    }
}

/// What happened to a node that is not our child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It was started again, with this process id.
    Returned(usize, u32),
    /// It ended again.
    Ended(usize),
}

fn start_node(castor: &Path, files: &NodeFiles) -> anyhow::Result<Child> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(&files.log)
        .with_context(|| format!("cannot write {}", files.log.display()))?;
    let mut command = Command::new(castor);
    command
        .args(["serve", "--config"])
        .arg(&files.config)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C at the terminal is for the demo, which drains the nodes.
        .process_group(0)
        .kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        // What configures a node from the environment would configure all of them alike.
        if name.to_string_lossy().starts_with("CASTOR_") {
            command.env_remove(&name);
        }
    }
    // A service manager that watches the demo must not hear from the nodes.
    command
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC");
    command
        .spawn()
        .with_context(|| format!("cannot start {}", castor.display()))
}

async fn is_ready(fetch: &Fetch, files: &NodeFiles) -> bool {
    let answer = fetch
        .get(&format!("{}/ready", files.ops_url()), PROBE_TIME)
        .await;
    answer.is_ok_and(|answer| answer.status == 200)
}

/// The process that serves the administration socket, when it runs this node's configuration.
async fn serving_pid(files: &NodeFiles) -> Option<u32> {
    let stream = UnixStream::connect(&files.admin_socket).await.ok()?;
    let pid = u32::try_from(stream.peer_cred().ok()?.pid()?).ok()?;
    runs_config(pid, &files.config).then_some(pid)
}

/// Signals our own child; nothing when it has ended.
pub(super) fn signal_child(child: &Child, signal: Signal) {
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended just now; then there is nothing to signal.
        let _ = kill_process(pid, signal);
    }
}

/// Whether a process serves this configuration. People give it as they stand: the path may be relative to
/// the folder of that process.
fn runs_config(pid: u32, config: &Path) -> bool {
    let folder = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
        let arguments = || line.split(|byte| *byte == 0);
        let names = |argument: &[u8]| {
            let path = argument.strip_prefix(b"--config=").unwrap_or(argument);
            folder.join(OsStr::from_bytes(path)) == config
        };
        // An editor has the file in its command line too.
        arguments().any(|argument| argument == b"serve") && arguments().any(names)
    })
}

fn signal_by_config(pid: u32, config: &Path, signal: Signal) {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let (Some(raw), true) = (raw, runs_config(pid, config)) {
        let _ = kill_process(raw, signal);
    }
}

/// Ends what an earlier run of this folder left behind when it was killed itself: processes whose
/// command line names one of `files`. How many there were.
pub(super) async fn end_leftovers(files: &[PathBuf]) -> usize {
    let left = leftovers(files);
    // Once: a second SIGTERM would tell a node not to drain.
    for (pid, file) in &left {
        signal_by_config(*pid, file, Signal::TERM);
    }
    let deadline = clock::timer_now() + LEFTOVER_TIME;
    while left.iter().any(|(pid, file)| runs_config(*pid, file)) {
        tokio::time::sleep(LOOK_EVERY).await;
        if clock::timer_now() >= deadline {
            for (pid, file) in &left {
                signal_by_config(*pid, file, Signal::KILL);
            }
        }
    }
    left.len()
}

fn leftovers(files: &[PathBuf]) -> Vec<(u32, PathBuf)> {
    let own = std::process::id();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut left = Vec::new();
    for pid in pids.filter(|pid| *pid != own) {
        if let Some(file) = files.iter().find(|file| runs_config(pid, file)) {
            left.push((pid, file.clone()));
        }
    }
    left
}

fn log_end(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LOG_LINES);
    format!("{}\n(from {})", lines[from..].join("\n"), log.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell that has these arguments on its command line, and waits for its standard input to end. It
    /// answers first: a process that was only just started has no command line yet.
    fn process(folder: &Path, arguments: &[&str]) -> std::process::Child {
        use std::io::Read as _;
        let mut child = std::process::Command::new("/bin/sh")
            .args(["-c", "echo; read line", "castor"])
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = child.stdout.as_mut().unwrap();
        out.read_exact(&mut [0]).unwrap();
        child
    }

    #[test]
    fn a_node_is_known_by_its_configuration_however_it_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().canonicalize().unwrap();
        let config = folder.join("demo/castor.toml");
        let absolute = config.to_str().unwrap();
        for (arguments, expected) in [
            (&["serve", "--config", absolute][..], true),
            (&["serve", "--config", "demo/castor.toml"], true),
            (&["serve", "--config", "./demo/castor.toml"], true),
            (&["serve", "--config=demo/castor.toml"], true),
            (&["serve", "--config", "castor.toml"], false),
            (&["edit", "demo/castor.toml"], false),
        ] {
            let mut child = process(&folder, arguments);
            assert_eq!(runs_config(child.id(), &config), expected, "{arguments:?}");
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }
}
