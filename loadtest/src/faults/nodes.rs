//! The processes of the nodes: signals, restart, readiness.
//!
//! Promises: a signal goes only to a process whose command line names that node's configuration
//! file, so that a process id used again by somebody else is never hit; a stopped node is
//! continued when its guard is dropped.
//! Does not: know why a process ended.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::until_ready;
use crate::cluster::Node;
use crate::lab::Lab;

/// A node's process as far as it is known here.
#[derive(Debug, Clone)]
pub struct NodeProcess {
    /// The node as the cluster file describes it.
    pub node: Node,
    /// Process id now.
    pub pid: u32,
}

impl NodeProcess {
    /// Finds the process of `node`.
    ///
    /// # Errors
    /// When the process id does not belong to that node, with what to do.
    pub fn find(node: &Node) -> anyhow::Result<Self> {
        let process = Self {
            node: node.clone(),
            pid: node.pid,
        };
        process.verify().with_context(|| {
            format!(
                "{}: cluster.json is older than the process; start the cluster again",
                node.name
            )
        })?;
        Ok(process)
    }

    fn config(&self) -> anyhow::Result<&Path> {
        match &self.node.config {
            Some(config) => Ok(config),
            None => bail!(
                "{}: cluster.json names no configuration file",
                self.node.name
            ),
        }
    }

    fn verify(&self) -> anyhow::Result<Pid> {
        let config = self.config()?.to_string_lossy().into_owned();
        let command = std::fs::read(format!("/proc/{}/cmdline", self.pid))
            .with_context(|| format!("no process {}", self.pid))?;
        let named = command
            .split(|byte| *byte == 0)
            .any(|argument| argument == config.as_bytes());
        if !named {
            bail!("process {} does not run {config}", self.pid);
        }
        let raw = i32::try_from(self.pid).context("process id out of range")?;
        Pid::from_raw(raw).context("process id 0")
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.verify()?;
        kill_process(pid, signal).with_context(|| format!("signal to {}", self.node.name))
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When the process is not that node's.
    pub fn kill(&self) -> anyhow::Result<()> {
        self.signal(Signal::KILL)
    }

    /// SIGSTOP; the node runs on when the guard is dropped.
    ///
    /// # Errors
    /// When the process is not that node's.
    pub fn stop(&self) -> anyhow::Result<Stopped<'_>> {
        self.signal(Signal::STOP)?;
        Ok(Stopped { process: self })
    }

    /// Starts the node again and waits until it is ready; the time that took.
    ///
    /// # Errors
    /// When it cannot be started or is not ready within `bound`; the error names the log.
    pub async fn restart(
        &mut self,
        lab: &Lab,
        castor: &Path,
        bound: Duration,
    ) -> anyhow::Result<Duration> {
        let log = self.spawn(castor)?;
        match until_ready(lab, &self.node.ops_url, bound).await {
            Some(time) => Ok(time),
            None => bail!(
                "{} is not ready after {bound:?}: see {}",
                self.node.name,
                log.display()
            ),
        }
    }

    /// Starts the node again; its log.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&mut self, castor: &Path) -> anyhow::Result<PathBuf> {
        let config = self.config()?.to_owned();
        let log = config.with_extension("restart.log");
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = tokio::process::Command::new(castor);
        command
            .args(["serve", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Its own group: an interrupt of this program must not stop the cluster.
            .process_group(0);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {} (see --castor)", castor.display()))?;
        self.pid = child.id().context("the node ended at once")?;
        // Collects the exit status when the node is killed again, so that no zombie stays.
        tokio::spawn(async move {
            let _ = child.wait().await;
        });
        Ok(log)
    }
}

/// A node that does not run until this is dropped.
#[derive(Debug)]
pub struct Stopped<'a> {
    process: &'a NodeProcess,
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.process.signal(Signal::CONT) {
            crate::progress::say(&format!(
                "cannot continue {}: {error:#}",
                self.process.node.name
            ));
        }
    }
}
