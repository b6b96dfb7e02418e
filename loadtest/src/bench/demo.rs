//! A cluster on this machine that a bench starts and stops itself: `castor demo`, or what takes the same arguments.
//!
//! Promises: it is a child, is ended by its own id, and its folder goes with it; what it said is in
//! the error when it does not start. Does not: know how it works.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;
use tokio::process::{Child, Command};

use super::stand_in::signal;
use crate::clock;

/// Time to be ready.
const READY: Duration = Duration::from_secs(120);
/// Time to end after it was asked to.
const END: Duration = Duration::from_secs(60);
/// Bytes of its output that an error shows.
const SHOWN: usize = 2_000;

/// A running cluster.
pub struct Demo {
    child: Child,
    folder: PathBuf,
}

impl Demo {
    /// Starts `nodes` nodes behind nginx, and waits until they are ready.
    ///
    /// # Errors
    /// When the program cannot be started or ends; what it said last.
    pub async fn start(program: &Path, folder: PathBuf, nodes: usize) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let log = folder.join("output.log");
        let file = std::fs::File::create(&log).with_context(|| log.display().to_string())?;
        let mut command = Command::new(program);
        command.arg("demo").arg("--dir").arg(folder.join("demo"));
        command.args(["--nodes", &nodes.to_string()]);
        command.args(["--set", "authn.throttle.enabled=false"]);
        command.stdin(Stdio::null()).stdout(file.try_clone()?);
        command.stderr(file).process_group(0);
        let child = command.spawn().inspect_err(|_| {
            let _ = std::fs::remove_dir_all(&folder);
        });
        let child = child.with_context(|| format!("cannot start {}", program.display()))?;
        let mut demo = Self { child, folder };
        let deadline = clock::monotonic() + READY;
        while !demo.cluster().exists() {
            let ended = demo.child.try_wait()?;
            if ended.is_some() || clock::monotonic() > deadline {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                let tail: Vec<char> = said.chars().rev().take(SHOWN).collect();
                let tail: String = tail.into_iter().rev().collect();
                bail!("{nodes} nodes did not come up; last said:\n{tail}");
            }
            clock::pause(Duration::from_millis(50)).await;
        }
        Ok(demo)
    }

    /// Where it describes itself.
    pub fn cluster(&self) -> PathBuf {
        self.folder.join("demo/cluster.json")
    }

    /// Configuration of its nginx.
    pub fn nginx(&self) -> PathBuf {
        self.folder.join("demo/nginx/nginx.conf")
    }

    /// Ends it and removes its folder.
    pub async fn stop(mut self) {
        signal(&self.child, Signal::TERM);
        let _ = tokio::time::timeout(END, self.child.wait()).await;
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        signal(&self.child, Signal::TERM);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
