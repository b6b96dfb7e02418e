//! `/ssoSessions`: single sign-on sessions in Apereo's shape, and their end.
//!
//! Sessions are named by handles, and of attributes only the names are shown. The work is that of the room
//! `admin`: an end reaches every node and has the applications told.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Response};
use castor_proto::seal::keyring::KeyRing;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Actuator;
use super::input::{Asked, Slice, bad, given};
use crate::admin::{Actor, Ended, Filter, LIMIT_MAX, Pick, Session, handle_of, refusal};
use crate::clock;
use crate::ops::audit::{Action, masked};

/// Stands for the values of attributes.
const HIDDEN: &str = "*****";

/// Which sessions.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    #[serde(rename = "type")]
    kind: Option<String>,
    username: Option<String>,
    from: Option<String>,
    count: Option<String>,
}

impl Query {
    /// Whether a type was given. Only one leads to sessions: what Apereo calls proxied are proxy-granting
    /// tickets here.
    fn has_type(&self) -> Result<bool, Box<Response>> {
        match given(self.kind.as_ref()).map(str::to_ascii_uppercase) {
            None => Ok(false),
            Some(kind) if kind == "ALL" || kind == "DIRECT" => Ok(true),
            Some(kind) if kind == "PROXIED" => Err(Box::new(bad(
                "sessions are ALL or DIRECT; proxy-granting tickets are at ticketRegistry/query?type=PGT",
            ))),
            Some(_) => Err(Box::new(bad("type must be ALL or DIRECT"))),
        }
    }

    fn filter(&self, limit: usize) -> Filter {
        Filter {
            user: given(self.username.as_ref()).map(str::to_owned),
            limit: Some(limit),
            ..Filter::default()
        }
    }
}

/// `GET /ssoSessions`.
pub(super) async fn list(
    State(actuator): State<Actuator>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<Query>,
) -> Response {
    answer(list_of(&actuator, &actor, &query).await)
}

/// `GET /ssoSessions/users/{username}`.
pub(super) async fn of_user(
    State(actuator): State<Actuator>,
    Extension(actor): Extension<Actor>,
    Path(username): Path<String>,
) -> Response {
    let query = Query {
        username: Some(username),
        ..Query::default()
    };
    answer(list_of(&actuator, &actor, &query).await)
}

/// `DELETE /ssoSessions`: those of a user, or all of them with `type=ALL`.
pub(super) async fn end_many(
    State(actuator): State<Actuator>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<Query>,
) -> Response {
    answer(end_of(&actuator, &actor, &query).await)
}

/// `DELETE /ssoSessions/users/{username}`.
pub(super) async fn end_of_user(
    State(actuator): State<Actuator>,
    Extension(actor): Extension<Actor>,
    Path(username): Path<String>,
) -> Response {
    let query = Query {
        username: Some(username),
        ..Query::default()
    };
    answer(end_of(&actuator, &actor, &query).await)
}

/// `DELETE /ssoSessions/{handle}`.
pub(super) async fn end_one(
    State(actuator): State<Actuator>,
    Extension(actor): Extension<Actor>,
    Path(handle): Path<String>,
) -> Response {
    if handle.starts_with("TGT-") {
        return bad("name the session by its handle, from GET ssoSessions; ticket ids are secret");
    }
    let filter = Filter {
        handle: Some(handle),
        ..Filter::default()
    };
    let ended = match actuator.admin.end_sessions(&actor, &filter).await {
        Ok(ended) => ended,
        Err(refusal) => return *refusal,
    };
    if let Some(failed) = ended.failed() {
        return failed;
    }
    match entries(&ended).into_iter().next() {
        Some((_, entry)) => Json(entry).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "no session has this handle"),
    }
}

fn answer(result: Result<Value, Box<Response>>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(refusal) => *refusal,
    }
}

async fn list_of(
    actuator: &Actuator,
    actor: &Actor,
    query: &Query,
) -> Result<Value, Box<Response>> {
    query.has_type()?;
    let slice = Slice::shown(query.from.as_ref(), query.count.as_ref())?;
    let filter = query.filter(slice.end());
    let admin = &actuator.admin;
    admin.record(actor, Action::SessionsListed, filter.words());
    let found = admin.find_sessions(&filter, Pick::LastUsed).await?;
    let ring = actuator.handle.keyring();
    let sessions: Vec<&Session> = found.sessions.iter().skip(slice.from).collect();
    let people: BTreeSet<&str> = sessions
        .iter()
        .map(|s| s.tgt.principal.id.as_str())
        .collect();
    let shown: Vec<Value> = sessions.iter().map(|s| described(s, &ring)).collect();
    Ok(json!({
        "activeSsoSessions": shown,
        "totalSsoSessions": sessions.len(),
        "totalTicketGrantingTickets": sessions.len(),
        "totalProxyGrantingTickets": 0,
        "totalTickets": sessions.len(),
        "totalPrincipals": people.len(),
        "totalUsageCount": sessions.iter().map(|s| s.entry.services.len()).sum::<usize>(),
        "more": found.more,
    }))
}

fn described(session: &Session, ring: &KeyRing) -> Value {
    let when = |ms| format!("{:.3}", clock::timestamp(ms));
    let Session { entry, body, tgt } = session;
    let attributes: Map<String, Value> = (tgt.principal.attributes.iter())
        .map(|(name, _)| (name.clone(), json!([HIDDEN])))
        .collect();
    let services: Map<String, Value> = (entry.services.iter())
        .map(|(_, visited)| {
            let service = json!({ "id": masked(&visited.url), "date": when(visited.stamp) });
            (masked(&visited.ticket), service)
        })
        .collect();
    json!({
        "authenticated_principal": tgt.principal.id,
        "authentication_date": tgt.authenticated_at,
        "authentication_date_formatted": when(tgt.authenticated_at),
        "creation_date_formatted": when(body.created),
        "last_used_date_formatted": when(entry.last_used),
        "number_of_uses": entry.services.len(),
        "ticket_granting_ticket": handle_of(ring, &entry.key),
        "principal_attributes": attributes,
        "authentication_attributes": { "successfulAuthenticationHandlers": [tgt.handler] },
        "expiration_policy": {
            "timeToLive": body.hard_expiry.saturating_sub(body.created) / 1000,
            "timeToIdle": body.idle_ms / 1000,
            "maxExpirationTime": when(body.hard_expiry),
        },
        "remember_me": tgt.remember_me,
        "is_proxied": false,
        "authenticated_services": services,
        "client_address": tgt.client_address,
    })
}

async fn end_of(actuator: &Actuator, actor: &Actor, query: &Query) -> Result<Value, Box<Response>> {
    let by_user = given(query.username.as_ref()).is_some();
    if !query.has_type()? && !by_user {
        return Err(Box::new(bad(
            "say which sessions: by username, with type=ALL all of them, or one as ssoSessions/{handle}",
        )));
    }
    if given(query.from.as_ref()).is_some() {
        return Err(Box::new(bad("from has no meaning here; leave it out")));
    }
    let slice = Slice::of(None, query.count.as_ref(), LIMIT_MAX)?;
    let filter = query.filter(slice.count);
    let ended = actuator.admin.end_sessions(actor, &filter).await?;
    if let Some(failed) = ended.failed() {
        return Err(Box::new(failed));
    }
    let mut answer = entries(&ended);
    if ended.more {
        answer.insert("more".to_owned(), true.into());
    }
    Ok(Value::Object(answer))
}

/// What became of each session, by its handle.
fn entries(ended: &Ended) -> Map<String, Value> {
    let entry = |session: &crate::admin::EndedSession| {
        let told: Vec<Value> = (session.applications.iter())
            .map(|url| json!({ "service": url, "status": "NOT_ATTEMPTED" }))
            .collect();
        let entry = json!({
            "status": 200,
            "ticketGrantingTicket": session.handle,
            "singleLogoutRequests": told,
        });
        (session.handle.clone(), entry)
    };
    ended.sessions.iter().map(entry).collect()
}
