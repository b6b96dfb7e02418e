//! One node: the product's network, gossip and engine on a simulated host.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use castor_proto::ids::{Member, NodeName};
use castor_proto::seal::KeyRing;
use castor_replication::driver::network::MemberInfo;
use castor_replication::driver::surroundings::Surroundings;
use castor_replication::driver::tls::{IdentityPem, NodeIdentity};
use castor_replication::driver::{
    Clock, Handle, LinkMetrics, Network, NetworkConfig, Parts, assemble, fresh_incarnation,
};
use prometheus::Registry;

use crate::{provider, socket};

/// Nodes of a cluster.
pub const NODES: usize = 3;
/// Wall clock at the start of every run: within the certificates' life.
const WALL: u64 = 1_800_000_000_000;
const PORT: u16 = 8445;
const CLUSTER: &str = "sim";
const RING: &str = "castor-key-v1 current 00c0ffee 1795000000000 \
                    AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";
const AUTHORITY: &[u8] = include_bytes!("../testdata/authority.pem");
const IDENTITIES: [(&[u8], &[u8]); NODES] = [
    (
        include_bytes!("../testdata/n0.pem"),
        include_bytes!("../testdata/n0.key"),
    ),
    (
        include_bytes!("../testdata/n1.pem"),
        include_bytes!("../testdata/n1.key"),
    ),
    (
        include_bytes!("../testdata/n2.pem"),
        include_bytes!("../testdata/n2.key"),
    ),
];

pub type Fault = Box<dyn std::error::Error>;

/// A node's name, also as a host of the simulated network.
pub fn name(index: usize) -> String {
    format!("n{index}")
}

/// A running node.
pub struct Node {
    pub handle: Handle,
    network: Network,
}

impl Node {
    /// Starts on the simulated host that asks.
    pub async fn start(index: usize, addresses: &[IpAddr]) -> Result<Self, Fault> {
        let since = turmoil::sim_elapsed().unwrap_or_default();
        let wall = WALL + u64::try_from(since.as_millis())?;
        let clock = Clock::simulated(wall);
        let me = Member {
            node: NodeName::parse(&name(index))?,
            incarnation: fresh_incarnation()?,
        };
        let (certificate, key) = IDENTITIES[index];
        let files = IdentityPem {
            certificate,
            key,
            authority: AUTHORITY,
        };
        let identity = NodeIdentity::from_pem(&files, CLUSTER, &me.node, wall)?;
        let reach = |address: &IpAddr| SocketAddr::new(*address, PORT);
        let seeds = addresses.iter().map(|address| reach(address).to_string());
        let listen = SocketAddr::from(([0, 0, 0, 0], PORT));
        let advertise = reach(&addresses[index]);
        let mut config = NetworkConfig::new(me.clone(), listen, advertise, seeds.collect());
        config.generation = wall;
        config.surroundings = Surroundings {
            bind: socket::bind,
            provider: provider::provider(),
            threads: false,
        };
        let silent_seeds = config.seeds.len();
        let registry = Registry::new();
        let ring = Arc::new(KeyRing::parse(RING)?);
        let metrics = LinkMetrics::register(&registry)?;
        let (network, events) =
            Network::start(config, &identity, Arc::clone(&ring), metrics).await?;
        let parts = Parts {
            node: me.node,
            incarnation: me.incarnation,
            keyring: ring,
            silent_seeds,
            registry,
            tune: Box::new(|_| {}),
            digest_key: [7; 32],
        };
        let (handle, event_loop) = assemble(parts, network.clone(), events, clock)?;
        tokio::spawn(event_loop);
        Ok(Self { handle, network })
    }

    /// Peers that gossip believes alive, and links that are up.
    pub fn company(&self) -> (usize, usize) {
        let alive = |member: &MemberInfo| member.alive;
        let alive = self.network.members().into_iter().filter(alive).count();
        (alive, self.network.links().len())
    }
}

/// Waits a little of simulated time.
pub async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
