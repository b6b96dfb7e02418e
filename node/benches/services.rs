//! What it costs to find the definition of a URL, with ten definitions and with a thousand.
//!
//! `cargo bench -p castor-node --bench services -- [DEFINITIONS]` (default 1,000). Both sets are
//! measured in turns, so that whatever else the machine does meets both; a line says the median of the
//! rounds for each kind of URL. Exits 1 when a set costs more than twice as much as ten definitions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::hint::black_box;

use castor_node::clock;
use castor_node::services::definition::{RegisteredService, Report};
use castor_node::services::registry::Snapshot;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds of which the median counts.
const ROUNDS: usize = 41;
/// Searches in a round.
const SEARCHES: usize = 2_000;
/// How much more many definitions may cost.
const MOST: f64 = 2.0;

/// One definition of the kinds that institutions have.
fn definition(id: u64, order: u64, pattern: &str) -> RegisteredService {
    let text = serde_json::json!({
        "@class": "org.apereo.cas.services.CasRegisteredService",
        "id": id, "name": format!("Application {id}"), "evaluationOrder": order,
        "serviceId": pattern,
    });
    RegisteredService::read(&text.to_string(), &mut Report::default()).unwrap()
}

fn pattern(n: u64) -> String {
    match n % 5 {
        0 => format!(r"^https://app{n}\.example\.edu/.*"),
        1 => format!(r"^https?://(www\.)?app{n}\.example\.edu(:\d+)?(/.*)?$"),
        2 => format!(r"^https://portal\.example\.edu/app{n}(/.*)?$"),
        3 => format!(r"^https://([a-z0-9-]+\.)*app{n}\.example\.edu/.*"),
        _ => format!(r"^https://app{n}\.example\.edu/(?!public/).*"),
    }
}

fn set(count: u64) -> (Snapshot, f64) {
    let mut services: Vec<RegisteredService> = (0..count - 1)
        .map(|n| definition(n, 10, &pattern(n)))
        .collect();
    let all = r"^https://([^/]+\.)?example\.edu(:\d+)?/.*";
    services.push(definition(count, 9000, all));
    let began = clock::monotonic();
    let snapshot = Snapshot::new(services);
    (snapshot, began.elapsed().as_secs_f64() * 1e3)
}

/// URLs of a kind, spread over a set.
fn urls(kind: &str, count: u64) -> Vec<String> {
    let of = |n: u64| match kind {
        "one of the definitions" => match n % 5 {
            2 => format!("https://portal.example.edu/app{n}/start?lang=en"),
            _ => format!("https://app{n}.example.edu/start?lang=en&x=y"),
        },
        "the last, for all" => format!("https://host{n}.example.edu/start?lang=en"),
        _ => format!("https://host{n}.elsewhere.org/start?lang=en"),
    };
    // Every kind of pattern equally often, in every set.
    let rounds = (count - 1) / 5;
    (0..50)
        .map(|at| of(at * rounds / 50 * 5 + at % 5))
        .collect()
}

/// Nanoseconds of one search.
fn round(snapshot: &Snapshot, urls: &[String]) -> f64 {
    let began = clock::monotonic();
    for at in 0..SEARCHES {
        black_box(snapshot.search(black_box(&urls[at % urls.len()])).found);
    }
    began.elapsed().as_secs_f64() * 1e9 / SEARCHES as f64
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn main() {
    let mut number = std::env::args().filter_map(|arg| arg.parse::<u64>().ok());
    let many = number.next().unwrap_or(1000).max(20);
    let ((small, _), (large, built)) = (set(10), set(many));
    println!("{many} definitions: index built in {built:.1} ms");
    let mut worst: f64 = 0.0;
    for kind in ["one of the definitions", "the last, for all", "none"] {
        let (few, lots) = (urls(kind, 10), urls(kind, many));
        let tried = lots.iter().map(|url| large.search(url).tried).max();
        let (mut of_few, mut of_lots) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            of_few.push(round(&small, &few));
            of_lots.push(round(&large, &lots));
        }
        let (of_few, of_lots) = (median(of_few), median(of_lots));
        let ratio = of_lots / of_few;
        worst = worst.max(ratio);
        println!(
            "{kind}: 10 definitions {of_few:.0} ns, {many} definitions {of_lots:.0} ns, \
             ratio {ratio:.2}, at most {} tried",
            tried.unwrap_or(0)
        );
    }
    if worst > MOST {
        println!("more than {MOST} times as much");
        std::process::exit(1);
    }
}
