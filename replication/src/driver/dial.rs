//! Calling: one task per address, for ever.
//!
//! A task connects, says hello, runs the link ([`super::link`]) until it breaks, and calls again: at
//! once after a working link or when the peer itself has called, else after 50 ms doubling to 500 ms,
//! so that a peer's return is noticed within a second.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use castor_proto::codec;
use castor_proto::frame::{self, FrameKind};
use castor_proto::hello::{Accepted, Hello, HelloAnswer, Refusal};
use castor_proto::ids::{Member, NodeName};
use castor_proto::message::Lane;
use castor_proto::seal::NodeSigner;
use castor_proto::version::WireVersion;
use quinn::Connection;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::clock;
use super::lane::{LaneQueue, read_frame};
use super::network::{CODE_PROTOCOL, Credentials, NetFatal, Shared};
use super::peers::any_answers;
use super::tls::{CertificateDetails, cluster_host, node_host};
use super::transport::NetEvent;

/// A handshake takes one round trip; a dead address costs this much.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Longer than the probe that the other side may have to make first.
const HELLO_TIMEOUT: Duration = Duration::from_millis(1_500);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_millis(500);
/// After a refusal that only an operator can cure.
const REFUSED_PAUSE: Duration = Duration::from_secs(2);
/// A link that lasted this long worked; one that did not is not called again at once.
const STABLE: Duration = Duration::from_secs(1);
/// How often host names of seeds are looked up again.
const LOOK_UP_INTERVAL: Duration = Duration::from_secs(30);
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(2);

/// Looks up the seeds, calls them, and reports how many have never answered.
pub(super) async fn seed_loop(shared: Arc<Shared>) {
    let mut answers = shared.registry().answers();
    let mut seeds: Vec<Seed> = shared
        .config
        .seeds
        .iter()
        .map(|text| Seed::new(text))
        .collect();
    let mut reported = None;
    loop {
        for seed in &mut seeds {
            seed.look_up().await;
            for address in &seed.addresses {
                call(&shared, *address);
            }
        }
        let until = clock::instant() + LOOK_UP_INTERVAL;
        loop {
            let silent = seeds
                .iter()
                .filter(|seed| !seed.has_answered(&shared))
                .count();
            if reported.replace(silent) != Some(silent) {
                shared.emit(NetEvent::SilentSeeds(silent)).await;
            }
            tokio::select! {
                () = shared.stopping() => return,
                () = tokio::time::sleep_until(until) => break,
                _ = answers.changed() => {}
            }
        }
    }
}

/// One configured `host:port`.
struct Seed {
    text: String,
    addresses: Vec<SocketAddr>,
}

impl Seed {
    fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            addresses: Vec::new(),
        }
    }

    /// A failed look-up keeps the addresses of the last one.
    async fn look_up(&mut self) {
        match timeout(LOOK_UP_TIMEOUT, tokio::net::lookup_host(&self.text)).await {
            Ok(Ok(addresses)) => self.addresses = addresses.collect(),
            Ok(Err(error)) => tracing::warn!(seed = self.text, %error, "seed not found"),
            Err(_) => tracing::warn!(seed = self.text, "looking up the seed takes too long"),
        }
    }

    fn has_answered(&self, shared: &Shared) -> bool {
        let registry = shared.registry();
        let answered =
            |address: &SocketAddr| *address == shared.advertise || registry.has_answered(address);
        self.addresses.iter().any(answered)
    }
}

/// Calls this address from now on, unless it is called already.
pub(super) fn call(shared: &Arc<Shared>, address: SocketAddr) {
    let own = address == shared.advertise || address.port() == 0;
    if !own && shared.registry().mention(address, clock::instant()) {
        let wake = shared.registry().wake(&address);
        let caller = Caller {
            shared: Arc::clone(shared),
            address,
            wake,
            backoff: BACKOFF_MIN,
            in_use_since: None,
            complaint: None,
        };
        tokio::spawn(caller.run());
    }
}

/// Calls this address now: someone is there.
pub(super) fn call_now(shared: &Arc<Shared>, address: SocketAddr) {
    call(shared, address);
    shared.registry().wake(&address).notify_one();
}

/// Why a call led to no link.
pub(super) enum Miss {
    /// Nobody there, or not in time.
    Unreachable,
    /// The other end is not of this cluster, or does not accept our certificate.
    Tls(String),
    /// The other end does not keep to the protocol.
    Protocol(&'static str),
    /// The hello was refused.
    Refused(Refusal),
    /// There is a link to this node already, by another address.
    Linked(NodeName),
    /// A peer at this address has just called: call it again at once.
    Woken,
    /// The name at the other end belongs to another process, which still answers.
    Impostor,
    /// The network is shutting down.
    Stopping,
}

/// A connection before the hello.
pub(super) struct Dialled {
    connection: Connection,
    signer: Arc<NodeSigner>,
    names: Vec<String>,
}

/// A link after the hello.
pub(super) struct Up {
    pub(super) connection: Connection,
    pub(super) signer: Arc<NodeSigner>,
    pub(super) member: Member,
    pub(super) wire: WireVersion,
    pub(super) accepted: Accepted,
    pub(super) queues: [Arc<LaneQueue>; Lane::ALL.len()],
}

/// Calls one address.
pub(super) struct Caller {
    pub(super) shared: Arc<Shared>,
    pub(super) address: SocketAddr,
    backoff: Duration,
    in_use_since: Option<Instant>,
    /// What was last logged, so that it is not repeated with every call.
    complaint: Option<String>,
    /// Rung when a peer at this address has called.
    wake: Arc<Notify>,
}

impl Caller {
    async fn run(mut self) {
        self.shared.known.insert(self.address);
        while !self.shared.is_stopping() {
            match self.attempt().await {
                Ok(up) => {
                    self.answered();
                    let began = clock::instant();
                    self.link(up).await;
                    if began.elapsed() >= STABLE {
                        self.backoff = BACKOFF_MIN;
                    } else {
                        let pause = self.next_backoff();
                        self.pause(pause).await;
                    }
                    continue;
                }
                Err(miss) => self.missed(miss).await,
            }
            let after = self.shared.config.forget_after;
            let now = clock::instant();
            if self.shared.registry().forget(&self.address, now, after) {
                break;
            }
        }
        self.shared.known.remove(&self.address);
    }

    fn answered(&mut self) {
        self.in_use_since = None;
        self.complaint = None;
    }

    /// Logs, counts, and waits before the next call.
    async fn missed(&mut self, miss: Miss) {
        let pause = match miss {
            Miss::Unreachable => self.next_backoff(),
            Miss::Tls(error) => {
                self.shared.metrics.rejected("tls");
                self.complain(format!("refused in the TLS handshake: {error}"));
                REFUSED_PAUSE
            }
            Miss::Protocol(problem) => {
                self.shared.metrics.rejected("hello");
                self.complain(format!("does not speak properly: {problem}"));
                REFUSED_PAUSE
            }
            Miss::Refused(refusal) => self.refused(refusal).await,
            Miss::Linked(node) => {
                // The seed is a node that is linked under the address it advertises.
                self.shared.registry().answered(self.address);
                let mut links = self.shared.registry().changes();
                let until_it_breaks = async {
                    // Not `wait_for`: it would take the registry's lock under its own, and
                    // whoever counts links takes them the other way round.
                    while self.shared.registry().has_link(&node) {
                        if links.changed().await.is_err() {
                            break;
                        }
                    }
                };
                tokio::select! {
                    () = self.shared.stopping() => {}
                    () = until_it_breaks => {}
                }
                BACKOFF_MIN
            }
            Miss::Impostor => {
                self.shared.metrics.rejected("name_in_use");
                self.complain("has the name of another process, which answers".to_owned());
                BACKOFF_MAX
            }
            Miss::Woken | Miss::Stopping => return,
        };
        self.pause(pause).await;
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = self.shared.stopping() => {}
            () = self.wake.notified() => {}
            () = sleep(pause) => {}
        }
    }

    fn next_backoff(&mut self) -> Duration {
        let pause = self.backoff;
        self.backoff = (pause * 2).min(BACKOFF_MAX);
        pause
    }

    fn complain(&mut self, problem: String) {
        if self.complaint.as_ref() != Some(&problem) {
            tracing::warn!(address = %self.address, problem, "no link to peer");
            self.complaint = Some(problem);
        }
    }

    async fn refused(&mut self, refusal: Refusal) -> Duration {
        if refusal == Refusal::Yourself {
            // This is our own address under another name. Any other refusal is no answer: whoever is
            // there belongs to a cluster that this node must not found anew.
            self.shared.registry().answered(self.address);
            self.shared.stopping().await;
            return Duration::ZERO;
        }
        self.complain(format!("hello refused: {refusal}"));
        match refusal {
            Refusal::NameInUse { address } => {
                let since = *self.in_use_since.get_or_insert_with(clock::instant);
                if since.elapsed() >= self.shared.config.name_patience {
                    let fatal = NetFatal::NameInUse { address };
                    self.shared.emit(NetEvent::Fatal(fatal.to_string())).await;
                }
                BACKOFF_MAX
            }
            Refusal::Banned => {
                let fatal = NetFatal::Banned.to_string();
                self.shared.emit(NetEvent::Fatal(fatal)).await;
                REFUSED_PAUSE
            }
            _ => REFUSED_PAUSE,
        }
    }

    async fn attempt(&self) -> Result<Up, Miss> {
        let up = async {
            let dialled = tokio::select! {
                biased;
                dialled = self.connect() => dialled?,
                () = self.wake.notified() => return Err(Miss::Woken),
            };
            let node = self.node_of(&dialled.names);
            if let Some(node) = node.filter(|node| self.shared.registry().has_link(node)) {
                return Err(Miss::Linked(node));
            }
            self.hello(dialled, None).await
        };
        tokio::select! {
            biased;
            () = self.shared.stopping() => Err(Miss::Stopping),
            up = up => up,
        }
    }

    /// The node that a certificate was issued for.
    fn node_of(&self, names: &[String]) -> Option<NodeName> {
        let suffix = format!(".node.{}", cluster_host(&self.shared.cluster));
        let node = names.iter().find_map(|name| name.strip_suffix(&suffix))?;
        NodeName::parse(node).ok()
    }

    pub(super) async fn connect(&self) -> Result<Dialled, Miss> {
        let credentials: Arc<Credentials> = Arc::clone(&self.shared.credentials.borrow());
        let host = cluster_host(&self.shared.cluster);
        let connecting = self
            .shared
            .endpoint
            .connect_with(credentials.client.clone(), self.address, &host)
            .map_err(|_| Miss::Unreachable)?;
        let connection = match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(tls_or_unreachable(&error)),
            Err(_) => return Err(Miss::Unreachable),
        };
        let details = peer_certificate(&connection).ok_or(Miss::Protocol("no certificate"))?;
        let signer = Arc::clone(&credentials.signer);
        Ok(Dialled {
            connection,
            signer,
            names: details.names,
        })
    }

    /// Says hello and judges the answer. `earlier` is the link that this one renews.
    pub(super) async fn hello(&self, dialled: Dialled, earlier: Option<&Up>) -> Result<Up, Miss> {
        let connection = dialled.connection.clone();
        let answered = timeout(HELLO_TIMEOUT, self.ask(&connection)).await;
        let judged = match answered.unwrap_or(Err(Miss::Unreachable)) {
            Ok(HelloAnswer::Accepted(accepted)) => self.judge(dialled, accepted, earlier).await,
            Ok(HelloAnswer::Refused(refusal)) => Err(Miss::Refused(refusal)),
            Err(miss) => Err(miss),
        };
        judged.inspect_err(|_| connection.close(CODE_PROTOCOL, b"no link"))
    }

    async fn ask(&self, connection: &Connection) -> Result<HelloAnswer, Miss> {
        let lost = || {
            connection
                .close_reason()
                .map_or(Miss::Unreachable, |e| tls_or_unreachable(&e))
        };
        let (mut send, mut receive) = connection.open_bi().await.map_err(|_| lost())?;
        let hello = codec::encode(&self.own_hello());
        let hello =
            frame::encode(FrameKind::Hello, &hello).map_err(|_| Miss::Protocol("own hello"))?;
        send.write_all(&hello).await.map_err(|_| lost())?;
        let _ = send.finish();
        let answer = read_frame(&mut receive, FrameKind::HelloAnswer)
            .await
            .map_err(|_| lost())?;
        codec::decode(&answer.ok_or_else(lost)?).map_err(|_| Miss::Protocol("hello answer"))
    }

    fn own_hello(&self) -> Hello {
        Hello {
            cluster: self.shared.cluster_tag,
            node: self.shared.me.node.clone(),
            incarnation: self.shared.me.incarnation,
            wire: self.shared.config.wire,
            keys: self
                .shared
                .ring
                .load()
                .iter()
                .map(|key| key.id().0)
                .collect(),
            advertise: self.shared.advertise.to_string(),
            phase: *self.shared.phase.borrow(),
        }
    }

    async fn judge(
        &self,
        dialled: Dialled,
        accepted: Accepted,
        earlier: Option<&Up>,
    ) -> Result<Up, Miss> {
        let shared = &self.shared;
        if !accepted.is_bounded() {
            return Err(Miss::Protocol("hello answer beyond its limits"));
        }
        if !dialled
            .names
            .contains(&node_host(&shared.cluster, &accepted.node))
        {
            return Err(Miss::Protocol(
                "the certificate was not issued for the name in the answer",
            ));
        }
        if shared.registry().is_banned(&accepted.node) {
            return Err(Miss::Protocol("banned here"));
        }
        let ours = shared.config.wire;
        let wire = WireVersion::from_number(accepted.wire)
            .filter(|wire| (ours.min..=ours.max).contains(&wire.number()))
            .ok_or(Miss::Protocol("a wire version that was not offered"))?;
        let member = Member {
            node: accepted.node.clone(),
            incarnation: accepted.incarnation,
        };
        let incumbent = shared.registry().incumbent(&member);
        if let Some(incumbent) = incumbent
            && any_answers(&incumbent.connections).await
        {
            return Err(Miss::Impostor);
        }
        let same = earlier.filter(|earlier| earlier.member == member);
        let queues = same
            .map(|earlier| earlier.queues.clone())
            .unwrap_or_default();
        let Dialled {
            connection, signer, ..
        } = dialled;
        Ok(Up {
            connection,
            signer,
            member,
            wire,
            accepted,
            queues,
        })
    }
}

/// What the verified certificate of the other end says.
pub(super) fn peer_certificate(connection: &Connection) -> Option<CertificateDetails> {
    let identity = connection.peer_identity()?;
    let chain = identity
        .downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>()
        .ok()?;
    CertificateDetails::read(chain.first()?).ok()
}

/// QUIC crypto errors are TLS alerts; everything else is somebody who is not there.
fn tls_or_unreachable(error: &quinn::ConnectionError) -> Miss {
    match is_tls_failure(error) {
        true => Miss::Tls(error.to_string()),
        false => Miss::Unreachable,
    }
}

/// Whether a connection failed in the TLS handshake, on either side.
pub(super) fn is_tls_failure(error: &quinn::ConnectionError) -> bool {
    let code = match error {
        quinn::ConnectionError::TransportError(error) => u64::from(error.code),
        quinn::ConnectionError::ConnectionClosed(close) => u64::from(close.error_code),
        _ => return false,
    };
    (0x100..0x200).contains(&code)
}
