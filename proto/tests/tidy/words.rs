//! Words that do not belong in a finished repository: marks of unfinished work, one machine's paths.

use crate::source::Repository;

/// Put together at compile time, so that this file does not find itself.
const UNFINISHED: [&str; 6] = [
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("TO", "DO"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("dbg", "!("),
];
const ONE_MACHINE: [&str; 4] = [
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/ro", "ot/"),
];

pub(crate) fn check(repository: &Repository) -> Vec<String> {
    let mut findings = Vec::new();
    for file in repository.files(|_| true) {
        for (index, line) in file.text.lines().enumerate() {
            let mut fault = |why: &str| {
                findings.push(format!("{}:{}: {why}", file.path, index + 1));
            };
            for word in UNFINISHED {
                if line.contains(word) {
                    fault(&format!("unfinished: {word}"));
                }
            }
            for word in ONE_MACHINE {
                if begins(line, word) {
                    fault(&format!("a path of one machine: {word}"));
                }
            }
            if line.contains("#[allow(") && !line.contains("reason") {
                fault("an exception is #[expect(lint, reason = \"…\")]");
            }
        }
    }
    findings
}

/// Whether an absolute path that starts so is in the line; `example.org/x/` holds none.
fn begins(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '}'))
    })
}

#[test]
fn a_path_in_an_address_is_not_one_of_a_machine() {
    let path = concat!("/ho", "me/");
    assert!(begins(&format!("see {path}me"), path) && begins(path, path));
    assert!(!begins(&format!("https://example.org{path}me"), path));
}
