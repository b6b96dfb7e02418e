//! Which definitions may cover a URL, without trying all of them.
//!
//! Every pattern but the widest has literals of which at least one must occur in a URL: a host name,
//! a path. One pass over the URL looks for the literals of all definitions at once, whatever the
//! case; only the owners of what was found are tried, and those without literals. For each
//! definition the literals are chosen that it shares with the fewest others, so that a thousand
//! definitions are as cheap as ten.

use std::collections::HashMap;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};

use super::definition::RegisteredService;

/// The literals of a set of definitions. Definitions are named by their position.
#[derive(Debug, Default)]
pub(super) struct Index {
    automaton: Option<AhoCorasick>,
    /// For each literal, who needs it.
    owners: Vec<Vec<u32>>,
    /// Those that have to be tried on every URL.
    always: Vec<u32>,
}

type Needles = Vec<Vec<u8>>;

impl Index {
    /// Looks at definitions in the order in which they are asked.
    pub(super) fn new(ordered: &[Arc<RegisteredService>]) -> Self {
        let sets: Vec<Vec<Needles>> = ordered.iter().map(|s| s.needles()).collect();
        let shared = sharing(&sets);
        let mut literals: HashMap<&[u8], Vec<u32>> = HashMap::new();
        let mut always = Vec::new();
        for (position, sets) in (0_u32..).zip(&sets) {
            match sets.iter().min_by_key(|set| cost(set, &shared)) {
                Some(set) => {
                    for literal in set {
                        literals.entry(literal).or_default().push(position);
                    }
                }
                None => always.push(position),
            }
        }
        let mut literals: Vec<(&[u8], Vec<u32>)> = literals.into_iter().collect();
        literals.sort_unstable();
        match automaton(literals.iter().map(|(literal, _)| *literal)) {
            Some(automaton) => Self {
                automaton: Some(automaton),
                owners: literals.into_iter().map(|(_, owners)| owners).collect(),
                always,
            },
            // Too many for one automaton: all are tried.
            None => Self {
                automaton: None,
                owners: Vec::new(),
                always: (0_u32..)
                    .zip(ordered)
                    .map(|(position, _)| position)
                    .collect(),
            },
        }
    }

    /// Positions of the definitions that may cover a URL, in order.
    pub(super) fn candidates(&self, url: &str) -> Vec<u32> {
        let mut found = self.always.clone();
        if let Some(automaton) = &self.automaton {
            for hit in automaton.find_overlapping_iter(url) {
                let owners = self.owners.get(hit.pattern().as_usize());
                found.extend(owners.into_iter().flatten());
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn automaton<'l>(literals: impl Iterator<Item = &'l [u8]>) -> Option<AhoCorasick> {
    AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        // A table of all transitions is a quarter faster and fourteen times as large.
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .build(literals)
        .ok()
}

/// In how many definitions each literal could be looked for.
fn sharing(sets: &[Vec<Needles>]) -> HashMap<&[u8], usize> {
    let mut shared: HashMap<&[u8], usize> = HashMap::new();
    for sets in sets {
        let mut own: Vec<&[u8]> = sets.iter().flatten().map(Vec::as_slice).collect();
        own.sort_unstable();
        own.dedup();
        for literal in own {
            *shared.entry(literal).or_default() += 1;
        }
    }
    shared
}

/// Lower is better: rarely shared, then long, then few.
fn cost(set: &Needles, shared: &HashMap<&[u8], usize>) -> (usize, std::cmp::Reverse<usize>, usize) {
    let times = |literal: &Vec<u8>| shared.get(literal.as_slice()).copied().unwrap_or(0);
    let most = set.iter().map(times).max().unwrap_or(0);
    let shortest = set.iter().map(Vec::len).min().unwrap_or(0);
    (most, std::cmp::Reverse(shortest), set.len())
}
