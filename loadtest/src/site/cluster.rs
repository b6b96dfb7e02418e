//! A cluster in its hosts: nodes behind nginx, all real processes.
//!
//! Promises: a started node is ready or the error names its log; nothing of it is left when it is
//! dropped. Does not: break anything ([`crate::nemesis`]).

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::Signal;

use super::files::{Files, HTTP, OPS, USER, node_name};
use super::hosts::{CLIENT, FIRST_NODE, FRONT, Hosts, PREFIX, address};
use super::leftovers::GROUPS;
use super::processes::{Process, Program};
use super::switch::Switch;
use crate::clock;
use crate::cluster::{Cluster, Node};
use crate::http::{Call, Client};
use crate::progress::say;
use crate::rng::Rng;

/// How long a node may take until it is ready.
pub const READY_WITHIN: Duration = Duration::from_secs(60);
const PROBE_EVERY: Duration = Duration::from_millis(50);
/// Size of the disk on which each node writes its audit file.
const DISK: &str = "size=1m";

/// A running site.
pub struct Site<'a> {
    hosts: &'a Hosts,
    files: Files,
    castor: PathBuf,
    password: String,
    /// The nodes; those beyond the members are not started.
    nodes: Vec<SiteNode>,
    nginx: Option<Process>,
    mounts: Vec<PathBuf>,
    groups: Vec<PathBuf>,
    client: Client,
}

/// A node of the site.
#[derive(Default)]
pub struct SiteNode {
    process: Option<Process>,
    /// Environment for its next start.
    pub environment: Vec<(String, String)>,
    /// Control group for its next start.
    pub group: Option<PathBuf>,
}

impl<'a> Site<'a> {
    /// Makes the files for `count` nodes, of which `members` name each other; starts nothing.
    ///
    /// # Errors
    /// When the product's commands fail, or a disk cannot be mounted.
    pub fn make(
        hosts: &'a Hosts,
        dir: &Path,
        castor: &Path,
        [count, members]: [usize; 2],
        seed: u64,
    ) -> anyhow::Result<Self> {
        let password = Rng::new(seed).request_id();
        let files = Files::make(dir, castor, &password, count, members)?;
        let web_ca = dir.join("web-ca.pem");
        let mut site = Self {
            hosts,
            castor: castor.to_owned(),
            password,
            nodes: (0..count).map(|_| SiteNode::default()).collect(),
            nginx: None,
            mounts: Vec::new(),
            groups: Vec::new(),
            client: Client::new(Some(&web_ca), Duration::from_secs(1))?,
            files,
        };
        for index in 0..count {
            let disk = site.audit_folder(index);
            std::fs::create_dir_all(&disk)
                .with_context(|| format!("cannot make {}", disk.display()))?;
            let options = std::ffi::CString::new(DISK)?;
            mount(
                "tmpfs",
                &disk,
                "tmpfs",
                MountFlags::empty(),
                Some(&*options),
            )
            .with_context(|| format!("cannot mount {}", disk.display()))?;
            site.mounts.push(disk);
        }
        Ok(site)
    }

    /// The small disk of node `index`.
    pub fn audit_folder(&self, index: usize) -> PathBuf {
        self.files.dir.join(node_name(index)).join("audit")
    }

    /// The switch.
    ///
    /// # Errors
    /// Never while the hosts live.
    pub fn switch(&self) -> anyhow::Result<&Switch> {
        self.hosts.switch()
    }

    /// Number of nodes, started or not.
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    /// Node `index`.
    ///
    /// # Errors
    /// When there is none.
    pub fn node(&mut self, index: usize) -> anyhow::Result<&mut SiteNode> {
        let none = || format!("there is no {}", node_name(index));
        self.nodes.get_mut(index).with_context(none)
    }

    /// The site as every command sees a cluster.
    pub fn cluster(&self, members: usize) -> Cluster {
        let node = |index: usize| Node {
            name: node_name(index),
            url: format!("https://{}:{HTTP}/cas", address(FIRST_NODE + index)),
            ops_url: ops_url(index),
            admin_socket: None,
            pid: 0,
            config: None,
        };
        Cluster {
            front: format!("https://{}:{HTTP}/cas", address(FRONT)),
            username: USER.to_owned(),
            password: self.password.clone(),
            principal: None,
            wrong_password: String::new(),
            app: None,
            ca_file: Some(self.files.dir.join("web-ca.pem")),
            nodes: (0..members).map(node).collect(),
        }
    }

    /// Starts node `index` and does not wait.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self, index: usize) -> anyhow::Result<()> {
        let name = node_name(index);
        let config = self.files.path(&format!("{name}/castor.toml"));
        let castor = self.castor.display().to_string();
        let host = self.hosts.name(FIRST_NODE + index).to_owned();
        let log = self.files.dir.join(&name).join("castor.log");
        let node = self.node(index)?;
        let program = Program {
            name,
            host,
            command: vec![castor, "serve".to_owned(), "--config".to_owned(), config],
            environment: node.environment.clone(),
            log,
            at_our_end: "KILL",
            join: node.group.as_ref().map(|group| group.join("cgroup.procs")),
        };
        node.process = Some(program.start()?);
        Ok(())
    }

    /// Waits until node `index` is ready; the time that took.
    ///
    /// # Errors
    /// When it ends or is not ready within `bound`, with its log.
    pub async fn until_ready(&mut self, index: usize, bound: Duration) -> anyhow::Result<Duration> {
        let began = clock::monotonic();
        while !self.is_ready(index).await {
            let late = clock::monotonic().duration_since(began) > bound;
            let process = self.process(index)?;
            if process.has_ended() || late {
                let what = if late { "is not ready" } else { "ended" };
                let log = std::fs::read_to_string(process.log()).unwrap_or_default();
                let lines: Vec<&str> = log.lines().rev().take(5).collect();
                bail!("{} {what}; its last lines: {lines:#?}", node_name(index));
            }
            clock::pause(PROBE_EVERY).await;
        }
        Ok(clock::monotonic().duration_since(began))
    }

    /// Whether node `index` says that it is ready.
    pub async fn is_ready(&self, index: usize) -> bool {
        let answer = self
            .client
            .call(Call::get(format!("{}/ready", ops_url(index))))
            .await;
        answer.is_ok_and(|answer| answer.status == 200)
    }

    /// Whether node `index` answers on a connection that is not one of those kept open.
    ///
    /// # Errors
    /// Never once the site was made.
    pub async fn takes_connections(&self, index: usize) -> anyhow::Result<bool> {
        let client = Client::new(None, Duration::from_secs(1))?;
        let url = format!("{}/ready", ops_url(index));
        Ok(client.call(Call::get(url)).await.is_ok())
    }

    /// What node `index` says of the cluster.
    ///
    /// # Errors
    /// When it does not answer, or not in JSON.
    pub async fn status(&self, index: usize) -> anyhow::Result<serde_json::Value> {
        let answer = self
            .client
            .call(Call::get(format!("{}/status", ops_url(index))))
            .await?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// The process of node `index`.
    ///
    /// # Errors
    /// When it was not started.
    pub fn process(&mut self, index: usize) -> anyhow::Result<&mut Process> {
        let process = self.node(index)?.process.as_mut();
        process.with_context(|| format!("{} was not started", node_name(index)))
    }

    /// Starts nginx before the nodes `members`, or makes it read its new configuration.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn front(&mut self, members: &[usize]) -> anyhow::Result<()> {
        self.files.nginx(members)?;
        if let Some(nginx) = &self.nginx {
            return nginx.signal(Signal::HUP);
        }
        let file = |inside: &str| self.files.path(inside);
        let folder = file("nginx");
        let (config, errors) = (file("nginx/nginx.conf"), file("nginx/logs/error.log"));
        let command = [
            "nginx",
            "-p",
            &folder,
            "-c",
            &config,
            "-e",
            &errors,
            "-g",
            "daemon off;",
        ];
        let program = Program {
            name: "nginx".to_owned(),
            host: self.hosts.name(FRONT).to_owned(),
            command: command.map(str::to_owned).to_vec(),
            environment: Vec::new(),
            log: self.files.dir.join("nginx/nginx.log"),
            // Killed, it would leave its workers behind.
            at_our_end: "TERM",
            join: None,
        };
        self.nginx = Some(program.start()?);
        Ok(())
    }

    /// Waits until nginx serves the login page.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn until_front(&mut self) -> anyhow::Result<()> {
        let url = format!("https://{}:{HTTP}/cas/login", address(FRONT));
        for _ in 0..200 {
            let answer = self.client.call(Call::get(&url)).await;
            if answer.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            clock::pause(PROBE_EVERY).await;
        }
        let log = std::fs::read_to_string(self.files.dir.join("nginx/logs/error.log"));
        bail!("nginx does not serve: {}", log.unwrap_or_default());
    }

    /// A control group of its own for node `index` from its next start on.
    ///
    /// # Errors
    /// When the machine has no such control groups, or refuses.
    pub fn limit_memory(&mut self, index: usize, bytes: u64) -> anyhow::Result<()> {
        let name = format!("{PREFIX}{}-{}", std::process::id(), node_name(index));
        let group = Path::new(GROUPS).join(name);
        std::fs::create_dir(&group)
            .with_context(|| format!("cannot make the control group {}", group.display()))?;
        self.groups.push(group.clone());
        std::fs::write(group.join("memory.limit_in_bytes"), bytes.to_string())?;
        self.node(index)?.group = Some(group);
        Ok(())
    }

    /// Ends all processes.
    pub async fn stop(&mut self) {
        let nodes = self
            .nodes
            .iter_mut()
            .filter_map(|node| node.process.as_mut());
        for process in nodes.chain(self.nginx.as_mut()) {
            // nginx's master takes its workers with it on TERM only.
            let _ = process.signal(Signal::CONT);
            let _ = process.signal(Signal::TERM);
        }
        if let Some(nginx) = &mut self.nginx {
            let _ = nginx.ended(Duration::from_secs(3)).await;
        }
        for node in &mut self.nodes {
            if let Some(process) = &mut node.process {
                let _ = process.kill().await;
            }
        }
    }

    /// Ports on the switch: the client's, nginx's and those of these nodes.
    pub fn ports(nodes: &[usize]) -> Vec<usize> {
        nodes.iter().map(|index| FIRST_NODE + index).collect()
    }

    /// Port of nginx.
    pub const FRONT: usize = FRONT;
    /// Port of the load generator.
    pub const CLIENT: usize = CLIENT;
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        // Children die when their handles are dropped; nginx's workers only when it is asked.
        self.nodes.clear();
        if let Some(mut nginx) = self.nginx.take() {
            let _ = nginx.signal(Signal::TERM);
            let deadline = clock::monotonic() + Duration::from_secs(3);
            while !nginx.has_ended() && clock::monotonic() < deadline {
                clock::block(PROBE_EVERY);
            }
        }
        for disk in &self.mounts {
            if let Err(error) = unmount(disk, UnmountFlags::DETACH) {
                say(&format!("cannot unmount {}: {error}", disk.display()));
            }
        }
        for group in &self.groups {
            remove_group(group);
        }
    }
}

/// A control group can be removed when its last process is gone, which takes a moment.
fn remove_group(group: &Path) {
    let deadline = clock::monotonic() + Duration::from_secs(3);
    while let Err(error) = std::fs::remove_dir(group) {
        if clock::monotonic() > deadline {
            say(&format!("cannot remove {}: {error}", group.display()));
            return;
        }
        clock::block(PROBE_EVERY);
    }
}

fn ops_url(index: usize) -> String {
    format!("http://{}:{OPS}", address(FIRST_NODE + index))
}
