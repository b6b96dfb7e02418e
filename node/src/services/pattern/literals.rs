//! What a text must contain to be covered by a pattern.
//!
//! A search over many patterns at once looks for these first. Each set is necessary by itself: the
//! caller chooses the one that it shares with the fewest other patterns. A pattern without any, such
//! as `.*`, has to be tried on every text.

use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Hir, HirKind};

/// Most places of a pattern at which literals are looked for.
const PLACES_MAX: usize = 16;
/// Most parts of a pattern that make up one literal.
const PARTS_MAX: usize = 8;
/// Most literals of a set.
const SET_MAX: usize = 32;
/// Longest literal; more tells no more.
const LITERAL_MAX: usize = 64;
/// Shorter ones are in every URL.
const LITERAL_MIN: usize = 2;

/// Finds the sets; the pattern is in the syntax of the linear engine.
pub(super) fn needles(pattern: &str) -> Vec<Vec<Vec<u8>>> {
    let Ok(hir) = regex_syntax::parse(pattern) else {
        return Vec::new();
    };
    let mut parts = Vec::new();
    flatten(&hir, &mut parts);
    let mut extractor = Extractor::new();
    extractor
        .kind(ExtractKind::Prefix)
        .limit_class(8)
        .limit_repeat(4)
        .limit_literal_len(LITERAL_MAX)
        .limit_total(SET_MAX);
    let places = parts.iter().enumerate().filter(|(_, part)| {
        // Elsewhere nothing begins that a literal further on would not say as well.
        matches!(part.kind(), HirKind::Literal(_) | HirKind::Alternation(_))
    });
    places
        .take(PLACES_MAX)
        .filter_map(|(at, _)| {
            let rest = parts.get(at..)?.iter().take(PARTS_MAX);
            let found = extractor.extract(&Hir::concat(rest.map(|part| (*part).clone()).collect()));
            set(found.literals()?.iter().map(|literal| literal.as_bytes()))
        })
        .collect()
}

/// What must follow each other in a match, without the groups around it.
fn flatten<'h>(hir: &'h Hir, parts: &mut Vec<&'h Hir>) {
    match hir.kind() {
        HirKind::Concat(inner) => inner.iter().for_each(|part| flatten(part, parts)),
        HirKind::Capture(group) => flatten(&group.sub, parts),
        _ => parts.push(hir),
    }
}

/// A usable set: only ASCII folds in the same way here and in the search. `None` when one literal
/// says nothing, because then the set says nothing.
fn set<'l>(literals: impl Iterator<Item = &'l [u8]>) -> Option<Vec<Vec<u8>>> {
    let mut set: Vec<Vec<u8>> = literals
        .map(|literal| {
            let ascii = literal.iter().take_while(|byte| byte.is_ascii());
            ascii.map(u8::to_ascii_lowercase).collect()
        })
        .collect();
    set.sort_unstable_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    let mut kept: Vec<Vec<u8>> = Vec::with_capacity(set.len());
    for literal in set {
        // Where the longer one occurs, so does the shorter one.
        if !kept.iter().any(|shorter| contains(&literal, shorter)) {
            kept.push(literal);
        }
    }
    let useful = !kept.is_empty() && kept.iter().all(|literal| literal.len() >= LITERAL_MIN);
    useful.then_some(kept)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(pattern: &str, set: &[&str]) -> bool {
        let wanted: Vec<Vec<u8>> = set.iter().map(|l| l.as_bytes().to_vec()).collect();
        needles(pattern).contains(&wanted)
    }

    #[test]
    fn hosts_are_found_wherever_they_stand() {
        assert!(has(
            r"^https?://App1\.example\.edu/.*",
            &["http://app1.example.edu/", "https://app1.example.edu/"]
        ));
        assert!(has(
            r"^https://([a-z0-9-]+\.)*dept7\.example\.edu(:[0-9]+)?(/.*)?$",
            &["dept7.example.edu"]
        ));
        assert!(has(r".*/(one|two)\.php", &["/one.php", "/two.php"]));
        assert!(has(
            r"^(https://(a\.b|c\.d)/.*)$",
            &["https://a.b/", "https://c.d/"]
        ));
        assert!(needles(".*").is_empty());
        assert!(needles("[^a]+").is_empty());
        assert!(needles("(").is_empty());
    }

    #[test]
    fn what_folds_beyond_ascii_is_cut() {
        assert!(has("abcé", &["abc"]));
        assert!(needles("éa").is_empty());
    }
}
