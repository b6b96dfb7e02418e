//! Starts replication on a thread of its own and stops it.
//!
//! One single-threaded runtime drives the network and the engine, because a message that changes
//! threads between the socket and the engine takes three times as long.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use castor_proto::ids::Member;
use castor_proto::version::{VersionRange, WireVersion};
use castor_replication::driver::{
    self, Clock, Handle, LinkMetrics, Network, NetworkConfig, Parts, network,
};
use castor_replication::engine;
use prometheus::Registry;
use tokio::sync::oneshot;

use super::AppError;
use super::preflight::Checked;
use crate::config::{Config, types::HostPort};

/// A running replica.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) handle: Handle,
    pub(super) network: Network,
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

/// What the thread says once it runs.
type Started = Result<(Handle, Network), AppError>;

impl Replica {
    /// Binds the cluster port and begins to talk to the other nodes.
    pub(super) async fn start(checked: &Checked, registry: &Registry) -> Result<Self, AppError> {
        let advertise = advertised(&checked.loaded.config).await?;
        let (net, parts) = plan(checked, advertise, registry)?;
        let metrics = LinkMetrics::register(registry).map_err(AppError::metrics)?;

        let (started_tx, started) = oneshot::channel();
        let (stop, stopping) = oneshot::channel();
        let (ended_tx, ended) = oneshot::channel();
        let identity = Identity {
            pem: Arc::clone(&checked.identity),
            ring: Arc::clone(&checked.ring),
        };
        std::thread::Builder::new()
            .name("replication".to_owned())
            .spawn(move || {
                run(net, &identity, metrics, parts, started_tx, stopping);
                let _ = ended_tx.send(());
            })
            .map_err(|error| AppError::failed(format!("cannot start a thread: {error}")))?;
        let (handle, network) = started
            .await
            .map_err(|_| AppError::failed("replication ended at its start"))??;
        Ok(Self {
            handle,
            network,
            stop,
            ended,
        })
    }

    /// Says goodbye to the peers and ends; waits at most `within`.
    pub(super) async fn stop(self, within: Duration) {
        // An error means that it has ended already.
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(within, self.ended).await;
    }
}

/// A new incarnation of the node as it is configured; peers reach it at `advertise`.
///
/// # Errors
///
/// Without randomness, and when no version of the wire format is left.
pub fn plan(
    checked: &Checked,
    advertise: SocketAddr,
    registry: &Registry,
) -> Result<(NetworkConfig, Parts), AppError> {
    let config = &checked.loaded.config;
    let me = Member {
        node: checked.node.clone(),
        incarnation: driver::fresh_incarnation()
            .map_err(|error| AppError::failed(format!("no randomness: {error}")))?,
    };
    let seeds = seeds(config, advertise);
    let wire = VersionRange::capped(config.cluster.wire_max)
        .map_err(|error| AppError::Configuration(vec![format!("cluster.wire_max: {error}")]))?;
    let parts = parts(&me, checked, seeds.len(), registry, wire.newest());
    let mut net = NetworkConfig::new(me, config.cluster.listen, advertise, seeds);
    net.wire = wire;
    Ok((net, parts))
}

struct Identity {
    pem: Arc<driver::tls::NodeIdentity>,
    ring: Arc<castor_proto::seal::keyring::KeyRing>,
}

fn run(
    net: NetworkConfig,
    identity: &Identity,
    metrics: LinkMetrics,
    parts: Parts,
    started: oneshot::Sender<Started>,
    stopping: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = started.send(Err(AppError::failed(format!("cannot start: {error}"))));
            return;
        }
    };
    runtime.block_on(async move {
        let begun = Network::start(net, &identity.pem, Arc::clone(&identity.ring), metrics).await;
        let (network, events) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                let _ = started.send(Err(refused(&error)));
                return;
            }
        };
        let engine = match driver::assemble(parts, network.clone(), events, Clock::new()) {
            Ok((handle, engine)) => {
                if started.send(Ok((handle, network.clone()))).is_err() {
                    return;
                }
                engine
            }
            Err(error) => {
                let _ = started.send(Err(AppError::failed(error.to_string())));
                return;
            }
        };
        tokio::select! {
            () = engine => {}
            _ = stopping => {}
        }
        network.shutdown().await;
    });
}

/// A certificate that does not fit is wrong configuration, a port that is taken is not.
fn refused(error: &network::StartError) -> AppError {
    match error {
        network::StartError::Identity(_) | network::StartError::OtherNode(_) => {
            AppError::Configuration(vec![format!("cluster.certificate: {error}")])
        }
        network::StartError::Bind { .. } => AppError::failed(format!(
            "{error}; stop what listens there, or configure another cluster.listen"
        )),
        network::StartError::Gossip(_) => AppError::failed(error.to_string()),
    }
}

fn parts(
    me: &Member,
    checked: &Checked,
    silent_seeds: usize,
    registry: &Registry,
    wire: WireVersion,
) -> Parts {
    let config = &checked.loaded.config;
    let cluster = config.cluster.clone();
    let entries_max = config.tickets.max_sessions;
    let index_people = config.tickets.max_sessions_per_user > 0;
    let tickets = &config.tickets;
    let remembered = tickets
        .remember_me
        .enabled
        .then_some(tickets.remember_me.max_life.0);
    let longest_life = remembered.unwrap_or_default().max(tickets.tgt.max_life.0);
    let tell_expired = config.logout.on_expiry && config.logout.tell_applications;
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    Parts {
        node: me.node.clone(),
        incarnation: me.incarnation,
        keyring: Arc::clone(&checked.ring),
        silent_seeds,
        registry: registry.clone(),
        tune: Box::new(move |engine: &mut engine::Config| {
            engine.view_size = cluster.view_size;
            engine.bootstrap_wait = micros(cluster.bootstrap_wait.0);
            engine.drain_timeout = micros(cluster.drain_timeout.0);
            engine.forget_after = micros(cluster.forget_after.0);
            engine.entries_max = entries_max;
            engine.tell_expired = tell_expired;
            engine.index_people = index_people;
            engine.longest_life_ms = micros(longest_life) / 1_000;
            engine.wire = wire;
        }),
        digest_key: digest_key(&config.cluster.name),
    }
}

/// The same on every node of a cluster and for all time, so that states can be compared. It keeps
/// outsiders from preparing colliding states for a cluster they do not know; it protects no secret.
fn digest_key(cluster: &str) -> [u8; 32] {
    blake3::derive_key("castor 2026-11 state digests v1", cluster.as_bytes())
}

/// Where peers reach this node.
async fn advertised(config: &Config) -> Result<SocketAddr, AppError> {
    let listen = config.cluster.listen;
    let Some(advertise) = &config.cluster.advertise else {
        // Without seeds and an address nobody needs one, until it is configured.
        let ip = match listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        return Ok(SocketAddr::new(ip, listen.port()));
    };
    if let Some(address) = advertise.address() {
        return Ok(address);
    }
    let unknown = |why: String| {
        AppError::failed(format!(
            "cluster.advertise: cannot find the address of {advertise}: {why}; write the address itself"
        ))
    };
    let mut found = tokio::net::lookup_host((advertise.host.as_str(), advertise.port))
        .await
        .map_err(|error| unknown(error.to_string()))?;
    found
        .find(|address| address.is_ipv4() == listen.is_ipv4())
        .ok_or_else(|| unknown(format!("it has none that fits cluster.listen, {listen}")))
}

/// The seeds but this node itself, so that it does not wait for its own answer.
fn seeds(config: &Config, own: SocketAddr) -> Vec<String> {
    let is_own = |seed: &HostPort| {
        seed.address() == Some(own) || config.cluster.advertise.as_ref() == Some(seed)
    };
    let others = config.cluster.seeds.iter().filter(|seed| !is_own(seed));
    others.map(ToString::to_string).collect()
}
