//! What it costs to write an answer: the login page from its template, and a validation in each format.
//!
//! `cargo bench -p castor-node --bench rendering`

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::hint::black_box;

use castor_node::cas::outcome::{AuthenticationFacts, Outcome, Success};
use castor_node::cas::response::{json, plain, xml};
use castor_node::config::Config;
use castor_node::web::Look;
use castor_node::web::language::Wanted;
use castor_node::web::pages::{Failure, LoginPage, Page};
use criterion::{Criterion, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn login(failure: Option<Failure>) -> Page {
    Page::Login(Box::new(LoginPage {
        // As long as a sealed login flow.
        execution: "abcDEF0123456789".repeat(16),
        action: "login?service=https%3A%2F%2Fapp.example.org%2Flogin%2Fcas".into(),
        failure,
        username: "mlee7".into(),
        remember_me: true,
        ..LoginPage::default()
    }))
}

fn success() -> Outcome {
    let attribute = |at: u32| {
        (
            format!("attribute-{at}"),
            vec!["mlee7@example.org".to_owned()],
        )
    };
    Outcome::Success(Box::new(Success {
        user: "mlee7".into(),
        attributes: (0..10).map(attribute).collect(),
        facts: Some(AuthenticationFacts {
            date: "2026-11-20T17:30:00.123Z".into(),
            long_term: false,
            new_login: true,
        }),
        authenticated_at: "2026-11-20T17:30:00.123Z".into(),
        pgt_iou: None,
        proxies: Vec::new(),
    }))
}

fn rendering(criterion: &mut Criterion) {
    let web = Config::defaults().unwrap().web;
    let look = Look::build(&web, "/cas").unwrap();
    let wanted = Wanted {
        locale: None,
        accept_language: Some("de-CH,de;q=0.9,en;q=0.8"),
    };
    for (name, page) in [
        ("page/login", login(None)),
        ("page/login again", login(Some(Failure::Credentials))),
    ] {
        criterion.bench_function(name, |b| b.iter(|| look.render(black_box(&page), &wanted)));
    }
    let outcome = success();
    criterion.bench_function("validation/XML, ten attributes", |b| {
        b.iter(|| xml::write(black_box(&outcome)))
    });
    criterion.bench_function("validation/JSON, ten attributes", |b| {
        b.iter(|| json::write(black_box(&outcome), json::Single::List))
    });
    criterion.bench_function("validation/plain text", |b| {
        b.iter(|| plain::write(black_box(&outcome)))
    });
}

criterion_group!(benches, rendering);
criterion_main!(benches);
