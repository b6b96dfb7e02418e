//! Who is linked: one entry per node name, with the link each way.
//!
//! Promises: a name belongs to one incarnation at a time; it passes to another only when the links of
//! the earlier one are closed, or its process no longer answers a probe. Bounded: at most
//! [`MEMBERS_MAX`] names.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use castor_proto::frame::{self, FrameKind};
use castor_proto::ids::{Member, NodeName};
use castor_proto::limits::MEMBERS_MAX;
use castor_proto::message::Lane;
use castor_proto::seal::ReplayGuard;
use castor_proto::version::WireVersion;
use quinn::{Connection, VarInt};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, timeout};

use super::lane::{LaneQueue, read_frame};
use super::network::{CODE_REFUSED, LinkInfo};

/// How long a process may take to answer a probe.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// Most addresses that are called.
const ADDRESSES_MAX: usize = 4 * MEMBERS_MAX;

/// This node's own link to a peer.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) connection: Connection,
    pub(super) address: SocketAddr,
    pub(super) wire: WireVersion,
    pub(super) queues: [Arc<LaneQueue>; Lane::ALL.len()],
    pub(super) gossip: mpsc::Sender<Vec<u8>>,
}

/// A peer's link to this node.
#[derive(Clone)]
pub(super) struct Incoming {
    pub(super) connection: Connection,
    /// Lanes that are still being read.
    pub(super) reading: watch::Receiver<usize>,
}

/// One process of another node.
pub(super) struct Peer {
    pub(super) member: Member,
    pub(super) advertise: SocketAddr,
    pub(super) outgoing: Option<Outgoing>,
    pub(super) incoming: Option<Incoming>,
    pub(super) guard: Arc<Mutex<ReplayGuard>>,
}

impl Peer {
    fn new(member: Member, advertise: SocketAddr) -> Self {
        Self {
            member,
            advertise,
            outgoing: None,
            incoming: None,
            guard: Arc::default(),
        }
    }

    /// Connections that nothing has closed yet.
    fn open(&self) -> Vec<Connection> {
        let outgoing = self.outgoing.iter().map(|link| &link.connection);
        let incoming = self.incoming.iter().map(|link| &link.connection);
        outgoing
            .chain(incoming)
            .filter(|link| link.close_reason().is_none())
            .cloned()
            .collect()
    }
}

/// Another process that has the name now.
pub(super) struct Incumbent {
    pub(super) address: SocketAddr,
    pub(super) connections: Vec<Connection>,
}

/// An address that is called.
struct Mention {
    last: Instant,
    wake: Arc<Notify>,
}

/// Everything known about peers and where they are.
pub(super) struct Registry {
    peers: BTreeMap<NodeName, Peer>,
    banned: BTreeSet<NodeName>,
    /// Addresses that are called, and when each was last mentioned by anyone.
    addresses: HashMap<SocketAddr, Mention>,
    /// Addresses where a hello was accepted, or this node itself was found.
    answered: HashSet<SocketAddr>,
    /// How many outgoing links are up.
    links: watch::Sender<usize>,
    /// How many addresses have answered.
    answers: watch::Sender<usize>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            peers: BTreeMap::new(),
            banned: BTreeSet::new(),
            addresses: HashMap::new(),
            answered: HashSet::new(),
            links: watch::channel(0).0,
            answers: watch::channel(0).0,
        }
    }
}

impl Registry {
    /// The queue of a lane to this process, and the wire version of the link.
    pub(super) fn queue(&self, to: &Member, lane: Lane) -> Option<(Arc<LaneQueue>, WireVersion)> {
        let peer = self.peers.get(&to.node).filter(|peer| peer.member == *to)?;
        let link = peer.outgoing.as_ref()?;
        Some((Arc::clone(&link.queues[lane as usize]), link.wire))
    }

    pub(super) fn links(&self) -> Vec<LinkInfo> {
        let up = self
            .peers
            .values()
            .filter_map(|peer| Some((peer, peer.outgoing.as_ref()?)));
        up.map(|(peer, link)| LinkInfo {
            member: peer.member.clone(),
            address: link.address,
            wire: link.wire,
            rtt: link.connection.rtt(),
        })
        .collect()
    }

    /// The gossip queue of the link to whoever advertises, or was reached at, this address.
    pub(super) fn gossip_to(&self, address: &SocketAddr) -> Option<mpsc::Sender<Vec<u8>>> {
        let mut up = self
            .peers
            .values()
            .filter_map(|peer| Some((peer, peer.outgoing.as_ref()?)));
        up.find(|(peer, link)| peer.advertise == *address || link.address == *address)
            .map(|(_, link)| link.gossip.clone())
    }

    /// Counts the links that are up, and tells of changes.
    pub(super) fn changes(&self) -> watch::Receiver<usize> {
        self.links.subscribe()
    }

    pub(super) fn has_link(&self, node: &NodeName) -> bool {
        let peer = self.peers.get(node).and_then(|peer| peer.outgoing.as_ref());
        peer.is_some_and(|link| link.connection.close_reason().is_none())
    }

    /// Records a link of ours. `false` when there is no room for another name.
    pub(super) fn link_up(&mut self, member: &Member, at: SocketAddr, link: Outgoing) -> bool {
        let Some(peer) = self.entry(member, at) else {
            return false;
        };
        peer.outgoing = Some(link);
        self.count_links();
        true
    }

    /// Forgets a link of ours; the connection tells it from a newer one. Whether this process is
    /// not linked any more: `false` only when it has a newer link. An entry that has passed to
    /// another process, or is gone, had taken the link with it.
    pub(super) fn link_down(&mut self, member: &Member, connection: &Connection) -> bool {
        let peer = self.peers.get_mut(&member.node);
        let Some(peer) = peer.filter(|peer| peer.member == *member) else {
            return true;
        };
        let newer = |link: &Outgoing| link.connection.stable_id() != connection.stable_id();
        if peer.outgoing.as_ref().is_some_and(newer) {
            return false;
        }
        if peer.outgoing.take().is_some() {
            self.count_links();
        }
        true
    }

    /// Records a link of a peer and hands out its replay guard, and the link it replaces.
    pub(super) fn accepted(
        &mut self,
        member: &Member,
        advertise: SocketAddr,
        link: Incoming,
    ) -> Option<Arc<Mutex<ReplayGuard>>> {
        let peer = self.entry(member, advertise)?;
        peer.advertise = advertise;
        peer.incoming = Some(link);
        Some(Arc::clone(&peer.guard))
    }

    /// The link that this process has to us already.
    pub(super) fn incoming(&self, member: &Member) -> Option<Incoming> {
        let peer = self
            .peers
            .get(&member.node)
            .filter(|peer| peer.member == *member)?;
        peer.incoming.clone()
    }

    /// Forgets a link of a peer.
    pub(super) fn left(&mut self, member: &Member, connection: &Connection) {
        if let Some(peer) = self.peers.get_mut(&member.node) {
            let same = |link: &Incoming| link.connection.stable_id() == connection.stable_id();
            if peer.incoming.as_ref().is_some_and(same) {
                peer.incoming = None;
            }
        }
    }

    /// The other process that has this name and is still linked.
    pub(super) fn incumbent(&self, member: &Member) -> Option<Incumbent> {
        let peer = self
            .peers
            .get(&member.node)
            .filter(|peer| peer.member != *member)?;
        let connections = peer.open();
        if connections.is_empty() {
            return None;
        }
        Some(Incumbent {
            address: peer.advertise,
            connections,
        })
    }

    fn entry(&mut self, member: &Member, advertise: SocketAddr) -> Option<&mut Peer> {
        if !self.peers.contains_key(&member.node) && self.peers.len() >= MEMBERS_MAX {
            let idle = self.peers.values().find(|peer| peer.open().is_empty());
            let idle = idle.map(|peer| peer.member.node.clone())?;
            self.forget_peer(&idle);
        }
        let earlier = self.peers.get(&member.node);
        if let Some(earlier) = earlier.filter(|earlier| earlier.member != *member) {
            for connection in earlier.open() {
                connection.close(CODE_REFUSED, b"another process has this name");
            }
            self.forget_peer(&member.node);
        }
        let fresh = || Peer::new(member.clone(), advertise);
        Some(self.peers.entry(member.node.clone()).or_insert_with(fresh))
    }

    /// Removes an entry, and the link in it; who waits for links to end is told.
    fn forget_peer(&mut self, node: &NodeName) {
        let gone = self.peers.remove(node);
        if gone.is_some_and(|gone| gone.outgoing.is_some()) {
            self.count_links();
        }
    }

    fn count_links(&self) {
        let up = self
            .peers
            .values()
            .filter(|peer| peer.outgoing.is_some())
            .count();
        self.links
            .send_if_modified(|links| std::mem::replace(links, up) != up);
    }

    pub(super) fn is_banned(&self, node: &NodeName) -> bool {
        self.banned.contains(node)
    }

    pub(super) fn ban(&mut self, node: &NodeName) {
        self.banned.insert(node.clone());
        for connection in self.peers.get(node).map(Peer::open).unwrap_or_default() {
            connection.close(CODE_REFUSED, b"banned");
        }
    }

    pub(super) fn unban(&mut self, node: &NodeName) {
        self.banned.remove(node);
    }

    /// Notes that an address was mentioned. `true` when it has to be called from now on.
    pub(super) fn mention(&mut self, address: SocketAddr, now: Instant) -> bool {
        let full = self.addresses.len() >= ADDRESSES_MAX;
        match self.addresses.get_mut(&address) {
            Some(mention) => {
                mention.last = now;
                false
            }
            None if full => false,
            None => {
                let mention = Mention {
                    last: now,
                    wake: Arc::default(),
                };
                self.addresses.insert(address, mention);
                true
            }
        }
    }

    /// Wakes whoever calls this address; nobody, when it is not called.
    pub(super) fn wake(&self, address: &SocketAddr) -> Arc<Notify> {
        self.addresses
            .get(address)
            .map(|mention| Arc::clone(&mention.wake))
            .unwrap_or_default()
    }

    /// Notes that a hello was accepted at this address, or that it is this node's own.
    pub(super) fn answered(&mut self, address: SocketAddr) {
        if self.addresses.contains_key(&address) && self.answered.insert(address) {
            self.answers.send_replace(self.answered.len());
        }
    }

    pub(super) fn has_answered(&self, address: &SocketAddr) -> bool {
        self.answered.contains(address)
    }

    /// Tells when another address has answered.
    pub(super) fn answers(&self) -> watch::Receiver<usize> {
        self.answers.subscribe()
    }

    /// Forgets an address that nobody has mentioned for too long. Whether it is forgotten.
    pub(super) fn forget(&mut self, address: &SocketAddr, now: Instant, after: Duration) -> bool {
        let old = |mention: &Mention| now.duration_since(mention.last) > after;
        let forgotten = self.addresses.get(address).is_none_or(old);
        if forgotten {
            self.addresses.remove(address);
            self.answered.remove(address);
        }
        forgotten
    }
}

/// Whether the process at the other end answers now, on any of these connections.
pub(super) async fn any_answers(connections: &[Connection]) -> bool {
    let mut probes = tokio::task::JoinSet::new();
    for connection in connections {
        let connection = connection.clone();
        probes.spawn(async move { answers(&connection).await });
    }
    while let Some(answered) = probes.join_next().await {
        if matches!(answered, Ok(true)) {
            return true;
        }
    }
    false
}

async fn answers(connection: &Connection) -> bool {
    let probe = async {
        let (mut send, mut receive) = connection.open_bi().await.ok()?;
        let frame = frame::encode(FrameKind::Probe, &[]).ok()?;
        send.write_all(&frame).await.ok()?;
        let _ = send.finish();
        read_frame(&mut receive, FrameKind::Probe).await.ok()?
    };
    matches!(timeout(PROBE_TIMEOUT, probe).await, Ok(Some(_)))
}

/// Answers the other end's probes until the connection closes.
pub(super) async fn echo_probes(connection: Connection) {
    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
        let echo = async {
            read_frame(&mut receive, FrameKind::Probe).await.ok()??;
            let frame = frame::encode(FrameKind::Probe, &[]).ok()?;
            send.write_all(&frame).await.ok()?;
            send.finish().ok()
        };
        if !matches!(timeout(PROBE_TIMEOUT, echo).await, Ok(Some(()))) {
            let _ = receive.stop(VarInt::from_u32(0));
        }
    }
}
