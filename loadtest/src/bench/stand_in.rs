//! The constant servers that a cluster is compared with, and the same nginx before them.
//!
//! Promises: nginx has the cluster's own configuration with other addresses; every process is a
//! child, is ended by its own id, and ends with this program; files are in a folder of their own, which
//! goes with it. Does not: measure.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::constant::Answers;
use super::folder::Own;
use super::usage::Group;
use crate::clock;
use crate::cluster::Cluster;
use crate::http::Origin;

const READY: Duration = Duration::from_secs(10);

/// Running stand-ins.
pub struct StandIns {
    servers: Vec<Child>,
    nginx: Option<Child>,
    /// Base URLs of the servers.
    pub urls: Vec<String>,
    /// Base URL of nginx, when there is one.
    pub front: Option<String>,
    folder: Own,
}

impl StandIns {
    /// Starts the servers with their files in a new folder in `folder`, and nginx with the configuration in
    /// `nginx` before them.
    ///
    /// # Errors
    /// When something cannot be started or does not answer.
    pub async fn start(
        folder: &Path,
        answers: &Answers,
        cluster: &Cluster,
        nginx: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let folder = Own::make(folder, "ceiling")?;
        let file = folder.path().join("answers.json");
        std::fs::write(&file, serde_json::to_string_pretty(answers)?)
            .with_context(|| file.display().to_string())?;
        let mut all = Self {
            servers: Vec::new(),
            nginx: None,
            urls: Vec::new(),
            front: None,
            folder,
        };
        let mut ports = Vec::new();
        let program = std::env::current_exe().context("this program's own file")?;
        let count = if nginx.is_some() {
            cluster.nodes.len()
        } else {
            1
        };
        for _ in 0..count {
            let port = free_port()?;
            let mut command = Command::new(&program);
            command.args(["bench", "constant", "--answers"]).arg(&file);
            command.args(["--listen", &format!("127.0.0.1:{port}")]);
            all.servers.push(spawn(command)?);
            all.urls
                .push(format!("http://127.0.0.1:{port}{}", answers.path));
            ports.push(port);
        }
        for port in &ports {
            answers_at(*port).await?;
        }
        if let Some(nginx) = nginx {
            all.start_nginx(nginx, cluster, &ports).await?;
        }
        Ok(all)
    }

    async fn start_nginx(
        &mut self,
        like: &Path,
        cluster: &Cluster,
        ports: &[u16],
    ) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(like).with_context(|| like.display().to_string())?;
        let port = free_port()?;
        let place = self.folder.path().join("nginx");
        for folder in ["logs", "temp"] {
            let folder = place.join(folder);
            std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        let old = like.parent().context("nginx.conf has no folder")?;
        let text = readdressed(&text, cluster, ports, port)?
            .replace(&old.display().to_string(), &place.display().to_string());
        let file = place.join("nginx.conf");
        std::fs::write(&file, text).with_context(|| file.display().to_string())?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&place).arg("-c").arg(&file);
        command.arg("-e").arg(place.join("logs/error.log"));
        command.args(["-g", "daemon off;"]);
        self.nginx = Some(spawn(command)?);
        let path = super::load::target::path_of(&cluster.front);
        self.front = Some(format!("https://localhost:{port}{path}"));
        answers_at(port).await
    }

    /// Who uses processors: the servers and nginx.
    pub fn groups(&self) -> Vec<Group> {
        let pids = self.servers.iter().filter_map(Child::id);
        let mut groups = vec![Group::new("servers", pids)];
        if let Some(pid) = self.nginx.as_ref().and_then(Child::id) {
            groups.push(Group::tree("nginx", pid));
        }
        groups
    }

    /// Ends all of them.
    pub async fn stop(mut self) {
        // nginx's master takes its workers with it on TERM, not on KILL.
        for child in self.nginx.iter_mut().chain(&mut self.servers) {
            signal(child, Signal::TERM);
            let _ = tokio::time::timeout(READY, child.wait()).await;
        }
    }
}

impl Drop for StandIns {
    fn drop(&mut self) {
        for child in self.nginx.iter().chain(&self.servers) {
            signal(child, Signal::TERM);
        }
    }
}

/// Sends a signal to a child that has not been waited for.
pub(super) fn signal(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

fn spawn(mut command: Command) -> anyhow::Result<Child> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    let name = command.as_std().get_program().to_owned();
    command
        .spawn()
        .with_context(|| format!("cannot start {}", name.display()))
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn answers_at(port: u16) -> anyhow::Result<()> {
    let deadline = clock::monotonic() + READY;
    while tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .is_err()
    {
        if clock::monotonic() > deadline {
            bail!("nothing answers at port {port}");
        }
        clock::pause(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// `text` with the nodes' addresses replaced by `ports`, and the front door's port by `front`.
fn readdressed(text: &str, cluster: &Cluster, ports: &[u16], front: u16) -> anyhow::Result<String> {
    let mut replaced = 0;
    let mut text = text.to_owned();
    for (node, port) in cluster.nodes.iter().zip(ports) {
        let old = format!("server {} ", Origin::of(&node.url)?.authority());
        replaced += text.matches(&old).count();
        text = text.replace(&old, &format!("server 127.0.0.1:{port} "));
    }
    let front_port = Origin::of(&cluster.front)?.port();
    let old = format!(":{front_port} ssl");
    if replaced != ports.len() || !text.contains(&old) {
        bail!("the nginx configuration is not that of this cluster");
    }
    Ok(text.replace(&old, &format!(":{front} ssl")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_change_in_the_configuration() {
        let cluster = serde_json::from_str::<Cluster>(
            r#"{"front":"https://localhost:8443/cas","username":"u","password":"p","nodes":[
            {"name":"a","url":"http://127.0.0.1:81/cas","ops_url":"http://127.0.0.1:1"},
            {"name":"b","url":"http://127.0.0.1:82/cas","ops_url":"http://127.0.0.1:2"}]}"#,
        )
        .unwrap();
        let text =
            "server 127.0.0.1:81 max;\nserver 127.0.0.1:82 max;\nlisten 127.0.0.1:8443 ssl;\n";
        assert_eq!(
            readdressed(text, &cluster, &[1, 2], 3).unwrap(),
            "server 127.0.0.1:1 max;\nserver 127.0.0.1:2 max;\nlisten 127.0.0.1:3 ssl;\n"
        );
        assert!(readdressed("nothing", &cluster, &[1, 2], 3).is_err());
    }
}
