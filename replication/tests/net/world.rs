//! A cluster of real processes-in-miniature: one runtime, one socket, one certificate each.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use castor_proto::ids::{Incarnation, Member, NodeName};
use castor_proto::message::{PeerMessage, Phase};
use castor_proto::seal::{ClusterKey, KeyId, KeyRing};
use castor_replication::driver::pki::{Authority, Pem};
use castor_replication::driver::tls::{IdentityPem, NodeIdentity};
use castor_replication::driver::{
    LinkMetrics, NetEvent, Network, NetworkConfig, fresh_incarnation, wall_ms,
};
use prometheus::Registry;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

/// Longer than anything here should take, for a machine that is busy with something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) fn name(text: &str) -> NodeName {
    NodeName::parse(text).unwrap()
}

pub(crate) fn key(id: u32) -> ClusterKey {
    ClusterKey::new(KeyId(id), [id as u8; 32].into(), 0)
}

/// What all nodes of a cluster have in common.
pub(crate) struct World {
    pub(crate) cluster: String,
    pub(crate) authority: Authority,
    pub(crate) ring: Arc<KeyRing>,
}

impl World {
    pub(crate) fn new(cluster: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            authority: Authority::create(cluster, wall_ms(), 30).unwrap(),
            ring: Arc::new(KeyRing::new(None, key(1), None).unwrap()),
        }
    }

    pub(crate) fn identity(&self, node: &str) -> NodeIdentity {
        let pem = self
            .authority
            .issue_node(&name(node), wall_ms(), 30)
            .unwrap();
        self.load(&pem, node)
    }

    fn load(&self, pem: &Pem, node: &str) -> NodeIdentity {
        let files = IdentityPem {
            certificate: pem.certificate.as_bytes(),
            key: pem.key.as_bytes(),
            authority: self.authority.certificate_pem().as_bytes(),
        };
        NodeIdentity::from_pem(&files, &self.cluster, &name(node), wall_ms()).unwrap()
    }

    pub(crate) fn start(&self, node: &str, seeds: &[SocketAddr]) -> Process {
        self.start_at(node, ([127, 0, 0, 1], 0).into(), seeds)
    }

    pub(crate) fn start_at(&self, node: &str, at: SocketAddr, seeds: &[SocketAddr]) -> Process {
        let me = Member {
            node: name(node),
            incarnation: fresh_incarnation().unwrap(),
        };
        let seeds = seeds.iter().map(SocketAddr::to_string).collect();
        let config = NetworkConfig::new(me.clone(), at, at, seeds);
        self.start_with(config)
    }

    pub(crate) fn start_with(&self, config: NetworkConfig) -> Process {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let metrics = LinkMetrics::register(&Registry::new()).unwrap();
        let me = config.me.clone();
        let identity = self.identity(me.node.as_str());
        let (ring, counters) = (Arc::clone(&self.ring), metrics.clone());
        let started =
            runtime.spawn(async move { Network::start(config, &identity, ring, counters).await });
        let (network, events) = wait(&runtime, started).unwrap();
        Process {
            me,
            network,
            linked: BTreeSet::new(),
            events,
            metrics,
            runtime: Some(runtime),
        }
    }

    /// Starts nodes that know the first one, and waits until everyone is linked to everyone.
    pub(crate) fn cluster(&self, count: usize) -> Vec<Process> {
        let mut nodes: Vec<Process> = Vec::new();
        for number in 1..=count {
            let seeds: Vec<SocketAddr> = nodes.first().map(Process::address).into_iter().collect();
            nodes.push(self.start(&format!("n{number}"), &seeds));
        }
        let members: Vec<Member> = nodes.iter().map(|node| node.me.clone()).collect();
        for node in &mut nodes {
            let me = node.me.clone();
            for other in members.iter().filter(|other| **other != me) {
                node.until_linked(other);
            }
        }
        nodes
    }
}

fn wait<T: Send + 'static>(runtime: &Runtime, task: tokio::task::JoinHandle<T>) -> T {
    runtime.block_on(task).unwrap()
}

/// One process of a node.
pub(crate) struct Process {
    pub(crate) me: Member,
    pub(crate) network: Network,
    /// Links that events have reported.
    linked: BTreeSet<Member>,
    pub(crate) events: mpsc::Receiver<NetEvent>,
    pub(crate) metrics: LinkMetrics,
    pub(crate) runtime: Option<Runtime>,
}

impl Process {
    pub(crate) fn address(&self) -> SocketAddr {
        self.network.advertise()
    }

    /// The next event that `wanted` makes something of; others are dropped.
    pub(crate) fn expect<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut wanted: impl FnMut(NetEvent) -> Option<T>,
    ) -> T {
        let end = Instant::now() + limit;
        let (events, linked) = (&mut self.events, &mut self.linked);
        let found = runtime().block_on(async {
            let search = async {
                loop {
                    let event = events.recv().await.expect("the network has ended");
                    note(linked, &event);
                    if let Some(found) = wanted(event) {
                        return found;
                    }
                }
            };
            tokio::time::timeout_at(end.into(), search).await
        });
        found.unwrap_or_else(|_| panic!("{}: no {what} within {limit:?}", self.me.node))
    }

    /// Nothing that `unwanted` recognises happens for this long.
    pub(crate) fn expect_none(
        &mut self,
        limit: Duration,
        mut unwanted: impl FnMut(&NetEvent) -> bool,
    ) {
        let end = Instant::now() + limit;
        let (events, linked) = (&mut self.events, &mut self.linked);
        let found = runtime().block_on(async {
            let search = async {
                loop {
                    let event = events.recv().await.expect("the network has ended");
                    note(linked, &event);
                    if unwanted(&event) {
                        return event;
                    }
                }
            };
            tokio::time::timeout_at(end.into(), search).await
        });
        if let Ok(event) = found {
            panic!("{}: {event:?} should not have happened", self.me.node);
        }
    }

    pub(crate) fn until_linked(&mut self, to: &Member) {
        self.until_linked_within(to, PATIENCE);
    }

    pub(crate) fn until_linked_within(&mut self, to: &Member, limit: Duration) {
        if self.linked.contains(to) {
            return;
        }
        self.expect(&format!("link to {to:?}"), limit, |event| match event {
            NetEvent::LinkUp(member) if member == *to => Some(()),
            _ => None,
        });
    }

    pub(crate) fn until_alive(&mut self, member: &Member, alive: bool, limit: Duration) {
        let wanted = |seen: &Member, is: bool| seen == member && is == alive;
        if self
            .network
            .members()
            .iter()
            .any(|seen| wanted(&seen.member, seen.alive))
        {
            return;
        }
        self.expect(
            &format!("{member:?} alive = {alive}"),
            limit,
            |event| match event {
                NetEvent::Gossip(members) => members
                    .iter()
                    .any(|seen| wanted(&seen.member, seen.alive))
                    .then_some(()),
                _ => None,
            },
        );
    }

    /// Messages from this member, until there are `count`.
    pub(crate) fn messages(&mut self, from: &Member, count: usize) -> Vec<PeerMessage> {
        let mut all = Vec::new();
        while all.len() < count {
            all.extend(self.expect("messages", PATIENCE, |event| match event {
                NetEvent::Messages(member, messages) if member == *from => Some(messages),
                _ => None,
            }));
        }
        assert_eq!(all.len(), count, "more messages than were sent");
        all
    }

    /// Waits until something was refused for this reason that often, and no more than that.
    pub(crate) fn until_rejected(&self, reason: &str, times: u64) {
        self.until_refused_at_least(reason, times);
        assert_eq!(self.metrics.rejected_count(reason), times, "{reason}");
    }

    /// Waits until something was refused for this reason that often, or more.
    pub(crate) fn until_refused_at_least(&self, reason: &str, times: u64) {
        let end = Instant::now() + PATIENCE;
        while self.metrics.rejected_count(reason) < times {
            assert!(
                Instant::now() < end,
                "{}: not refused for {reason}",
                self.me.node
            );
            std::thread::yield_now();
        }
    }

    /// The end of the process without a word, as by `kill -9`; its port is free afterwards.
    pub(crate) fn kill(mut self) -> SocketAddr {
        let address = self.address();
        // Dropping a runtime drops its tasks where they stand: no connection is closed.
        drop(self.runtime.take());
        address
    }

    /// Stops the process without ending it, as by `SIGSTOP`; goes on when the guard is dropped.
    pub(crate) fn freeze(&self) -> std::sync::mpsc::SyncSender<()> {
        let (thaw, frozen) = std::sync::mpsc::sync_channel::<()>(0);
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        self.runtime.as_ref().unwrap().spawn(async move {
            tell.send(()).unwrap();
            // The only worker waits here, so nothing else of this process runs.
            let _ = frozen.recv();
        });
        told.recv().unwrap();
        thaw
    }
}

fn note(linked: &mut BTreeSet<Member>, event: &NetEvent) {
    match event {
        NetEvent::LinkUp(member) => {
            linked.retain(|other| other.node != member.node);
            linked.insert(member.clone());
        }
        NetEvent::LinkDown(member) => {
            linked.remove(member);
        }
        _ => {}
    }
}

/// Where the test itself waits.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: std::sync::OnceLock<Runtime> = std::sync::OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    })
}

/// A message that can be told from others.
pub(crate) fn fast(number: u64) -> PeerMessage {
    PeerMessage::Ping {
        sent: number,
        phase: Phase::Ready,
    }
}

pub(crate) fn stream(number: u64) -> PeerMessage {
    PeerMessage::Subscribe {
        nonce: number,
        have: number,
    }
}

pub(crate) fn bulk(number: u64) -> PeerMessage {
    PeerMessage::EntriesRequest {
        rpc: number,
        keys: vec![],
    }
}

pub(crate) fn some_incarnation(fill: u8) -> Incarnation {
    Incarnation([fill; 16])
}
