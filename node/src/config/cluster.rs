//! `[cluster]`: the other nodes.

use std::net::SocketAddr;
use std::path::PathBuf;

use castor_proto::version::VersionRange;

use super::schema::{Reader, section};
use super::types::{HostPort, Period};

section! {
    /// The other nodes and how this one talks to them.
    pub struct Cluster("cluster") {
        /// Name of the cluster, the same on every node; a node of another cluster is refused.
        name: String = "castor", Restart;
        /// UDP address for replication and gossip.
        listen: SocketAddr = "0.0.0.0:8445", Restart;
        /// Address the other nodes reach this one at; needed when `cluster.listen` is 0.0.0.0 or ::
        /// and there are seeds.
        advertise: Option<HostPort> = "", Restart;
        /// Some of the nodes, to find the others by; this node's own address may be among them.
        /// Empty, the node is a cluster of its own until another one names it.
        seeds: Vec<HostPort> = "", Restart;
        /// PEM file with the certificates of the cluster's own certificate authority.
        ca_file: PathBuf = "/etc/castor/pki/ca.pem", Restart;
        /// PEM file with this node's certificate.
        certificate: PathBuf = "/etc/castor/pki/node.pem", Restart;
        /// PEM file with this node's private key; a changed certificate and key are taken by a
        /// reload.
        key: PathBuf = "/etc/castor/pki/node.key", Restart;
        /// File with the cluster key ring.
        keyring_file: PathBuf = "/etc/castor/pki/keyring", Restart;
        /// How long a starting node waits for seeds that do not answer before it serves without
        /// them.
        bootstrap_wait: Period = "5s" in "0s"..="10m", Restart;
        /// How long a stopping node finishes requests and hands over what others lack.
        drain_timeout: Period = "15s" in "1s"..="10m", Restart;
        /// After this long without a sign of life a node is forgotten and its lag no longer shown.
        forget_after: Period = "24h" in "1m"..="30d", Restart;
        /// Nodes that decide about one service ticket, the issuer included; an odd number.
        view_size: usize = "3" in "1"..="5", Restart;
        /// Highest version of the wire format to speak; unset, the newest. Set it to the old version
        /// while a cluster is being upgraded over more than one minor version.
        wire_max: Option<u16> = "" in "1"..="65535", Restart;
    }
}

impl Cluster {
    /// Notes what does not fit together.
    pub(super) fn check(&self, reader: &mut Reader<'_>) {
        if !castor_replication::driver::tls::is_cluster_name(&self.name) {
            reader.note_key(
                "cluster.name",
                "must be 1 to 40 characters a-z, 0-9 and -, beginning and ending with a letter or \
                 digit",
            );
        }
        if self.view_size.is_multiple_of(2) {
            reader.note_key(
                "cluster.view_size",
                "must be odd, so that there is always a majority; use 1, 3 or 5",
            );
        }
        if let Err(error) = VersionRange::capped(self.wire_max) {
            reader.note_key("cluster.wire_max", &format!("{error}; remove the key"));
        }
        if self.advertise.is_none() && self.listen.ip().is_unspecified() && !self.seeds.is_empty() {
            reader.note_key(
                "cluster.advertise",
                &format!(
                    "must be set to the address the other nodes reach this one at, because \
                     cluster.listen is {}",
                    self.listen
                ),
            );
        }
    }
}
