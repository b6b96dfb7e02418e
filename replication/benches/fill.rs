//! How long an empty node takes to fill itself from its peers (rule 20): whole nodes in one process,
//! over real QUIC on loopback.
//!
//! `cargo bench -p castor-replication --bench fill -- [SESSIONS]` (default 1,000,000). The first node
//! creates the sessions; the second fills itself from it, the third from both. Each line says how long
//! the node took from its start until it was ready, and the CPU time of the whole process in between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "common/cluster.rs"]
mod cluster;
#[path = "common/session.rs"]
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use castor_proto::ids::NodeName;
use castor_replication::driver::pki::Authority;
use castor_replication::driver::tls::IdentityPem;
use castor_replication::driver::{Clock, Cluster, Handle, Readiness, wall_ms};
use tokio::task::JoinSet;

use cluster::{CLUSTER, cpu_time, until};
use session::session;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Creations under way at the same moment.
const AT_ONCE: u64 = 128;

/// How often a third node is filled.
const TIMES: usize = 3;

/// So many people have them.
const PEOPLE: u64 = 100_000;

struct Site {
    authority: Authority,
    seeds: Vec<String>,
}

impl Site {
    fn new() -> Self {
        Self {
            authority: Authority::create(CLUSTER, wall_ms(), 1).unwrap(),
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
        cluster::start(node, &identity, self.seeds.clone()).await
    }

    /// Starts a node and measures until it is ready.
    async fn measure(&mut self, name: &str, sessions: u64) -> Cluster {
        let own = [std::process::id()];
        let (clock, busy) = (Clock::new(), cpu_time(&own));
        let began = clock.mono();
        let node = self.start(name).await;
        ready(&node).await;
        let (took, busy) = (clock.mono() - began, cpu_time(&own) - busy);
        assert_eq!(
            node.handle().store().len() as u64,
            sessions,
            "{name} is complete"
        );
        println!(
            "{name}: {sessions} sessions from {} donors in {:.2} s, {:.2} s of CPU, {:.1} us each",
            self.seeds.len(),
            took as f64 / 1e6,
            busy as f64 / 1e6,
            busy as f64 / sessions as f64,
        );
        node
    }
}

async fn ready(node: &Cluster) {
    until(async || node.handle().readiness() == Readiness::Ready).await;
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
                handle.create(session(number % PEOPLE)).await.unwrap();
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
    ready(&first).await;
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
