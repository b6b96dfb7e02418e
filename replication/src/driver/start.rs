//! One node's replication on a thread of its own: network, engine and handle put together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use castor_proto::ids::{Member, NodeName};
use castor_proto::message::Phase;
use castor_proto::seal::KeyRing;
use castor_proto::version::VersionRange;
use prometheus::Registry;
use tokio::sync::oneshot;

use super::link_metrics::LinkMetrics;
use super::network::{LinkInfo, MemberInfo, Network, NetworkConfig, StartError as NetworkError};
use super::tls::NodeIdentity;
use super::{Clock, Handle, Parts, assemble, fresh_incarnation};
use crate::engine;

/// Most threads beside the one of the event loop: they open large batches, one for each lane of a peer,
/// and look up the names of seeds, which may take long and must not keep the batches waiting.
const HELPERS: usize = 96;

/// What a node's replication is started with.
pub struct Settings {
    /// This node's name.
    pub node: NodeName,
    /// Where to listen, UDP; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where peers reach this node; port 0 stands for the port listened on.
    pub advertise: SocketAddr,
    /// Where to look for peers first, `host:port`; own address allowed.
    pub seeds: Vec<String>,
    /// Certificate, key and cluster CA.
    pub identity: NodeIdentity,
    /// The cluster's keys.
    pub keyring: Arc<KeyRing>,
    /// Wire versions to speak.
    pub wire: VersionRange,
    /// Where metrics are registered.
    pub registry: Registry,
    /// Adjusts the engine's settings before the start.
    pub tune: Box<dyn FnOnce(&mut engine::Config) + Send>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Settings({} on {})", self.node, self.listen)
    }
}

/// Why a node's replication does not start.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Port, certificate or gossip.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Metrics or randomness.
    #[error(transparent)]
    Driver(#[from] super::StartError),
    /// The operating system refuses a thread or randomness.
    #[error("{0}")]
    System(#[from] std::io::Error),
    /// The thread ended before it had begun.
    #[error("the replication thread ended at once")]
    Ended,
}

/// A node's running replication.
#[derive(Debug)]
pub struct Cluster {
    handle: Handle,
    network: Network,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Cluster {
    /// Starts the thread; returns when the port is bound and the seeds are being called.
    ///
    /// # Errors
    /// [`ClusterError`]; nothing is left running then.
    pub async fn start(settings: Settings) -> Result<Self, ClusterError> {
        let (ready, started) = oneshot::channel();
        let (stop, stopping) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(HELPERS)
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name("castor-replica".into())
            .spawn(move || {
                runtime.block_on(async move {
                    match prepare(settings).await {
                        Ok((handle, network, event_loop)) => {
                            if ready.send(Ok((handle, network))).is_ok() {
                                tokio::select! {
                                    () = event_loop => {}
                                    _ = stopping => {}
                                }
                            }
                        }
                        // Who started it has gone away; there is nobody to tell.
                        Err(error) => drop(ready.send(Err(error))),
                    }
                });
            })?;
        let (handle, network) = started.await.map_err(|_| ClusterError::Ended)??;
        Ok(Self {
            handle,
            network,
            stop,
            thread,
        })
    }

    /// What requests use.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Everyone that gossip knows, own node left out.
    pub fn members(&self) -> Vec<MemberInfo> {
        self.network.members()
    }

    /// The links that are up.
    pub fn links(&self) -> Vec<LinkInfo> {
        self.network.links()
    }

    /// The address peers are told.
    pub fn advertise(&self) -> SocketAddr {
        self.network.advertise()
    }

    /// The network, for what changes on a running node.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// A renewed certificate; see [`Network::set_identity`].
    ///
    /// # Errors
    /// The old one stays in force.
    pub fn set_identity(&self, identity: &NodeIdentity) -> Result<(), NetworkError> {
        self.network.set_identity(identity)
    }

    /// Uses these keys from now on, for tickets and for everything on the wire.
    ///
    /// # Errors
    /// Replication has stopped.
    pub async fn set_keyring(&self, ring: Arc<KeyRing>) -> Result<(), super::RequestError> {
        self.network.set_ring(Arc::clone(&ring));
        self.handle.set_keyring(ring).await
    }

    /// Sends what is queued, says goodbye and ends the thread. Drain before, if nothing is to be
    /// lost.
    pub async fn shutdown(self) {
        self.network.shutdown().await;
        // An error means that the thread has ended by itself.
        self.stop.send(()).ok();
        tokio::task::spawn_blocking(move || self.thread.join().ok())
            .await
            .ok();
    }
}

async fn prepare(
    settings: Settings,
) -> Result<(Handle, Network, impl Future<Output = ()>), ClusterError> {
    let me = Member {
        node: settings.node,
        incarnation: fresh_incarnation()?,
    };
    let cluster = settings.identity.cluster().to_owned();
    let mut config = NetworkConfig::new(
        me.clone(),
        settings.listen,
        settings.advertise,
        settings.seeds,
    );
    config.wire = settings.wire;
    let wire = settings.wire.newest();
    config.phase = Phase::Empty;
    let silent_seeds = config.seeds.len();
    let metrics = LinkMetrics::register(&settings.registry).map_err(super::StartError::Metrics)?;
    let ring = Arc::clone(&settings.keyring);
    let (network, events) = Network::start(config, &settings.identity, ring, metrics).await?;
    let parts = Parts {
        node: me.node,
        incarnation: me.incarnation,
        keyring: settings.keyring,
        silent_seeds,
        registry: settings.registry,
        tune: Box::new(move |config| {
            config.wire = wire;
            (settings.tune)(config);
        }),
        digest_key: blake3::derive_key("castor 2026 state digests v1", cluster.as_bytes()),
    };
    let (handle, event_loop) = assemble(parts, network.clone(), events, Clock::new())?;
    Ok((handle, network, event_loop))
}
