//! Failures to be counted while replication is busy, and when it has stopped.

use std::net::IpAddr;
use std::task::{Context, Poll, Waker};

use castor_node::authn::throttle::Which;
use tokio::runtime::{Builder, Runtime};

use crate::util::cluster::Node;
use crate::util::operators::{Operators, Who};
use crate::util::{Cluster, Options};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

fn lost(node: &Node) -> f64 {
    let families = node.metrics.gather();
    let name = "castor_authn_failures_lost_total";
    let family = families.iter().find(|family| family.name() == name);
    family.unwrap().get_metric()[0].get_counter().get_value()
}

#[tokio::test]
async fn a_failure_that_finds_the_queue_full_is_counted() {
    let cluster = Cluster::one().await;
    let node = &cluster.nodes[0];
    let attempt = node.cas.throttle.admit("casuser", Some(HERE)).unwrap();
    // The event loop is a task of this thread: it takes nothing before the next await.
    let mut asked = Vec::new();
    loop {
        let mut ask = Box::pin(node.handle.status());
        match ask.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => asked.push(ask),
            Poll::Ready(answer) => {
                assert!(answer.is_err(), "{answer:?}");
                break;
            }
        }
    }
    attempt.failed().await;
    let failures = node.cas.throttle.counted(&Which::default());
    assert_eq!(failures.len(), 2, "{failures:?}");
    assert_eq!(lost(node), 0.0);
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// A node with two failures whose event loop has ended.
fn stopped() -> Cluster {
    let runtime = runtime();
    let cluster = runtime.block_on(async {
        let cluster = Cluster::start(1, Options::default()).await;
        let throttle = &cluster.nodes[0].cas.throttle;
        let attempt = throttle.admit("casuser", Some(HERE)).unwrap();
        attempt.failed().await;
        cluster
    });
    drop(runtime);
    cluster
}

#[test]
fn a_failure_that_cannot_be_counted_is_counted_as_lost() {
    let cluster = stopped();
    let node = &cluster.nodes[0];
    assert_eq!(lost(node), 0.0);
    runtime().block_on(async {
        let attempt = node.cas.throttle.admit("casuser", Some(HERE)).unwrap();
        attempt.failed().await;
    });
    assert_eq!(lost(node), 1.0);
}

#[test]
fn clearing_that_fails_is_on_record_with_the_number_done() {
    let cluster = stopped();
    runtime().block_on(async {
        let operators = Operators::of(&cluster.nodes[0]);
        let (code, answer) = operators.ask(Who::Socket, "DELETE", "/throttles", "").await;
        assert_eq!(code, 503, "{answer}");
    });
    let audit = cluster.audit(0);
    let event = audit
        .iter()
        .find(|event| event["action"] == "THROTTLES_CLEARED")
        .unwrap();
    let what = "all: 0 of 2 cleared: replication has stopped";
    assert_eq!(event["what"], what);
}
