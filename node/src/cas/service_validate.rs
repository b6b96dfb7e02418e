//! `/serviceValidate` (CAS 2) and `/p3/serviceValidate` (CAS 3): a service ticket, once.
//!
//! Both answer with attributes, as servers of the field have done for years.

use axum::response::Response;

use super::paths::{P3_SERVICE_VALIDATE, SERVICE_VALIDATE};
use super::response::respond;
use super::validation::{Accepts, Validation};
use super::visit::Call;

/// Answers `GET /serviceValidate`.
pub async fn get(call: Call) -> Response {
    answer(SERVICE_VALIDATE, Accepts::Service, call).await
}

/// Answers `GET /p3/serviceValidate`.
pub async fn get_p3(call: Call) -> Response {
    answer(P3_SERVICE_VALIDATE, Accepts::Service, call).await
}

/// A validation of CAS 2 or 3.
pub(super) async fn answer(endpoint: &'static str, accepts: Accepts, call: Call) -> Response {
    let visitor = call.visitor();
    let query = call.query();
    let format = call.format(&query);
    let read = Validation::read(endpoint, accepts, &query);
    let outcome = visitor.validate(read).await;
    respond(&outcome, format, visitor.visit.https)
}
