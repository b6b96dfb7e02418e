//! Whole nodes over real QUIC on loopback: certificates, gossip, engine, handle.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use castor_proto::delta::DestroyReason;
use castor_proto::ids::{ClaimId, NodeName};
use castor_proto::seal::keyring::{ClusterKey, KeyId, KeyRing};
use castor_proto::ticket::{Payload, Principal, St, Tgt, TicketId};
use castor_proto::version::VersionRange;
use castor_replication::driver::pki::Authority;
use castor_replication::driver::tls::{IdentityPem, NodeIdentity};
use castor_replication::driver::{Cluster, Handle, LookUp, Readiness, Settings, wall_ms};
use castor_replication::engine::{ClaimOutcome, NewReusable, NewSingleUse, Removal};

struct Site {
    authority: Authority,
    keyring: Arc<KeyRing>,
    seeds: Vec<String>,
}

impl Site {
    fn new() -> Self {
        let secret = blake3::derive_key("test cluster", b"secret").into();
        let key = ClusterKey::new(KeyId(1), secret, wall_ms());
        Self {
            authority: Authority::create("test", wall_ms(), 1).unwrap(),
            keyring: Arc::new(KeyRing::new(None, key, None).unwrap()),
            seeds: Vec::new(),
        }
    }

    async fn start(&self, name: &str, port: u16) -> Cluster {
        self.start_at(name, port, None).await
    }

    /// A node whose wire version is capped.
    async fn start_at(&self, name: &str, port: u16, wire_max: Option<u16>) -> Cluster {
        let node = NodeName::parse(name).unwrap();
        let pem = self.authority.issue_node(&node, wall_ms(), 1).unwrap();
        let identity = IdentityPem {
            certificate: pem.certificate.as_bytes(),
            key: pem.key.as_bytes(),
            authority: self.authority.certificate_pem().as_bytes(),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Cluster::start(Settings {
            identity: NodeIdentity::from_pem(&identity, "test", &node, wall_ms()).unwrap(),
            node,
            listen: address,
            advertise: address,
            seeds: self.seeds.clone(),
            keyring: Arc::clone(&self.keyring),
            wire: VersionRange::capped(wire_max).unwrap(),
            registry: prometheus::Registry::new(),
            tune: Box::new(|_| {}),
        })
        .await
        .unwrap()
    }

    /// Three nodes that know each other, ready.
    async fn three(&mut self) -> Vec<Cluster> {
        let mut nodes = Vec::new();
        for name in ["node-a", "node-b", "node-c"] {
            let node = self.start(name, 0).await;
            self.seeds.push(node.advertise().to_string());
            nodes.push(node);
        }
        for node in &nodes {
            ready(node.handle()).await;
        }
        nodes
    }
}

async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}

async fn ready(handle: &Handle) {
    until("the node is ready", async || {
        handle.readiness() == Readiness::Ready
    })
    .await;
}

/// Every node sees the others ready over its own links.
async fn whole(nodes: &[&Cluster]) {
    use castor_proto::message::Phase;
    until("the cluster is whole", async || {
        for node in nodes {
            let status = node.handle().status().await.unwrap();
            let fit = status
                .peers
                .iter()
                .filter(|p| p.link && p.phase == Some(Phase::Ready));
            if fit.count() != nodes.len() - 1 {
                return false;
            }
        }
        true
    })
    .await;
}

fn session(user: &str) -> NewReusable {
    let principal = Principal {
        id: user.into(),
        attributes: Vec::new(),
    };
    NewReusable {
        id: None,
        life_ms: 28_800_000,
        idle_ms: 7_200_000,
        ancestors: Vec::new(),
        payload: Payload::Tgt(Tgt {
            principal,
            authenticated_at: wall_ms(),
            handler: "test".into(),
            remember_me: false,
            client_address: "192.0.2.7".into(),
        }),
        key_id: None,
    }
}

async fn issue(handle: &Handle, session: &TicketId) -> TicketId {
    let service = "https://app.example.org/";
    let payload = Payload::St(St {
        service: service.into(),
        registered_service: 1,
        from_new_login: false,
    });
    let new = NewSingleUse {
        ancestors: vec![session.key()],
        life_ms: 10_000,
        payload,
        service: Some((1, service.into())),
    };
    handle.issue(new).await.unwrap().body.id.clone()
}

fn valid(outcome: &ClaimOutcome) -> bool {
    matches!(outcome, ClaimOutcome::Won(_) | ClaimOutcome::Replayed(_))
}

#[tokio::test]
async fn three_nodes_share_sessions_and_consume_tickets_once() {
    let mut site = Site::new();
    let nodes = site.three().await;
    let all: Vec<&Cluster> = nodes.iter().collect();
    whole(&all).await;
    let created = nodes[0].handle().create(session("ada")).await.unwrap();
    assert_eq!((created.acked, created.missing), (2, 0));
    let id = created.body.id.clone();
    assert!(nodes.iter().all(|node| node.handle().find(&id).is_some()));
    for round in 0..100u8 {
        let ticket = issue(nodes[usize::from(round) % 3].handle(), &id).await;
        let claims = (0..3u8).map(|i| {
            let handle = nodes[usize::from(i)].handle().clone();
            let ticket = ticket.clone();
            tokio::spawn(async move { handle.claim(&ticket, ClaimId([i; 16])).await })
        });
        let mut won = 0;
        for claim in claims.collect::<Vec<_>>() {
            won += usize::from(valid(&claim.await.unwrap()));
        }
        assert_eq!(won, 1, "round {round}");
    }
    let destroyed = nodes[2]
        .handle()
        .destroy(&id, DestroyReason::Logout)
        .await
        .unwrap();
    assert_eq!(
        (destroyed.acked, destroyed.missing, destroyed.services.len()),
        (2, 0, 1)
    );
    for node in &nodes {
        assert!(matches!(
            node.handle().look_up(&id).await,
            LookUp::Destroyed
        ));
        node.handle().refresh_metrics().await.unwrap();
    }
}

#[tokio::test]
async fn a_node_that_went_away_comes_back_full_and_the_rest_goes_on() {
    let mut site = Site::new();
    let mut nodes = site.three().await;
    whole(&nodes.iter().collect::<Vec<_>>()).await;
    let id = nodes[0]
        .handle()
        .create(session("ada"))
        .await
        .unwrap()
        .body
        .id
        .clone();
    let first = nodes.remove(0);
    let port = first.advertise().port();
    first.shutdown().await;
    let ticket = issue(nodes[0].handle(), &id).await;
    assert!(valid(
        &nodes[1].handle().claim(&ticket, ClaimId([1; 16])).await
    ));
    let late = nodes[1]
        .handle()
        .create(session("bob"))
        .await
        .unwrap()
        .body
        .id
        .clone();
    let back = site.start("node-a", port).await;
    ready(back.handle()).await;
    assert!(back.handle().find(&id).is_some() && back.handle().find(&late).is_some());
    let all = [&nodes[0], &nodes[1], &back];
    whole(&all).await;
    let ticket = issue(back.handle(), &id).await;
    assert!(valid(
        &nodes[0].handle().claim(&ticket, ClaimId([2; 16])).await
    ));
}

async fn knows(node: &Cluster, name: &NodeName) -> bool {
    let status = node.handle().status().await.unwrap();
    let links = node.members();
    status.peers.iter().any(|peer| peer.node == *name)
        || links.iter().any(|member| member.member.node == *name)
}

#[tokio::test]
async fn a_node_that_an_operator_removes_is_forgotten_on_all_and_may_come_back() {
    let mut site = Site::new();
    let mut nodes = site.three().await;
    whole(&nodes.iter().collect::<Vec<_>>()).await;
    let gone = nodes.remove(2);
    let (name, port) = (gone.handle().node().clone(), gone.advertise().port());
    let early = nodes[0].handle().remove_member(name.clone()).await;
    assert_eq!(early.unwrap(), Removal::There, "it is alive");
    gone.shutdown().await;
    until("the node is missed and then removed", async || {
        let removal = nodes[0].handle().remove_member(name.clone()).await;
        matches!(removal.unwrap(), Removal::Done(_))
    })
    .await;
    until("all have forgotten it", async || {
        !knows(&nodes[0], &name).await && !knows(&nodes[1], &name).await
    })
    .await;
    // A new process of that name is a member like any other.
    let back = site.start(name.as_str(), port).await;
    ready(back.handle()).await;
    whole(&[&nodes[0], &nodes[1], &back]).await;
}

#[tokio::test]
async fn a_node_held_at_wire_version_1_joins_works_and_leaves_among_others() {
    use castor_proto::version::WireVersion::{V1, V2};
    let mut site = Site::new();
    let old = site.start_at("node-c", 0, Some(1)).await;
    site.seeds.push(old.advertise().to_string());
    let mut nodes = vec![old];
    for name in ["node-a", "node-b"] {
        let node = site.start(name, 0).await;
        site.seeds.push(node.advertise().to_string());
        nodes.push(node);
    }
    let all: Vec<&Cluster> = nodes.iter().collect();
    whole(&all).await;
    let spoken = |node: &Cluster| {
        let links = node.links();
        let mut links: Vec<_> = links
            .iter()
            .map(|l| (l.member.node.to_string(), l.wire))
            .collect();
        links.sort();
        links
    };
    let expected = [("node-b".to_owned(), V2), ("node-c".to_owned(), V1)];
    assert_eq!(spoken(&nodes[1]), expected);
    // Sign in here, issue there, validate elsewhere.
    let mut ids = Vec::new();
    for at in 0..3 {
        let created = nodes[at].handle().create(session("ada")).await.unwrap();
        assert_eq!((created.acked, created.missing), (2, 0));
        let id = created.body.id.clone();
        let ticket = issue(nodes[(at + 1) % 3].handle(), &id).await;
        let claimed = nodes[(at + 2) % 3]
            .handle()
            .claim(&ticket, ClaimId([1; 16]))
            .await;
        assert!(valid(&claimed));
        ids.push(id);
    }
    // It leaves; what happens meanwhile it finds when it is back, with the newest version.
    let old = nodes.remove(0);
    let port = old.advertise().port();
    old.shutdown().await;
    let late = nodes[0].handle().create(session("bob")).await.unwrap();
    ids.push(late.body.id.clone());
    let new = site.start("node-c", port).await;
    ready(new.handle()).await;
    assert!(ids.iter().all(|id| new.handle().find(id).is_some()));
    whole(&[&nodes[0], &nodes[1], &new]).await;
    assert!(spoken(&new).iter().all(|(_, wire)| *wire == V2));
    until("it goes round", async || {
        let stats = new.handle().stats();
        stats.rounds.load(std::sync::atomic::Ordering::Relaxed) > 1
    })
    .await;
}

#[tokio::test]
async fn a_node_without_seeds_is_ready_within_a_second() {
    let site = Site::new();
    let node = site.start("node-a", 0).await;
    let soon = tokio::time::timeout(Duration::from_secs(1), ready(node.handle()));
    soon.await.expect("ready when there is nobody to wait for");
    let made_up = "ST-1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-AAAA";
    let made_up = TicketId::parse(made_up).unwrap();
    let outcome = node.handle().claim(&made_up, ClaimId([1; 16])).await;
    assert!(matches!(outcome, ClaimOutcome::Unknown), "{outcome:?}");
}
