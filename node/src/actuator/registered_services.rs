//! `/registeredServices`: the definitions in force, as they were written. They are files: nothing here changes
//! them.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;

use super::Actuator;
use super::input::bad;
use crate::admin::refusal;

/// `GET /registeredServices`: in the order in which they are asked.
pub(super) async fn list(State(actuator): State<Actuator>) -> Json<Vec<Value>> {
    let services = actuator.cas.services.snapshot();
    Json(
        services
            .iter()
            .map(|service| service.document.clone())
            .collect(),
    )
}

/// `GET /registeredServices/{id}`.
pub(super) async fn show(State(actuator): State<Actuator>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<i64>() else {
        return bad("give the number of a definition, its id; GET registeredServices lists them");
    };
    match actuator.cas.services.by_id(id) {
        Some(service) => Json(service.document.clone()).into_response(),
        None => refusal(StatusCode::NOT_FOUND, "no definition has this id"),
    }
}

/// Whatever would change a definition.
pub(super) async fn refused() -> Response {
    let says =
        "definitions are files: change them in services.folder on every node; a reload takes them";
    let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, says);
    let allowed = HeaderValue::from_static("GET,HEAD");
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}
