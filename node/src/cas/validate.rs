//! `/validate` (CAS 1): two lines of text.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;

use super::Cas;
use super::paths::VALIDATE;
use super::response::{Format, respond};
use super::validation::{Accepts, Validation};
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
    let query = Form::parse(request.uri().query().unwrap_or_default().as_bytes());
    let read = Validation::read(VALIDATE, Accepts::Service, &query);
    // CAS 1 knows nothing of proxies.
    let read = read.map(|validation| Validation {
        pgt_url: None,
        ..validation
    });
    let outcome = visitor.validate(read).await;
    respond(&outcome, Format::Plain, visit.https)
}
