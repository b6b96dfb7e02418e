//! `/proxyValidate` (CAS 2) and `/p3/proxyValidate` (CAS 3): a service or proxy ticket, once.

use axum::response::Response;

use super::paths::{P3_PROXY_VALIDATE, PROXY_VALIDATE};
use super::service_validate::answer;
use super::validation::Accepts;
use super::visit::Call;

/// Answers `GET /proxyValidate`.
pub async fn get(call: Call) -> Response {
    answer(PROXY_VALIDATE, Accepts::Proxied, call).await
}

/// Answers `GET /p3/proxyValidate`.
pub async fn get_p3(call: Call) -> Response {
    answer(P3_PROXY_VALIDATE, Accepts::Proxied, call).await
}
