//! Status, members, keys, drain, resume.

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use castor_replication::driver::RequestError;
use http::StatusCode;
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
