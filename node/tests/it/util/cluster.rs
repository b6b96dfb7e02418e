//! A cluster in one process: real rooms, real engine, memory network.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use castor_node::authn::file::FileAuthenticator;
use castor_node::authn::password::{self, Cost, HashPool};
use castor_node::authn::{Authenticator, Chain, Throttle};
use castor_node::cas::under_way::UnderWay;
use castor_node::cas::{Cas, Parts};
use castor_node::clock::{Clock, Rng};
use castor_node::config::{Config, Live};
use castor_node::ops::audit;
use castor_node::outbound::{Outbound, OutboundMetrics, Trust};
use castor_node::routes;
use castor_node::server::RequestMetrics;
use castor_node::services::file::ServiceFolder;
use castor_node::slo::{self, Slo, SloMetrics};
use castor_node::tickets::{LimitMetrics, Policy, Tickets};
use castor_node::web::Web;
use castor_proto::ids::{Member, NodeName};
use castor_proto::seal::{ClusterKey, KeyId, KeyRing};
use castor_replication::driver::memory::MemoryNet;
use castor_replication::driver::{self, Handle, NetEvent, Readiness};
use castor_replication::engine::GossipMember;
use tokio::sync::mpsc;

/// Cheap enough for tests.
const CHEAP: Cost = Cost {
    memory_kib: 64,
    passes: 1,
    lanes: 1,
};

/// What a test wants to be different.
#[derive(Default)]
pub(crate) struct Options {
    /// `section.key=value`, as on the command line.
    pub(crate) set: Vec<(&'static str, &'static str)>,
    /// More service definitions.
    pub(crate) services: Vec<&'static str>,
    /// Cost of the users' hashes.
    pub(crate) cost: Option<Cost>,
    /// Other settings of the engine.
    pub(crate) tune: Option<fn(&mut castor_replication::engine::Config)>,
    /// Seeds that never answer: the nodes stay in their bootstrap for a while.
    pub(crate) silent_seeds: usize,
}

/// One node.
pub(crate) struct Node {
    pub(crate) router: Router,
    pub(crate) handle: Handle,
    pub(crate) cas: Arc<Cas>,
    pub(crate) metrics: prometheus::Registry,
    pub(crate) member: Member,
    audit_file: PathBuf,
    pub(crate) inject: mpsc::Sender<NetEvent>,
}

/// Some nodes, all ready.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) net: MemoryNet,
    _dir: tempfile::TempDir,
}

/// The definitions every cluster has.
const SERVICES: [&str; 4] = [
    r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 1, "name": "Portal",
    "serviceId": "^https://portal\\.example\\.edu(/.*)?$", "evaluationOrder": 1,
    "description": "The campus portal",
    "attributeReleasePolicy": {
      "@class": "org.apereo.cas.services.ReturnAllowedAttributeReleasePolicy",
      "allowedAttributes": ["java.util.ArrayList", ["mail", "memberOf"]]}}"#,
    r#"{"@class": "org.apereo.cas.services.RegexRegisteredService", "id": 2, "name": "Payroll",
    "serviceId": "^https://payroll\\.example\\.edu/.*", "evaluationOrder": 2,
    "accessStrategy": {
      "@class": "org.apereo.cas.services.DefaultRegisteredServiceAccessStrategy",
      "ssoEnabled": false}}"#,
    r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 3, "name": "Faculty",
    "serviceId": "^https://faculty\\.example\\.edu/.*", "evaluationOrder": 3,
    "accessStrategy": {
      "@class": "org.apereo.cas.services.DefaultRegisteredServiceAccessStrategy",
      "requiredAttributes": {"@class": "java.util.HashMap",
        "memberOf": ["java.util.HashSet", ["^faculty$"]]}}}"#,
    r#"{"@class": "org.apereo.cas.services.CasRegisteredService", "id": 4, "name": "Closed",
    "serviceId": "^https://closed\\.example\\.edu/.*", "evaluationOrder": 4,
    "accessStrategy": {
      "@class": "org.apereo.cas.services.DefaultRegisteredServiceAccessStrategy",
      "enabled": false}}"#,
];

impl Cluster {
    /// One node with the defaults.
    pub(crate) async fn one() -> Self {
        Self::start(1, Options::default()).await
    }

    /// Three nodes with the defaults.
    pub(crate) async fn three() -> Self {
        Self::start(3, Options::default()).await
    }

    /// Some nodes; returns when all are ready and know each other.
    pub(crate) async fn start(size: usize, options: Options) -> Self {
        let cluster = Self::begin(size, options);
        cluster.gossip().await;
        cluster
            .until("all nodes are ready", || {
                cluster
                    .nodes
                    .iter()
                    .all(|node| node.handle.readiness() == Readiness::Ready)
            })
            .await;
        cluster.gossip().await;
        cluster
    }

    /// Some nodes that have just begun.
    pub(crate) fn begin(size: usize, options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let services = dir.path().join("services");
        std::fs::create_dir(&services).unwrap();
        for (index, text) in SERVICES.iter().chain(&options.services).enumerate() {
            std::fs::write(services.join(format!("service-{index}.json")), text).unwrap();
        }
        let hash = |password| {
            let cost = options.cost.unwrap_or(CHEAP);
            password::hash(password, cost, &Rng::seeded(1)).unwrap()
        };
        let users = format!(
            "[[user]]\nname = \"casuser\"\npassword = \"{}\"\n\
             attributes = {{ mail = \"casuser@example.edu\", memberOf = [\"staff\", \"R&D\"], \
             ssn = \"secret\" }}\n\
             [[user]]\nname = \"professor\"\npassword = \"{}\"\n\
             attributes = {{ memberOf = [\"faculty\"] }}\n\
             [[user]]\nname = \"former\"\npassword = \"{}\"\ndisabled = true\n",
            hash("Mellon"),
            hash("Chair"),
            hash("Gone"),
        );
        std::fs::write(dir.path().join("users.toml"), users).unwrap();
        let net = MemoryNet::default();
        let mut nodes = Vec::new();
        for index in 1..=size {
            nodes.push(start_node(index, &dir, &net, &options));
        }
        Self {
            nodes,
            net,
            _dir: dir,
        }
    }

    /// Tells every node that all others are alive and what they say of themselves.
    async fn gossip(&self) {
        for node in &self.nodes {
            let others = self.nodes.iter().filter(|n| n.member != node.member);
            let members = others
                .map(|other| GossipMember {
                    member: other.member.clone(),
                    alive: true,
                })
                .collect();
            node.inject.send(NetEvent::Gossip(members)).await.unwrap();
        }
    }

    /// Waits for a condition, at most ten seconds.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        until(what, condition).await;
    }

    /// The audit actions of a node, in order.
    pub(crate) fn audit(&self, node: usize) -> Vec<serde_json::Value> {
        self.nodes[node].cas.audit.flush(Duration::from_secs(10));
        let text = std::fs::read_to_string(&self.nodes[node].audit_file).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The names of the audit actions of a node, in order.
    pub(crate) fn actions(&self, node: usize) -> Vec<String> {
        let action = |event: serde_json::Value| event["action"].as_str().unwrap().to_owned();
        self.audit(node).into_iter().map(action).collect()
    }
}

/// Waits for a condition, at most ten seconds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain: {what}");
}

fn start_node(index: usize, dir: &tempfile::TempDir, net: &MemoryNet, options: &Options) -> Node {
    let name = NodeName::parse(&format!("n{index}")).unwrap();
    let metrics = prometheus::Registry::new();
    let audit_file = dir.path().join(format!("audit-{index}.log"));
    let config = config(dir, &audit_file, options);
    let (handle, inject, member) = replication(&name, net, &metrics, options);
    let place = audit::Place {
        node: name.as_str().to_owned(),
        server: None,
    };
    let audit = audit::start(&config.audit, place, Clock::system(), &metrics).unwrap();
    let pool = Arc::new(
        HashPool::start(config.authn.password.threads, config.authn.password.queue).unwrap(),
    );
    let users = FileAuthenticator::open(config.authn.file.path.clone(), pool, Rng::system());
    let users: Arc<dyn Authenticator> = Arc::new(users.unwrap());
    let folder = ServiceFolder::open(config.services.folder.clone()).unwrap();
    let live = Live::new(config.clone());
    let outbound = Outbound::new(
        live.clone(),
        Trust::load(None).unwrap(),
        OutboundMetrics::register(&metrics).unwrap(),
    );
    let registry = folder.registry();
    let limit = LimitMetrics::register(&metrics).unwrap();
    let tickets = Tickets::new(handle.clone(), Policy::from(&config.tickets)).counting(limit);
    let slo = Slo::start(slo::Parts {
        config: live.clone(),
        tickets: tickets.clone(),
        services: Arc::clone(&registry),
        outbound: outbound.clone(),
        audit: audit.clone(),
        clock: Clock::system(),
        metrics: SloMetrics::register(&metrics).unwrap(),
    });
    let people = vec![users];
    let throttle = Throttle::new(handle.clone(), live.clone(), people.clone(), &metrics).unwrap();
    let cas = Arc::new(Cas::new(Parts {
        throttle,
        outbound,
        slo,
        web: Arc::new(Web::open(&config.web, &config.http.prefix.0).unwrap()),
        services: registry,
        authn: Chain::new(people, &metrics).unwrap(),
        tickets,
        audit,
        rng: Rng::system(),
        config: live,
        under_way: UnderWay::register(&metrics).unwrap(),
    }));
    let observed = RequestMetrics::register(&metrics).unwrap();
    Node {
        router: routes::router(&cas, observed, Router::new()),
        handle,
        cas,
        metrics,
        member,
        audit_file,
        inject,
    }
}

fn config(dir: &tempfile::TempDir, audit_file: &std::path::Path, options: &Options) -> Config {
    let quoted = |path: PathBuf| format!("{:?}", path.display().to_string());
    let mut file = format!(
        "[services]\nfolder = {}\n[authn.file]\npath = {}\n[audit]\noutput = \"file\"\nfile = {}\n",
        quoted(dir.path().join("services")),
        quoted(dir.path().join("users.toml")),
        quoted(audit_file.to_owned()),
    );
    file.push_str("[http]\nrequest_id_header = \"Castor-Request-Id\"\n");
    file.push_str("trusted_proxies = [\"127.0.0.1\"]\n");
    let path = audit_file.with_extension("toml");
    std::fs::write(&path, file).unwrap();
    let sources = castor_node::config::Sources {
        file: Some(path),
        set: options
            .set
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect(),
        ..castor_node::config::Sources::default()
    };
    castor_node::config::load(&sources).unwrap().config
}

fn replication(
    name: &NodeName,
    net: &MemoryNet,
    metrics: &prometheus::Registry,
    options: &Options,
) -> (Handle, mpsc::Sender<NetEvent>, Member) {
    let incarnation = driver::fresh_incarnation().unwrap();
    let member = Member {
        node: name.clone(),
        incarnation,
    };
    let key = ClusterKey::new(KeyId(1), [7; 32].into(), 0);
    let parts = driver::Parts {
        node: name.clone(),
        incarnation,
        keyring: Arc::new(KeyRing::new(None, key, None).unwrap()),
        silent_seeds: options.silent_seeds,
        registry: metrics.clone(),
        tune: options.tune.map_or_else(
            || Box::new(|_: &mut _| {}) as Box<dyn FnOnce(&mut _) + Send>,
            |tune| Box::new(tune) as _,
        ),
        digest_key: [9; 32],
    };
    let (transport, mut from_net) = net.join(&member);
    // What the network says and what a test says arrive on one channel.
    let (inject, events) = mpsc::channel(4096);
    let forward = inject.clone();
    tokio::spawn(async move {
        while let Some(event) = from_net.recv().await {
            if forward.send(event).await.is_err() {
                return;
            }
        }
    });
    let clock = driver::Clock::new();
    let (handle, run) = driver::assemble(parts, transport, events, clock).unwrap();
    tokio::spawn(run);
    (handle, inject, member)
}
