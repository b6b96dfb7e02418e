//! Which definition counts, and how many are asked.

use super::*;
use crate::services::definition::Report;
use proptest::prelude::*;

fn service(id: i64, name: &str, order: i32, pattern: &str) -> RegisteredService {
    let text = serde_json::json!({
        "@class": "org.apereo.cas.services.CasRegisteredService",
        "id": id, "name": name, "evaluationOrder": order, "serviceId": pattern,
    });
    RegisteredService::read(&text.to_string(), &mut Report::default()).unwrap()
}

#[test]
fn first_match_wins_in_evaluation_order_then_name() {
    let registry = Registry::new(Snapshot::new(vec![
        service(1, "all", 100, ".*"),
        service(2, "b", 5, "https://a.edu/.*"),
        service(3, "a", 5, "https://a.edu/.*"),
    ]));
    assert_eq!(registry.find("https://a.edu/x").unwrap().id, 3);
    assert_eq!(registry.find("https://b.edu/x").unwrap().id, 1);
    registry.replace(Snapshot::new(vec![service(9, "z", 0, "x")]));
    assert!(registry.find("https://a.edu/x").is_none());
    assert_eq!(registry.by_id(9).unwrap().name, "z");
}

#[test]
fn an_undecidable_pattern_refuses_instead_of_falling_through() {
    let hard = r"(a|a)*(a|a)*(a|aa)*\1b";
    let text = format!("{}xb", "a".repeat(4000));
    let registry = Registry::new(Snapshot::new(vec![
        service(1, "hard", 0, hard),
        service(2, "all", 9, ".*"),
    ]));
    assert!(registry.find(&text).is_none());
    assert_eq!(registry.find("short").unwrap().id, 2);
}

#[test]
fn names_are_ordered_whatever_the_case_then_by_pattern() {
    let snapshot = Snapshot::new(vec![
        service(1, "beta", 5, "https://b.edu/.*"),
        service(2, "Alpha", 5, "https://b.edu/.*"),
        service(3, "alpha", 5, "https://a.edu/.*"),
        service(4, "z", -1, ".*"),
    ]);
    let ids: Vec<i64> = snapshot.iter().map(|s| s.id).collect();
    assert_eq!(ids, [4, 3, 2, 1]);
}

/// Definitions of the kinds that institutions have, `count` of them.
fn campus(count: i64) -> Snapshot {
    let pattern = |n: i64| match n % 6 {
        0 => format!(r"^https://app{n}\.example\.edu/.*"),
        1 => format!(r"^https?://(www\.)?app{n}\.example\.edu(:\d+)?(/.*)?$"),
        2 => format!(r"^https://portal\.example\.edu/app{n}(/.*)?$"),
        3 => format!(r"^https://([a-z0-9-]+\.)*app{n}\.example\.edu/.*"),
        4 => format!(r"^https://app{n}\.example\.edu/(?!public/).*"),
        _ => format!(r"\Qhttps://vendor.example/tenant/{n}/\E.*"),
    };
    let mut services: Vec<RegisteredService> = (0..count)
        .map(|n| service(n, &format!("App {n}"), 10, &pattern(n)))
        .collect();
    services.push(service(
        count,
        "Campus",
        9000,
        r"^https://([^/]+\.)?example\.edu/.*",
    ));
    Snapshot::new(services)
}

fn urls(count: i64) -> Vec<String> {
    let of = |n: i64| {
        [
            format!("https://app{n}.example.edu/x?y=1"),
            format!("https://www.APP{n}.example.edu:8443/"),
            format!("https://portal.example.edu/app{n}/start"),
            format!("https://vendor.example/tenant/{n}/home"),
        ]
    };
    let mut urls: Vec<String> = (0..12).flat_map(|n| of(n * count / 12)).collect();
    urls.push("https://unknown.example.edu/".to_owned());
    urls.push("https://elsewhere.org/".to_owned());
    urls
}

#[test]
fn a_thousand_definitions_are_not_tried_one_by_one() {
    for count in [10, 100, 1000] {
        let snapshot = campus(count);
        for url in urls(count) {
            let search = snapshot.search(&url);
            assert!(
                search.tried <= 3,
                "{url}: {} of {count} tried",
                search.tried
            );
            let first = snapshot.iter().find(|s| s.covers(&url) == Ok(true));
            assert_eq!(search.found.map(|s| s.id), first.map(|s| s.id), "{url}");
        }
    }
}

#[test]
fn hard_patterns_are_bounded_in_number() {
    let hard = |id: i64| service(id, "n", 0, &format!(r"https://(?!x{id}).*x{{0,{id}}}y$"));
    let snapshot = Snapshot::new((1..=400).map(hard).collect());
    let search = snapshot.search("https://a.edu/");
    assert!(search.found.is_none());
    assert!(search.tried <= BACKTRACKING_MAX + 1, "{}", search.tried);
}

proptest! {
    /// The index only leaves out what does not match.
    #[test]
    fn an_index_finds_what_trying_all_finds(
        patterns in prop::collection::vec(
            "(\\^?https?://)?(\\(\\?![ab]\\))?[ab.]{0,3}(\\(a\\|bé\\))?[a-bé]{0,3}(\\[a-c\\]\\+|\\.\\*|\\?)?(\\$|/.*)?",
            1..12,
        ),
        urls in prop::collection::vec("(https?://)?[a-cA-Cé]{0,6}/?[a-c]{0,3}", 1..12),
    ) {
        let mut services = Vec::new();
        for (id, pattern) in (0..).zip(&patterns) {
            let text = serde_json::json!({
                "@class": "org.apereo.cas.services.CasRegisteredService", "id": id, "name": "n",
                "serviceId": pattern, "matchingStrategy": {"@class": if id % 2 == 0 {
                    "org.apereo.cas.services.FullRegexRegisteredServiceMatchingStrategy"
                } else {
                    "org.apereo.cas.services.PartialRegexRegisteredServiceMatchingStrategy"
                }},
            });
            let report = &mut Report::default();
            services.extend(RegisteredService::read(&text.to_string(), report));
        }
        let snapshot = Snapshot::new(services);
        for url in &urls {
            let first = snapshot.iter().find(|s| s.covers(url) == Ok(true));
            let found = snapshot.search(url).found;
            prop_assert_eq!(found.map(|s| s.id), first.map(|s| s.id), "{}", url);
        }
    }
}
