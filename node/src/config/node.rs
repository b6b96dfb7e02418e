//! `[node]`: who this node is.

use std::path::PathBuf;

use castor_proto::ids::NodeName;

use super::schema::section;

section! {
    /// Who this node is.
    pub struct Node("node") {
        /// Name of this node in the cluster, the same after every restart and different on every
        /// node; it must be a name in the node's certificate. Unset, it is the host name up to the
        /// first dot.
        name: Option<NodeName> = "", Restart;
        /// Threads that serve requests; unset, one for each processor.
        threads: Option<usize> = "" in "1"..="256", Restart;
        /// Folder of `castor demo`; set by the demo on its own nodes, which alone can be filled with
        /// synthetic sessions.
        demo_folder: Option<PathBuf> = "", Restart;
    }
}

impl Node {
    /// The configured name, or the one made from the host name.
    ///
    /// # Errors
    ///
    /// What to configure when the host name is no node name.
    pub fn resolved_name(&self) -> Result<NodeName, String> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let label = host.trim().split('.').next().unwrap_or_default();
        let label = label.to_ascii_lowercase();
        NodeName::parse(&label).map_err(|_| {
            format!(
                "the host name {label:?} cannot name a node; set it to 1 to 32 characters from \
                 a-z, 0-9 and -"
            )
        })
    }
}
