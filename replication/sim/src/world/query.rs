//! Looking at the nodes of a world from outside, as no node can.

use std::collections::{BTreeMap, BTreeSet};

use castor_proto::delta::Entry;
use castor_proto::ids::Member;
use castor_proto::message::Phase;
use castor_proto::ticket::TicketKey;

use super::{Life, Node, World};

impl World {
    /// A node that runs.
    ///
    /// # Panics
    /// When it does not.
    #[expect(clippy::expect_used, reason = "the caller knows that it runs")]
    pub fn node(&self, i: usize) -> &Node {
        self.nodes[i].as_ref().expect("the node runs")
    }

    /// All nodes that run, with their numbers.
    pub fn running(&self) -> impl Iterator<Item = (usize, &Node)> {
        let numbered = self.nodes.iter().enumerate();
        numbered.filter_map(|(i, node)| Some((i, node.as_ref()?)))
    }

    /// Which processes satisfy `holds`: node and life.
    pub fn lives(&self, holds: impl Fn(&Node) -> bool) -> Vec<(usize, Life)> {
        self.running()
            .filter(|(_, node)| holds(node))
            .map(|(i, node)| (i, node.life))
            .collect()
    }

    /// Whether this process still runs.
    pub fn runs(&self, life: Life) -> bool {
        self.running().any(|(_, node)| node.life == life)
    }

    /// Which process start this is.
    pub fn life_of(&self, member: &Member) -> Option<Life> {
        self.known.get(member).copied()
    }

    /// Whether a node says that it is ready.
    pub fn is_ready(&self, i: usize) -> bool {
        self.nodes[i]
            .as_ref()
            .is_some_and(|node| node.engine.phase() == Phase::Ready)
    }

    /// Whether a process is stopped at this moment.
    pub fn is_frozen(&self, i: usize) -> bool {
        self.frozen
            .get(&i)
            .is_some_and(|(_, until)| *until > self.now)
    }

    /// Every running node holds the same state, every entry of it.
    pub fn converged(&self) -> bool {
        self.agree(|_| true)
    }

    /// Every running node holds the same state of the entries that count.
    pub fn agree(&self, counts: impl Fn(&Entry) -> bool) -> bool {
        let state = |node: &Node| {
            let mut all = Vec::new();
            node.store.visit_all(&mut |entry| {
                if counts(&entry) {
                    all.push(entry);
                }
                true
            });
            all.sort_by_key(|entry| entry.key);
            all
        };
        let mut states = self.nodes.iter().flatten().map(state);
        let first = states.next();
        states.all(|state| Some(&state) == first.as_ref())
    }

    /// What the nodes do not agree on, for a failing test's message.
    pub fn difference(&self) -> String {
        let mut all: BTreeMap<TicketKey, Vec<String>> = BTreeMap::new();
        for (i, node) in self.running() {
            node.store.visit_all(&mut |entry| {
                let line = format!("node {i}: {entry:?}");
                all.entry(entry.key).or_default().push(line);
                true
            });
        }
        let part = |text: &String| text.split_once(": ").map(|(_, state)| state.to_owned());
        all.retain(|_, states| {
            states.len() < self.nodes.iter().flatten().count()
                || states.iter().map(part).collect::<BTreeSet<_>>().len() > 1
        });
        let sound = self
            .running()
            .map(|(_, node)| node.engine.digests_are_true());
        let sound: Vec<bool> = sound.collect();
        let status = self.nodes.iter().flatten().map(|node| node.engine.status());
        let status: Vec<_> = status.collect();
        format!("{all:#?}\ndigests are true: {sound:?}\n{status:#?}")
    }
}
