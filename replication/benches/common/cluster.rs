//! What benches of whole nodes share: how a node of theirs starts, and the processor time of processes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use castor_proto::ids::NodeName;
use castor_proto::seal::keyring::{ClusterKey, KeyId, KeyRing};
use castor_proto::version::VersionRange;
use castor_replication::driver::tls::{IdentityPem, NodeIdentity};
use castor_replication::driver::{Cluster, Settings, wall_ms};

/// The cluster's name.
pub(crate) const CLUSTER: &str = "bench";

/// Starts a node on a free port of loopback; all have the same keys.
pub(crate) async fn start(
    node: NodeName,
    identity: &IdentityPem<'_>,
    seeds: Vec<String>,
) -> Cluster {
    let secret = blake3::derive_key("castor bench", b"secret").into();
    let key = ClusterKey::new(KeyId(1), secret, wall_ms());
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = Settings {
        identity: NodeIdentity::from_pem(identity, CLUSTER, &node, wall_ms()).unwrap(),
        node,
        listen: address,
        advertise: address,
        seeds,
        keyring: Arc::new(KeyRing::new(None, key, None).unwrap()),
        wire: VersionRange::SUPPORTED,
        registry: prometheus::Registry::new(),
        tune: Box::new(|_| {}),
    };
    Cluster::start(settings).await.unwrap()
}

/// Returns when it is so.
pub(crate) async fn until(mut done: impl AsyncFnMut() -> bool) {
    while !done().await {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// CPU time of these processes so far, microseconds; the kernel counts in hundredths of a second.
pub(crate) fn cpu_time(pids: &[u32]) -> u64 {
    let one = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let after = stat.rsplit_once(')').unwrap().1;
        let fields = after.split_whitespace().skip(11).take(2);
        fields
            .map(|field| field.parse::<u64>().unwrap() * 10_000)
            .sum::<u64>()
    };
    pids.iter().map(one).sum()
}
