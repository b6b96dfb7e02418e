//! A cluster of real processes in a folder of its own, started by `castor demo`.
//!
//! Promises: `start` returns when every node is ready and the front answers; dropping it stops every
//! process it started, also after a failure, and then prints their log.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;

use super::answer::Answer;
use super::person::Person;
use super::wait;

pub(crate) const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// How long a demo that is only taken down may drain.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long a restarted node may take to be ready again.
pub(crate) const READY_LIMIT: Duration = Duration::from_secs(30);

/// What the demo writes for scripts.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) front: String,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) wrong_password: String,
    pub(crate) app: String,
    pub(crate) ca_file: PathBuf,
    pub(crate) nodes: Vec<Node>,
}

/// One node of the demo.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) ops_url: String,
    pub(crate) admin_socket: PathBuf,
    pub(crate) pid: u32,
    pub(crate) config: PathBuf,
}

/// The program under test.
pub(crate) fn castor() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_castor"));
    command.stdin(Stdio::null());
    command
}

/// Sends a signal by name to a process we know.
pub(crate) fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    assert!(sent.is_ok_and(|s| s.success()), "kill -{name} {pid}");
}

/// A running demo.
pub(crate) struct Demo {
    directory: TempDir,
    program: Child,
    restarted: Vec<Child>,
    pub(crate) cluster: Cluster,
}

impl Demo {
    /// Three nodes behind nginx.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further arguments to `castor demo`.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Self::start_in(new_folder(), arguments)
    }

    /// The same; the nodes also trust applications whose certificates come from the demo's authority.
    pub(crate) fn start_trusting_itself(arguments: &[&str]) -> Self {
        let directory = new_folder();
        let authority = directory.path().join("demo/web/ca.pem");
        let trust = format!("outbound.ca_file={}", authority.display());
        let arguments = [arguments, &["--set", &trust]].concat();
        Self::start_in(directory, &arguments)
    }

    fn start_in(directory: TempDir, arguments: &[&str]) -> Self {
        let log = File::create(directory.path().join("demo.log")).expect("a log file");
        let errors = log.try_clone().expect("a second handle of the log");
        let folder = directory.path().join("demo");
        let program = castor()
            .args(["demo", "--dir"])
            .arg(&folder)
            .args(arguments)
            .stdout(log)
            .stderr(errors)
            .spawn()
            .expect("castor demo starts");
        let empty = Cluster {
            front: String::new(),
            username: String::new(),
            password: String::new(),
            wrong_password: String::new(),
            app: String::new(),
            ca_file: PathBuf::new(),
            nodes: Vec::new(),
        };
        // Built before waiting, so that a failure to start still stops and prints.
        let mut demo = Self {
            directory,
            program,
            restarted: Vec::new(),
            cluster: empty,
        };
        let ended = wait::until("cluster.json", START_LIMIT, || {
            let ended = demo.program.try_wait().expect("the demo can be waited for");
            if ended.is_some() {
                return Some(ended);
            }
            let text = fs::read_to_string(folder.join("cluster.json")).ok()?;
            demo.cluster = serde_json::from_str(&text).expect("cluster.json is as promised");
            Some(None)
        });
        assert!(ended.is_none(), "castor demo ended: {ended:?}");
        demo
    }

    /// The folder given to `--dir`.
    pub(crate) fn folder(&self) -> PathBuf {
        self.directory.path().join("demo")
    }

    /// A new person who trusts the demo's authority.
    pub(crate) fn person(&self) -> Person {
        Person::new(&self.cluster.ca_file)
    }

    /// `kill -9` of a node; waits until it is gone.
    pub(crate) fn kill(&mut self, index: usize) {
        let pid = self.cluster.nodes[index].pid;
        signal("KILL", pid);
        for child in self.restarted.iter_mut().filter(|c| c.id() == pid) {
            child.wait().expect("a killed child can be waited for");
        }
        // Its parent has collected it: a zombie may have threads that still end and hold its ports.
        wait::until("the killed process is gone", STOP_LIMIT, || {
            (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())
        });
    }

    /// Starts a killed node again with its own configuration; does not wait for it.
    pub(crate) fn restart(&mut self, index: usize) {
        let node = &mut self.cluster.nodes[index];
        let log = File::options()
            .append(true)
            .open(self.directory.path().join("demo.log"));
        let log = log.expect("the log is there");
        let child = castor()
            .args(["serve", "--config"])
            .arg(&node.config)
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .spawn()
            .expect("castor serve starts");
        node.pid = child.id();
        self.restarted.push(child);
    }

    /// The node's own configuration file, taken apart.
    pub(crate) fn config(&self, index: usize) -> toml::Table {
        let text = fs::read_to_string(&self.cluster.nodes[index].config);
        let text = text.expect("the node's configuration");
        text.parse().expect("the configuration is TOML")
    }

    /// Where a node listens for the others.
    pub(crate) fn cluster_address(&self, index: usize) -> SocketAddr {
        let table = self.config(index);
        let listen = table["cluster"]["listen"].as_str().expect("cluster.listen");
        listen.parse().expect("an address")
    }

    /// Starts every node anew, so that the others reach it only at its address in `advertised`.
    pub(crate) fn move_behind(&mut self, advertised: &[SocketAddr]) {
        let nodes = 0..self.cluster.nodes.len();
        nodes.clone().for_each(|index| self.kill(index));
        let seeds: Vec<toml::Value> = advertised.iter().map(|a| a.to_string().into()).collect();
        for index in nodes.clone() {
            let mut table = self.config(index);
            let cluster = table["cluster"].as_table_mut().expect("a section");
            cluster.insert("advertise".to_owned(), advertised[index].to_string().into());
            cluster.insert("seeds".to_owned(), seeds.clone().into());
            fs::write(&self.cluster.nodes[index].config, table.to_string())
                .expect("the configuration can be written");
        }
        nodes.clone().for_each(|index| self.restart(index));
        nodes.for_each(|index| self.wait_ready(index));
    }

    /// What a node says of itself and the others.
    pub(crate) fn status(&self, index: usize) -> serde_json::Value {
        let answer = self.ops(index, "/status").expect("a node that answers");
        serde_json::from_str(&answer.body).expect("the status is JSON")
    }

    /// The answer of a node's operations listener; none when it does not answer.
    pub(crate) fn ops(&self, index: usize, path: &str) -> Option<Answer> {
        let base = self.cluster.nodes[index]
            .ops_url
            .trim_end_matches('/')
            .to_owned();
        self.person().try_get(&format!("{base}{path}")).ok()
    }

    /// Whether a node says that it is ready.
    pub(crate) fn is_ready(&self, index: usize) -> bool {
        self.ops(index, "/ready")
            .is_some_and(|answer| answer.status == 200)
    }

    /// Waits until a node is ready.
    pub(crate) fn wait_ready(&self, index: usize) {
        wait::until("the node is ready", READY_LIMIT, || {
            self.is_ready(index).then_some(())
        });
    }

    /// The sum of a metric over its labels on one node.
    pub(crate) fn metric(&self, index: usize, name: &str) -> f64 {
        self.metric_of(index, name, "")
    }

    /// The sum of a metric over those of its labels that contain `label`.
    pub(crate) fn metric_of(&self, index: usize, name: &str, label: &str) -> f64 {
        let page = self.ops(index, "/metrics").expect("a node that answers");
        let lines = page.body.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(label))
        });
        let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    }

    /// Runs a command of the program that talks to a node's administration socket.
    pub(crate) fn admin(&self, index: usize, command: &[&str]) -> std::process::Output {
        castor()
            .args(command)
            .arg("--config")
            .arg(&self.cluster.nodes[index].config)
            .output()
            .expect("castor runs")
    }

    /// Ctrl-C; gives the exit status.
    pub(crate) fn interrupt(&mut self) -> ExitStatus {
        signal("INT", self.program.id());
        let program = &mut self.program;
        wait::until("the demo stops", STOP_LIMIT, || {
            program.try_wait().ok().flatten()
        })
    }

    /// What the processes wrote, the end of it.
    pub(crate) fn log(&self) -> String {
        let mut text = read(&self.directory.path().join("demo.log"));
        let mut folders = vec![self.folder()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "log") {
                    text += &format!("--- {}\n{}", path.display(), read(&path));
                }
            }
        }
        text
    }
}

fn new_folder() -> TempDir {
    let directory = tempfile::Builder::new().prefix("castor-system-").tempdir();
    directory.expect("a folder for the demo")
}

/// The end of a file, for a person to read.
fn read(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(200)..].join("\n") + "\n"
}

impl Drop for Demo {
    fn drop(&mut self) {
        for child in &mut self.restarted {
            let _ = child.kill();
            let _ = child.wait();
        }
        if matches!(self.program.try_wait(), Ok(None)) {
            // The first drains, the second stops at once: nobody needs these sessions any more.
            signal("INT", self.program.id());
            let program = &mut self.program;
            let drained = wait::poll(PATIENCE, || program.try_wait().ok().flatten());
            if drained.is_none() {
                signal("INT", program.id());
            }
            let stopped = wait::poll(STOP_LIMIT, || program.try_wait().ok().flatten());
            if stopped.is_none() {
                let _ = self.program.kill();
                let _ = self.program.wait();
            }
        }
        if std::thread::panicking() {
            eprintln!("--- the demo's log\n{}", self.log());
        }
    }
}
