//! The only loop: inputs in, outputs out, in a fixed order, with bounded work per turn.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use castor_proto::delta::Entry;
use castor_proto::ids::{Member, NodeName};
use castor_proto::message::PeerMessage;
use castor_proto::seal::keyring::{KeyRing, Purpose};
use castor_proto::ticket::{TicketId, node_tag};
use tokio::sync::{mpsc, oneshot, watch};

use super::clock::Clock;
use super::handle::{Job, Progress, Request, Shared, log_event};
use super::metrics::Metrics;
use super::transport::{NetEvent, Transport};
use crate::engine::{
    Command, Engine, Event, Input, Micros, Output, PAUSE, Reply, Stand, TicketKeys,
};

/// Inputs taken in before outputs go out, so that a flood of one kind cannot starve the rest.
const TURN: usize = 256;

/// Entries of tickets taken in before outputs go out: whoever fills this node makes the next ones while
/// it takes in the last ones, if it is asked for them early.
const TURN_ENTRIES: usize = 1_024;

/// How long a turn may take in what comes meanwhile, microseconds, before what has gathered for the peers
/// goes out.
const GATHER: u64 = 200;

/// Shortest pause between two turns that send while tickets crowd, microseconds. The runtime's timers count
/// whole milliseconds, so it is 1 to 2 ms.
const REST: u64 = 1_000;

/// So many tickets under way on this node are a crowd. Fewer gain nothing from waiting for each other.
const CROWD: usize = 4;

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
    /// What the engine has put out in this turn beside answers.
    pub(super) early: VecDeque<Output>,
    /// When something was last sent, monotonic microseconds.
    pub(super) sent_at: Micros,
    /// Whether another node waits for what this turn answers.
    pub(super) hurried: bool,
}

/// Tags of known nodes under the keys in force, for resolving the hints of ids.
///
/// A hint that is known costs one look-up; the nodes are asked for only when one is not. The name of
/// a node that is forgotten may stay: it resolves to a node that cannot be reached, which is what a
/// hint that does not resolve means too.
#[derive(Default)]
pub(super) struct Tags {
    /// What `nodes` was made of.
    names: Vec<NodeName>,
    nodes: HashMap<String, NodeName>,
}

impl Tags {
    /// The nodes that the id points to, and whether it points to one that is not known.
    fn resolve(
        &mut self,
        ring: &KeyRing,
        id: &TicketId,
        known: impl FnOnce() -> Vec<NodeName>,
    ) -> (Vec<NodeName>, bool) {
        let tags = id.tags();
        if tags.iter().any(|tag| !self.nodes.contains_key(*tag)) {
            self.refresh(ring, known());
        }
        let found = tags.iter().filter_map(|tag| self.nodes.get(*tag));
        let hints: Vec<NodeName> = found.cloned().collect();
        let unresolved = hints.len() < tags.len();
        (hints, unresolved)
    }

    fn refresh(&mut self, ring: &KeyRing, names: Vec<NodeName>) {
        if names == self.names {
            return;
        }
        let tagged = ring.iter().flat_map(|key| {
            let tag =
                |name: &NodeName| (node_tag(key.subkey(Purpose::NodeTag), name), name.clone());
            names.iter().map(tag)
        });
        self.nodes = tagged.collect();
        self.names = names;
    }
}

fn count_entries(event: &NetEvent) -> usize {
    let NetEvent::Messages(_, messages) = event else {
        return 0;
    };
    let entries = messages.iter().map(|message| match message {
        PeerMessage::Deltas { entries, .. }
        | PeerMessage::Entries { entries, .. }
        | PeerMessage::ShardPart {
            entries: Some(entries),
            ..
        } => entries.len(),
        _ => 0,
    });
    entries.sum()
}

/// How long to wait before what has gathered for the other nodes goes out, if at all: a little, if something
/// was sent just now (`since`) and many tickets are under way. What they have for the others then leaves together,
/// and what comes for them wakes this node once. No rest begins while a session or a logout waits at the node that
/// one came from (`hurried`), or here, or while this node leaves: then the engine says that no ticket is under way.
fn rest(hurried: bool, since: Micros, under_way: usize) -> Option<Duration> {
    let wait = REST.checked_sub(since).filter(|wait| *wait > 0);
    wait.filter(|_| !hurried && under_way >= CROWD)
        .map(Duration::from_micros)
}

/// Whether somebody waits at the other node for the acknowledgement of a session or a logout.
fn is_awaited(entries: &[Entry]) -> bool {
    let awaited = |entry: &Entry| entry.body.is_some() || entry.destroyed.is_some();
    entries.iter().any(awaited)
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
                Some(ring) = self.keyrings.recv() => self.take_keys(ring),
                job = self.jobs.recv() => match job {
                    Some(job) => self.take_jobs(job),
                    None => break,
                },
                () = tokio::time::sleep(wake) => self.input(Input::Tick),
            }
            // However much the network brings, requests and new keys have their turn.
            if let Ok(job) = self.jobs.try_recv() {
                self.take_jobs(job);
            }
            if let Ok(ring) = self.keyrings.try_recv() {
                self.take_keys(ring);
            }
            self.rest().await;
            self.gather().await;
            self.flush();
        }
    }

    /// Answers, and waits a little where [`rest`] says so.
    async fn rest(&mut self) {
        let since = self.clock.mono().saturating_sub(self.sent_at);
        if let Some(pause) = rest(self.hurried, since, self.engine.tickets_under_way()) {
            self.answer();
            tokio::time::sleep(pause).await;
        }
    }

    /// Answers, and takes in what comes meanwhile, until nothing does: sealing, signing and the system's calls
    /// cost a batch of one delta nearly as much as one of fifty, and whoever is answered often asks again.
    async fn gather(&mut self) {
        let end = self.clock.mono() + GATHER;
        loop {
            self.answer();
            tokio::task::yield_now().await;
            let (event, job) = (self.events.try_recv().ok(), self.jobs.try_recv().ok());
            let came = event.is_some() || job.is_some();
            if let Some(event) = event {
                self.take_events(event);
            }
            if let Some(job) = job {
                self.take_jobs(job);
            }
            if !came || self.clock.mono() >= end {
                return;
            }
        }
    }

    /// Lets the answers out; the rest waits for the end of the turn. Who is answered may so hear of it
    /// before others hear of an event of the same turn: nobody reads the two together.
    fn answer(&mut self) {
        self.show();
        while let Some(output) = self.engine.poll_early() {
            match output {
                Output::Reply(job, reply) => self.reply(job, reply),
                Output::Send(..) | Output::Event(_) => self.early.push_back(output),
            }
        }
    }

    fn reply(&mut self, job: u64, reply: Reply) {
        if let Some(answer) = self.waiting.remove(&job) {
            // The request may have been cancelled; the engine's work stands.
            answer.send(reply).ok();
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
        let mut entries = count_entries(&first);
        self.take_event(first);
        for _ in 1..TURN {
            let full = entries >= TURN_ENTRIES;
            let next = (!full).then(|| self.events.try_recv().ok()).flatten();
            let Some(event) = next else {
                return;
            };
            entries += count_entries(&event);
            self.take_event(event);
        }
    }

    fn take_event(&mut self, event: NetEvent) {
        match event {
            NetEvent::LinkUp(member) => self.input(Input::LinkUp(member)),
            NetEvent::Speaks(member, wire) => self.input(Input::Speaks(member, wire)),
            NetEvent::Lied(member, reason) => self.input(Input::Lied(member, reason)),
            NetEvent::LinkDown(member) => self.input(Input::LinkDown(member)),
            NetEvent::Gossip(members) => self.input(Input::Gossip(members)),
            NetEvent::Removed(member) => self.input(Input::Removed(member)),
            NetEvent::SilentSeeds(count) => self.input(Input::SilentSeeds(count)),
            NetEvent::Fatal(why) => self.fatal(why),
            NetEvent::Messages(from, messages) => self.take_messages(&from, messages),
        }
    }

    /// Says why the process must exit. The first reason stands; the network, which goes on trying,
    /// repeats it with every refusal.
    fn fatal(&self, why: String) {
        self.progress.send_if_modified(|progress| {
            let first = progress.fatal.is_none();
            if first {
                tracing::error!(why, "replication cannot go on");
                progress.fatal = Some(why);
            }
            first
        });
    }

    fn take_messages(&mut self, from: &Member, messages: Vec<PeerMessage>) {
        for message in messages {
            if let PeerMessage::Deltas { entries, .. } = &message {
                self.metrics
                    .exchanged(from.node.as_str(), "received", entries.len());
                self.hurried |= is_awaited(entries);
            }
            self.input(Input::Message(from.clone(), message));
        }
    }

    fn take_keys(&mut self, ring: Arc<KeyRing>) {
        self.input(Input::Keys(ticket_keys(&ring)));
        self.tags = Tags::default();
        self.shared.keyring.store(ring);
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
                let known = || {
                    let mut names = self.engine.known_nodes();
                    names.push(self.shared.me.node.clone());
                    names
                };
                let (hints, unresolved_hint) = self.tags.resolve(&ring, &id, known);
                Command::Claim {
                    key: id.key(),
                    hints,
                    unresolved_hint,
                    claim,
                }
            }
        }
    }

    /// Before answers and events go out: whoever waits for one of them looks here.
    fn show(&mut self) {
        let before = self.shared.standing.get();
        let stand = Stand {
            phase: self.engine.phase(),
            serving: self.engine.is_serving(),
            at: self.engine.turned(),
        };
        self.shared.standing.set(stand);
        if stand.serving != before.serving || stand.at.saturating_sub(before.at) >= PAUSE {
            self.progress.send_modify(|_| {});
        }
    }

    fn flush(&mut self) {
        self.show();
        let mut mail: BTreeMap<Member, Vec<PeerMessage>> = BTreeMap::new();
        while let Some(output) = self.early.pop_front().or_else(|| self.engine.poll()) {
            match output {
                Output::Send(to, message) => mail.entry(to).or_default().push(message),
                Output::Reply(job, reply) => self.reply(job, reply),
                Output::Event(event) => self.event(event),
            }
        }
        self.hurried = false;
        if !mail.is_empty() {
            self.sent_at = self.clock.mono();
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
            Event::Fenced => {
                self.fatal("this incarnation was fenced: start the node again".into());
            }
            Event::LogoutDuty { entry } => {
                if self.duties.try_send(*entry).is_err() {
                    self.metrics.duty_dropped();
                    tracing::warn!("applications of a session are not told: too many wait already");
                }
            }
            Event::Acknowledged { peer, ages } => self.metrics.acknowledged(peer.as_str(), &ages),
            Event::Repaired { peer, .. } => self.metrics.repaired(peer.node.as_str()),
            Event::Diverged { peer, entries, .. } => {
                self.metrics.diverged(peer.node.as_str(), entries);
            }
            Event::Removed { member, here: true } => self.transport.removed(&member),
            Event::Refused { peer, lie } => self.transport.refused(&peer, lie.reason()),
            Event::Filling(_)
            | Event::Removed { here: false, .. }
            | Event::FencedPeer { .. }
            | Event::DigestsMended { .. }
            | Event::DecidedConflict(_)
            | Event::Partial { .. }
            | Event::Paused { .. }
            | Event::ClockStep { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use castor_proto::delta::DestroyReason;
    use castor_proto::seal::{ClusterKey, KeyId};
    use castor_proto::ticket::{IdKeys, IdParts, TicketKey, TicketKind, random_part};

    use super::*;
    use crate::driver::memory::MemoryNet;
    use crate::driver::{Parts, assemble, fresh_incarnation};

    fn name(text: &str) -> NodeName {
        NodeName::parse(text).unwrap()
    }

    fn key(id: u32) -> ClusterKey {
        ClusterKey::new(KeyId(id), [id as u8; 32].into(), 0)
    }

    fn id(ring: &KeyRing, nodes: &[&NodeName]) -> TicketId {
        let keys = ticket_keys(ring);
        let parts = IdParts {
            kind: TicketKind::St,
            sequence: 1,
            random: &random_part(&mut |bytes| bytes.fill(7)),
            nodes,
        };
        let keys = IdKeys {
            check: &keys.check,
            tag: &keys.tag,
        };
        TicketId::build(&parts, &keys)
    }

    #[test]
    fn who_has_just_sent_rests_while_tickets_crowd_and_nobody_else_waits() {
        let micros = |count| Some(Duration::from_micros(count));
        assert_eq!(rest(false, 0, CROWD), micros(REST));
        assert_eq!(rest(false, REST - 1, 100), micros(1));
        assert_eq!(rest(false, REST, CROWD), None, "it has rested");
        assert_eq!(rest(false, u64::MAX, CROWD), None, "it sent long ago");
        assert_eq!(rest(false, 0, CROWD - 1), None, "three gain nothing");
        assert_eq!(rest(false, 0, 0), None, "a session waits, or it leaves");
        assert_eq!(rest(true, 0, 100), None, "somebody waits elsewhere");
        assert_eq!(CROWD, 4);
    }

    #[test]
    fn the_acknowledgement_of_a_session_or_a_logout_is_waited_for_elsewhere_and_no_other() {
        let bottom = || Entry::bottom(TicketKey([1; 16]), TicketKind::Tgt, 1);
        let session = Entry {
            body: Some([7].into()),
            ..bottom()
        };
        let logout = Entry {
            destroyed: Some(DestroyReason::Logout),
            ..bottom()
        };
        let used = Entry {
            last_used: 1,
            ..bottom()
        };
        assert!(!is_awaited(&[]) && !is_awaited(&[used.clone(), used.clone()]));
        assert!(is_awaited(&[used.clone(), session]));
        assert!(is_awaited(&[logout, used]));
    }

    #[test]
    fn hints_resolve_without_asking_for_the_nodes_until_one_is_new() {
        let ring = KeyRing::new(Some(key(1)), key(2), None).unwrap();
        let old = KeyRing::new(None, key(1), None).unwrap();
        let (a, b, c) = (name("a"), name("b"), name("c"));
        let (mut tags, asked) = (Tags::default(), Cell::new(0));
        let mut resolve = |id: &TicketId, known: &[&NodeName]| {
            tags.resolve(&ring, id, || {
                asked.set(asked.get() + 1);
                known.iter().copied().cloned().collect()
            })
        };
        let two = [&a, &b];
        for _ in 0..3 {
            let hints = resolve(&id(&ring, &[&b, &a]), &two);
            assert_eq!(hints, (vec![b.clone(), a.clone()], false));
        }
        let hints = resolve(&id(&old, &[&a]), &two);
        assert_eq!(hints, (vec![a.clone()], false), "under the earlier key");
        assert_eq!(asked.get(), 1);
        let other = id(&ring, &[&a, &c]);
        assert_eq!(resolve(&other, &two), (vec![a.clone()], true));
        assert_eq!(resolve(&other, &[&a, &b, &c]), (vec![a, c], false));
        assert_eq!(asked.get(), 3);
    }

    fn parts(ring: KeyRing) -> (Parts, Member) {
        let me = Member {
            node: name("n1"),
            incarnation: fresh_incarnation().unwrap(),
        };
        let parts = Parts {
            node: me.node.clone(),
            incarnation: me.incarnation,
            keyring: Arc::new(ring),
            silent_seeds: 0,
            registry: prometheus::Registry::new(),
            tune: Box::new(|_| {}),
            digest_key: [0; 32],
        };
        (parts, me)
    }

    #[tokio::test]
    async fn new_keys_come_into_force_however_much_the_network_brings() {
        const WAITING: usize = 50 * TURN;
        let (parts, me) = parts(KeyRing::new(None, key(1), None).unwrap());
        let (transport, _) = MemoryNet::default().join(&me);
        let (network, events) = mpsc::channel(WAITING);
        let (handle, event_loop) = assemble(parts, transport, events, Clock::new()).unwrap();
        for _ in 0..WAITING {
            network.try_send(NetEvent::SilentSeeds(0)).unwrap();
        }
        let next = KeyRing::new(Some(key(1)), key(2), None).unwrap();
        handle.set_keyring(Arc::new(next)).await.unwrap();
        let in_force = async {
            while handle.keyring().current().id() != KeyId(2) {
                tokio::task::yield_now().await;
            }
            WAITING - network.capacity()
        };
        let left = tokio::select! {
            left = in_force => left,
            () = event_loop => 0,
        };
        assert!(left > WAITING / 2, "{left} of {WAITING} were still to come");
    }

    #[tokio::test]
    async fn the_first_fatal_reason_stands_and_is_told_once() {
        let (parts, me) = parts(KeyRing::new(None, key(1), None).unwrap());
        let (transport, _) = MemoryNet::default().join(&me);
        let (network, events) = mpsc::channel(4);
        let (handle, event_loop) = assemble(parts, transport, events, Clock::new()).unwrap();
        let mut progress = handle.events.clone();
        let watch = async {
            network.send(NetEvent::Fatal("first".into())).await.unwrap();
            let told = progress.wait_for(|progress| progress.fatal.is_some());
            let first = told.await.unwrap().fatal.clone();
            network.send(NetEvent::Fatal("again".into())).await.unwrap();
            // The loop ends when it has taken in everything.
            drop(network);
            first
        };
        let ((), first) = tokio::join!(event_loop, watch);
        assert_eq!(first.as_deref(), Some("first"));
        let last = handle.events.borrow().fatal.clone();
        assert_eq!(last.as_deref(), Some("first"));
    }
}
