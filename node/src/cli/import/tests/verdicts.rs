//! What becomes of single properties.

use super::super::judge::{Import, import};
use super::super::*;
use super::cases::CASES;
use super::loaded;

fn one(line: &str) -> (Import, Outcome) {
    let import = import(line).unwrap_or_else(|error| panic!("{line}: {error:?}"));
    let outcome = import.outcomes[0].clone();
    (import, outcome)
}

#[test]
fn each_property_has_its_verdict() {
    for (line, expected, security, note) in CASES {
        let (import, outcome) = one(line);
        assert_eq!(verdict(&outcome), *expected, "{line}: {}", outcome.note);
        assert_eq!(outcome.matters(), *security, "{line}");
        assert!(outcome.note.contains(note), "{line}: {}", outcome.note);
        loaded(&import.toml("cas.properties"));
        let shown = format!("{}{}", as_text(&import), as_json(&import, ""));
        assert!(
            !shown.contains("s3cret") && !shown.contains("changeit"),
            "{shown}"
        );
    }
}

#[test]
fn every_rule_is_reached_by_its_own_name() {
    for (at, (name, _)) in rules::RULES.iter().enumerate() {
        let name = properties::canonical(name).replace(".*", ".some[0].thing");
        let found = rules::rule(&name).map(|(at, _)| at);
        assert_eq!(found, Some(at), "{name}");
    }
}
