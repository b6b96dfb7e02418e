//! Programs that run inside a host: the nodes and nginx.
//!
//! Promises: each is a child of this program and dies with it, even by `kill -9`; each gets signals
//! by its own process id only. Does not: decide when.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// How to run a program in a host.
#[derive(Debug, Clone)]
pub struct Program {
    /// What it is called in messages.
    pub name: String,
    /// Namespace of its host.
    pub host: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment besides our own.
    pub environment: Vec<(String, String)>,
    /// Where its output goes; appended.
    pub log: PathBuf,
    /// Signal it gets when this program is killed.
    pub at_our_end: &'static str,
    /// File that its process id is written to before it starts, such as a control group's.
    pub join: Option<PathBuf>,
}

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self) -> anyhow::Result<Process> {
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("cannot write {}", self.log.display()))?;
        // ip becomes setpriv, that becomes the program: the process id stays the same.
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.host]);
        command.args(["setpriv", "--pdeathsig", self.at_our_end]);
        if let Some(group) = &self.join {
            let script = "echo $$ >\"$0\" && exec \"$@\"";
            command.args(["sh", "-c", script]).arg(group);
        }
        if !self.environment.is_empty() {
            command.arg("env");
            command.args(
                self.environment
                    .iter()
                    .map(|(name, value)| format!("{name}={value}")),
            );
        }
        command
            .args(&self.command)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // An interrupt of this program must not reach the site before its time.
            .process_group(0)
            .kill_on_drop(true);
        let child = command.spawn();
        let child = child.with_context(|| format!("cannot start {}", self.name))?;
        Ok(Process {
            name: self.name.clone(),
            child,
            log: self.log.clone(),
        })
    }
}

impl Process {
    /// Process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it does not run any more.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.raw_pid()?;
        kill_process(pid, signal).with_context(|| format!("signal to {}", self.name))
    }

    /// Its process id for the kernel.
    ///
    /// # Errors
    /// When it does not run any more.
    pub fn raw_pid(&self) -> anyhow::Result<Pid> {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(Pid::from_raw);
        pid.with_context(|| format!("{} ended: see {}", self.name, self.log.display()))
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it does not within `bound`.
    pub async fn ended(&mut self, bound: Duration) -> anyhow::Result<ExitStatus> {
        match tokio::time::timeout(bound, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} still runs after {bound:?}", self.name),
        }
    }

    /// Whether it ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.child
            .kill()
            .await
            .with_context(|| format!("cannot kill {}", self.name))
    }

    /// Where its output is.
    pub fn log(&self) -> &Path {
        &self.log
    }
}
