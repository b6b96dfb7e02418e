//! `/proxyValidate` (CAS 2) and `/p3/proxyValidate` (CAS 3): a service or proxy ticket, once.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;

use super::Cas;
use super::paths::{P3_PROXY_VALIDATE, PROXY_VALIDATE};
use super::service_validate::answer;
use super::validation::Accepts;
use super::visit::Visit;

/// Answers `GET /proxyValidate`.
pub async fn get(state: State<Arc<Cas>>, visit: Extension<Visit>, request: Request) -> Response {
    answer(PROXY_VALIDATE, Accepts::Proxied, state, visit, request).await
}

/// Answers `GET /p3/proxyValidate`.
pub async fn get_p3(state: State<Arc<Cas>>, visit: Extension<Visit>, request: Request) -> Response {
    answer(P3_PROXY_VALIDATE, Accepts::Proxied, state, visit, request).await
}
