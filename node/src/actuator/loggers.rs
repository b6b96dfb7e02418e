//! `/loggers`: which log lines are written, in Spring Boot's shape. What is set here counts on this node until it
//! stops or `log.level` changes.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Actuator;
use super::input::{Said, bad};
use crate::admin::{Actor, refusal};
use crate::ops::audit::Action;
use crate::ops::levels::{LEVELS, Level, is_target, level};
use crate::ops::logging::Logging;

/// Spring's name for everything that has no level of its own.
const ROOT: &str = "ROOT";

/// A level; absent or null to give one back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Wanted {
    configured_level: Option<String>,
}

/// `GET /loggers`.
pub(super) async fn list(State(actuator): State<Actuator>) -> Response {
    let Some(logging) = &actuator.logging else {
        return absent();
    };
    let levels = logging.levels().all();
    let loggers: Map<String, Value> = (levels.iter())
        .map(|level| (name(level).to_owned(), shown(level)))
        .collect();
    Json(json!({ "levels": LEVELS, "loggers": loggers, "groups": {} })).into_response()
}

/// `GET /loggers/{name}`.
pub(super) async fn show(State(actuator): State<Actuator>, Path(name): Path<String>) -> Response {
    match target(&actuator, &name) {
        Ok((logging, target)) => Json(shown(&logging.levels().of(target))).into_response(),
        Err(refusal) => *refusal,
    }
}

/// `POST /loggers/{name}`.
pub(super) async fn set(
    State(actuator): State<Actuator>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
    Said(wanted): Said<Wanted>,
) -> Response {
    let (logging, target) = match target(&actuator, &name) {
        Ok(found) => found,
        Err(refusal) => return *refusal,
    };
    let wanted = match wanted
        .configured_level
        .as_deref()
        .filter(|text| !text.is_empty())
    {
        None => None,
        Some(text) => match level(text) {
            Some(level) => Some(level),
            None => {
                return bad(format!(
                    "configuredLevel must be one of {}",
                    LEVELS.join(", ")
                ));
            }
        },
    };
    let what = format!("{name} {}", wanted.unwrap_or("as configured"));
    match logging.set_for_now(target, wanted) {
        Ok(()) => {
            actuator.admin.record(&actor, Action::LogLevelChanged, what);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => bad(error.to_string()),
    }
}

fn target<'a>(
    actuator: &'a Actuator,
    name: &'a str,
) -> Result<(&'a Logging, Option<&'a str>), Box<Response>> {
    let Some(logging) = &actuator.logging else {
        return Err(Box::new(absent()));
    };
    if name.eq_ignore_ascii_case(ROOT) {
        Ok((logging, None))
    } else if is_target(name) {
        Ok((logging, Some(name)))
    } else {
        Err(Box::new(bad(
            "name a logger by ROOT or by a target of log lines, such as castor_node::cas",
        )))
    }
}

fn absent() -> Response {
    refusal(StatusCode::NOT_FOUND, "this node writes no log")
}

fn name(level: &Level) -> &str {
    level.target.as_deref().unwrap_or(ROOT)
}

fn shown(level: &Level) -> Value {
    match level.own {
        Some(own) => json!({ "configuredLevel": own, "effectiveLevel": level.effective }),
        None => json!({ "effectiveLevel": level.effective }),
    }
}
