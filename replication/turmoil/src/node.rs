//! One node on a simulated host: all that `castor serve` puts together, but for its sockets, its
//! threads and its signals.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use castor_node::app::preflight::{self, Checked};
use castor_node::app::replica;
use castor_node::app::rooms::{Routers, closing, open_audit};
use castor_node::app::shared::{Base, Shared};
use castor_node::authn::file::FileAuthenticator;
use castor_node::authn::password::HashPool;
use castor_node::clock::{Clock as WallClock, Rng};
use castor_node::config::{self, Live};
use castor_node::ops::metrics::Metrics;
use castor_node::server::{self, Limits, Options, Running, ServerMetrics};
use castor_replication::driver::network::MemberInfo;
use castor_replication::driver::surroundings::Surroundings;
use castor_replication::driver::{Clock, Handle, LinkMetrics, Network, assemble};

use crate::files::Files;
use crate::{provider, socket, wire};

/// Nodes of a cluster.
pub const NODES: usize = 3;
/// Where nodes reach each other.
pub const PORT: u16 = 8445;
/// Where people and applications reach a node.
pub const HTTP_PORT: u16 = 8443;
/// Wall clock at the start of every run: within the certificates' life.
const WALL: u64 = 1_800_000_000_000;

pub type Fault = Box<dyn std::error::Error>;

/// A node's name, also as a host of the simulated network.
pub fn name(index: usize) -> String {
    format!("n{index}")
}

/// A running node.
pub struct Node {
    pub handle: Handle,
    network: Network,
    _http: Running,
}

impl Node {
    /// Starts on the simulated host that asks.
    pub async fn start(index: usize, address: IpAddr, files: Rc<Files>) -> Result<Self, Fault> {
        let since = turmoil::sim_elapsed().unwrap_or_default();
        let wall = WALL + u64::try_from(since.as_millis())?;
        let wall_clock = WallClock::manual(wall);
        let checked = checked(index, &files, &wall_clock)?;
        let metrics = Metrics::new(castor_proto::version::CURRENT.number())?;
        let registry = metrics.registry().clone();
        // Bound before the node shows itself to its peers, as in the product.
        let listener = wire::listen(HTTP_PORT).await?;

        let advertise = SocketAddr::new(address, PORT);
        let (mut net, parts) = replica::plan(&checked, advertise, &registry)?;
        net.generation = wall;
        net.surroundings = Surroundings {
            bind: socket::bind,
            provider: provider::provider(),
            threads: false,
        };
        let links = LinkMetrics::register(&registry)?;
        let ring = Arc::clone(&checked.ring);
        let (network, events) = Network::start(net, &checked.identity, ring, links).await?;
        let (handle, event_loop) =
            assemble(parts, network.clone(), events, Clock::simulated(wall))?;
        tokio::spawn(event_loop);

        let config = checked.loaded.config.clone();
        let audit = open_audit(&checked, listener.listen(), &wall_clock, &metrics)?;
        let live = Live::new(config.clone());
        let base = Base {
            live: &live,
            handle: &handle,
            audit: &audit,
            metrics: &metrics,
            clock: &wall_clock,
            rng: Rng::system(),
            logging: None,
        };
        let shared = Shared::new(&checked, base)?;
        let routers = Routers::build(&checked, &shared)?;
        let options = Options {
            name: "http",
            limits: Limits::from(&config.http),
            tls: None,
            closing: closing(&handle),
            metrics: ServerMetrics::register(&registry)?,
        };
        Ok(Self {
            handle,
            network,
            _http: server::run(listener, routers.http, options),
        })
    }

    /// Peers that gossip believes alive, and links that are up.
    pub fn company(&self) -> (usize, usize) {
        let alive = |member: &MemberInfo| member.alive;
        let alive = self.network.members().into_iter().filter(alive).count();
        (alive, self.network.links().len())
    }
}

/// Reads the files of a node as the product does, but for the threads that check passwords.
fn checked(index: usize, files: &Files, clock: &WallClock) -> Result<Checked, Fault> {
    let rng = Rng::system();
    let loaded = config::load(&files.sources(index))?;
    let mut checked =
        preflight::check(loaded, clock, &rng).map_err(|problems| problems.join("\n"))?;
    let pool = Arc::new(HashPool::in_place());
    let users = FileAuthenticator::open(files.path("users.toml"), pool, rng)?;
    checked.users = Arc::new(users);
    Ok(checked)
}

/// Waits a little of simulated time.
pub async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
