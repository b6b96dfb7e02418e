//! `/serviceValidate` (CAS 2) and `/p3/serviceValidate` (CAS 3): a service ticket, once.
//!
//! Both answer with attributes, as servers of the field have done for years.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;

use super::Cas;
use super::paths::{P3_SERVICE_VALIDATE, SERVICE_VALIDATE};
use super::response::{Format, respond};
use super::validation::{Accepts, Validation};
use super::visit::{Visit, Visitor};
use crate::web::form::Form;

/// Answers `GET /serviceValidate`.
pub async fn get(state: State<Arc<Cas>>, visit: Extension<Visit>, request: Request) -> Response {
    answer(SERVICE_VALIDATE, Accepts::Service, state, visit, request).await
}

/// Answers `GET /p3/serviceValidate`.
pub async fn get_p3(state: State<Arc<Cas>>, visit: Extension<Visit>, request: Request) -> Response {
    answer(P3_SERVICE_VALIDATE, Accepts::Service, state, visit, request).await
}

/// A validation of CAS 2 or 3.
pub(super) async fn answer(
    endpoint: &'static str,
    accepts: Accepts,
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
    let format = query.as_ref().ok().and_then(|q| q.one("format").ok()?);
    let format = Format::of_parameter(format);
    let read = Validation::read(endpoint, accepts, &query);
    let outcome = visitor.validate(read).await;
    respond(&outcome, format, visit.https)
}
