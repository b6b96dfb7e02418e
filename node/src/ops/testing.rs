//! A real replica for tests: the engine and its driver, joined to a net without other nodes.

use std::sync::Arc;

use castor_proto::ids::{Member, NodeName};
use castor_proto::seal::keyring::{ClusterKey, KeyId, KeyRing};
use castor_replication::driver::memory::MemoryNet;
use castor_replication::driver::{self, Handle, Parts, Readiness};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::metrics::Metrics;

/// A replica that runs until it is dropped.
pub(crate) struct Node {
    pub(crate) handle: Handle,
    pub(crate) metrics: Metrics,
    task: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Node {
    /// Waits until the replica says `readiness`.
    pub(crate) async fn until(&self, readiness: Readiness) {
        let reached = async {
            while self.handle.readiness() != readiness {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), reached)
            .await
            .expect("the replica does not get there");
    }
}

/// Starts `cas1`; with silent seeds it waits for them.
pub(crate) fn node(silent_seeds: usize) -> Node {
    let metrics = Metrics::new(1).unwrap();
    let key = ClusterKey::new(KeyId(7), Zeroizing::new([9; 32]), 1_700_000_000_000);
    let me = Member {
        node: NodeName::parse("cas1").unwrap(),
        incarnation: driver::fresh_incarnation().unwrap(),
    };
    let (transport, events) = MemoryNet::default().join(&me);
    let parts = Parts {
        node: me.node,
        incarnation: me.incarnation,
        keyring: Arc::new(KeyRing::new(None, key, None).unwrap()),
        silent_seeds,
        registry: metrics.registry().clone(),
        tune: Box::new(|_| {}),
        digest_key: [3; 32],
    };
    let (handle, run) = driver::assemble(parts, transport, events, driver::Clock::new()).unwrap();
    Node {
        handle,
        metrics,
        task: tokio::spawn(run),
    }
}
