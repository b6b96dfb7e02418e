//! Sign-ins after too many failures: 423 on every node, for the form and for REST.

use crate::util::{Answer, Browser, Cluster, Options};

const HERE: &str = "192.0.2.7:50000";
const ELSEWHERE: &str = "192.0.2.8:50000";

async fn cluster(set: &[(&'static str, &'static str)]) -> Cluster {
    let mut options = Options {
        set: vec![("http.rest", "true")],
        ..Options::default()
    };
    options.set.extend(set);
    Cluster::start(3, options).await
}

async fn try_in(cluster: &Cluster, node: usize, from: &str, name: &str, password: &str) -> Answer {
    let router = &cluster.nodes[node].router;
    let mut browser = Browser::from(from);
    let execution = browser.get(router, "/cas/login").await.execution();
    let fields = [
        ("username", name),
        ("password", password),
        ("execution", execution.as_str()),
        ("_eventId", "submit"),
    ];
    browser.post(router, "/cas/login", &fields).await
}

async fn by_rest(cluster: &Cluster, node: usize, path: &str, from: &str, password: &str) -> Answer {
    let fields = [("username", "casuser"), ("password", password)];
    Browser::from(from)
        .post(&cluster.nodes[node].router, path, &fields)
        .await
}

/// Waits until a node has heard of so many failures, of users and addresses together.
async fn heard(cluster: &Cluster, node: usize, failures: u64) {
    let counted = || {
        let all = cluster.nodes[node].handle.store().failures().all(0);
        all.values().map(|tally| tally.failures).sum::<u64>()
    };
    cluster
        .until("failures are heard of", || counted() == failures)
        .await;
}

fn alert(answer: &Answer) -> &str {
    let (_, rest) = answer.body.split_once("role=\"alert\"").unwrap();
    rest.split("</div>").next().unwrap()
}

#[tokio::test]
async fn wrong_passwords_at_different_nodes_add_up_to_423_everywhere() {
    let cluster = cluster(&[("authn.throttle.user_failures", "3")]).await;
    for node in 0..3 {
        let answer = try_in(&cluster, node, HERE, "casuser", "wrong").await;
        assert_eq!(answer.status, 401, "node {node}");
        assert_eq!(answer.header("retry-after"), "");
    }
    let mut texts = Vec::new();
    for node in 0..3 {
        heard(&cluster, node, 6).await;
        for password in ["wrong", "Mellon"] {
            let answer = try_in(&cluster, node, HERE, "casuser", password).await;
            assert_eq!(answer.status, 423, "node {node}: also the right password");
            assert!(answer.tgc().is_none());
            let wait: u64 = answer.header("retry-after").parse().unwrap();
            assert!((1..=5).contains(&wait), "{wait}");
            assert!(alert(&answer).contains("wait"), "{answer:?}");
            texts.push(alert(&answer).replace(&format!("{wait} s"), "some time"));
        }
        let rest = by_rest(&cluster, node, "/cas/v1/tickets", HERE, "Mellon").await;
        assert_eq!(rest.status, 423);
        let rest = by_rest(&cluster, node, "/cas/v1/users", HERE, "Mellon").await;
        assert_eq!(rest.status, 423);
        assert!(!rest.header("retry-after").is_empty());
    }
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{texts:?}");
    let (elsewhere, other) = (
        try_in(&cluster, 1, ELSEWHERE, "casuser", "Mellon").await,
        try_in(&cluster, 1, HERE, "professor", "Chair").await,
    );
    assert_eq!(
        (elsewhere.status, other.status),
        (200.try_into().unwrap(), 200.try_into().unwrap())
    );
    let audit = cluster.audit(0);
    let throttled: Vec<_> = audit
        .iter()
        .filter(|event| event["action"] == "THROTTLED_LOGIN_ATTEMPT")
        .collect();
    assert_eq!(throttled.len(), 4);
    assert_eq!(throttled[0]["who"], "casuser");
    assert_eq!(throttled[0]["clientIpAddress"], "192.0.2.7");
    assert!(
        throttled[0]["what"]
            .as_str()
            .unwrap()
            .starts_with("by user")
    );
}

#[tokio::test]
async fn a_name_that_nobody_has_is_refused_in_the_same_words() {
    let cluster = cluster(&[("authn.throttle.user_failures", "2")]).await;
    let mut texts = Vec::new();
    for name in ["casuser", "nobody"] {
        for _ in 0..2 {
            let answer = try_in(&cluster, 0, HERE, name, "wrong").await;
            assert_eq!(answer.status, 401);
        }
        let answer = try_in(&cluster, 0, HERE, name, "wrong").await;
        assert_eq!(answer.status, 423);
        texts.push(alert(&answer).to_owned());
    }
    assert_eq!(texts[0], texts[1]);
}

#[tokio::test]
async fn an_address_that_tries_many_names_is_refused_for_all_of_them() {
    let cluster = cluster(&[("authn.throttle.address_failures", "4")]).await;
    for (node, name) in ["a", "b", "c", "d"].iter().enumerate() {
        let answer = by_form_or_rest(&cluster, node % 3, name).await;
        assert_eq!(answer.status, 401, "{name}");
    }
    for node in 0..3 {
        heard(&cluster, node, 8).await;
        let answer = try_in(&cluster, node, HERE, "casuser", "Mellon").await;
        assert_eq!(answer.status, 423, "node {node}");
    }
    let answer = try_in(&cluster, 0, ELSEWHERE, "casuser", "Mellon").await;
    assert_eq!(answer.status, 200);
}

async fn by_form_or_rest(cluster: &Cluster, node: usize, name: &str) -> Answer {
    if node == 1 {
        let fields = [("username", name), ("password", "wrong")];
        let router = &cluster.nodes[node].router;
        return Browser::from(HERE)
            .post(router, "/cas/v1/tickets", &fields)
            .await;
    }
    try_in(cluster, node, HERE, name, "wrong").await
}

#[tokio::test]
async fn a_success_makes_the_failures_before_it_forgotten_everywhere() {
    let cluster = cluster(&[("authn.throttle.user_failures", "3")]).await;
    for node in 0..2 {
        try_in(&cluster, node, HERE, "casuser", "wrong").await;
    }
    heard(&cluster, 2, 4).await;
    assert_eq!(
        try_in(&cluster, 2, HERE, "casuser", "Mellon").await.status,
        200
    );
    // Those of the address alone still count.
    heard(&cluster, 0, 2).await;
    for _ in 0..2 {
        let answer = try_in(&cluster, 0, HERE, "casuser", "wrong").await;
        assert_eq!(answer.status, 401);
    }
    assert_eq!(
        try_in(&cluster, 0, HERE, "casuser", "Mellon").await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_attempts_at_once_are_no_way_around() {
    let cluster = cluster(&[("authn.throttle.user_failures", "3")]).await;
    let judged = judged_of_thirty_at_once(&cluster, |_| "casuser".to_owned()).await;
    assert!((1..=3).contains(&judged), "{judged} were judged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_names_at_once_from_one_address_are_no_way_around() {
    let cluster = cluster(&[("authn.throttle.address_failures", "3")]).await;
    let judged = judged_of_thirty_at_once(&cluster, |number| format!("name{number}")).await;
    assert!((1..=3).contains(&judged), "{judged} were judged");
}

/// Tries wrong passwords from one address, all at once; how many of them were looked at.
async fn judged_of_thirty_at_once(cluster: &Cluster, name: impl Fn(u32) -> String) -> usize {
    let mut attempts = tokio::task::JoinSet::new();
    for number in 0..30 {
        let router = cluster.nodes[0].router.clone();
        let name = name(number);
        attempts.spawn(async move {
            let fields = [("username", name.as_str()), ("password", "wrong")];
            let mut client = Browser::from(HERE);
            client.post(&router, "/cas/v1/users", &fields).await
        });
    }
    let answers = attempts.join_all().await;
    let with = |status: u16| answers.iter().filter(|a| a.status == status).count();
    assert_eq!(with(401) + with(423), 30);
    with(401)
}

#[tokio::test]
async fn the_page_says_it_in_german_too() {
    let cluster = cluster(&[("authn.throttle.user_failures", "1")]).await;
    try_in(&cluster, 0, HERE, "casuser", "wrong").await;
    let router = &cluster.nodes[0].router;
    let mut browser = Browser::from(HERE).with("Accept-Language", "de");
    let execution = browser.get(router, "/cas/login").await.execution();
    let fields = [
        ("username", "casuser"),
        ("password", "Mellon"),
        ("execution", execution.as_str()),
    ];
    let answer = browser.post(router, "/cas/login", &fields).await;
    assert_eq!(answer.status, 423);
    let text = alert(&answer);
    assert!(
        text.contains("Bitte warten Sie") && !text.contains("{wait}"),
        "{text}"
    );
    assert!(
        !answer.execution().is_empty(),
        "the form is there for the next attempt"
    );
}

#[tokio::test]
async fn switched_off_nobody_is_refused() {
    let cluster = cluster(&[
        ("authn.throttle.enabled", "false"),
        ("authn.throttle.user_failures", "1"),
    ])
    .await;
    for _ in 0..4 {
        assert_eq!(
            try_in(&cluster, 0, HERE, "casuser", "wrong").await.status,
            401
        );
    }
    assert_eq!(
        try_in(&cluster, 0, HERE, "casuser", "Mellon").await.status,
        200
    );
}
