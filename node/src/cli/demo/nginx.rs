//! nginx before the nodes: its configuration, made from `node/demo/nginx.conf`, and its process.
//!
//! Promises: everything it writes is in `DIR/nginx`; the configuration is tested before it is
//! started; the process is a child and ends with the demo.
//! Does not: install nginx.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::files::NodeFiles;
use super::processes::signal_child;
use super::state::{make_folder, write_private};
use super::web_ca::Identity;
use crate::clock;

const TEMPLATE: &str = include_str!("../../../demo/nginx.conf");
/// Header by which the demo's applications learn which node answered.
pub(super) const UPSTREAM_HEADER: &str = "Castor-Demo-Upstream";
/// How long nginx may take to finish what is under way.
const QUIT_TIME: Duration = Duration::from_secs(3);

/// What the configuration depends on.
#[derive(Debug)]
pub(super) struct Front<'a> {
    pub(super) listen: IpAddr,
    pub(super) port: u16,
    pub(super) host: &'a str,
    pub(super) identity: &'a Identity,
    pub(super) ca_file: &'a Path,
    pub(super) nodes: &'a [NodeFiles],
}

/// The nginx program.
///
/// # Errors
/// When it is not installed, with what to install.
pub(super) fn find_program() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([
        PathBuf::from("/usr/sbin"),
        PathBuf::from("/usr/local/sbin"),
        PathBuf::from("/usr/local/nginx/sbin"),
    ]);
    let mut programs = folders.map(|folder| folder.join("nginx"));
    programs.find(|program| program.is_file()).context(
        "nginx is not installed: install it (Debian: apt-get install nginx), or start the demo \
         with --no-nginx",
    )
}

/// The configuration for `front`, with `dir` as nginx's own folder.
pub(super) fn configuration(dir: &Path, front: &Front<'_>) -> String {
    let tls = front.nodes.iter().any(|node| node.tls);
    let servers: Vec<String> = front
        .nodes
        .iter()
        .map(|node| {
            let port = node.state.http_port;
            format!(
                "    server 127.0.0.1:{port} max_fails=10 fail_timeout=2s;  # {}",
                node.state.name
            )
        })
        .collect();
    let listen: Vec<String> = addresses(front.listen, front.port)
        .into_iter()
        .map(|address| match address {
            IpAddr::V4(four) => format!("    listen {four}:{} ssl;", front.port),
            IpAddr::V6(six) => format!("    listen [{six}]:{} ssl ipv6only=on;", front.port),
        })
        .collect();
    let demo = format!(
        "      # Demo only: shows its applications which node answered.\n      \
         add_header {UPSTREAM_HEADER} $upstream_addr always;\n"
    );
    let tls_lines = if tls {
        tls_section(front)
    } else {
        String::new()
    };
    TEMPLATE
        .replace("@dir@", &dir.display().to_string())
        .replace("@servers@", &servers.join("\n"))
        .replace("@listen@", &listen.join("\n"))
        .replace("@host@", front.host)
        .replace(
            "@certificate@",
            &front.identity.certificate.display().to_string(),
        )
        .replace("@key@", &front.identity.key.display().to_string())
        .replace("@tls@\n", &tls_lines)
        .replace("@scheme@", if tls { "https" } else { "http" })
        .replace("@demo@", &demo)
}

/// `localhost` means both loopback addresses where the machine has both.
fn addresses(listen: IpAddr, port: u16) -> Vec<IpAddr> {
    let mut addresses = vec![listen];
    let six = IpAddr::V6(Ipv6Addr::LOCALHOST);
    if listen == IpAddr::V4(Ipv4Addr::LOCALHOST) && TcpListener::bind((six, port)).is_ok() {
        addresses.push(six);
    }
    addresses
}

fn tls_section(front: &Front<'_>) -> String {
    format!(
        "\n    # Nodes on other machines: encrypted and verified. A node's certificate names the host\n    \
         # that people use, so that one name fits all nodes.\n    \
         proxy_ssl_verify on;\n    \
         proxy_ssl_trusted_certificate \"{}\";\n    \
         proxy_ssl_name {};\n    \
         proxy_ssl_server_name on;\n    \
         proxy_ssl_protocols TLSv1.3;\n    \
         proxy_ssl_session_reuse on;\n",
        front.ca_file.display(),
        front.host
    )
}

/// A running nginx.
#[derive(Debug)]
pub(super) struct Nginx {
    child: Child,
    error_log: PathBuf,
}

impl Nginx {
    /// Writes the configuration, tests it and starts nginx.
    ///
    /// # Errors
    /// When nginx refuses the configuration or cannot be started.
    pub(super) async fn start(
        program: &Path,
        dir: &Path,
        front: &Front<'_>,
    ) -> anyhow::Result<Self> {
        let dir = make_folder(&dir.join("nginx"))?;
        make_folder(&dir.join("logs"))?;
        make_folder(&dir.join("temp"))?;
        let file = dir.join("nginx.conf");
        write_private(&file, configuration(&dir, front).as_bytes())?;
        let command = || {
            let mut command = Command::new(program);
            command.arg("-p").arg(&dir).arg("-c").arg(&file);
            // Until the configuration is read, nginx would log to the system's place.
            command.arg("-e").arg(dir.join("logs/error.log"));
            command.stdin(Stdio::null()).process_group(0);
            command
        };
        let tested = command()
            .arg("-t")
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("cannot run {}", program.display()))?;
        if !tested.status.success() {
            bail!("nginx: {}", String::from_utf8_lossy(&tested.stderr).trim());
        }
        let child = command()
            .args(["-g", "daemon off;"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        Ok(Self {
            child,
            error_log: dir.join("logs/error.log"),
        })
    }

    /// Waits until nginx ends, which it should not.
    ///
    /// *Cancel safety*: safe.
    pub(super) async fn ended(&mut self) -> String {
        let status = match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        format!("nginx ended ({status}): see {}", self.error_log.display())
    }

    /// Lets nginx finish what is under way, and ends it when that takes too long.
    pub(super) async fn stop(mut self) {
        signal_child(&self.child, Signal::QUIT);
        if tokio::time::timeout(QUIT_TIME, self.child.wait())
            .await
            .is_err()
        {
            // The master's workers end with it on TERM, not on KILL.
            signal_child(&self.child, Signal::TERM);
            let _ = tokio::time::timeout(QUIT_TIME, self.child.wait()).await;
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // A master that is killed leaves its workers behind, which hold the ports.
        signal_child(&self.child, Signal::TERM);
    }
}

/// Ends the nginx of an earlier run of this folder; whether there was one.
pub(super) async fn end_leftover(dir: &Path) -> bool {
    let dir = dir.join("nginx");
    let Ok(text) = std::fs::read_to_string(dir.join("nginx.pid")) else {
        return false;
    };
    let Some(pid) = text.trim().parse::<i32>().ok().and_then(Pid::from_raw) else {
        return false;
    };
    let ours = || {
        // nginx writes its whole command line into its title.
        let file = dir.join("nginx.conf").display().to_string();
        std::fs::read(format!("/proc/{}/cmdline", text.trim())).is_ok_and(|line| {
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains("nginx") && line.contains("master") && line.contains(&file)
        })
    };
    if !ours() {
        return false;
    }
    let deadline = clock::timer_now() + QUIT_TIME;
    while ours() {
        let late = clock::timer_now() >= deadline;
        let _ = kill_process(pid, if late { Signal::KILL } else { Signal::TERM });
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::state::NodeState;
    use super::*;

    fn node(number: u16, tls: bool) -> NodeFiles {
        NodeFiles {
            state: NodeState {
                name: format!("node{number}"),
                http_port: 8500 + number,
                ops_port: 1,
                cluster_port: 2,
            },
            folder: "/d".into(),
            config: "/d/castor.toml".into(),
            admin_socket: "/d/admin.sock".into(),
            log: "/d/castor.log".into(),
            tls,
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            host: "127.0.0.1".into(),
        }
    }

    fn made(tls: bool) -> String {
        let nodes = [node(1, tls), node(2, tls)];
        let identity = Identity {
            certificate: "/d w/f.pem".into(),
            key: "/d w/f.key".into(),
        };
        let front = Front {
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8443,
            host: "localhost",
            identity: &identity,
            ca_file: Path::new("/d w/ca.pem"),
            nodes: &nodes,
        };
        configuration(Path::new("/d w/nginx"), &front)
    }

    #[test]
    fn the_recommended_settings_are_there() {
        let text = made(false);
        for line in [
            "server 127.0.0.1:8501 max_fails=10 fail_timeout=2s;",
            "server 127.0.0.1:8502 max_fails=10 fail_timeout=2s;",
            "listen 127.0.0.1:8443 ssl;",
            "proxy_connect_timeout 500ms;",
            "proxy_read_timeout 10s;",
            "proxy_read_timeout 3s;",
            "proxy_next_upstream error timeout http_503;",
            "proxy_set_header Castor-Request-Id $request_id;",
            "proxy_set_header X-Forwarded-For   $remote_addr;",
            "ssl_certificate     \"/d w/f.pem\";",
            "proxy_pass http://castor;",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains('@'), "something was not filled in:\n{text}");
        assert!(!text.contains("proxy_ssl_verify"));
        let non_idempotent: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("proxy_next_upstream ") && line.contains("non_idempotent"))
            .collect();
        assert_eq!(non_idempotent.len(), 1, "on the validation locations only");
    }

    #[test]
    fn nodes_behind_tls_are_verified() {
        let text = made(true);
        assert!(text.contains("proxy_ssl_verify on;"));
        assert!(text.contains("proxy_ssl_trusted_certificate \"/d w/ca.pem\";"));
        assert!(text.contains("proxy_pass https://castor;"));
    }

    /// docs/operating/nginx.md shows the same file, with an operator's values filled in.
    #[test]
    fn the_documented_configuration_is_this_one() {
        let page = include_str!("../../../../docs/operating/nginx.md");
        let directives = |text: &str| -> Vec<String> {
            text.lines()
                .map(|line| {
                    line.split(" #")
                        .next()
                        .unwrap_or_default()
                        .trim()
                        .to_owned()
                })
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .collect()
        };
        let shown: String = page
            .split("```nginx\n")
            .nth(1)
            .and_then(|rest| rest.split("```").next())
            .unwrap()
            .to_owned();
        let shown = directives(&shown);
        for line in directives(TEMPLATE) {
            if !line.contains('@') && !line.contains("_temp_path") {
                assert!(
                    shown.contains(&line),
                    "docs/operating/nginx.md lacks: {line}"
                );
            }
        }
    }
}
