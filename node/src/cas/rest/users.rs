//! `POST /v1/users`: who somebody is, without a session.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::cas::Cas;
use crate::cas::validation::iso_8601;
use crate::cas::visit::{Visit, Visitor};

/// Answers `POST /v1/users`.
pub async fn post(
    State(cas): State<Arc<Cas>>,
    Extension(visit): Extension<Visit>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let visitor = Visitor {
        cas: &cas,
        visit: &visit,
        headers: &head.headers,
    };
    let form = match visitor.rest_form(body).await {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    let person = match visitor.rest_person(&form).await {
        Ok(person) => person,
        Err(refused) => return refused,
    };
    let attributes: Map<String, Value> = person
        .principal
        .attributes
        .into_iter()
        .map(|(name, values)| (name, values.into()))
        .collect();
    let says = json!({
        "authentication": {
            "authenticationDate": iso_8601(cas.tickets.now()),
            "principal": { "id": person.principal.id, "attributes": attributes },
            "attributes": { "authenticationMethod": [person.handler] },
        },
        "service": null,
    });
    visitor.rest_answer(StatusCode::OK, "application/json", says.to_string())
}
