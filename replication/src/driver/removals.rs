//! Members that an operator has removed, as nodes tell each other of them by gossip.
//!
//! The node that was asked publishes the incarnation that is gone under a key of its own, for as long as
//! a gone node would have been remembered anyway. Promises: it reaches every node that is met while the
//! publishing one runs, also one that was away; a word of an incarnation that is alive does nothing, and
//! is taken back by whoever published it. Bounded: at most [`MEMBERS_MAX`] words of a node; the oldest gives way.

use std::collections::BTreeSet;

use castor_proto::ids::{Incarnation, Member, NodeName};
use castor_proto::limits::MEMBERS_MAX;
use chitchat::NodeState;

const KEY_PREFIX: &str = "removed.";

/// What this node has to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Removals(Vec<Member>);

impl Removals {
    /// Another one. Where there are too many, the oldest has been told for longest.
    pub(super) fn add(&mut self, member: &Member) {
        self.0.retain(|known| known.node != member.node);
        self.0.push(member.clone());
        let over = self.0.len().saturating_sub(MEMBERS_MAX);
        self.0.drain(..over);
    }

    /// Takes back what was said of an incarnation that is alive; whether anything was.
    pub(super) fn take_back<'a>(&mut self, alive: impl Iterator<Item = &'a Member>) -> bool {
        let before = self.0.len();
        for member in alive {
            self.0.retain(|known| known != member);
        }
        self.0.len() != before
    }

    pub(super) fn names(&self, member: &Member) -> bool {
        self.0.contains(member)
    }

    /// Makes the published keys say this and no more.
    pub(super) fn publish(&self, state: &mut NodeState) {
        let published = state.iter_prefix(KEY_PREFIX);
        let published: Vec<String> = published.map(|(key, _)| key.to_owned()).collect();
        let ours = |node: NodeName| self.0.iter().any(|member| member.node == node);
        let wanted = |key: &str| named(key).is_some_and(ours);
        for key in published.iter().filter(|key| !wanted(key)) {
            state.delete(key);
        }
        for Member { node, incarnation } in &self.0 {
            state.set_with_ttl(format!("{KEY_PREFIX}{node}"), incarnation);
        }
    }
}

/// What other nodes say; of each no more than there may be members.
pub(super) fn told<'a>(states: impl Iterator<Item = &'a NodeState>) -> BTreeSet<Member> {
    let words = states.flat_map(|state| state.iter_prefix(KEY_PREFIX).take(MEMBERS_MAX));
    let members = words.filter_map(|(key, word)| {
        Some(Member {
            node: named(key)?,
            incarnation: Incarnation::parse(&word.value)?,
        })
    });
    members.collect()
}

fn named(key: &str) -> Option<NodeName> {
    NodeName::parse(key.strip_prefix(KEY_PREFIX)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(node: &str, incarnation: u8) -> Member {
        Member {
            node: NodeName::parse(node).unwrap(),
            incarnation: Incarnation([incarnation; 16]),
        }
    }

    #[test]
    fn what_one_node_publishes_another_reads_and_nothing_that_was_taken_back() {
        let (a, b) = (member("n-a", 1), member("n-b", 2));
        let mut state = NodeState::for_test();
        state.set("phase", "ready");
        let mut removals = Removals::default();
        removals.add(&a);
        removals.add(&b);
        removals.publish(&mut state);
        let both = BTreeSet::from([a.clone(), b.clone()]);
        assert_eq!(told(std::iter::once(&state)), both);

        let later = member("n-a", 9);
        assert!(
            !removals.take_back(std::iter::once(&later)),
            "another incarnation"
        );
        assert!(removals.take_back(std::iter::once(&a)));
        removals.publish(&mut state);
        assert_eq!(told(std::iter::once(&state)), BTreeSet::from([b]));
        assert_eq!(state.get("phase"), Some("ready"));
    }

    #[test]
    fn nonsense_names_nobody() {
        let mut state = NodeState::for_test();
        state.set("removed.", "00");
        state.set("removed.n.1", "0".repeat(32));
        state.set("removed.n1", "zz");
        assert_eq!(told(std::iter::once(&state)), BTreeSet::new());
    }

    #[test]
    fn there_are_never_more_words_than_members() {
        let mut removals = Removals::default();
        for number in 0..2 * MEMBERS_MAX {
            removals.add(&member(&format!("n{number}"), 1));
        }
        removals.add(&member("n0", 7));
        assert_eq!(removals.0.len(), MEMBERS_MAX);
        assert!(removals.names(&member("n0", 7)));
        let last = format!("n{}", 2 * MEMBERS_MAX - 1);
        assert!(removals.names(&member(&last, 1)), "the newest is there");
    }
}
