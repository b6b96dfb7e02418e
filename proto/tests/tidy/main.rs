//! Keeps the whole repository in order: lengths, headers, modules, layers, links, names.
//!
//! Promises: every rule of docs/style.md that a machine can judge is judged here, a finding names
//! file and line, and no check passes because it found nothing to look at. Reads files only; needs
//! no network and no other program. Does not judge what clippy and rustfmt already do.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod docs;
mod layers;
mod lengths;
mod modules;
mod rooms;
mod source;
mod words;

use source::Repository;

/// Fails with one finding per line.
fn judge(rule: &str, findings: &[String]) {
    assert!(
        findings.is_empty(),
        "{rule}: {} findings\n{}",
        findings.len(),
        findings.join("\n")
    );
}

#[test]
fn files_and_functions_stay_short() {
    let repository = Repository::open();
    judge("length", &lengths::check(&repository));
}

#[test]
fn every_file_says_what_it_is_for() {
    let repository = Repository::open();
    judge("header", &modules::headers(&repository));
}

#[test]
fn every_file_is_a_module_of_its_crate() {
    let repository = Repository::open();
    judge("modules", &modules::reachable(&repository));
}

#[test]
fn crates_depend_only_downwards() {
    let repository = Repository::open();
    judge("layers", &layers::check(&repository));
}

#[test]
fn rooms_of_the_node_import_only_downwards() {
    let repository = Repository::open();
    judge("rooms", &rooms::check(&repository));
}

#[test]
fn nothing_unfinished_or_of_one_machine_is_kept() {
    let repository = Repository::open();
    judge("words", &words::check(&repository));
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    let repository = Repository::open();
    judge("links", &docs::links(&repository));
}

#[test]
fn every_page_of_the_documents_is_linked() {
    let repository = Repository::open();
    judge("orphan pages", &docs::orphans(&repository));
}

#[test]
fn decisions_say_what_was_rejected() {
    let repository = Repository::open();
    judge("decisions", &docs::decisions(&repository));
}

#[test]
fn metrics_of_the_code_and_of_the_reference_are_the_same() {
    let repository = Repository::open();
    judge("metrics", &docs::metrics(&repository));
}
