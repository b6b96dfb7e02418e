//! The network under the event loop: links to every peer, and who is a member.
//!
//! [`Network::start`] binds the port, calls the seeds, gossips, and from then on everything that
//! happens arrives as a [`NetEvent`] on one bounded channel; [`Network::post`] never waits. Promises:
//! whatever a peer or a stranger sends, nothing grows without bound and nothing else stops; a
//! message may be lost (the engine repeats what matters) but is never altered, doubled or reordered
//! within a lane. Not here: what the messages mean.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use castor_proto::codec;
use castor_proto::hello::ClusterTag;
use castor_proto::ids::{Member, NodeName, WallMs};
use castor_proto::limits::DECODE_MAX;
use castor_proto::message::{FAST_PARTS, Lane, PeerMessage, Phase};
use castor_proto::seal::{KeyRing, NodeSigner};
use castor_proto::version::{VersionRange, WireVersion};
use quinn::{ClientConfig, Endpoint, VarInt};
use rustls::crypto::CryptoProvider;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::gossip::{self, Gossip, GossipSettings};
use super::link_metrics::LinkMetrics;
use super::peers::Registry;
use super::quic::{self, EndpointKeys};
use super::removals::Removals;
use super::silence::Silence;
use super::socket::KnownAddresses;
use super::surroundings::Surroundings;
use super::tls::{IdentityError, NodeIdentity};
use super::transport::{NetEvent, Transport};
use super::{accept, carrier, clock, dial};

/// Events waiting for the event loop; beyond it, readers wait.
const EVENTS_MAX: usize = 64;

/// Most bytes of one encoded message: with the count before it, it fills an envelope.
pub(super) const MESSAGE_MAX: usize = DECODE_MAX - 16;

/// Lines in the log for one reason are at least this far apart.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// What a network needs to know.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// This process.
    pub me: Member,
    /// Rises with every start of this node: the wall clock at start, milliseconds.
    pub generation: WallMs,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where peers reach this node; port 0 stands for the port listened on.
    pub advertise: SocketAddr,
    /// Where to look for peers first, `host:port`; called for ever, so that a split heals.
    pub seeds: Vec<String>,
    /// Wire versions to speak (`cluster.wire_max` may cap them).
    pub wire: VersionRange,
    /// What the first hello says of this node.
    pub phase: Phase,
    /// How long a refusal for a name in use is retried before it is fatal: longer than
    /// peers need to notice that an earlier process is gone.
    pub name_patience: Duration,
    /// How long an address that nobody mentions any more is still called.
    pub forget_after: Duration,
    /// Timing of the membership protocol.
    pub gossip: GossipSettings,
    /// The machine, or a simulation of one.
    pub surroundings: Surroundings,
}

impl NetworkConfig {
    /// The defaults for this process.
    #[must_use]
    pub fn new(me: Member, listen: SocketAddr, advertise: SocketAddr, seeds: Vec<String>) -> Self {
        Self {
            me,
            generation: clock::wall_ms(),
            listen,
            advertise,
            seeds,
            wire: VersionRange::SUPPORTED,
            phase: Phase::Empty,
            name_patience: Duration::from_secs(3),
            forget_after: Duration::from_secs(300),
            gossip: GossipSettings::default(),
            surroundings: Surroundings::default(),
        }
    }
}

/// A member as gossip sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberInfo {
    /// Name and the incarnation of its highest generation.
    pub member: Member,
    /// Its start time.
    pub generation: WallMs,
    /// Where it says it can be reached.
    pub address: SocketAddr,
    /// Whether the failure detector believes it alive.
    pub alive: bool,
    /// What it says it holds.
    pub phase: Option<Phase>,
    /// The wire versions it speaks, as text.
    pub wire: Option<String>,
}

/// Why this process cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetFatal {
    /// Another process has this node's name.
    #[error("the node name is in use by a live process at {address}; give this node another name")]
    NameInUse {
        /// Where that process is.
        address: String,
    },
    /// This node was removed from the cluster.
    #[error("this node is banned from the cluster; `castor members` on another node tells more")]
    Banned,
    /// The membership protocol ended.
    #[error("the gossip task ended: {0}")]
    Gossip(String),
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No link to this incarnation is up.
    #[error("no link to this member")]
    NoLink,
    /// The peer speaks an older wire version that does not have this message.
    #[error("the peer speaks an older wire version")]
    Version,
    /// The message exceeds what one batch may carry; it can never be sent.
    #[error("the message is too large to be sent")]
    TooLarge,
    /// The lane's queue is full.
    #[error("the queue to this member is full")]
    Full,
}

/// Why no network was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port could not be bound.
    #[error("cannot listen on {listen}/udp: {source}")]
    Bind {
        /// The address asked for.
        listen: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The identity is not usable.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The identity is for another node.
    #[error("the certificate is for node {0}")]
    OtherNode(NodeName),
    /// Gossip could not be started.
    #[error("gossip cannot start: {0}")]
    Gossip(String),
}

/// A link that is up.
#[derive(Clone, Debug)]
pub struct LinkInfo {
    /// Name and incarnation.
    pub member: Member,
    /// Where it was reached.
    pub address: SocketAddr,
    /// The version agreed on.
    pub wire: WireVersion,
    /// QUIC's smoothed round trip.
    pub rtt: Duration,
}

/// The identity in force, ready for calling.
pub(super) struct Credentials {
    pub(super) client: ClientConfig,
    pub(super) signer: Arc<NodeSigner>,
}

/// What all tasks of a network share.
pub(super) struct Shared {
    pub(super) me: Member,
    pub(super) config: NetworkConfig,
    pub(super) cluster: String,
    pub(super) cluster_tag: ClusterTag,
    /// Where peers reach this node.
    pub(super) advertise: SocketAddr,
    pub(super) endpoint: Endpoint,
    pub(super) known: KnownAddresses,
    pub(super) metrics: LinkMetrics,
    pub(super) ring: ArcSwap<KeyRing>,
    pub(super) credentials: watch::Sender<Arc<Credentials>>,
    pub(super) registry: Mutex<Registry>,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) stop: watch::Sender<bool>,
    pub(super) gossip_in: mpsc::Sender<carrier::Received>,
    /// Addresses to gossip with at once, because a link to them has come up.
    pub(super) greet: mpsc::Sender<SocketAddr>,
    pub(super) members: watch::Sender<Vec<MemberInfo>>,
    pub(super) silence: Silence,
    /// Newest version of what this process says of itself by gossip.
    pub(super) said: AtomicU64,
    /// What this node tells the others of members that its operator has removed.
    pub(super) removals: watch::Sender<Removals>,
    events: mpsc::Sender<NetEvent>,
    sequences: [AtomicU64; Lane::ALL.len()],
    /// When a refusal for each reason was last logged.
    logged: Mutex<HashMap<&'static str, Instant>>,
}

impl Shared {
    /// Tells the event loop; waits while it is behind. Lost only when the event loop is gone.
    pub(super) async fn emit(&self, event: NetEvent) {
        let _ = self.events.send(event).await;
    }

    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One counter per lane for all peers: it rises for each of them, also across links. The number's
    /// remainder by [`FAST_PARTS`] tells which stream of the fast lane it is for.
    pub(super) fn next_sequence(&self, lane: Lane, part: usize) -> u64 {
        let next = self.sequences[lane as usize].fetch_add(1, Ordering::Relaxed) + 1;
        next * FAST_PARTS as u64 + part as u64
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Returns when the network is shutting down.
    pub(super) async fn stopping(&self) {
        let mut stop = self.stop.subscribe();
        // An error means that the sender is gone, and so is the network.
        let _ = stop.wait_for(|stop| *stop).await;
    }

    /// Counts a message, or a batch, that no envelope can carry.
    pub(super) fn oversize(&self, to: &Member, lane: Lane, bytes: usize) {
        let lane = lane_name(lane);
        self.metrics.oversize(to.node.as_str(), lane).inc();
        if self.worth_logging("too_large_to_send") {
            tracing::error!(peer = %to.node, lane, bytes, "a message too large to send was dropped");
        }
    }

    /// Whether a refusal for this reason is worth a line in the log: one in five seconds is, so that
    /// a stranger cannot fill it. Every refusal is counted.
    pub(super) fn worth_logging(&self, reason: &'static str) -> bool {
        let now = clock::instant();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let due = logged
            .get(reason)
            .is_none_or(|last| now.duration_since(*last) > LOG_INTERVAL);
        if due {
            logged.insert(reason, now);
        }
        due
    }
}

/// A handle to the network; cheap to clone.
#[derive(Clone)]
pub struct Network {
    pub(super) shared: Arc<Shared>,
    gossip: Arc<Gossip>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("me", &self.shared.me)
            .finish_non_exhaustive()
    }
}

impl Network {
    /// Binds, starts calling, being called and gossiping, on the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub async fn start(
        config: NetworkConfig,
        identity: &NodeIdentity,
        ring: Arc<KeyRing>,
        metrics: LinkMetrics,
    ) -> Result<(Self, mpsc::Receiver<NetEvent>), StartError> {
        if *identity.node() != config.me.node {
            return Err(StartError::OtherNode(identity.node().clone()));
        }
        let provider = &config.surroundings.provider;
        let credentials = credentials(identity, provider)?;
        let keys = EndpointKeys::derive(&ring, &config.me.node);
        let known = KnownAddresses::default();
        let server = quic::server_config(identity, provider)?;
        let bind_error = |source| StartError::Bind {
            listen: config.listen,
            source,
        };
        let endpoint = quic::bind(
            &config.surroundings,
            config.listen,
            server,
            &keys,
            known.clone(),
            metrics.clone(),
        )
        .map_err(bind_error)?;
        let mut advertise = config.advertise;
        if advertise.port() == 0 {
            advertise.set_port(endpoint.local_addr().map_err(bind_error)?.port());
        }
        let (events, inbox) = mpsc::channel(EVENTS_MAX);
        let (gossip_in, received) = mpsc::channel(carrier::INBOX_MAX);
        let (greet, greetings) = mpsc::channel(gossip::GREETINGS_MAX);
        let shared = Arc::new(Shared {
            me: config.me.clone(),
            cluster: identity.cluster().to_owned(),
            cluster_tag: ClusterTag::of(identity.cluster()),
            advertise,
            endpoint,
            known,
            metrics,
            ring: ArcSwap::new(ring),
            credentials: watch::channel(Arc::new(credentials)).0,
            registry: Mutex::default(),
            phase: watch::channel(config.phase).0,
            stop: watch::channel(false).0,
            gossip_in,
            greet,
            members: watch::channel(Vec::new()).0,
            silence: Silence::default(),
            said: AtomicU64::default(),
            removals: watch::channel(Removals::default()).0,
            events,
            sequences: Default::default(),
            logged: Mutex::default(),
            config,
        });
        let gossip = match Gossip::start(Arc::clone(&shared), received, greetings).await {
            Ok(gossip) => Arc::new(gossip),
            Err(error) => {
                shared.endpoint.close(CODE_LEAVING, b"");
                return Err(StartError::Gossip(error.to_string()));
            }
        };
        tokio::spawn(accept::accept_loop(Arc::clone(&shared)));
        tokio::spawn(dial::seed_loop(Arc::clone(&shared)));
        Ok((Self { shared, gossip }, inbox))
    }

    /// Queues a message on its lane; never waits.
    ///
    /// # Errors
    /// [`SendError`]; the message is not sent.
    pub fn post(&self, to: &Member, message: &PeerMessage) -> Result<(), SendError> {
        let lane = message.lane();
        let queue = self.shared.registry().queue(to, lane);
        let (queue, wire) = queue.ok_or(SendError::NoLink)?;
        if message.since() > wire {
            return Err(SendError::Version);
        }
        let encoded = codec::encode(message);
        if encoded.len() > MESSAGE_MAX {
            self.shared.oversize(to, lane, encoded.len());
            return Err(SendError::TooLarge);
        }
        queue.push(encoded).map_err(|_| {
            let name = lane_name(lane);
            self.shared.metrics.queue_full(to.node.as_str(), name).inc();
            SendError::Full
        })
    }

    /// Everyone that gossip knows, own node left out.
    #[must_use]
    pub fn members(&self) -> Vec<MemberInfo> {
        self.shared.members.borrow().clone()
    }

    /// The links that are up.
    #[must_use]
    pub fn links(&self) -> Vec<LinkInfo> {
        self.shared.registry().links()
    }

    /// The address peers are told.
    #[must_use]
    pub fn advertise(&self) -> SocketAddr {
        self.shared.advertise
    }

    /// What hellos and gossip say of this node from now on.
    pub fn set_phase(&self, phase: Phase) {
        self.shared.phase.send_replace(phase);
    }

    /// The keys for everything sealed and opened from now on.
    pub fn set_ring(&self, ring: Arc<KeyRing>) {
        self.shared.ring.store(ring);
    }

    /// A renewed certificate: new handshakes show it at once, this node's links are remade one after
    /// the other without interruption.
    ///
    /// # Errors
    /// [`StartError`] when it is not usable or for another node; the old one stays in force.
    pub fn set_identity(&self, identity: &NodeIdentity) -> Result<(), StartError> {
        if *identity.node() != self.shared.me.node || identity.cluster() != self.shared.cluster {
            return Err(StartError::OtherNode(identity.node().clone()));
        }
        let provider = &self.shared.config.surroundings.provider;
        let server = quic::server_config(identity, provider)?;
        let credentials = credentials(identity, provider)?;
        self.shared.endpoint.set_server_config(Some(server));
        self.shared.credentials.send_replace(Arc::new(credentials));
        Ok(())
    }

    /// Refuses a node from now on and closes its links.
    pub fn ban(&self, node: &NodeName) {
        self.shared.registry().ban(node);
    }

    /// Lets a banned node in again.
    pub fn unban(&self, node: &NodeName) {
        self.shared.registry().unban(node);
    }

    /// Publishes a small fact about this node by gossip.
    ///
    /// # Errors
    /// [`gossip::BadKeyValue`] for keys other than `[a-z0-9_.-]{1,64}` and values over 1 KiB.
    pub async fn publish(&self, key: &str, value: &str) -> Result<(), gossip::BadKeyValue> {
        self.gossip.publish(key, value).await
    }

    /// Sends what is queued (at most 1 s), says goodbye, and stops everything.
    pub async fn shutdown(&self) {
        self.shared.stop.send_replace(true);
        self.gossip.stop();
        let links_are_down = async {
            let mut changes = self.shared.registry().changes();
            let _ = changes.wait_for(|links| *links == 0).await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), links_are_down).await;
        self.shared.endpoint.close(CODE_LEAVING, b"leaving");
        let _ =
            tokio::time::timeout(Duration::from_secs(1), self.shared.endpoint.wait_idle()).await;
    }
}

impl Transport for Network {
    fn refused(&mut self, from: &Member, reason: &'static str) {
        self.shared.metrics.rejected(reason);
        if self.shared.worth_logging(reason) {
            tracing::warn!(peer = %from.node, reason, "refused what no sound node says");
        }
    }

    fn set_phase(&mut self, phase: Phase) {
        Self::set_phase(self, phase);
    }

    fn removed(&mut self, member: &Member) {
        self.shared.removals.send_modify(|all| all.add(member));
    }

    fn send(&mut self, to: &Member, messages: Vec<PeerMessage>) {
        for message in &messages {
            // No link: its loss was or will be reported. Full: counted. The engine repeats both.
            // Version: the engine has yet to hear of the link that was remade just now.
            // Too large: counted and logged; repeating it would not help.
            let _ = self.post(to, message);
        }
    }
}

/// The word for a lane in metrics and logs.
pub(super) fn lane_name(lane: Lane) -> &'static str {
    match lane {
        Lane::Fast => "fast",
        Lane::Stream => "stream",
        Lane::Bulk => "bulk",
    }
}

fn credentials(
    identity: &NodeIdentity,
    provider: &Arc<CryptoProvider>,
) -> Result<Credentials, IdentityError> {
    Ok(Credentials {
        client: quic::client_config(identity, provider)?,
        signer: Arc::clone(identity.signer()),
    })
}

/// Why a connection is closed, as the peer is told.
pub(super) const CODE_LEAVING: VarInt = VarInt::from_u32(0);
/// The hello was refused; the answer on the stream says why.
pub(super) const CODE_REFUSED: VarInt = VarInt::from_u32(1);
/// A newer link of the same process took its place.
pub(super) const CODE_REPLACED: VarInt = VarInt::from_u32(2);
/// Something on it was not as the protocol says.
pub(super) const CODE_PROTOCOL: VarInt = VarInt::from_u32(3);
