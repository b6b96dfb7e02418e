//! A cluster's certificates in a folder, and the start of its processes.

use std::fs;
use std::path::{Path, PathBuf};

use castor_proto::ids::NodeName;
use castor_replication::driver::pki::Authority;
use castor_replication::driver::wall_ms;

use crate::cluster::CLUSTER;
use crate::node::Node;

/// A cluster that is being started.
pub(crate) struct Site {
    authority: Authority,
    folder: PathBuf,
    seeds: Vec<String>,
}

impl Site {
    pub(crate) fn new(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        Self {
            authority: Authority::create(CLUSTER, wall_ms(), 1).unwrap(),
            folder: folder.to_owned(),
            seeds: Vec::new(),
        }
    }

    /// Starts a process; it is a node that knows those before it.
    pub(crate) async fn start(&mut self, name: &str) -> Node {
        let node = NodeName::parse(name).unwrap();
        let pem = self.authority.issue_node(&node, wall_ms(), 1).unwrap();
        let file = |end: &str| self.folder.join(format!("{name}.{end}"));
        fs::write(file("crt"), &pem.certificate).unwrap();
        fs::write(file("key"), pem.key.as_bytes()).unwrap();
        fs::write(file("ca"), self.authority.certificate_pem()).unwrap();
        let node = Node::start(&self.folder, name, &self.seeds).await;
        self.seeds.push(node.address().to_owned());
        node
    }

    /// The last one that was started is not looked for any more.
    pub(crate) fn forget_last(&mut self) {
        self.seeds.pop();
    }

    /// Three nodes that know each other and serve.
    pub(crate) async fn start_three(&mut self) -> Vec<Node> {
        let mut nodes = Vec::new();
        for name in ["node-a", "node-b", "node-c"] {
            nodes.push(self.start(name).await);
        }
        for node in &mut nodes {
            node.whole(2).await;
        }
        nodes
    }
}
