//! `/ticketRegistry/query`: sessions and proxy-granting tickets by handle.
//!
//! Service and proxy tickets are single-use and live for seconds; the nodes of their view hold them for the
//! claim alone, so they are counted in the metrics and never listed.

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use castor_proto::delta::Entry;
use castor_proto::seal::keyring::KeyRing;
use castor_proto::ticket::{Payload, TicketBody, TicketKind};
use castor_replication::driver::Handle;
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Actuator;
use super::input::{Asked, Slice, bad, given};
use crate::admin::{Actor, handle_of, is_named, refusal};
use crate::clock;
use crate::ops::audit::Action;

/// Which tickets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    #[serde(rename = "type")]
    kind: Option<String>,
    /// A handle.
    id: Option<String>,
    count: Option<String>,
    /// Apereo's; tickets are never shown raw.
    decode: Option<String>,
}

/// `GET /ticketRegistry/query`.
pub(super) async fn query(
    State(actuator): State<Actuator>,
    Extension(actor): Extension<Actor>,
    Asked(query): Asked<Query>,
) -> Response {
    match found(&actuator, &actor, &query).await {
        Ok(tickets) => Json(tickets).into_response(),
        Err(refusal) => *refusal,
    }
}

/// `/ticketRegistry/clean`: refused, with the reason.
pub(super) async fn clean() -> Response {
    let says =
        "expired tickets are forgotten by themselves on every node; there is nothing to clean";
    let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, says);
    let none = http::HeaderValue::from_static("");
    response.headers_mut().insert(header::ALLOW, none);
    response
}

async fn found(
    actuator: &Actuator,
    actor: &Actor,
    query: &Query,
) -> Result<Vec<Value>, Box<Response>> {
    let kind = kind_of(query).map_err(|says| Box::new(bad(says)))?;
    let count = Slice::shown(None, query.count.as_ref())?.count;
    let wanted = given(query.id.as_ref()).map(str::to_owned);
    let (action, prefix) = match kind {
        TicketKind::Tgt => (Action::SessionsListed, "TGT"),
        _ => (Action::TicketsListed, "PGT"),
    };
    let words = wanted
        .as_ref()
        .map_or_else(|| format!("all {prefix}"), |id| format!("handle={id}"));
    actuator.admin.record(actor, action, words);
    let look = move |handle: &Handle| {
        let ring = handle.keyring();
        let mut tickets = Vec::new();
        handle.store().visit(kind, &mut |entry| {
            let named = |id: &String| is_named(&ring, &entry.key, id);
            if wanted.as_ref().is_none_or(named) {
                tickets.extend(described(handle, &ring, &entry, prefix));
            }
            tickets.len() < count
        });
        tickets
    };
    actuator.admin.look(look).await
}

/// The kind that is asked for, or what to do instead.
fn kind_of(query: &Query) -> Result<TicketKind, &'static str> {
    if given(query.decode.as_ref()).is_some_and(|decode| decode != "true") {
        return Err("tickets are never shown raw; leave decode out");
    }
    let id = given(query.id.as_ref()).unwrap_or_default();
    if id.contains('-') {
        return Err("id is a handle, as answers of this endpoint have it; ticket ids are secret");
    }
    match given(query.kind.as_ref())
        .map(str::to_ascii_uppercase)
        .as_deref()
    {
        Some("TGT") => Ok(TicketKind::Tgt),
        Some("PGT") => Ok(TicketKind::Pgt),
        Some("ST" | "PT") => Err(
            "service and proxy tickets live for seconds and cannot be listed; \
                                  statistics and metrics count them",
        ),
        _ => Err("type must be TGT or PGT"),
    }
}

/// A ticket that can be used, as far as this node knows.
fn described(handle: &Handle, ring: &KeyRing, entry: &Entry, prefix: &str) -> Option<Value> {
    let body = TicketBody::decode(entry.body.as_ref()?).ok()?;
    let now = handle.now();
    let idle = body.idle_ms > 0 && now.saturating_sub(entry.last_used) > body.idle_ms;
    let ended = |key| handle.store().is_destroyed(key);
    let over = entry.destroyed.is_some() || body.hard_expiry <= now || idle;
    if over || body.ancestors.iter().any(ended) {
        return None;
    }
    let when = |ms| format!("{:.3}", clock::timestamp(ms));
    let (principal, callback) = match &body.payload {
        Payload::Tgt(tgt) => (&tgt.principal.id, None),
        Payload::Pgt(pgt) => (&pgt.principal.id, Some(&pgt.callback)),
        Payload::St(_) | Payload::Pt(_) | Payload::Tst(_) => return None,
    };
    Some(json!({
        "id": handle_of(ring, &entry.key),
        "prefix": prefix,
        "principal": principal,
        "proxiedBy": callback,
        "creationTime": when(body.created),
        "lastTimeUsed": (entry.last_used > 0).then(|| when(entry.last_used)),
        "expirationTime": when(body.hard_expiry),
        "expired": false,
    }))
}
