//! What a demo folder remembers between runs: names, ports, the password (`demo.json`, 0600).
//!
//! The file is also the mark of a folder made by the demo: `--fill` works nowhere else.
//!
//! Promises: written atomically; a second run keeps everything; a folder with other things in it is
//! refused. Does not: remember arguments.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::clock::Rng;

/// File that marks a demo folder.
pub(super) const MARKER: &str = "demo.json";
/// The user of every demo.
pub(super) const USERNAME: &str = "casuser";
/// The password of a demo on loopback.
pub(super) const LOCAL_PASSWORD: &str = "Mellon";
const VERSION: u32 = 1;
/// Ports asked for first, so that a demo is where its documentation says when they are free.
const FRONT_PORT: u16 = 8443;
const APP_PORTS: [u16; 2] = [8481, 8482];
const NODE_PORT: u16 = 8501;

/// What is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    version: u32,
    /// Password of [`USERNAME`].
    pub(super) password: String,
    /// Port of nginx.
    pub(super) front_port: u16,
    /// Ports of the two applications.
    pub(super) app_ports: [u16; 2],
    /// The nodes, in order; a run may use fewer.
    pub(super) nodes: Vec<NodeState>,
    /// Whether all of it was ever up: from then on people know the ports.
    #[serde(default = "was_up")]
    up: bool,
}

/// Folders of demos that did not say so.
fn was_up() -> bool {
    true
}

/// One node's name and ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NodeState {
    pub(super) name: String,
    pub(super) http_port: u16,
    pub(super) ops_port: u16,
    pub(super) cluster_port: u16,
}

impl State {
    /// Reads the state of `dir`, or makes one at the first run; at least `nodes` nodes.
    ///
    /// # Errors
    /// When the folder holds other things, or no port is free.
    pub(super) fn load_or_create(
        dir: &Path,
        nodes: Option<u8>,
        local: bool,
        rng: &Rng,
    ) -> anyhow::Result<Self> {
        let mut ports = Ports::default();
        let mut state = match std::fs::read_to_string(dir.join(MARKER)) {
            Ok(text) => Self::parse(&text)
                .with_context(|| format!("{} is no demo's", dir.join(MARKER).display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                refuse_strange_folder(dir)?;
                Self {
                    version: VERSION,
                    password: LOCAL_PASSWORD.to_owned(),
                    front_port: ports.tcp(FRONT_PORT)?,
                    app_ports: [ports.tcp(APP_PORTS[0])?, ports.tcp(APP_PORTS[1])?],
                    nodes: Vec::new(),
                    up: false,
                }
            }
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot read {}", dir.join(MARKER).display()));
            }
        };
        if !state.up {
            state.leave_taken_ports(&mut ports)?;
        }
        ports.used.extend(state.ports());
        let wanted = nodes.map_or(state.nodes.len().max(3), usize::from);
        while state.nodes.len() < wanted {
            let node = ports.node(state.nodes.len() + 1)?;
            state.nodes.push(node);
        }
        // A door that others can reach must not open with a password that everybody knows.
        if !local && state.password == LOCAL_PASSWORD {
            state.password = random_password(rng);
        }
        state.save(dir)?;
        Ok(state)
    }

    /// Two demos that start at the same moment find the same ports free, and one of them fails. Nobody
    /// knows its ports yet, so it takes others for those that are taken when it is started again.
    fn leave_taken_ports(&mut self, ports: &mut Ports) -> anyhow::Result<()> {
        ports.used.extend(self.ports());
        let tcp = self.app_ports.iter_mut().chain([&mut self.front_port]);
        let nodes = self.nodes.iter_mut();
        let (of_nodes, udp): (Vec<_>, Vec<_>) = nodes
            .map(|n| ([&mut n.http_port, &mut n.ops_port], &mut n.cluster_port))
            .unzip();
        for port in tcp.chain(of_nodes.into_iter().flatten()) {
            if bind_tcp(*port).is_err() {
                *port = ports.tcp(0)?;
            }
        }
        for port in udp {
            if bind_udp(*port).is_err() {
                *port = ports.udp(0)?;
            }
        }
        Ok(())
    }

    /// Remembers that everything is up, so that the ports stay.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn keep_ports(&mut self, dir: &Path) -> anyhow::Result<()> {
        if self.up {
            return Ok(());
        }
        self.up = true;
        self.save(dir)
    }

    /// Checks that the kept ports of the first `nodes` nodes, and the front's, are free.
    ///
    /// # Errors
    /// The port that is taken, and what to do.
    pub(super) fn check_ports(&self, nodes: usize, nginx: bool) -> anyhow::Result<()> {
        let mut tcp: Vec<(u16, &str)> = self.app_ports.map(|port| (port, "an application")).into();
        if nginx {
            tcp.push((self.front_port, "the front door"));
        }
        let nodes = self.nodes.iter().take(nodes);
        tcp.extend(nodes.flat_map(|n| [n.http_port, n.ops_port].map(|port| (port, &*n.name))));
        for (port, whose) in tcp {
            if let Err(error) = bind_tcp(port) {
                bail!(
                    "port {port}, kept for {whose}, cannot be had: {error}; stop what listens \
                     there, or give another --dir"
                );
            }
        }
        Ok(())
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let state: Self = serde_json::from_str(text)?;
        if state.version != VERSION {
            bail!("made by another version of the demo; remove the folder to start afresh");
        }
        Ok(state)
    }

    fn ports(&self) -> Vec<u16> {
        let nodes = self
            .nodes
            .iter()
            .flat_map(|n| [n.http_port, n.ops_port, n.cluster_port]);
        nodes
            .chain(self.app_ports)
            .chain([self.front_port])
            .collect()
    }

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        write_private(&dir.join(MARKER), text.as_bytes())
    }
}

/// Makes `dir` (0700) and the folders above it; its absolute path.
///
/// # Errors
/// When it cannot be made.
pub(super) fn make_folder(dir: &Path) -> anyhow::Result<PathBuf> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .and_then(|()| dir.canonicalize())
        .with_context(|| format!("cannot make {}", dir.display()))
}

/// Writes a file that only its owner can read, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    write_with_mode(path, bytes, 0o600)
}

/// Writes a file whole or not at all: under another name first, then renamed.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let mut hidden = path.as_os_str().to_owned();
    hidden.push(format!(".{}.new", std::process::id()));
    let hidden = PathBuf::from(hidden);
    let written = (|| {
        // A leftover of a run that was killed may have another mode.
        let _ = std::fs::remove_file(&hidden);
        let mut options = std::fs::File::options();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&hidden)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&hidden, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&hidden);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

fn refuse_strange_folder(dir: &Path) -> anyhow::Result<()> {
    let strange = std::fs::read_dir(dir)
        .with_context(|| format!("cannot read {}", dir.display()))?
        .filter_map(Result::ok)
        .find(|entry| entry.file_name() != super::LOCK);
    match strange {
        None => Ok(()),
        Some(entry) => bail!(
            "{} holds {} and was not made by the demo; give an empty folder with --dir",
            dir.display(),
            entry.file_name().to_string_lossy()
        ),
    }
}

/// 16 characters that are hard to mix up, about 80 bits.
fn random_password(rng: &Rng) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let letters = rng
        .bytes::<16>()
        .map(|byte| char::from(LETTERS[usize::from(byte) % 32]));
    let text: String = letters.iter().collect();
    format!(
        "{}-{}-{}-{}",
        &text[..4],
        &text[4..8],
        &text[8..12],
        &text[12..]
    )
}

/// Binds and lets go again, as the servers do: a port in the aftermath of a connection is free.
fn bind_tcp(port: u16) -> std::io::Result<u16> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(1)?;
    let address = socket.local_addr()?.as_socket();
    Ok(address.map_or(port, |address| address.port()))
}

fn bind_udp(port: u16) -> std::io::Result<u16> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
    Ok(socket.local_addr()?.port())
}

/// Finds free ports and never gives one twice.
#[derive(Default)]
struct Ports {
    used: Vec<u16>,
}

impl Ports {
    fn node(&mut self, number: usize) -> anyhow::Result<NodeState> {
        let first = NODE_PORT + u16::try_from(number).unwrap_or(0) - 1;
        Ok(NodeState {
            name: format!("node{number}"),
            http_port: self.tcp(first)?,
            ops_port: self.tcp(first + 20)?,
            cluster_port: self.udp(first + 40)?,
        })
    }

    fn tcp(&mut self, wanted: u16) -> anyhow::Result<u16> {
        self.find(wanted, bind_tcp)
    }

    fn udp(&mut self, wanted: u16) -> anyhow::Result<u16> {
        self.find(wanted, bind_udp)
    }

    /// `wanted` when it is free, else one that the system gives.
    fn find(
        &mut self,
        wanted: u16,
        bind: impl Fn(u16) -> std::io::Result<u16>,
    ) -> anyhow::Result<u16> {
        for port in std::iter::once(wanted).chain(std::iter::repeat_n(0, 50)) {
            if let Ok(port) = bind(port)
                && !self.used.contains(&port)
            {
                self.used.push(port);
                return Ok(port);
            }
        }
        bail!("no free port on 127.0.0.1")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn load(dir: &Path, nodes: Option<u8>, local: bool) -> anyhow::Result<State> {
        State::load_or_create(dir, nodes, local, &Rng::seeded(1))
    }

    #[test]
    fn a_second_run_keeps_ports_names_and_password() {
        let dir = tempfile::tempdir().unwrap();
        let first = load(dir.path(), None, true).unwrap();
        assert_eq!(first.nodes.len(), 3);
        assert_eq!(load(dir.path(), None, true).unwrap(), first);
        let more = load(dir.path(), Some(5), true).unwrap();
        assert_eq!(more.nodes[..3], first.nodes[..]);
        assert_eq!(load(dir.path(), None, true).unwrap().nodes.len(), 5);
        assert_eq!(
            load(dir.path(), Some(2), true).unwrap().nodes.len(),
            5,
            "none is forgotten"
        );
        let mut ports = more.ports();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 3 + 5 * 3, "no port is given twice");
    }

    #[test]
    fn a_port_in_use_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let held = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        let mut ports = Ports::default();
        assert_ne!(ports.tcp(port).unwrap(), port);
        let mut state = load(dir.path(), Some(1), true).unwrap();
        state.check_ports(1, true).unwrap();
        state.nodes[0].ops_port = port;
        let error = state.check_ports(1, true).unwrap_err().to_string();
        assert!(
            error.contains(&port.to_string()) && error.contains("node1"),
            "{error}"
        );
    }

    #[test]
    fn a_demo_that_was_never_up_leaves_ports_that_others_took() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = load(dir.path(), None, true).unwrap();
        let tcp = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = tcp.local_addr().unwrap().port();
        first.nodes[1].http_port = taken;
        first.nodes[2].cluster_port = udp.local_addr().unwrap().port();
        first.save(dir.path()).unwrap();
        let mut second = load(dir.path(), None, true).unwrap();
        second.check_ports(3, true).unwrap();
        assert_ne!(second.nodes[1].http_port, taken);
        assert_ne!(second.nodes[2].cluster_port, first.nodes[2].cluster_port);
        let mut ports = second.ports();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 3 + 3 * 3, "no port is given twice");

        second.nodes[1].http_port = taken;
        second.keep_ports(dir.path()).unwrap();
        let kept = load(dir.path(), None, true).unwrap();
        assert_eq!(kept, second, "people know the ports");
        let without: String = std::fs::read_to_string(dir.path().join(MARKER))
            .unwrap()
            .replace(",\n  \"up\": true", "");
        assert!(!without.contains("\"up\""), "{without}");
        assert!(State::parse(&without).unwrap().up, "a folder of before");
    }

    #[test]
    fn beyond_loopback_the_password_is_random_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            load(dir.path(), None, true).unwrap().password,
            LOCAL_PASSWORD
        );
        let password = load(dir.path(), None, false).unwrap().password;
        assert_ne!(password, LOCAL_PASSWORD);
        assert_eq!(password.len(), 19);
        assert_eq!(load(dir.path(), None, false).unwrap().password, password);
    }

    #[test]
    fn a_folder_of_somebody_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("thesis.txt"), "").unwrap();
        let error = load(dir.path(), None, true).unwrap_err().to_string();
        assert!(error.contains("thesis.txt"), "{error}");
        std::fs::write(dir.path().join(MARKER), "{}").unwrap();
        assert!(load(dir.path(), None, true).is_err());
    }

    #[test]
    fn private_files_appear_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        write_private(&path, b"new").unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(
            (mode & 0o777, std::fs::read(&path).unwrap()),
            (0o600, b"new".to_vec())
        );
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
        assert!(write_private(&dir.path().join("no/such/folder"), b"").is_err());
    }
}
