//! What requests do with replication: a cheap clone with one method per intent.
//!
//! Reads go straight to the store. Everything else is a bounded queue to the event loop; a full
//! queue is an error at once, except for a failed sign-in, which waits a bounded time for a place: whoever
//! guesses must gain nothing from keeping the node busy.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use arc_swap::ArcSwap;
use castor_proto::delta::{DestroyReason, Entry, ServiceKey, ServiceUse};
use castor_proto::failures::FailureKey;
use castor_proto::ids::{ClaimId, Member, NodeName, WallMs};
use castor_proto::message::Phase;
use castor_proto::seal::keyring::{KeyRing, Purpose};
use castor_proto::ticket::{TicketId, TicketKey, TicketKind};
use tokio::sync::{mpsc, oneshot, watch};

use super::clock::Clock;
use super::metrics::Metrics;
use crate::engine::{
    ClaimOutcome, Command, Created, Denied, Destroyed, Event, Issued, NewReusable, NewSingleUse,
    PAUSE, Removal, Reply, Standing, Stats, Status, Store, Ticket,
};

/// Whether this node serves requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It fills itself from its peers.
    Bootstrapping,
    /// It serves.
    Ready,
    /// It finishes what it has begun.
    Draining,
    /// Filled, but its clock is out of bounds, its gossip has stopped, it was fenced, it drains after a
    /// pause that it has yet to make up for, or its event loop is late, as after the process was stopped.
    Unready,
}

/// Why a request could not be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Too many requests are under way; try again or elsewhere.
    #[error("too many requests are under way on this node")]
    Busy,
    /// Replication has stopped; the process is about to exit.
    #[error("replication has stopped")]
    Stopped,
    /// Refused, and why.
    #[error(transparent)]
    Denied(#[from] Denied),
}

pub(super) type Job = (Request, oneshot::Sender<Reply>);

/// A command, or a claim whose hints are still to be resolved.
pub(super) enum Request {
    Command(Command),
    Claim { id: TicketId, claim: ClaimId },
}

/// What the event loop shows without being asked.
pub(super) struct Shared {
    pub(super) me: Member,
    pub(super) standing: Standing,
    pub(super) keyring: ArcSwap<KeyRing>,
    pub(super) longest_life_ms: u64,
}

/// Replication, for requests.
#[derive(Clone)]
pub struct Handle {
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) store: Arc<Store>,
    pub(super) stats: Arc<Stats>,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) events: watch::Receiver<Progress>,
    pub(super) duties: async_duties::Receiver,
    pub(super) new_keys: mpsc::Sender<Arc<KeyRing>>,
}

/// Milestones in the life of the node, for whoever waits for one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Filled once.
    pub bootstrapped: bool,
    /// The drain has finished.
    pub drained: bool,
    /// The process must exit, and why.
    pub fatal: Option<String>,
}

/// Sessions whose applications this node is to tell: the node that took the logout died, or the
/// session expired.
pub mod async_duties {
    use std::sync::Arc;

    use castor_proto::delta::Entry;
    use tokio::sync::{Mutex, mpsc};

    /// Shared receiving end: one consumer at a time.
    pub type Receiver = Arc<Mutex<mpsc::Receiver<Entry>>>;
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle({:?})", self.shared.me)
    }
}

impl Handle {
    /// This node's name.
    pub fn node(&self) -> &NodeName {
        &self.shared.me.node
    }

    /// This node and this process start.
    pub fn member(&self) -> &Member {
        &self.shared.me
    }

    /// Own time (rule 10).
    pub fn now(&self) -> WallMs {
        self.store.own_time(self.clock.mono())
    }

    /// Whether requests may be served.
    pub fn readiness(&self) -> Readiness {
        // After the whole process was stopped a request may run before the event loop does.
        let stand = self.shared.standing.get();
        if self.clock.mono().saturating_sub(stand.at) >= PAUSE {
            return Readiness::Unready;
        }
        match stand.phase {
            Phase::Empty | Phase::Bootstrapping => Readiness::Bootstrapping,
            Phase::Ready | Phase::Draining if !stand.serving => Readiness::Unready,
            Phase::Draining => Readiness::Draining,
            Phase::Ready => Readiness::Ready,
        }
    }

    /// Waits until requests may be served, at most this long; whether they may.
    pub async fn ready_within(&self, limit: Duration) -> bool {
        let mut changes = self.progress();
        let ready = changes.wait_for(|_| self.readiness() == Readiness::Ready);
        // Out of time, or replication has ended: what stands now is the answer.
        drop(tokio::time::timeout(limit, ready).await);
        self.readiness() == Readiness::Ready
    }

    /// The cluster's keys as they are now.
    pub fn keyring(&self) -> Arc<KeyRing> {
        self.shared.keyring.load_full()
    }

    /// The tickets of this node, for reading.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Counters since the process start.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// What this node knows of a reusable ticket; never waits.
    pub fn find(&self, id: &TicketId) -> Option<Ticket> {
        self.store.find(&id.key())
    }

    /// Creates a session or proxy-granting ticket; returns when every peer that is owed it holds
    /// it, or after one second (rule 16).
    ///
    /// # Errors
    /// This node is not in service or is full, or the root session has ended.
    pub async fn create(&self, new: NewReusable) -> Result<Created, RequestError> {
        match self
            .ask(Request::Command(Command::Create(Box::new(new))))
            .await?
        {
            Reply::Created(result) => Ok(result?),
            _ => Err(RequestError::Stopped),
        }
    }

    /// Issues a single-use ticket; returns when a majority of its view holds it (rule 3).
    ///
    /// # Errors
    /// This node is not in service or is full, or the session has ended.
    pub async fn issue(&self, new: NewSingleUse) -> Result<Issued, RequestError> {
        match self
            .ask(Request::Command(Command::Issue(Box::new(new))))
            .await?
        {
            Reply::Issued(result) => Ok(result?),
            _ => Err(RequestError::Stopped),
        }
    }

    /// Consumes a single-use ticket (rules 4 to 8). An id that was not made with this cluster's
    /// keys is unknown without asking anyone.
    pub async fn claim(&self, id: &TicketId, claim: ClaimId) -> ClaimOutcome {
        if !id.kind().is_some_and(TicketKind::is_single_use) || !self.is_genuine(id) {
            self.stats.claims_unknown.fetch_add(1, Relaxed);
            return ClaimOutcome::Unknown;
        }
        let began = self.clock.mono();
        let reply = self
            .ask(Request::Claim {
                id: id.clone(),
                claim,
            })
            .await;
        self.metrics.claim_took(self.clock.mono() - began);
        match reply {
            Ok(Reply::Claimed(outcome)) => outcome,
            _ => ClaimOutcome::NoQuorum,
        }
    }

    /// Ends a session or proxy-granting ticket; returns when every peer knows, or after one second
    /// (rule 15). An id that was not made with this cluster's keys names nothing, and nothing is remembered
    /// of it: anybody can make up any number of them.
    ///
    /// # Errors
    /// Too many requests are under way, or replication has stopped.
    pub async fn destroy(
        &self,
        id: &TicketId,
        reason: DestroyReason,
    ) -> Result<Destroyed, RequestError> {
        if !self.is_genuine(id) && !self.store.has_body(&id.key()) {
            return Ok(Destroyed {
                services: Vec::new(),
                acked: 0,
                missing: 0,
                already: true,
            });
        }
        self.destroy_key(id.key(), id.kind().unwrap_or(TicketKind::Tgt), reason)
            .await
    }

    /// As [`Handle::destroy`], by key.
    ///
    /// # Errors
    /// As [`Handle::destroy`].
    pub async fn destroy_key(
        &self,
        key: TicketKey,
        kind: TicketKind,
        reason: DestroyReason,
    ) -> Result<Destroyed, RequestError> {
        if !self.store.has_body(&key) {
            self.ask(Request::Command(Command::Find {
                key,
                everyone: false,
            }))
            .await?;
        }
        let hard_expiry = self.store.find(&key).map_or_else(
            || self.now() + self.shared.longest_life_ms,
            |ticket| ticket.body.hard_expiry,
        );
        let command = Command::Destroy {
            key,
            kind,
            hard_expiry,
            reason,
        };
        match self.ask(Request::Command(command)).await? {
            Reply::Destroyed(destroyed) => Ok(destroyed),
            _ => Err(RequestError::Stopped),
        }
    }

    /// These applications have been told of a session's end (rule 15b).
    ///
    /// # Errors
    /// Too many requests are under way, or replication has stopped.
    pub async fn told(
        &self,
        key: TicketKey,
        services: Vec<(ServiceKey, WallMs)>,
    ) -> Result<(), RequestError> {
        self.ask(Request::Command(Command::Told { key, services }))
            .await
            .map(|_| ())
    }

    /// These applications belong to this session, too; the peers learn of it a moment later.
    ///
    /// # Errors
    /// Too many requests are under way, or replication has stopped.
    pub async fn adopt(
        &self,
        key: TicketKey,
        services: Vec<(ServiceKey, ServiceUse)>,
    ) -> Result<(), RequestError> {
        self.ask(Request::Command(Command::Adopt { key, services }))
            .await
            .map(|_| ())
    }

    /// A sign-in failed and counts against these keys, here at once and at the peers a moment later
    /// (rule 25); [`Store::failures`] has the counters. Waits this long for a place in a full queue.
    ///
    /// # Errors
    /// Too many requests are still under way then, or replication has stopped.
    pub async fn failed(&self, keys: Vec<FailureKey>, wait: Duration) -> Result<(), RequestError> {
        let (answer, reply) = oneshot::channel();
        let job = (Request::Command(Command::Failed(keys)), answer);
        self.jobs
            .send_timeout(job, wait)
            .await
            .map_err(|unsent| match unsent {
                mpsc::error::SendTimeoutError::Timeout(_) => RequestError::Busy,
                mpsc::error::SendTimeoutError::Closed(_) => RequestError::Stopped,
            })?;
        answered(reply).await.map(|_| ())
    }

    /// What is known here against these keys does not count any more, anywhere.
    ///
    /// # Errors
    /// Too many requests are under way, or replication has stopped.
    pub async fn forgive(&self, keys: Vec<FailureKey>) -> Result<(), RequestError> {
        self.ask(Request::Command(Command::Forgive(keys)))
            .await
            .map(|_| ())
    }

    /// Everything about this node and its peers.
    ///
    /// # Errors
    /// Too many requests are under way, or replication has stopped.
    pub async fn status(&self) -> Result<Status, RequestError> {
        match self.ask(Request::Command(Command::Status)).await? {
            Reply::Status(status) => Ok(*status),
            _ => Err(RequestError::Stopped),
        }
    }

    /// Leaves service; [`Handle::progress`] tells when the drain has finished.
    ///
    /// # Errors
    /// Too many requests are under way, or replication has stopped.
    pub async fn drain(&self) -> Result<(), RequestError> {
        self.ask(Request::Command(Command::Drain)).await.map(|_| ())
    }

    /// Returns to service.
    ///
    /// # Errors
    /// Too many requests are under way, or replication has stopped.
    pub async fn resume(&self) -> Result<(), RequestError> {
        self.ask(Request::Command(Command::Resume))
            .await
            .map(|_| ())
    }

    /// Forgets a node that is gone for good, here and on every other node that can be reached while this
    /// one runs.
    ///
    /// # Errors
    /// Too many requests are under way, or replication has stopped.
    pub async fn remove_member(&self, node: NodeName) -> Result<Removal, RequestError> {
        match self.ask(Request::Command(Command::Remove(node))).await? {
            Reply::Removal(removal) => Ok(removal),
            _ => Err(RequestError::Stopped),
        }
    }

    /// Uses these keys from now on; what is sealed under older ones of the ring can still be opened.
    ///
    /// # Errors
    /// Replication has stopped.
    pub async fn set_keyring(&self, ring: Arc<KeyRing>) -> Result<(), RequestError> {
        self.new_keys
            .send(ring)
            .await
            .map_err(|_| RequestError::Stopped)
    }

    /// Milestones; changes are seen by every clone.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.events.clone()
    }

    /// The next session whose applications this node is to tell (rule 15b). Cancel safe.
    pub async fn next_duty(&self) -> Option<Entry> {
        self.duties.lock().await.recv().await
    }

    /// Brings every gauge up to date, for a scrape.
    ///
    /// # Errors
    /// Too many requests are under way, or replication has stopped.
    pub async fn refresh_metrics(&self) -> Result<(), RequestError> {
        let status = self.status().await?;
        self.metrics.refresh(&status, &self.stats, &self.store);
        Ok(())
    }

    /// Whether the id was made with a key of this cluster.
    pub fn is_genuine(&self, id: &TicketId) -> bool {
        let ring = self.shared.keyring.load();
        ring.iter()
            .any(|key| id.is_genuine(key.subkey(Purpose::TicketCheck)))
    }

    pub(super) async fn ask(&self, request: Request) -> Result<Reply, RequestError> {
        let (answer, reply) = oneshot::channel();
        self.jobs
            .try_send((request, answer))
            .map_err(|full| match full {
                mpsc::error::TrySendError::Full(_) => RequestError::Busy,
                mpsc::error::TrySendError::Closed(_) => RequestError::Stopped,
            })?;
        answered(reply).await
    }
}

async fn answered(reply: oneshot::Receiver<Reply>) -> Result<Reply, RequestError> {
    match reply.await {
        Ok(Reply::Busy) => Err(RequestError::Busy),
        Ok(reply) => Ok(reply),
        Err(_) => Err(RequestError::Stopped),
    }
}

fn log_removed(member: &Member, here: bool) {
    tracing::info!(
        node = %member.node, incarnation = %member.incarnation, here,
        "forgotten: an operator has removed this node"
    );
}

/// For logs: what the event loop says about an event.
pub(super) fn log_event(event: &Event) {
    match event {
        Event::Paused { silence } => tracing::warn!(
            millis = silence / 1_000,
            "the process had stood still; it meets the other nodes again before it serves"
        ),
        Event::Phase(phase) => tracing::info!(?phase, "phase"),
        Event::Filling(status) => tracing::info!(
            shards = status.shards,
            of = 256,
            tickets = status.entries,
            seconds = status.elapsed / 1_000_000,
            seconds_left = status.left.map(|left| left.div_ceil(1_000_000)),
            "filling from peers"
        ),
        Event::Bootstrapped(status) => tracing::info!(
            tickets = status.entries,
            millis = status.elapsed / 1_000,
            "filled from peers"
        ),
        Event::Drained => tracing::info!("drained"),
        Event::Fenced => tracing::error!(
            "this process was seen with a memory older than it should be; it must exit"
        ),
        Event::Removed { member, here } => log_removed(member, *here),
        Event::DecidedConflict(key) => {
            tracing::error!(?key, "two different claims of one ticket were decided");
        }
        Event::LogoutDuty { entry } => {
            tracing::info!(key = ?entry.key, "tells the applications of a session")
        }
        Event::Partial { ticket, missing } => {
            tracing::warn!(
                ticket = ticket.as_ref().map(tracing::field::debug),
                missing,
                "answered before every peer had acknowledged"
            );
        }
        Event::ClockStep { by_ms, adopted } => {
            tracing::warn!(by_ms, adopted, "the wall clock was stepped");
        }
        Event::FencedPeer { peer, lie } => tracing::error!(
            peer = %peer.node, incarnation = %peer.incarnation, reason = lie.reason(),
            "this peer says what no sound node says, is ignored from now on, and was told to exit. \
             Restart it if it did not restart itself; if it repeats, see that it runs the same \
             release, that nothing else runs under its name, and that it was not restored from a \
             snapshot of its memory"
        ),
        Event::Diverged {
            peer,
            entries,
            first,
        } => tracing::error!(
            %peer.node, entries, ?first,
            "tickets differed from a peer's although nothing was lost between the two; they are \
             joined again. If it repeats, restart the node that other nodes name too, and report it"
        ),
        Event::DigestsMended { shard } => tracing::error!(
            shard,
            "the kept digests were not those of the tickets held; they are mended. If it repeats, \
             restart this node, and report it"
        ),
        Event::Repaired {
            peer,
            received,
            sent,
        } => {
            tracing::info!(%peer.node, received, sent, "repaired");
        }
        Event::Refused { .. } | Event::Acknowledged { .. } => {}
    }
}
