//! Who is a member: the gossip library over our own authenticated links.
//!
//! How its messages travel is in [`super::carrier`]. Promises: keys and values keep to what the library can carry; a node that
//! stops answering is found dead within two seconds. "Alive" can come from a third node and says
//! nothing about the own link.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use castor_proto::ids::{Incarnation, Member, NodeName};
use castor_proto::limits::MEMBERS_MAX;
use castor_proto::message::Phase;
use chitchat::{
    ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, NodeState, spawn_chitchat,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::carrier::{Carrier, Received};
use super::network::{MemberInfo, NetFatal, Shared};
use super::removals;
use super::transport::NetEvent;
use super::{clock, dial};
use crate::engine::GossipMember;

/// Addresses waiting to be greeted.
pub(super) const GREETINGS_MAX: usize = 64;
/// How often the addresses of known members count as mentioned, and split clusters are sought.
const REVIEW_INTERVAL: Duration = Duration::from_secs(5);
/// Heartbeat intervals that the failure detector averages over.
const SAMPLES: usize = 1_000;
const KEY_MAX: usize = 64;
const VALUE_MAX: usize = 1 << 10;
const KEY_INCARNATION: &str = "incarnation";
const KEY_PHASE: &str = "phase";
const KEY_WIRE: &str = "wire";

/// Timing of the membership protocol.
#[derive(Clone, Debug)]
pub struct GossipSettings {
    /// Pause between two rounds.
    pub interval: Duration,
    /// How unlikely a silence must be before a node counts as dead (phi accrual).
    pub phi: f64,
    /// Interval assumed before the first heartbeats.
    pub initial_interval: Duration,
    /// Longer pauses are not learnt from.
    pub max_interval: Duration,
    /// Whoever was heard within this time is not dead, whatever the failure detector has learnt.
    pub silence: Duration,
    /// How long a dead node is remembered.
    pub forget_after: Duration,
}

impl Default for GossipSettings {
    /// Finds a dead node within 2 s, also in a cluster that has just formed, without suspecting one that
    /// pauses for a second: its last message may have been due just then.
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(250),
            phi: 8.0,
            initial_interval: Duration::from_millis(200),
            max_interval: Duration::from_millis(2_500),
            silence: Duration::from_millis(1_400),
            forget_after: Duration::from_secs(24 * 3_600),
        }
    }
}

/// A key or value that gossip cannot carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("gossip keys are 1 to 64 characters a-z, 0-9, _ . and -; values have at most 1 KiB")]
pub struct BadKeyValue;

/// Whether gossip can carry it: asked of what is published and of what arrives.
pub(super) fn check(key: &str, value: &str) -> Result<(), BadKeyValue> {
    let symbol = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b);
    let good =
        (1..=KEY_MAX).contains(&key.len()) && key.bytes().all(symbol) && value.len() <= VALUE_MAX;
    if good { Ok(()) } else { Err(BadKeyValue) }
}

/// The running protocol.
pub(super) struct Gossip {
    shared: Arc<Shared>,
    handle: Arc<ChitchatHandle>,
}

impl Gossip {
    pub(super) async fn start(
        shared: Arc<Shared>,
        received: mpsc::Receiver<Received>,
        greetings: mpsc::Receiver<SocketAddr>,
    ) -> anyhow::Result<Self> {
        let facts = vec![
            (
                KEY_INCARNATION.to_owned(),
                shared.me.incarnation.to_string(),
            ),
            (
                KEY_PHASE.to_owned(),
                phase_word(*shared.phase.borrow()).to_owned(),
            ),
            (KEY_WIRE.to_owned(), shared.config.wire.to_string()),
        ];
        let carrier = Carrier::new(Arc::clone(&shared), received);
        let handle = Arc::new(spawn_chitchat(library_config(&shared), facts, &carrier).await?);
        // No link is up yet, so nobody has heard the facts.
        say(&shared, &handle, |_| {}).await;
        let live = handle
            .with_chitchat(|gossip| gossip.live_nodes_watcher())
            .await;
        tokio::spawn(watch_termination(Arc::clone(&shared), Arc::clone(&handle)));
        tokio::spawn(publish_phase(Arc::clone(&shared), Arc::clone(&handle)));
        let members = Members {
            shared: Arc::clone(&shared),
            handle: Arc::clone(&handle),
            seen: BTreeMap::new(),
            doubtful_until: None,
            removed: BTreeSet::new(),
        };
        tokio::spawn(members.run(live, greetings));
        Ok(Self { shared, handle })
    }

    pub(super) async fn publish(&self, key: &str, value: &str) -> Result<(), BadKeyValue> {
        check(key, value)?;
        say(&self.shared, &self.handle, |own| own.set(key, value)).await;
        Ok(())
    }

    pub(super) fn stop(&self) {
        // Refused only when it has ended.
        let _ = self.handle.initiate_shutdown();
    }
}

fn library_config(shared: &Shared) -> ChitchatConfig {
    let settings = &shared.config.gossip;
    let node = shared.me.node.as_str().to_owned();
    ChitchatConfig {
        chitchat_id: ChitchatId::new(node, shared.config.generation, shared.advertise),
        cluster_id: shared.cluster.clone(),
        gossip_interval: settings.interval,
        listen_addr: shared.advertise,
        // Seeds are called by the dialling tasks; every link that comes up is greeted.
        seed_nodes: Vec::new(),
        failure_detector_config: FailureDetectorConfig {
            phi_threshold: settings.phi,
            sampling_window_size: SAMPLES,
            max_interval: settings.max_interval,
            initial_interval: settings.initial_interval,
            dead_node_grace_period: settings.forget_after,
        },
        marked_for_deletion_grace_period: settings.forget_after,
        catchup_callback: None,
        extra_liveness_predicate: None,
    }
}

/// The library never ends by itself; when it has, nobody can tell who is alive any more.
async fn watch_termination(shared: Arc<Shared>, handle: Arc<ChitchatHandle>) {
    let ended = handle.termination_watcher().await;
    if !shared.is_stopping() {
        let why = ended
            .err()
            .map_or_else(|| "without a reason".into(), |error| error.to_string());
        shared
            .emit(NetEvent::Fatal(NetFatal::Gossip(why).to_string()))
            .await;
    }
}

async fn publish_phase(shared: Arc<Shared>, handle: Arc<ChitchatHandle>) {
    let mut phases = shared.phase.subscribe();
    while phases.changed().await.is_ok() {
        let word = phase_word(*phases.borrow_and_update());
        say(&shared, &handle, |own| own.set(KEY_PHASE, word)).await;
    }
}

/// Changes what this process says of itself. The library sends under the same lock: nobody hears of a change
/// before it is noted how far this process has spoken.
async fn say(shared: &Shared, handle: &ChitchatHandle, change: impl Fn(&mut NodeState)) {
    handle
        .with_chitchat(|gossip| {
            let own = gossip.self_node_state();
            change(own);
            shared.said.store(own.max_version(), Ordering::Relaxed);
        })
        .await;
}

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Empty => "empty",
        Phase::Bootstrapping => "bootstrapping",
        Phase::Ready => "ready",
        Phase::Draining => "draining",
    }
}

fn phase_of(word: &str) -> Option<Phase> {
    let all = [
        Phase::Empty,
        Phase::Bootstrapping,
        Phase::Ready,
        Phase::Draining,
    ];
    all.into_iter().find(|phase| phase_word(*phase) == word)
}

/// Turns the library's picture into events, and its addresses into calls.
struct Members {
    shared: Arc<Shared>,
    handle: Arc<ChitchatHandle>,
    seen: BTreeMap<NodeName, MemberInfo>,
    /// When to look again at a member that the library has given up after too short a silence.
    doubtful_until: Option<Instant>,
    /// What the others say of members that their operators have removed.
    removed: BTreeSet<Member>,
}

type Live = BTreeMap<ChitchatId, NodeState>;

impl Members {
    async fn run(
        mut self,
        mut live: watch::Receiver<Live>,
        mut greetings: mpsc::Receiver<SocketAddr>,
    ) {
        let mut review = tokio::time::interval(REVIEW_INTERVAL);
        let mut removals = self.shared.removals.subscribe();
        loop {
            let doubtful = self.doubtful_until;
            tokio::select! {
                () = self.shared.stopping() => return,
                changed = live.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.look(&mut live).await;
                }
                () = wait_until(doubtful) => self.look(&mut live).await,
                Ok(()) = removals.changed() => {
                    let wanted = removals.borrow_and_update().clone();
                    say(&self.shared, &self.handle, |own| wanted.publish(own)).await;
                    if self.forget_removed().await {
                        self.tell().await;
                    }
                }
                Some(address) = greetings.recv() => self.greet(address),
                _ = review.tick() => {
                    let forgotten = self.forget_with_the_library().await;
                    if self.forget_removed().await || forgotten {
                        self.tell().await;
                    }
                    self.call_all();
                    self.greet_strangers();
                }
            }
        }
    }

    async fn look(&mut self, live: &mut watch::Receiver<Live>) {
        let picture = live.borrow_and_update().clone();
        self.removed = removals::told(picture.values());
        let different = self.update(&picture);
        if self.forget_removed().await || different {
            self.tell().await;
        }
        self.call_all();
    }

    async fn tell(&self) {
        let members: Vec<MemberInfo> = self.seen.values().cloned().collect();
        let brief = |info: &MemberInfo| GossipMember {
            member: info.member.clone(),
            alive: info.alive,
        };
        let gossip = members.iter().map(brief).collect();
        self.shared.members.send_replace(members);
        self.shared.emit(NetEvent::Gossip(gossip)).await;
    }

    /// Takes in who is alive now. Whether anything is different.
    fn update(&mut self, picture: &Live) -> bool {
        let before = self.seen.clone();
        for member in self.seen.values_mut() {
            member.alive = false;
        }
        for (id, state) in picture {
            let Some(member) = member_of(id, state) else {
                continue;
            };
            if member.member.node == self.shared.me.node {
                continue;
            }
            let known = self.seen.get(&member.member.node);
            if known.is_none_or(|known| !known.alive || known.generation <= member.generation) {
                self.seen.insert(member.member.node.clone(), member);
            }
        }
        self.doubt(&before);
        while self.seen.len() > MEMBERS_MAX {
            let dead = self.seen.values().filter(|member| !member.alive);
            let Some(oldest) = dead.min_by_key(|member| member.generation) else {
                break;
            };
            let oldest = oldest.member.node.clone();
            self.seen.remove(&oldest);
        }
        self.seen != before
    }

    /// Keeps those alive that were alive before and have not been silent for long.
    fn doubt(&mut self, before: &BTreeMap<NodeName, MemberInfo>) {
        let now = clock::instant();
        self.doubtful_until = None;
        for (node, member) in &mut self.seen {
            if member.alive || !before.get(node).is_some_and(|before| before.alive) {
                continue;
            }
            let long = self.shared.config.gossip.silence;
            let short = self.shared.silence.short_until(&member.member, now, long);
            if let Some(until) = short {
                member.alive = true;
                let next = self.doubtful_until.map_or(until, |next| next.min(until));
                self.doubtful_until = Some(next);
            }
        }
    }

    /// Whoever the library has forgotten is no member any more. Whether anyone was.
    async fn forget_with_the_library(&mut self) -> bool {
        let known: BTreeSet<String> = self
            .handle
            .with_chitchat(|gossip| {
                gossip
                    .node_states()
                    .keys()
                    .map(|id| id.node_id.to_string())
                    .collect()
            })
            .await;
        let before = self.seen.len();
        self.seen.retain(|node, _| known.contains(node.as_str()));
        self.seen.len() != before
    }

    /// Those that operators have removed are no members any more, unless they are alive. Whether any was.
    ///
    /// The engine is told again at every turn: it keeps a member whose link has yet to end.
    async fn forget_removed(&mut self) -> bool {
        let alive = || self.seen.values().filter(|member| member.alive);
        self.shared
            .removals
            .send_if_modified(|own| own.take_back(alive().map(|member| &member.member)));
        let own = self.shared.removals.borrow().clone();
        let before = self.seen.len();
        self.seen.retain(|_, member| {
            let removed = self.removed.contains(&member.member) || own.names(&member.member);
            member.alive || !removed
        });
        let alive: BTreeSet<&Member> = self.seen.values().map(|member| &member.member).collect();
        for member in self.removed.iter().filter(|member| !alive.contains(member)) {
            self.shared.emit(NetEvent::Removed(member.clone())).await;
        }
        self.seen.len() != before
    }

    fn call_all(&self) {
        for member in self.seen.values() {
            dial::call(&self.shared, member.address);
        }
    }

    fn greet(&self, address: SocketAddr) {
        // Refused only when the library has ended, which is watched elsewhere.
        let _ = self.handle.gossip(address);
    }

    /// Whoever is linked but not alive in gossip's eyes belongs to the other half of a split.
    fn greet_strangers(&self) {
        for link in self.shared.registry().links() {
            let known = self.seen.get(&link.member.node);
            if !known.is_some_and(|member| member.alive) {
                self.greet(link.address);
            }
        }
    }
}

/// At that moment; never when there is none.
async fn wait_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn member_of(id: &ChitchatId, state: &NodeState) -> Option<MemberInfo> {
    let node = NodeName::parse(&id.node_id).ok()?;
    let incarnation = Incarnation::parse(state.get(KEY_INCARNATION)?)?;
    Some(MemberInfo {
        member: Member { node, incarnation },
        generation: id.generation_id,
        address: id.gossip_advertise_addr,
        alive: true,
        phase: state.get(KEY_PHASE).and_then(phase_of),
        wire: state.get(KEY_WIRE).map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_and_values_that_gossip_can_carry_are_taken() {
        for key in ["a", "node.phase_2-x", &"k".repeat(64)] {
            assert_eq!(check(key, ""), Ok(()));
        }
        for key in ["", "ä", "A", "a b", &"k".repeat(65)] {
            assert_eq!(check(key, ""), Err(BadKeyValue), "{key}");
        }
        assert_eq!(check("a", &"v".repeat(1_024)), Ok(()));
        assert_eq!(check("a", &"v".repeat(1_025)), Err(BadKeyValue));
    }

    #[test]
    fn phases_survive_their_words() {
        for phase in [
            Phase::Empty,
            Phase::Bootstrapping,
            Phase::Ready,
            Phase::Draining,
        ] {
            assert_eq!(phase_of(phase_word(phase)), Some(phase));
        }
        assert_eq!(phase_of("dancing"), None);
    }
}
