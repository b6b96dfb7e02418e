//! `DIR/cluster.json`: the running cluster, for scripts and for `castor-loadtest`.
//!
//! Promises: mode 0600, written whole or not at all, only while the cluster it describes runs.
//! Does not: hold keys.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::state::write_private;

/// Name of the file.
pub(super) const FILE: &str = "cluster.json";

/// The running cluster.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ClusterFile {
    /// Front door, with the context path.
    pub(super) front: String,
    pub(super) username: String,
    pub(super) password: String,
    /// A password that is refused.
    pub(super) wrong_password: String,
    /// The first application; absent beyond loopback.
    pub(super) app: Option<String>,
    /// Authority of the HTTPS URLs.
    pub(super) ca_file: PathBuf,
    pub(super) nodes: Vec<ClusterNode>,
}

/// One node.
#[derive(Debug, Clone, Serialize)]
pub(super) struct ClusterNode {
    pub(super) name: String,
    /// The node's own address, with the context path.
    pub(super) url: String,
    pub(super) ops_url: String,
    pub(super) admin_socket: PathBuf,
    /// None while the node does not run: 0 would name a script's own process group.
    pub(super) pid: Option<u32>,
    /// What `castor serve --config` starts it with.
    pub(super) config: PathBuf,
}

impl ClusterFile {
    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&self, dir: &Path) -> anyhow::Result<()> {
        write_private(
            &dir.join(FILE),
            (serde_json::to_string_pretty(self)? + "\n").as_bytes(),
        )
    }
}

/// Removes the file of a cluster that does not run any more.
pub(super) fn remove(dir: &Path) {
    // Absent is as good as removed.
    let _ = std::fs::remove_file(dir.join(FILE));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn has_exactly_the_promised_keys_and_mode() {
        let dir = tempfile::tempdir().unwrap();
        let file = ClusterFile {
            front: "https://localhost:8443/cas".into(),
            username: "casuser".into(),
            password: "p".into(),
            wrong_password: "w".into(),
            app: Some("http://127.0.0.1:8481/".into()),
            ca_file: "/d/ca.pem".into(),
            nodes: vec![ClusterNode {
                name: "node1".into(),
                url: "http://127.0.0.1:8501/cas".into(),
                ops_url: "http://127.0.0.1:8521".into(),
                admin_socket: "/d/admin.sock".into(),
                pid: Some(1),
                config: "/d/castor.toml".into(),
            }],
        };
        file.write(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let keys = |value: &serde_json::Value| -> Vec<String> {
            value.as_object().unwrap().keys().cloned().collect()
        };
        assert_eq!(
            keys(&json),
            [
                "front",
                "username",
                "password",
                "wrong_password",
                "app",
                "ca_file",
                "nodes"
            ]
        );
        assert_eq!(
            keys(&json["nodes"][0]),
            ["name", "url", "ops_url", "admin_socket", "pid", "config"]
        );
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        remove(dir.path());
        assert!(!path.exists());
    }
}
