//! `GET /health`: whether this node serves, and what it knows of its sessions and peers. No personal data.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use castor_proto::ticket::TicketKind;
use castor_replication::driver::Readiness;
use http::StatusCode;
use serde_json::{Value, json};

use super::Actuator;
use crate::admin::refusal;
use crate::ops::replica;

const UP: &str = "UP";
/// Not as it should be, and no reason to take the node out of service.
const WARN: &str = "WARN";
const OUT_OF_SERVICE: &str = "OUT_OF_SERVICE";

/// Sessions, or proxy-granting tickets, in a hundredth of `tickets.max_sessions` from which on there is
/// a warning.
const WARN_PERCENT: u128 = 90;

/// `GET /health`.
pub(super) async fn health(State(actuator): State<Actuator>) -> Response {
    let status = readiness(&actuator);
    let answer = json!({
        "status": status,
        "components": components(&actuator).await,
        "groups": ["liveness", "readiness"],
    });
    with_code(status, answer)
}

/// `GET /health/{component}`: one component, or one of the groups `liveness` and `readiness`.
pub(super) async fn component(
    State(actuator): State<Actuator>,
    Path(name): Path<String>,
) -> Response {
    let of = match name.as_str() {
        "liveness" => "livenessState",
        "readiness" => "readinessState",
        other => other,
    };
    let mut components = components(&actuator).await;
    let found = components.get_mut(of).map(Value::take);
    let Some(found) = found else {
        return refusal(
            StatusCode::NOT_FOUND,
            "no such component; GET /health without a name lists them",
        );
    };
    let status = found["status"].as_str().unwrap_or(UP).to_owned();
    if of == name {
        with_code(&status, found)
    } else {
        let answer = json!({ "status": status, "components": { of: found } });
        with_code(&status, answer)
    }
}

fn with_code(status: &str, answer: Value) -> Response {
    let code = if status == OUT_OF_SERVICE {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    (code, Json(answer)).into_response()
}

fn readiness(actuator: &Actuator) -> &'static str {
    match actuator.health.readiness() {
        Readiness::Ready => UP,
        Readiness::Bootstrapping | Readiness::Draining | Readiness::Unready => OUT_OF_SERVICE,
    }
}

async fn components(actuator: &Actuator) -> Value {
    let state = replica::word(actuator.health.readiness());
    json!({
        "livenessState": { "status": UP },
        "readinessState": { "status": readiness(actuator), "details": { "state": state } },
        "session": sessions(actuator),
        "cluster": cluster(actuator).await,
    })
}

fn sessions(actuator: &Actuator) -> Value {
    let gauges = actuator.handle.store().gauges();
    let count = |kind| u64::try_from(gauges.tickets(kind)).unwrap_or(0);
    let (sessions, proxies) = (count(TicketKind::Tgt), count(TicketKind::Pgt));
    let most = actuator.cas.config.load().tickets.max_sessions as u128;
    let many = u128::from(sessions.max(proxies)) * 100 >= most * WARN_PERCENT;
    json!({
        "status": if many { WARN } else { UP },
        "details": {
            "sessionCount": sessions,
            "proxyGrantingTicketCount": proxies,
            "maximum": u64::try_from(most).unwrap_or(u64::MAX),
        },
    })
}

async fn cluster(actuator: &Actuator) -> Value {
    let mut status = replica::status(&actuator.handle).await;
    let Value::Array(members) = status["members"].take() else {
        return json!({ "status": WARN });
    };
    let shown: Vec<Value> = members
        .iter()
        .map(|member| {
            json!({
                "node": member["node"],
                "state": member["state"],
                "link": member["link"],
                "lagSeconds": member["lag_seconds"],
                "backlogDeltas": member["backlog_deltas"],
            })
        })
        .collect();
    let lag = members
        .iter()
        .filter_map(|member| member["lag_seconds"].as_f64());
    let whole = members
        .iter()
        .all(|m| m["state"] == "ready" && m["link"] == true);
    let problem = status["problem"].is_string();
    json!({
        "status": if whole && !problem { UP } else { WARN },
        "details": {
            "node": status["node"],
            "members": shown,
            "replicationLagSeconds": lag.fold(0.0, f64::max),
        },
    })
}
