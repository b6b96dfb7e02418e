//! Sessions and other tickets: found, shown without secrets, ended everywhere.

use castor_proto::ticket::{Payload, Pgt, Principal, TicketKind};
use castor_replication::engine::NewReusable;
use serde_json::Value;

use crate::util::cluster::Node;
use crate::util::operators::Operators;
use crate::util::{Browser, Cluster};

const PORTAL: &str = "/cas/login?service=https://portal.example.edu/%3Fa=1";

/// The sessions of a node that nobody has ended.
fn live(node: &Node) -> usize {
    let mut live = 0;
    node.handle.store().visit(TicketKind::Tgt, &mut |entry| {
        live += usize::from(entry.destroyed.is_none());
        true
    });
    live
}

#[tokio::test]
async fn a_session_is_shown_as_apereo_does_but_for_its_id_and_values() {
    let cluster = Cluster::one().await;
    let node = &cluster.nodes[0];
    let mut browser = Browser::new();
    let ticket = browser
        .sign_in(&node.router, PORTAL)
        .await
        .ticket()
        .unwrap();
    let operators = Operators::of(node);
    let (code, answer) = operators.json("GET", "/ssoSessions?type=ALL", "").await;
    assert_eq!(code, 200);
    for key in [
        "totalSsoSessions",
        "totalTicketGrantingTickets",
        "totalTickets",
        "totalPrincipals",
    ] {
        assert_eq!(answer[key], 1, "{key}");
    }
    let session = &answer["activeSsoSessions"][0];
    assert_eq!(session["authenticated_principal"], "casuser");
    assert_eq!(session["is_proxied"], false);
    assert_eq!(session["number_of_uses"], 1);
    assert_eq!(session["expiration_policy"]["timeToLive"], 8 * 3600);
    assert_eq!(session["expiration_policy"]["timeToIdle"], 2 * 3600);
    let names: Vec<_> = session["principal_attributes"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(names, ["mail", "memberOf", "ssn"]);
    let (masked, service) = session["authenticated_services"]
        .as_object()
        .unwrap()
        .iter()
        .next()
        .unwrap();
    assert!(
        masked.starts_with("ST-") && masked.contains("*****"),
        "{masked}"
    );
    assert_eq!(service["id"], "https://portal.example.edu/?a=1");
    let handle = session["ticket_granting_ticket"].as_str().unwrap();
    assert!(handle.len() == 20 && handle.bytes().all(|b| b.is_ascii_hexdigit()));
    let text = answer.to_string();
    let secret = ticket.rsplit('-').nth(1).unwrap();
    for hidden in ["casuser@example.edu", "secret", "R&D", "TGT-", secret] {
        assert!(!text.contains(hidden), "{hidden}: {text}");
    }
}

#[tokio::test]
async fn sessions_are_found_by_user_and_in_parts() {
    let cluster = Cluster::one().await;
    let node = &cluster.nodes[0];
    for _ in 0..3 {
        Browser::new().sign_in(&node.router, "/cas/login").await;
    }
    let operators = Operators::of(node);
    for (path, shown) in [
        ("/ssoSessions", 3),
        ("/ssoSessions?type=direct&username=&from=", 3),
        ("/ssoSessions?username=casuser&count=2", 2),
        ("/ssoSessions?from=2", 1),
        ("/ssoSessions?from=2&count=5", 1),
        ("/ssoSessions?from=9", 0),
        ("/ssoSessions?username=CASUSER", 0),
        ("/ssoSessions/users/casuser", 3),
        ("/ssoSessions/users/nobody", 0),
    ] {
        let (code, answer) = operators.json("GET", path, "").await;
        assert_eq!(code, 200, "{path}");
        let found = answer["activeSsoSessions"].as_array().unwrap().len();
        assert_eq!(found, shown, "{path}");
        assert_eq!(answer["more"], path.ends_with("count=2"), "{path}");
    }
    for path in [
        "/ssoSessions?type=PROXIED",
        "/ssoSessions?type=x",
        "/ssoSessions?count=0",
        "/ssoSessions?count=-1",
        "/ssoSessions?count=10001",
        "/ssoSessions?from=10000&count=1",
        "/ssoSessions?user=casuser",
        "/ssoSessions?username=a&username=b",
        "/ticketRegistry/query",
        "/ticketRegistry/query?type=ST",
        "/ticketRegistry/query?type=TGT&id=TGT-1-abcdefgh",
        "/ticketRegistry/query?type=TGT&decode=false",
        "/ticketRegistry/query?type=TGT&count=99999",
    ] {
        let (code, answer) = operators.json("GET", path, "").await;
        assert_eq!(code, 400, "{path}");
        assert!(
            answer["error"].as_str().is_some_and(|says| says.len() > 10),
            "{path}: {answer}"
        );
    }
    assert_eq!(live(node), 3);
}

#[tokio::test]
async fn one_session_is_ended_by_its_handle_on_every_node() {
    let cluster = Cluster::three().await;
    Browser::new()
        .sign_in(&cluster.nodes[0].router, PORTAL)
        .await;
    Browser::new()
        .sign_in(&cluster.nodes[0].router, "/cas/login")
        .await;
    let everywhere = |count| cluster.nodes.iter().all(|node| live(node) == count);
    cluster.until("replicated", || everywhere(2)).await;
    let operators = Operators::of(&cluster.nodes[1]);
    let (_, all) = operators.json("GET", "/ssoSessions", "").await;
    let sessions = all["activeSsoSessions"].as_array().unwrap();
    let visited = |session: &&Value| session["number_of_uses"] == 1;
    let one = sessions.iter().find(visited).unwrap();
    let handle = one["ticket_granting_ticket"].as_str().unwrap();
    let path = format!("/ssoSessions/{handle}");
    let (code, ended) = operators.json("DELETE", &path, "").await;
    assert_eq!(code, 200, "{ended}");
    assert_eq!(
        (&ended["status"], &ended["ticketGrantingTicket"]),
        (&200.into(), &handle.into())
    );
    assert_eq!(
        ended["singleLogoutRequests"][0]["service"],
        "https://portal.example.edu/?a=1"
    );
    cluster.until("ended everywhere", || everywhere(1)).await;
    let (code, _) = operators.json("DELETE", &path, "").await;
    assert_eq!(code, 404, "there is none any more");
    let (code, _) = operators
        .json("DELETE", "/ssoSessions/TGT-1-abcdefghijk-n1", "")
        .await;
    assert_eq!(code, 400);
}

#[tokio::test]
async fn many_sessions_are_ended_only_when_it_is_said_which() {
    let cluster = Cluster::one().await;
    let node = &cluster.nodes[0];
    for _ in 0..4 {
        Browser::new().sign_in(&node.router, "/cas/login").await;
    }
    let operators = Operators::of(node);
    for path in [
        "/ssoSessions",
        "/ssoSessions?username=",
        "/ssoSessions?count=1",
        "/ssoSessions?type=PROXIED",
        "/ssoSessions?type=ALL&from=1",
        "/ssoSessions?type=ALL&count=0",
    ] {
        let (code, answer) = operators.json("DELETE", path, "").await;
        assert_eq!(code, 400, "{path}: {answer}");
    }
    assert_eq!(live(node), 4);
    for (path, ended, more) in [
        ("/ssoSessions/users/nobody", 0, false),
        ("/ssoSessions?username=casuser&count=1", 1, true),
        ("/ssoSessions/users/casuser", 3, false),
        ("/ssoSessions?type=ALL", 0, false),
    ] {
        let (code, answer) = operators.json("DELETE", path, "").await;
        assert_eq!(code, 200, "{path}: {answer}");
        let entries = answer.as_object().unwrap();
        assert_eq!(entries.contains_key("more"), more, "{path}");
        assert_eq!(entries.len() - usize::from(more), ended, "{path}: {answer}");
    }
    assert_eq!(live(node), 0);
}

#[tokio::test]
async fn the_registry_tells_tickets_of_one_kind_while_their_root_lives() {
    let cluster = Cluster::one().await;
    let node = &cluster.nodes[0];
    Browser::new().sign_in(&node.router, "/cas/login").await;
    let mut root = None;
    node.handle.store().visit(TicketKind::Tgt, &mut |entry| {
        root = Some(entry.key);
        true
    });
    let pgt = Pgt {
        principal: Principal {
            id: "casuser".to_owned(),
            attributes: Vec::new(),
        },
        callback: "https://portal.example.edu/callback".to_owned(),
        proxies: Vec::new(),
    };
    let new = NewReusable {
        id: None,
        life_ms: 3_600_000,
        idle_ms: 0,
        ancestors: vec![root.unwrap()],
        payload: Payload::Pgt(pgt),
        key_id: None,
    };
    let created = node.handle.create(new).await.unwrap();
    let operators = Operators::of(node);
    let query = "/ticketRegistry/query?type=";
    let (_, tgts) = operators.json("GET", &format!("{query}TGT"), "").await;
    let (code, pgts) = operators
        .json("GET", &format!("{query}pgt&count=5"), "")
        .await;
    assert_eq!(code, 200);
    assert_eq!(
        (&tgts[0]["prefix"], &tgts[0]["principal"]),
        (&"TGT".into(), &"casuser".into())
    );
    assert_eq!(pgts[0]["proxiedBy"], "https://portal.example.edu/callback");
    assert_eq!(
        (
            tgts.as_array().unwrap().len(),
            pgts.as_array().unwrap().len()
        ),
        (1, 1)
    );
    let secret = created.body.id.as_str().rsplit('-').nth(1).unwrap();
    assert!(!pgts.to_string().contains(secret));
    let handle = pgts[0]["id"].as_str().unwrap();
    let (_, one) = operators
        .json("GET", &format!("{query}PGT&id={handle}"), "")
        .await;
    assert_eq!(one, pgts);
    let (_, none) = operators
        .json("GET", &format!("{query}TGT&id={handle}"), "")
        .await;
    assert_eq!(none, serde_json::json!([]));
    operators.json("DELETE", "/ssoSessions?type=ALL", "").await;
    let (_, pgts) = operators.json("GET", &format!("{query}PGT"), "").await;
    assert_eq!(pgts, serde_json::json!([]), "its root has ended");
    let (code, answer) = operators.json("DELETE", "/ticketRegistry/clean", "").await;
    assert_eq!(code, 405);
    assert!(answer["error"].as_str().unwrap().contains("by themselves"));
}
