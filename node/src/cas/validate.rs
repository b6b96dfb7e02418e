//! `/validate` (CAS 1): two lines of text.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;

use super::Cas;
use super::paths::VALIDATE;
use super::response::{Format, respond};
use super::service_validate::{Validation, validate};
use super::visit::{Visit, Visitor};
use crate::web::form::Form;

/// Answers `GET /validate`.
pub async fn get(
    State(cas): State<Arc<Cas>>,
    Extension(visit): Extension<Visit>,
    request: Request,
) -> Response {
    let visitor = Visitor {
        cas: &cas,
        visit: &visit,
        headers: request.headers(),
    };
    let query = request.uri().query().unwrap_or_default();
    let outcome = validate(
        &visitor,
        &Validation {
            endpoint: VALIDATE,
            query: Form::parse(query.as_bytes()),
        },
    )
    .await;
    respond(&outcome, Format::Plain, visit.https)
}
