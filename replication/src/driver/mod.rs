//! The driver: gives the engine a clock, randomness and a network, and requests a [`Handle`].
//!
//! [`network::Network`] is the real transport: links to every peer over QUIC with mutual TLS, lanes of
//! sealed envelopes, and gossip over the same links; [`memory`] joins nodes of one process without a
//! network. [`pki`] makes the cluster's certificates, [`tls`] checks and uses them.
//!
//! It runs on a thread of its own with a single-threaded runtime, because a message that changes
//! threads between the socket and the engine takes three times as long.

mod accept;
mod carrier;
mod clock;
mod dial;
mod event_loop;
pub mod gossip;
pub mod gossip_wire;
mod half_open;
mod handle;
mod lane;
mod link;
pub mod link_metrics;
mod look_up;
pub mod memory;
mod metrics;
#[cfg(test)]
mod narrow;
pub mod network;
mod peers;
pub mod pki;
mod quic;
mod removals;
mod silence;
mod socket;
mod start;
pub mod surroundings;
pub mod tls;
mod transport;
mod window;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use arc_swap::ArcSwap;
use castor_proto::ids::{Incarnation, Member, NodeName};
use castor_proto::seal::keyring::KeyRing;
use prometheus::Registry;
use tokio::sync::{Mutex, mpsc, watch};

pub use clock::{Clock, entropy, wall_ms};
pub use handle::{Handle, Progress, Readiness, RequestError, async_duties};
pub use link_metrics::LinkMetrics;
pub use look_up::LookUp;
pub use metrics::{Metrics, state_of};
pub use network::{Network, NetworkConfig};
pub use start::{Cluster, ClusterError, Settings};
pub use transport::{NetEvent, Transport};

use crate::engine::{self, Engine, Standing, Stats, Store};
use event_loop::{EventLoop, Tags, ticket_keys};
use handle::Shared;

/// Requests that wait for the event loop; beyond it they are refused.
const JOBS: usize = 8192;

/// Taken-over logouts that wait for a sender.
const DUTIES: usize = 1024;

/// What the event loop is started with.
pub struct Parts {
    /// This node's name.
    pub node: NodeName,
    /// This process start; fresh for every start.
    pub incarnation: Incarnation,
    /// The cluster's keys.
    pub keyring: Arc<KeyRing>,
    /// How many configured seeds have yet to answer.
    pub silent_seeds: usize,
    /// Where metrics are registered.
    pub registry: Registry,
    /// Adjusts the engine's settings before the start.
    pub tune: Box<dyn FnOnce(&mut engine::Config) + Send>,
    /// Key of state digests; equal on all nodes.
    pub digest_key: [u8; 32],
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parts({})", self.node)
    }
}

/// Why replication does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A metric is registered twice.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The operating system refuses something.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// Draws an incarnation.
///
/// # Errors
/// The operating system gives no randomness.
pub fn fresh_incarnation() -> Result<Incarnation, std::io::Error> {
    let mut bytes = [0; 16];
    entropy(&mut bytes)?;
    Ok(Incarnation(bytes))
}

/// Puts an engine on a transport. The future runs until every handle is gone.
///
/// # Errors
/// Metrics are registered twice, or there is no randomness.
pub fn assemble<T: Transport>(
    parts: Parts,
    transport: T,
    events: mpsc::Receiver<NetEvent>,
    clock: Clock,
) -> Result<(Handle, impl Future<Output = ()> + Send), StartError> {
    let me = Member {
        node: parts.node,
        incarnation: parts.incarnation,
    };
    let mut config = engine::Config::new(me.clone(), parts.digest_key);
    (parts.tune)(&mut config);
    let metrics = Arc::new(Metrics::new(&parts.registry)?);
    let longest_life_ms = config.longest_life_ms;
    let store = Store::new(parts.digest_key).with_people(config.index_people);
    let store = Arc::new(store);
    let stats = Arc::new(Stats::default());
    let mut seed = [0; 32];
    entropy(&mut seed)?;
    let keys = ticket_keys(&parts.keyring);
    let engine = Engine::new(
        config,
        keys,
        Arc::clone(&store),
        Arc::clone(&stats),
        &seed,
        parts.silent_seeds,
        clock.now(),
    );
    let shared = Arc::new(Shared {
        me,
        standing: Standing::new(clock.mono()),
        keyring: ArcSwap::new(parts.keyring),
        longest_life_ms,
    });
    let (jobs, job_queue) = mpsc::channel(JOBS);
    let (new_keys, keyrings) = mpsc::channel(4);
    let (progress, watching) = watch::channel(Progress::default());
    let (duties, duty_queue) = mpsc::channel(DUTIES);
    let handle = Handle {
        jobs,
        store,
        stats,
        shared: Arc::clone(&shared),
        clock: clock.clone(),
        metrics: Arc::clone(&metrics),
        events: watching,
        duties: Arc::new(Mutex::new(duty_queue)),
        new_keys,
    };
    let event_loop = EventLoop {
        engine,
        transport,
        jobs: job_queue,
        events,
        keyrings,
        shared,
        metrics,
        clock,
        progress,
        duties,
        waiting: HashMap::new(),
        next_job: 0,
        tags: Tags::default(),
        early: VecDeque::new(),
        sent_at: 0,
        hurried: false,
    };
    Ok((handle, event_loop.run()))
}
