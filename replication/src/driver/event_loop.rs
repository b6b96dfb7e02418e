//! The only loop: inputs in, outputs out, in a fixed order, with bounded work per turn.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use castor_proto::delta::Entry;
use castor_proto::ids::{Member, NodeName};
use castor_proto::message::PeerMessage;
use castor_proto::seal::keyring::{KeyId, KeyRing, Purpose};
use castor_proto::ticket::{TicketId, node_tag};
use tokio::sync::{mpsc, oneshot, watch};

use super::clock::Clock;
use super::handle::{Job, Progress, Request, Shared, log_event};
use super::metrics::Metrics;
use super::transport::{NetEvent, Transport};
use crate::engine::{Command, Engine, Event, Input, Output, Reply, TicketKeys};

/// Inputs taken in before outputs go out, so that a flood of one kind cannot starve the rest.
const TURN: usize = 256;

/// Longest sleep, so that a stopped clock source cannot stall the loop for ever.
const NAP_MAX: Duration = Duration::from_millis(250);

pub(super) struct EventLoop<T> {
    pub(super) engine: Engine,
    pub(super) transport: T,
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) events: mpsc::Receiver<NetEvent>,
    pub(super) keyrings: mpsc::Receiver<Arc<KeyRing>>,
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) duties: mpsc::Sender<Entry>,
    pub(super) waiting: HashMap<u64, oneshot::Sender<Reply>>,
    pub(super) next_job: u64,
    pub(super) tags: Tags,
}

/// Tags of known nodes under every key, for resolving the hints of ids.
#[derive(Default)]
pub(super) struct Tags {
    known: HashMap<(KeyId, NodeName), String>,
}

impl Tags {
    /// Most remembered tags: keys times members, with room for names that come and go.
    const MAX: usize = 4 * castor_proto::limits::MEMBERS_MAX;

    fn resolve(
        &mut self,
        ring: &KeyRing,
        names: &[NodeName],
        id: &TicketId,
    ) -> (Vec<NodeName>, bool) {
        if self.known.len() > Self::MAX {
            self.known.clear();
        }
        let mut hints = Vec::new();
        let tags = id.tags();
        for tag in &tags {
            let found = ring.iter().find_map(|key| {
                names.iter().find(|name| {
                    let slot = (key.id(), NodeName::clone(name));
                    let known = self
                        .known
                        .entry(slot)
                        .or_insert_with(|| node_tag(key.subkey(Purpose::NodeTag), name));
                    known == tag
                })
            });
            hints.extend(found.cloned());
        }
        let unresolved = hints.len() < tags.len();
        (hints, unresolved)
    }
}

/// The keys behind ids made from now on.
pub(super) fn ticket_keys(ring: &KeyRing) -> TicketKeys {
    let current = ring.current();
    TicketKeys {
        key_id: current.id().0,
        check: *current.subkey(Purpose::TicketCheck),
        tag: *current.subkey(Purpose::NodeTag),
    }
}

impl<T: Transport> EventLoop<T> {
    /// Runs until every handle is gone or the transport fails.
    pub(super) async fn run(mut self) {
        loop {
            let wake = self.nap();
            tokio::select! {
                biased;
                event = self.events.recv() => match event {
                    Some(event) => self.take_events(event),
                    None => break,
                },
                Some(ring) = self.keyrings.recv() => {
                    self.input(Input::Keys(ticket_keys(&ring)));
                    self.shared.keyring.store(ring);
                }
                job = self.jobs.recv() => match job {
                    Some(job) => self.take_jobs(job),
                    None => break,
                },
                () = tokio::time::sleep(wake) => self.input(Input::Tick),
            }
            self.flush();
        }
    }

    fn nap(&self) -> Duration {
        let now = self.clock.mono();
        let wake = self.engine.next_wake().unwrap_or(u64::MAX);
        Duration::from_micros(wake.saturating_sub(now)).min(NAP_MAX)
    }

    fn input(&mut self, input: Input) {
        let now = self.clock.now();
        self.engine.handle(now, input);
    }

    fn take_events(&mut self, first: NetEvent) {
        self.take_event(first);
        for _ in 1..TURN {
            let Ok(event) = self.events.try_recv() else {
                return;
            };
            self.take_event(event);
        }
    }

    fn take_event(&mut self, event: NetEvent) {
        match event {
            NetEvent::LinkUp(member) => self.input(Input::LinkUp(member)),
            NetEvent::LinkDown(member) => self.input(Input::LinkDown(member)),
            NetEvent::Gossip(members) => self.input(Input::Gossip(members)),
            NetEvent::SilentSeeds(count) => self.input(Input::SilentSeeds(count)),
            NetEvent::Fatal(why) => {
                tracing::error!(why, "replication cannot go on");
                self.progress
                    .send_modify(|progress| progress.fatal = Some(why));
            }
            NetEvent::Messages(from, messages) => self.take_messages(&from, messages),
        }
    }

    fn take_messages(&mut self, from: &Member, messages: Vec<PeerMessage>) {
        for message in messages {
            if let PeerMessage::Deltas { entries, .. } = &message {
                self.metrics
                    .exchanged(from.node.as_str(), "received", entries.len());
            }
            self.input(Input::Message(from.clone(), message));
        }
    }

    fn take_jobs(&mut self, first: Job) {
        self.take_job(first);
        for _ in 1..TURN {
            let Ok(job) = self.jobs.try_recv() else {
                return;
            };
            self.take_job(job);
        }
    }

    fn take_job(&mut self, (request, answer): Job) {
        // Who asked may have given up already.
        if answer.is_closed() {
            return;
        }
        self.next_job += 1;
        self.waiting.insert(self.next_job, answer);
        let command = self.resolve(request);
        self.input(Input::Command(self.next_job, command));
    }

    fn resolve(&mut self, request: Request) -> Command {
        match request {
            Request::Command(command) => command,
            Request::Claim { id, claim } => {
                let ring = self.shared.keyring.load_full();
                let mut names = self.engine.known_nodes();
                names.push(self.shared.me.node.clone());
                let (hints, unresolved_hint) = self.tags.resolve(&ring, &names, &id);
                Command::Claim {
                    key: id.key(),
                    hints,
                    unresolved_hint,
                    claim,
                }
            }
        }
    }

    fn flush(&mut self) {
        let mut mail: BTreeMap<Member, Vec<PeerMessage>> = BTreeMap::new();
        while let Some(output) = self.engine.poll() {
            match output {
                Output::Send(to, message) => mail.entry(to).or_default().push(message),
                Output::Reply(job, reply) => {
                    if let Some(answer) = self.waiting.remove(&job) {
                        // The request may have been cancelled; the engine's work stands.
                        answer.send(reply).ok();
                    }
                }
                Output::Event(event) => self.event(event),
            }
        }
        for (to, messages) in mail {
            for message in &messages {
                if let PeerMessage::Deltas { entries, .. } = message {
                    self.metrics
                        .exchanged(to.node.as_str(), "sent", entries.len());
                }
            }
            self.transport.send(&to, messages);
        }
        self.shared.phase.store(self.engine.phase() as u8, Relaxed);
        self.shared.serving.store(self.engine.is_ready(), Relaxed);
    }

    fn event(&mut self, event: Event) {
        log_event(&event);
        match event {
            Event::Bootstrapped(_) => {
                self.progress
                    .send_modify(|progress| progress.bootstrapped = true);
            }
            Event::Phase(phase) => {
                self.transport.set_phase(phase);
                self.progress
                    .send_modify(|progress| progress.drained = false);
            }
            Event::Drained => self
                .progress
                .send_modify(|progress| progress.drained = true),
            Event::Fenced => self.progress.send_modify(|progress| {
                progress.fatal = Some("this incarnation was fenced: start the node again".into());
            }),
            Event::LogoutDuty { entry } => {
                if self.duties.try_send(*entry).is_err() {
                    tracing::warn!("a taken-over logout had no room and was dropped");
                }
            }
            Event::Acknowledged { peer, age } => self.metrics.acknowledged(peer.as_str(), age),
            Event::Repaired { peer, .. } => self.metrics.repaired(peer.node.as_str()),
            Event::DecidedConflict(_) | Event::Partial { .. } | Event::ClockStep { .. } => {}
        }
    }
}
