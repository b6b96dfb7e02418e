//! The throttle itself, on the replica of a real node.

use std::net::IpAddr;
use std::sync::Barrier;
use std::thread;

use castor_node::authn::Throttle;
use castor_node::authn::throttle::{By, Which};

use crate::util::{Cluster, Options};

async fn cluster(set: &[(&'static str, &'static str)]) -> Cluster {
    let options = Options {
        set: set.to_vec(),
        ..Options::default()
    };
    Cluster::start(1, options).await
}

fn throttle_of(cluster: &Cluster) -> Throttle {
    cluster.nodes[0].cas.throttle.clone()
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

async fn fail(throttle: &Throttle, user: &str, from: &str, times: usize) {
    for _ in 0..times {
        throttle.admit(user, ip(from)).unwrap().failed().await;
    }
}

fn by(throttle: &Throttle, user: &str, from: &str) -> Option<By> {
    let refused = throttle.admit(user, ip(from)).err();
    refused.map(|throttled| throttled.by)
}

#[tokio::test]
async fn a_user_from_an_address_is_refused_and_others_are_not() {
    let cluster = cluster(&[("authn.throttle.user_failures", "3")]).await;
    let throttle = throttle_of(&cluster);
    fail(&throttle, "casuser", "192.0.2.7", 2).await;
    fail(&throttle, " CASUSER", "192.0.2.7", 1).await;
    let refused = throttle.admit("casuser", ip("192.0.2.7")).unwrap_err();
    assert_eq!(refused.by, By::User);
    assert!((1..=5).contains(&refused.seconds), "{refused:?}");
    for (user, from) in [("CasUser", "192.0.2.7"), ("casuser", "::ffff:192.0.2.7")] {
        assert_eq!(by(&throttle, user, from), Some(By::User), "{user} {from}");
    }
    for (user, from) in [("joe", "192.0.2.7"), ("casuser", "192.0.2.8")] {
        assert_eq!(by(&throttle, user, from), None, "{user} {from}");
    }
    assert!(throttle.admit("casuser", None).is_ok());
}

#[tokio::test]
async fn an_address_alone_is_refused_unless_it_is_shared() {
    let set = [
        ("authn.throttle.address_failures", "4"),
        ("authn.throttle.shared_addresses", "198.51.100.0/24"),
    ];
    let cluster = cluster(&set).await;
    let throttle = throttle_of(&cluster);
    for user in ["a", "b", "c", "d"] {
        fail(&throttle, user, "192.0.2.7", 1).await;
        fail(&throttle, user, "198.51.100.9", 1).await;
        let host = format!("2001:db8:1:2::{user}");
        fail(&throttle, user, &host, 1).await;
    }
    assert_eq!(by(&throttle, "e", "192.0.2.7"), Some(By::Address));
    assert_eq!(
        by(&throttle, "e", "2001:db8:1:2:ffff::1"),
        Some(By::Address)
    );
    assert_eq!(by(&throttle, "e", "2001:db8:1:3::1"), None);
    assert_eq!(by(&throttle, "e", "198.51.100.9"), None);
}

#[tokio::test]
async fn a_success_forgives_the_user_and_not_the_address() {
    let cluster = cluster(&[("authn.throttle.address_failures", "4")]).await;
    let throttle = throttle_of(&cluster);
    fail(&throttle, "a", "192.0.2.7", 3).await;
    throttle
        .admit("a", ip("192.0.2.7"))
        .unwrap()
        .accepted()
        .await;
    fail(&throttle, "a", "192.0.2.7", 1).await;
    assert_eq!(by(&throttle, "a", "192.0.2.7"), Some(By::Address));
}

#[tokio::test]
async fn no_more_go_on_at_once_than_may_fail() {
    let cluster = cluster(&[("authn.throttle.user_failures", "3")]).await;
    let throttle = throttle_of(&cluster);
    let admit = || throttle.admit("casuser", ip("192.0.2.7"));
    let under_way = [admit(), admit(), admit()].map(Result::unwrap);
    assert_eq!(admit().unwrap_err().by, By::User);
    assert!(throttle.admit("joe", ip("192.0.2.7")).is_ok());
    let [first, second, third] = under_way;
    first.failed().await;
    assert!(admit().is_err(), "two are under way and one has failed");
    drop(second);
    drop(third);
    assert!(admit().is_ok());
}

#[tokio::test]
async fn threads_that_ask_at_one_moment_share_the_last_places() {
    let cluster = cluster(&[("authn.throttle.user_failures", "3")]).await;
    let throttle = throttle_of(&cluster);
    for round in 0..500 {
        let start = Barrier::new(8);
        let ask = || {
            start.wait();
            throttle.admit("casuser", ip("192.0.2.7"))
        };
        let attempts: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            let attempts = threads.into_iter().map(|thread| thread.join().unwrap());
            attempts.collect()
        });
        let admitted = attempts.iter().filter(|attempt| attempt.is_ok()).count();
        assert_eq!(admitted, 3, "round {round}");
    }
}

#[tokio::test]
async fn no_more_go_on_at_once_from_an_address_than_may_fail() {
    let set = [
        ("authn.throttle.address_failures", "3"),
        ("authn.throttle.first_delay", "1s"),
        ("authn.throttle.shared_addresses", "198.51.100.0/24"),
    ];
    let cluster = cluster(&set).await;
    let throttle = throttle_of(&cluster);
    let admit = |user| throttle.admit(user, ip("192.0.2.7"));
    let under_way = ["a", "b", "c"].map(|user| admit(user).unwrap());
    assert_eq!(admit("d").unwrap_err().by, By::Address);
    assert!(throttle.admit("d", ip("192.0.2.8")).is_ok());
    let shared = ["a", "b", "c", "d"].map(|user| throttle.admit(user, ip("198.51.100.9")));
    assert!(shared.iter().all(Result::is_ok));
    for attempt in under_way {
        attempt.failed().await;
    }
    cluster
        .until("the pause is over", || admit("d").is_ok())
        .await;
    let one = admit("d").unwrap();
    assert_eq!(
        admit("e").unwrap_err().by,
        By::Address,
        "after a pause one at a time"
    );
    drop(one);
    assert!(admit("e").is_ok());
}

#[tokio::test]
async fn an_operator_sees_names_that_are_known_and_clears() {
    let cluster = cluster(&[("authn.throttle.user_failures", "2")]).await;
    let throttle = throttle_of(&cluster);
    fail(&throttle, "casuser", "192.0.2.7", 2).await;
    fail(&throttle, "a-password-typed-here", "192.0.2.7", 1).await;
    let which = |user: Option<&str>, address: Option<&str>, refusing| Which {
        user: user.map(str::to_owned),
        address: address.map(str::to_owned),
        refusing,
        ..Which::default()
    };
    let all = throttle.counted(&Which::default());
    let seen: Vec<_> = all
        .iter()
        .map(|c| (c.by, c.user.as_deref(), c.address.as_str(), c.failures))
        .collect();
    for expected in [
        (By::User, Some("casuser"), "192.0.2.7", 2),
        (By::User, None, "192.0.2.7", 1),
        (By::Address, None, "192.0.2.7", 3),
    ] {
        assert!(seen.contains(&expected), "{seen:?}");
    }
    assert_eq!(seen.len(), 3);
    assert!(!format!("{all:?}").contains("typed"));
    let typed = throttle.counted(&which(Some("a-password-typed-here"), None, false));
    assert_eq!(typed.len(), 1, "who asks for a name knows it");
    assert!(
        throttle
            .counted(&which(None, Some("192.0.2.8"), false))
            .is_empty()
    );
    assert_eq!(
        throttle
            .counted(&which(None, Some("::ffff:192.0.2.7"), false))
            .len(),
        3
    );
    let refused = throttle.counted(&which(None, None, true));
    assert_eq!(refused.len(), 1);
    assert!(refused[0].until.is_some());
    let by_handle = throttle.counted(&Which {
        handle: Some(refused[0].handle.clone()),
        ..Which::default()
    });
    assert_eq!(by_handle, refused);

    throttle.clear(&refused).await.unwrap();
    assert_eq!(by(&throttle, "casuser", "192.0.2.7"), None);
    let left = throttle.counted(&Which::default());
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|c| c.user.is_none()));
    // No counter has a name, whatever was typed.
    let counters = cluster.nodes[0].handle.store().failures().counters();
    assert!(!counters.is_empty() && !format!("{counters:?}").contains("typed"));
}

#[tokio::test]
async fn switched_off_it_counts_nothing() {
    let set = [
        ("authn.throttle.enabled", "false"),
        ("authn.throttle.user_failures", "1"),
    ];
    let cluster = cluster(&set).await;
    let throttle = throttle_of(&cluster);
    fail(&throttle, "casuser", "192.0.2.7", 9).await;
    assert!(cluster.nodes[0].handle.store().failures().is_empty());
}
