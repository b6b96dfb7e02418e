//! Being called: handshake, hello, lanes.
//!
//! Promises: half-open handshakes are bounded in number and time, and strangers' leave room for peers;
//! a hello is answered with the reason when it is refused, and every refusal is counted; a name that
//! another process has is given away only when that process no longer answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use castor_proto::codec;
use castor_proto::frame::{self, FrameKind};
use castor_proto::hello::{Accepted, Hello, HelloAnswer, Refusal};
use castor_proto::ids::Member;
use castor_proto::message::Lane;
use castor_proto::seal::{KeyId, PublicKey, ReplayGuard};
use castor_proto::version::WireVersion;
use quinn::{Connection, ReadExactError, RecvStream, SendStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::carrier;
use super::dial::{self, is_tls_failure, peer_certificate};
use super::half_open::{HalfOpen, Slot};
use super::lane::{InLane, ReadEnd, read_frame};
use super::network::{CODE_PROTOCOL, CODE_REFUSED, CODE_REPLACED, Shared};
use super::peers::{Incoming, any_answers, echo_probes};
use super::tls::{CertificateDetails, cluster_host, node_host};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);
const HELLO_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a stream may take to say what it is.
const KIND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the lanes of a replaced link may take to be read to their end.
const HAND_OVER: Duration = Duration::from_millis(300);
/// How often a linked peer's address counts as mentioned.
const MENTION_INTERVAL: Duration = Duration::from_secs(30);
/// Announces the kind of a unidirectional stream that is not a lane.
pub(super) const STREAM_GOSSIP: u8 = 255;

/// Accepts until the endpoint closes.
pub(super) async fn accept_loop(shared: Arc<Shared>) {
    let half_open = HalfOpen::default();
    while let Some(incoming) = shared.endpoint.accept().await {
        let from = incoming.remote_address();
        let Some(slot) = half_open.admit(from, shared.known.contains(&from)) else {
            shared.metrics.rejected("busy");
            incoming.refuse();
            continue;
        };
        if slot.must_prove && !incoming.remote_address_validated() && incoming.may_retry() {
            // Refused only when a retry was sent before, which `may_retry` excludes.
            let _ = incoming.retry();
            continue;
        }
        let Ok(connecting) = incoming.accept() else {
            shared.metrics.rejected("tls");
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            match timeout(HANDSHAKE_TIMEOUT, connecting).await {
                Ok(Ok(connection)) => greet(shared, connection, slot).await,
                Ok(Err(error)) => {
                    if is_tls_failure(&error) {
                        shared.metrics.rejected("tls");
                        if shared.worth_logging("tls") {
                            tracing::warn!(%error, "caller refused in the TLS handshake");
                        }
                    }
                }
                Err(_) => shared.metrics.rejected("timeout"),
            }
        });
    }
}

/// A hello that was accepted.
struct Caller {
    member: Member,
    wire: WireVersion,
    key: PublicKey,
    advertise: std::net::SocketAddr,
}

/// Hears the hello, answers it, and serves the link.
async fn greet(shared: Arc<Shared>, connection: Connection, slot: Slot) {
    let heard = timeout(HELLO_TIMEOUT, hear(&connection)).await;
    let (hello, mut answer_on) = match heard {
        Ok(Ok(heard)) => heard,
        Ok(Err(reason)) => return turn_away(&shared, &connection, reason),
        Err(_) => return turn_away(&shared, &connection, "timeout"),
    };
    let Some(certificate) = peer_certificate(&connection) else {
        return turn_away(&shared, &connection, "tls");
    };
    match judge(&shared, &hello, &certificate).await {
        Ok(caller) => {
            let Some((guard, reading)) = admit(&shared, &connection, &caller).await else {
                return turn_away(&shared, &connection, "crowded");
            };
            drop(slot);
            serve(shared, connection, caller, guard, reading, answer_on).await;
        }
        Err(refusal) => {
            if refusal != Refusal::Yourself {
                shared.metrics.rejected(refusal.reason());
                note_refusal(&shared, &connection, &hello, &refusal);
            }
            // The caller may be gone; it will call again.
            let _ = answer(&mut answer_on, &HelloAnswer::Refused(refusal)).await;
            let _ = timeout(HELLO_TIMEOUT, answer_on.stopped()).await;
            connection.close(CODE_REFUSED, b"refused");
        }
    }
}

fn note_refusal(shared: &Shared, connection: &Connection, hello: &Hello, refusal: &Refusal) {
    if shared.worth_logging(refusal.reason()) {
        let node = if hello.node.check() {
            hello.node.as_str()
        } else {
            "?"
        };
        let from = connection.remote_address();
        tracing::warn!(node, %from, reason = %refusal, "hello refused");
    }
}

fn turn_away(shared: &Shared, connection: &Connection, reason: &str) {
    // Not counted here: what failed in TLS was counted there, and who closes properly (because there
    // is a link already) has done nothing wrong.
    let excused = match connection.close_reason() {
        Some(quinn::ConnectionError::ApplicationClosed(_)) => true,
        Some(error) => is_tls_failure(&error),
        None => false,
    };
    if !excused {
        shared.metrics.rejected(reason);
    }
    connection.close(CODE_PROTOCOL, b"no hello");
}

async fn hear(connection: &Connection) -> Result<(Hello, SendStream), &'static str> {
    let (send, mut receive) = connection.accept_bi().await.map_err(|_| "hello")?;
    let hello = read_frame(&mut receive, FrameKind::Hello)
        .await
        .map_err(|end| match end {
            ReadEnd::Frame(error) => error.reason(),
            ReadEnd::Stream(_) => "hello",
        })?;
    let hello = codec::decode(&hello.ok_or("truncated")?).map_err(|_| "hello")?;
    Ok((hello, send))
}

async fn answer(stream: &mut SendStream, answer: &HelloAnswer) -> Option<()> {
    let frame = frame::encode(FrameKind::HelloAnswer, &codec::encode(answer)).ok()?;
    stream.write_all(&frame).await.ok()?;
    stream.finish().ok()
}

async fn judge(
    shared: &Shared,
    hello: &Hello,
    certificate: &CertificateDetails,
) -> Result<Caller, Refusal> {
    if !hello.is_bounded() {
        return Err(Refusal::Malformed);
    }
    let ours = certificate.names.contains(&cluster_host(&shared.cluster));
    if hello.cluster != shared.cluster_tag || !ours {
        return Err(Refusal::OtherCluster);
    }
    if !certificate
        .names
        .contains(&node_host(&shared.cluster, &hello.node))
    {
        return Err(Refusal::NotYourName);
    }
    let member = Member {
        node: hello.node.clone(),
        incarnation: hello.incarnation,
    };
    if member == shared.me {
        return Err(Refusal::Yourself);
    }
    if member.node == shared.me.node {
        return Err(Refusal::NameInUse {
            address: shared.advertise.to_string(),
        });
    }
    if shared.registry().is_banned(&member.node) {
        return Err(Refusal::Banned);
    }
    let wire = shared.config.wire.negotiate(hello.wire);
    let wire = wire.ok_or(Refusal::NoCommonVersion(shared.config.wire))?;
    let ring = shared.ring.load();
    if !hello.keys.iter().any(|id| ring.get(KeyId(*id)).is_some()) {
        return Err(Refusal::NoCommonKey);
    }
    drop(ring);
    let advertise = hello.advertise.parse().map_err(|_| Refusal::Malformed)?;
    let key = certificate.ed25519.ok_or(Refusal::NotYourName)?;
    let incumbent = shared.registry().incumbent(&member);
    if let Some(incumbent) = incumbent
        && any_answers(&incumbent.connections).await
    {
        return Err(Refusal::NameInUse {
            address: incumbent.address.to_string(),
        });
    }
    Ok(Caller {
        member,
        wire,
        key,
        advertise,
    })
}

/// Takes over from an earlier link of the same process, then registers this one.
async fn admit(
    shared: &Arc<Shared>,
    connection: &Connection,
    caller: &Caller,
) -> Option<(Arc<Mutex<ReplayGuard>>, watch::Sender<usize>)> {
    let earlier = shared.registry().incoming(&caller.member);
    if let Some(mut earlier) = earlier {
        // What was sent on the old link comes before what will be sent on the new one.
        let read = earlier.reading.wait_for(|lanes| *lanes == 0);
        let _ = timeout(HAND_OVER, read).await;
        earlier.connection.close(CODE_REPLACED, b"replaced");
    }
    let (reading, receiver) = watch::channel(0);
    let link = Incoming {
        connection: connection.clone(),
        reading: receiver,
    };
    let guard = shared
        .registry()
        .accepted(&caller.member, caller.advertise, link)?;
    Some((guard, reading))
}

/// Answers the hello and reads everything on the link until it closes.
async fn serve(
    shared: Arc<Shared>,
    connection: Connection,
    caller: Caller,
    guard: Arc<Mutex<ReplayGuard>>,
    reading: watch::Sender<usize>,
    mut answer_on: SendStream,
) {
    shared.metrics.link("in", 1);
    let accepted = HelloAnswer::Accepted(Accepted {
        node: shared.me.node.clone(),
        incarnation: shared.me.incarnation,
        wire: caller.wire.number(),
        advertise: shared.advertise.to_string(),
        phase: *shared.phase.borrow(),
    });
    let member = caller.member.clone();
    if answer(&mut answer_on, &accepted).await.is_some() {
        dial::call_now(&shared, caller.advertise);
        let advertise = caller.advertise;
        let link = InLink {
            shared: Arc::clone(&shared),
            connection: connection.clone(),
            caller,
            guard,
            reading,
            lanes: [0; Lane::ALL.len()],
        };
        let mut aside = JoinSet::new();
        aside.spawn(echo_probes(connection.clone()));
        let mut mention = tokio::time::interval(MENTION_INTERVAL);
        let streams = link.run();
        tokio::pin!(streams);
        loop {
            tokio::select! {
                () = &mut streams => break,
                _ = mention.tick() => dial::call(&shared, advertise),
            }
        }
    }
    shared.registry().left(&member, &connection);
    shared.metrics.link("in", -1);
}

/// The streams of one link of a peer.
struct InLink {
    shared: Arc<Shared>,
    connection: Connection,
    caller: Caller,
    guard: Arc<Mutex<ReplayGuard>>,
    reading: watch::Sender<usize>,
    /// How many streams of each lane were opened.
    lanes: [usize; Lane::ALL.len()],
}

/// What a task of a link has to report.
enum Report {
    /// A stream and what its first byte says it is.
    Opened(u8, RecvStream),
    /// A stream was read to its end, or given up by the peer.
    Ended,
    /// A stream is not as the protocol says.
    Broken(&'static str),
}

impl InLink {
    async fn run(mut self) {
        let mut tasks: JoinSet<Report> = JoinSet::new();
        loop {
            tokio::select! {
                stream = self.connection.accept_uni() => match stream {
                    Ok(stream) => {
                        tasks.spawn(classify(stream));
                    }
                    Err(_) => break,
                },
                Some(Ok(report)) = tasks.join_next() => match report {
                    Report::Opened(kind, stream) => self.opened(kind, stream, &mut tasks),
                    Report::Ended => {}
                    Report::Broken(reason) => self.protest(reason),
                }
            }
        }
    }

    /// Something on the link is not as the protocol says: it has lost its rhythm and is closed.
    fn protest(&self, reason: &'static str) {
        self.shared.metrics.rejected(reason);
        let node = &self.caller.member.node;
        if self.shared.worth_logging(reason) {
            tracing::warn!(%node, reason, "link closed: the peer does not keep to the protocol");
        }
        self.connection.close(CODE_PROTOCOL, reason.as_bytes());
    }

    fn opened(&mut self, kind: u8, stream: RecvStream, tasks: &mut JoinSet<Report>) {
        if kind == STREAM_GOSSIP {
            let shared = Arc::clone(&self.shared);
            let (member, address) = (self.caller.member.clone(), self.caller.advertise);
            tasks.spawn(async move {
                let received = carrier::receive(&shared, (&member, address), stream).await;
                received.map_or_else(Report::Broken, |()| Report::Ended)
            });
            return;
        }
        let lane = Lane::ALL.into_iter().find(|lane| *lane as u8 == kind);
        match lane {
            Some(lane) if self.lanes[lane as usize] < lane.parts(self.caller.wire) => {
                self.lanes[lane as usize] += 1;
                self.read(lane, stream, tasks);
            }
            _ => self.protest("stream"),
        }
    }

    fn read(&self, lane: Lane, stream: RecvStream, tasks: &mut JoinSet<Report>) {
        let node = self.caller.member.node.as_str();
        let lane = InLane {
            shared: Arc::clone(&self.shared),
            lane,
            peer: self.caller.member.clone(),
            version: self.caller.wire,
            key: self.caller.key,
            guard: Arc::clone(&self.guard),
            received: self.shared.metrics.carried(node, "received"),
        };
        let reading = self.reading.clone();
        reading.send_modify(|lanes| *lanes += 1);
        tasks.spawn(async move {
            let ended = lane.run(stream).await;
            reading.send_modify(|lanes| *lanes -= 1);
            match ended {
                Err(ReadEnd::Frame(error)) => Report::Broken(error.reason()),
                Ok(()) | Err(ReadEnd::Stream(_)) => Report::Ended,
            }
        });
    }
}

/// Reads the first byte of a stream.
async fn classify(mut stream: RecvStream) -> Report {
    let mut kind = [0];
    match timeout(KIND_TIMEOUT, stream.read_exact(&mut kind)).await {
        Ok(Ok(())) => {
            let [kind] = kind;
            Report::Opened(kind, stream)
        }
        Ok(Err(ReadExactError::FinishedEarly(_))) => Report::Broken("truncated"),
        // Reset by the peer, or nothing came: the stream is dropped, the link goes on.
        Ok(Err(ReadExactError::ReadError(_))) | Err(_) => Report::Ended,
    }
}
