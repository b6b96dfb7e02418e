//! Somebody's session, as all benches make it.

use castor_proto::ticket::{Payload, Principal, Tgt};
use castor_replication::engine::NewReusable;

/// Somebody's name.
pub(crate) fn person(number: u64) -> String {
    format!("user{number:07}")
}

/// Somebody's session, with these attributes.
pub(crate) fn session_with(who: u64, attributes: Vec<(String, Vec<String>)>) -> NewReusable {
    let id = person(who);
    NewReusable {
        id: None,
        life_ms: 28_800_000,
        idle_ms: 7_200_000,
        ancestors: Vec::new(),
        payload: Payload::Tgt(Tgt {
            principal: Principal { id, attributes },
            authenticated_at: 0,
            handler: "bench".into(),
            remember_me: false,
            client_address: "192.0.2.7".into(),
        }),
        key_id: None,
    }
}

/// The same with ten attributes.
#[allow(dead_code, reason = "one bench has a value of its own")]
pub(crate) fn session(who: u64) -> NewReusable {
    let mail = format!("{}@example.org", person(who));
    let attribute = |at: u64| (format!("attribute-{at}"), vec![mail.clone()]);
    session_with(who, (0..10).map(attribute).collect())
}
