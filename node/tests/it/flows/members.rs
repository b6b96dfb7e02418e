//! An operator removes a node that is gone for good.

use castor_replication::driver::NetEvent;
use castor_replication::engine::GossipMember;
use serde_json::Value;

use crate::util::Cluster;
use crate::util::operators::{Operators, Who};

const REMOVE: &str = "/admin/v1/members/remove";

async fn remove(cluster: &Cluster, at: usize, form: &str) -> (u16, Value) {
    let operators = Operators::of(&cluster.nodes[at]);
    let (code, text) = operators.ask_at(Who::Socket, "POST", REMOVE, form).await;
    (code, serde_json::from_str(&text).unwrap_or_default())
}

async fn knows(cluster: &Cluster, at: usize, of: usize) -> bool {
    let status = cluster.nodes[at].handle.status().await.unwrap();
    let name = &cluster.nodes[of].member.node;
    status.peers.iter().any(|peer| peer.node == *name)
}

/// The last of three nodes is gone, and the others have noticed.
async fn without_the_last() -> Cluster {
    let cluster = Cluster::three().await;
    let gone = cluster.nodes[2].member.clone();
    cluster.net.leave(&gone);
    for node in 0..2 {
        let alive = GossipMember {
            member: cluster.nodes[1 - node].member.clone(),
            alive: true,
        };
        let dead = GossipMember {
            member: gone.clone(),
            alive: false,
        };
        let picture = NetEvent::Gossip(vec![alive, dead]);
        cluster.nodes[node].inject.send(picture).await.unwrap();
    }
    cluster
}

#[tokio::test]
async fn a_node_that_is_gone_is_removed_from_all_and_the_record_says_by_whom() {
    let cluster = without_the_last().await;
    let mut answer = (0, Value::Null);
    for _ in 0..2_000 {
        answer = remove(&cluster, 0, "node=n3").await;
        if answer.0 != 409 {
            break;
        }
        tokio::task::yield_now().await;
    }
    let (code, answer) = answer;
    let incarnation = cluster.nodes[2].member.incarnation.to_string();
    assert_eq!((code, &answer["removed"]), (200, &"n3".into()), "{answer}");
    assert_eq!(answer["incarnation"], incarnation);
    assert!(!knows(&cluster, 0, 2).await);
    for _ in 0..2_000 {
        if !knows(&cluster, 1, 2).await {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(!knows(&cluster, 1, 2).await, "the other node was told");
    assert!(knows(&cluster, 0, 1).await && knows(&cluster, 1, 0).await);

    let (code, _) = remove(&cluster, 0, "node=n3").await;
    assert_eq!(code, 404, "it is not known any more");
    let record = cluster.audit(0);
    let removals: Vec<&Value> = record
        .iter()
        .filter(|line| line["action"] == "NODE_REMOVED")
        .collect();
    assert_eq!(removals.len(), 1, "once, and no refusal: {record:?}");
    assert_eq!(
        removals[0]["what"],
        format!("n3, incarnation {incarnation}")
    );
    assert!(removals[0]["who"].as_str().unwrap().starts_with("uid 0"));
    assert!(!cluster.actions(1).contains(&"NODE_REMOVED".to_owned()));
}

#[tokio::test]
async fn what_is_there_or_unknown_or_no_name_is_refused() {
    let cluster = Cluster::three().await;
    for (form, code, says) in [
        ("node=n2", 409, "n2 is there"),
        ("node=n1", 409, "n1 is this node"),
        ("node=n7", 404, "no node n7 is known"),
        ("node=N%2F1", 400, "not the name of a node"),
    ] {
        let (found, answer) = remove(&cluster, 0, form).await;
        assert_eq!(found, code, "{form}: {answer}");
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains(says), "{form}: {error}");
    }
    for form in ["node=n2&force=true", "name=n2"] {
        let (code, _) = remove(&cluster, 0, form).await;
        assert_eq!(code, 422, "{form}");
    }
    let operators = Operators::of(&cluster.nodes[0]);
    for (who, code) in [(Who::Closed, 403), (Who::Local, 401)] {
        let (found, _) = operators.ask_at(who, "POST", REMOVE, "node=n2").await;
        assert_eq!(found, code, "{who:?}");
    }
    assert!(knows(&cluster, 0, 1).await && knows(&cluster, 0, 2).await);
    assert!(!cluster.actions(0).contains(&"NODE_REMOVED".to_owned()));
}
