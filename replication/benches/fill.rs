//! How long an empty node takes to fill itself from its peers (rule 20): whole nodes in one process,
//! over real QUIC on loopback.
//!
//! `cargo bench -p castor-replication --bench fill -- [SESSIONS]` (default 1,000,000). The first node
//! creates the sessions; the second fills itself from it, the third from both. Each line says how long
//! the node took from its start until it was ready, and the CPU time of the whole process in between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use castor_proto::ids::NodeName;
use castor_proto::seal::keyring::{ClusterKey, KeyId, KeyRing};
use castor_proto::ticket::{Payload, Principal, Tgt};
use castor_proto::version::VersionRange;
use castor_replication::driver::pki::Authority;
use castor_replication::driver::tls::{IdentityPem, NodeIdentity};
use castor_replication::driver::{Clock, Cluster, Handle, Readiness, Settings, wall_ms};
use castor_replication::engine::NewReusable;
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Creations under way at the same moment.
const AT_ONCE: u64 = 128;

/// How often a third node is filled.
const TIMES: usize = 3;

struct Site {
    authority: Authority,
    keyring: Arc<KeyRing>,
    seeds: Vec<String>,
}

impl Site {
    fn new() -> Self {
        let secret = blake3::derive_key("castor bench", b"secret").into();
        let key = ClusterKey::new(KeyId(1), secret, wall_ms());
        Self {
            authority: Authority::create("bench", wall_ms(), 1).unwrap(),
            keyring: Arc::new(KeyRing::new(None, key, None).unwrap()),
            seeds: Vec::new(),
        }
    }

    async fn start(&mut self, name: &str) -> Cluster {
        let node = NodeName::parse(name).unwrap();
        let pem = self.authority.issue_node(&node, wall_ms(), 1).unwrap();
        let identity = IdentityPem {
            certificate: pem.certificate.as_bytes(),
            key: pem.key.as_bytes(),
            authority: self.authority.certificate_pem().as_bytes(),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let started = Cluster::start(Settings {
            identity: NodeIdentity::from_pem(&identity, "bench", &node, wall_ms()).unwrap(),
            node,
            listen: address,
            advertise: address,
            seeds: self.seeds.clone(),
            keyring: Arc::clone(&self.keyring),
            wire: VersionRange::SUPPORTED,
            registry: prometheus::Registry::new(),
            tune: Box::new(|_| {}),
        });
        started.await.unwrap()
    }

    /// Starts a node and measures until it is ready.
    async fn measure(&mut self, name: &str, sessions: u64) -> Cluster {
        let (clock, busy) = (Clock::new(), cpu_time());
        let began = clock.mono();
        let node = self.start(name).await;
        while node.handle().readiness() != Readiness::Ready {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let (took, busy) = (clock.mono() - began, cpu_time() - busy);
        assert_eq!(
            node.handle().store().len() as u64,
            sessions,
            "{name} is complete"
        );
        println!(
            "{name}: {sessions} sessions from {} donors in {:.2} s, {:.2} s of CPU, {:.1} us each",
            self.seeds.len(),
            took as f64 / 1e6,
            busy.as_secs_f64(),
            busy.as_secs_f64() * 1e6 / sessions as f64,
        );
        node
    }
}

/// CPU time of this process so far, in ticks of a hundredth of a second.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<u64> = after
        .split_whitespace()
        .map(|f| f.parse().unwrap_or(0))
        .collect();
    Duration::from_millis((fields[11] + fields[12]) * 10)
}

/// Somebody's session, with ten attributes.
fn session(number: u64) -> NewReusable {
    let id = format!("user{:06}", number % 100_000);
    let attribute = |at: u64| (format!("attribute-{at}"), vec![format!("{id}@example.org")]);
    let principal = Principal {
        attributes: (0..10).map(attribute).collect(),
        id,
    };
    NewReusable {
        id: None,
        life_ms: 28_800_000,
        idle_ms: 7_200_000,
        ancestors: Vec::new(),
        payload: Payload::Tgt(Tgt {
            principal,
            authenticated_at: wall_ms(),
            handler: "bench".into(),
            remember_me: false,
            client_address: "192.0.2.7".into(),
        }),
        key_id: None,
    }
}

async fn create(handle: &Handle, sessions: u64) {
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (handle, next) = (handle.clone(), Arc::clone(&next));
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Relaxed);
                if number >= sessions {
                    return;
                }
                handle.create(session(number)).await.unwrap();
            }
        });
    }
    while workers.join_next().await.is_some() {}
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // As the program does.
    rustix::thread::disable_transparent_huge_pages(true).unwrap();
    let number = |text: String| text.parse::<u64>().ok();
    let sessions = std::env::args().find_map(number).unwrap_or(1_000_000);
    let mut site = Site::new();
    let first = site.start("node-a").await;
    site.seeds.push(first.advertise().to_string());
    while first.handle().readiness() != Readiness::Ready {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let clock = Clock::new();
    let began = clock.mono();
    create(first.handle(), sessions).await;
    println!(
        "created {sessions} sessions in {:.2} s",
        (clock.mono() - began) as f64 / 1e6
    );
    let second = site.measure("node-b", sessions).await;
    site.seeds.push(second.advertise().to_string());
    for time in 0..TIMES {
        let third = site
            .measure(&format!("node-{}", ["c", "d", "e"][time]), sessions)
            .await;
        third.shutdown().await;
    }
    second.shutdown().await;
    first.shutdown().await;
}
