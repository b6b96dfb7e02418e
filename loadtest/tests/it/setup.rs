//! Puts fake servers together to a cluster in one process.
//!
//! Promises: free ports, a folder of its own, gone with the test. Does not: start processes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use castor_loadtest::environment::Environment;
use castor_loadtest::lab::Lab;
use serde_json::json;

use crate::fake_cas::{PASSWORD, Settings, Sin, TICKET_LIFE, USER, start};

pub struct Setup {
    pub folder: tempfile::TempDir,
    pub cluster: PathBuf,
}

impl Setup {
    /// Three nodes and a front over one state folder; the front sins like the nodes.
    pub async fn new(sins: &[Sin]) -> Self {
        Self::with_life(sins, TICKET_LIFE).await
    }

    /// The same, with tickets that may be used for so long.
    pub async fn with_life(sins: &[Sin], ticket_life: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = |tag: &str, trusts_proxy| Settings {
            tag: tag.to_owned(),
            address: "127.0.0.1:0".parse().unwrap(),
            state: folder.path().join("state"),
            sins: sins.to_vec(),
            trusts_proxy,
            ready_needs: Vec::new(),
            ticket_life,
        };
        let mut nodes = Vec::new();
        for name in ["aaaa", "bbbb", "cccc"] {
            let address = start(settings(name, true)).await;
            nodes.push(json!({
                "name": name,
                "url": format!("http://{address}/cas"),
                "ops_url": format!("http://{address}"),
            }));
        }
        let front = start(settings("ffff", false)).await;
        let cluster = folder.path().join("cluster.json");
        let front = format!("http://{front}/cas");
        write_cluster(&cluster, &front, PASSWORD, &nodes);
        Self { folder, cluster }
    }

    pub fn lab(&self) -> Lab {
        lab(&self.cluster)
    }
}

pub fn lab(cluster: &Path) -> Lab {
    Lab::open(
        cluster,
        Duration::from_secs(5),
        "http://127.0.0.1/app{n}?a=1&b=x%20y",
        3,
    )
    .unwrap()
}

pub fn environment() -> Environment {
    Environment::find(7)
}

pub fn write_cluster(file: &Path, front: &str, password: &str, nodes: &[serde_json::Value]) {
    let cluster = json!({
        "front": front, "username": USER, "password": password,
        "wrong_password": "wrong", "nodes": nodes,
    });
    std::fs::write(file, cluster.to_string()).unwrap();
}
