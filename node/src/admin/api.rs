//! Status, members, keys, drain, resume.

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use axum::{Form, Json};
use castor_proto::ids::NodeName;
use castor_replication::driver::RequestError;
use castor_replication::engine::Removal;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Admin;
use super::access::Actor;
use crate::clock;
use crate::ops::audit::{Action, Event};
use crate::ops::replica;

impl Admin {
    pub(crate) fn record(&self, actor: &Actor, action: Action, what: String) {
        self.audit.record(&Event {
            action,
            who: Some(actor.name.clone()),
            what,
            client: actor.client,
            request: None,
        });
    }
}

/// An error as JSON, with what to do.
pub(crate) fn refusal(code: StatusCode, says: impl Into<String>) -> Response {
    (code, Json(json!({ "error": says.into() }))).into_response()
}

pub(super) fn not_now(error: RequestError) -> Response {
    refusal(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

pub(super) async fn status(State(admin): State<Admin>) -> Json<Value> {
    Json(replica::status(&admin.handle).await)
}

pub(super) async fn members(State(admin): State<Admin>) -> Json<Value> {
    let mut status = replica::status(&admin.handle).await;
    let own = json!({
        "node": status["node"],
        "incarnation": status["incarnation"],
        "state": status["state"],
        "self": true,
    });
    let mut members = vec![own];
    if let Value::Array(peers) = status["members"].take() {
        members.extend(peers);
    }
    Json(json!({ "members": members }))
}

/// Which member.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    node: String,
}

/// `POST /admin/v1/members/remove`: a node that is gone for good is forgotten on all nodes.
pub(super) async fn remove_member(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
    Form(Named { node }): Form<Named>,
) -> Response {
    let Ok(node) = NodeName::parse(&node) else {
        return refusal(StatusCode::BAD_REQUEST, "this is not the name of a node");
    };
    let removal = match admin.handle.remove_member(node.clone()).await {
        Ok(removal) => removal,
        Err(error) => return not_now(error),
    };
    match removal {
        Removal::Done(member) => {
            let what = format!("{node}, incarnation {}", member.incarnation);
            admin.record(&actor, Action::NodeRemoved, what);
            let incarnation = member.incarnation.to_string();
            Json(json!({ "removed": node.as_str(), "incarnation": incarnation })).into_response()
        }
        Removal::There => refusal(
            StatusCode::CONFLICT,
            format!(
                "{node} is there: drain and stop it first, and wait until castor status shows it \
                 as dead and without a link"
            ),
        ),
        Removal::Own => refusal(
            StatusCode::CONFLICT,
            format!("{node} is this node; stop it, and ask one of the others"),
        ),
        Removal::Unknown => refusal(
            StatusCode::NOT_FOUND,
            format!("no node {node} is known; castor members list shows them"),
        ),
    }
}

/// The keys by their public ids; never a secret.
pub(super) async fn keys(State(admin): State<Admin>) -> Json<Value> {
    let ring = admin.handle.keyring();
    let keys: Vec<Value> = ring
        .iter()
        .map(|entry| {
            let created = entry.key().created();
            json!({
                "id": entry.id().to_string(),
                "role": entry.role().as_str(),
                "created": clock::stamp(created),
            })
        })
        .collect();
    Json(json!({ "keys": keys }))
}

pub(super) async fn drain(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
) -> Response {
    let what = admin.handle.node().to_string();
    admin.record(&actor, Action::NodeDrained, what);
    match admin.handle.drain().await {
        Ok(()) => Json(json!({ "state": "draining" })).into_response(),
        Err(error) => not_now(error),
    }
}

pub(super) async fn resume(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
) -> Response {
    let what = admin.handle.node().to_string();
    admin.record(&actor, Action::NodeResumed, what);
    match admin.handle.resume().await {
        Ok(()) => {
            let state = replica::word(admin.handle.readiness());
            Json(json!({ "state": state })).into_response()
        }
        Err(error) => not_now(error),
    }
}
