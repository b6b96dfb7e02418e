//! Lengths: a file is one subject, a function fits a screen.

use crate::source::{Hide, Repository, blank, line_of, words};

/// Production lines of a file: above the first a hint is printed, above the second the test fails.
const FILE_LINES_SOFT: usize = 400;
const FILE_LINES_HARD: usize = 700;
/// Lines of a file that holds tests only.
const TEST_FILE_LINES: usize = 1_000;
/// Lines between a function's braces.
const FUNCTION_LINES: usize = 70;
const TEST_FUNCTION_LINES: usize = 120;

pub(crate) fn check(repository: &Repository) -> Vec<String> {
    let mut findings = Vec::new();
    let mut functions_seen = 0;
    for file in repository.rust() {
        let production = file.is_production();
        let lines = file.production_text().lines().count();
        let limit = if production {
            FILE_LINES_HARD
        } else {
            TEST_FILE_LINES
        };
        if lines > limit {
            findings.push(format!("{}: {lines} lines, at most {limit}", file.path));
        } else if production && lines > FILE_LINES_SOFT {
            eprintln!(
                "{}: {lines} lines; would two subjects be clearer?",
                file.path
            );
        }
        let tests_from = if production { lines } else { 0 };
        for (name, line, length) in functions(&file.text) {
            functions_seen += 1;
            let limit = if line <= tests_from {
                FUNCTION_LINES
            } else {
                TEST_FUNCTION_LINES
            };
            if length > limit {
                findings.push(format!(
                    "{}:{line}: fn {name} has {length} lines, at most {limit}",
                    file.path
                ));
            }
        }
    }
    assert!(functions_seen > 0, "no function found");
    findings
}

/// Name, first line and body length of each function with a body.
fn functions(source: &str) -> Vec<(String, usize, usize)> {
    let code = blank(source, Hide::CommentsAndStrings);
    let mut found = Vec::new();
    let mut after_fn = false;
    for (offset, word) in words(&code) {
        if after_fn
            && !word.starts_with(|c: char| c.is_ascii_digit())
            && let Some((open, close)) = body(&code, offset + word.len())
        {
            let length = code[open..close].matches('\n').count().saturating_sub(1);
            found.push((word.to_owned(), line_of(&code, offset), length));
        }
        // A function pointer type, `fn(u8)`, has no name after it.
        let named = code[offset + word.len()..].starts_with(char::is_whitespace);
        after_fn = word == "fn" && named;
    }
    found
}

/// The offsets of a function's braces, given the end of its name.
fn body(code: &str, from: usize) -> Option<(usize, usize)> {
    let mut nesting = 0i32;
    let mut open = None;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match (byte, open) {
            (b'(' | b'[', None) => nesting += 1,
            (b')' | b']', None) => nesting -= 1,
            (b';', None) if nesting == 0 => return None,
            (b'{', None) if nesting == 0 => {
                open = Some(at);
                nesting = 1;
            }
            (b'{', Some(_)) => nesting += 1,
            (b'}', Some(start)) => {
                nesting -= 1;
                if nesting == 0 {
                    return Some((start, at));
                }
            }
            _ => {}
        }
    }
    None
}

#[test]
fn function_bodies_are_measured_between_their_braces() {
    let source = "trait T { fn none(&self) -> [u8; 3]; }\nfn one(f: fn(u8)) -> u8 {\n    {1}\n}\n";
    assert_eq!(functions(source), [("one".to_owned(), 2, 1)]);
    let long = format!("fn long() {{\n{}}}\n", "    call();\n".repeat(71));
    assert_eq!(functions(&long), [("long".to_owned(), 1, 71)]);
}
