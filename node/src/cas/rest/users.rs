//! `POST /v1/users`: who somebody is, without a session.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::cas::validation::iso_8601;
use crate::cas::visit::Call;

/// Answers `POST /v1/users`.
pub async fn post(mut call: Call) -> Response {
    let body = call.take_body();
    let visitor = call.visitor();
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
            "authenticationDate": iso_8601(visitor.cas.tickets.now()),
            "principal": { "id": person.principal.id, "attributes": attributes },
            "attributes": { "authenticationMethod": [person.handler] },
        },
        "service": null,
    });
    visitor.rest_answer(StatusCode::OK, "application/json", says.to_string())
}
