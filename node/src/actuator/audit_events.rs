//! `/auditevents`: the newest audit events of this node, as Spring Boot shows events.

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Actuator;
use super::input::{Asked, bad, given};
use crate::admin::Actor;
use crate::ops::audit::Action;

/// Which events; all that is given must hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    principal: Option<String>,
    after: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// `GET /auditevents`.
pub(super) async fn events(
    State(actuator): State<Actuator>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<Query>,
) -> Response {
    let after = match given(query.after.as_ref()).map(str::parse::<jiff::Timestamp>) {
        None => None,
        Some(Ok(after)) => Some(after),
        Some(Err(_)) => {
            return bad("after must be a moment with its offset, such as 2026-07-01T08:00:00Z");
        }
    };
    let (principal, kind) = (given(query.principal.as_ref()), given(query.kind.as_ref()));
    let kept = actuator.cas.audit.recent();
    let words = [
        ("principal", principal),
        ("type", kind),
        ("after", given(query.after.as_ref())),
    ];
    let words: Vec<String> = (words.into_iter())
        .filter_map(|(name, text)| Some(format!("{name}={}", text?)))
        .collect();
    let words = if words.is_empty() {
        "all events".to_owned()
    } else {
        words.join(" ")
    };
    actuator.admin.record(&actor, Action::AuditListed, words);
    let events: Vec<Value> = (kept.iter())
        .filter(|kept| after.is_none_or(|after| kept.when > after))
        .filter_map(|kept| serde_json::from_str::<Value>(&kept.json).ok())
        .filter(|event| principal.is_none_or(|principal| event["who"] == principal))
        .filter(|event| kind.is_none_or(|kind| event["action"] == kind))
        .map(|event| shown(&event))
        .collect();
    Json(json!({ "events": events })).into_response()
}

fn shown(event: &Value) -> Value {
    json!({
        "timestamp": event["when"],
        "principal": event["who"],
        "type": event["action"],
        "data": {
            "resource": event["what"],
            "clientIpAddress": event["clientIpAddress"],
            "serverIpAddress": event["serverIpAddress"],
            "node": event["node"],
            "requestId": event["requestId"],
        },
    })
}
