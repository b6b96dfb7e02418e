//! `/validate` (CAS 1): two lines of text.

use axum::response::Response;

use super::paths::VALIDATE;
use super::response::{Format, respond};
use super::validation::{Accepts, Validation};
use super::visit::Call;

/// Answers `GET /validate`.
pub async fn get(call: Call) -> Response {
    let visitor = call.visitor();
    let query = call.query();
    let read = Validation::read(VALIDATE, Accepts::Service, &query);
    // CAS 1 knows nothing of proxies.
    let read = read.map(|validation| Validation {
        pgt_url: None,
        ..validation
    });
    let outcome = visitor.validate(read).await;
    respond(&outcome, Format::Plain, visitor.visit.https)
}
