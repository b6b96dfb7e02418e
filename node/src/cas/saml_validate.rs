//! `/samlValidate`: a service ticket, once, asked and answered in SAML 1.1.
//!
//! `TARGET` is the service; the ticket comes in the SOAP body. Proxy tickets are not for this
//! protocol. Nothing is signed: clients of this protocol check no signature and rely on TLS.

use axum::body::{Body, to_bytes};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use super::outcome::{Code, Outcome};
use super::paths::SAML_VALIDATE;
use super::response::saml1::{self, Frame};
use super::saml_request::{self, REQUEST_MAX, SamlRequest, SamlRequestError};
use super::validation::{Accepts, Validation, iso_8601};
use super::visit::{Call, Visitor};
use crate::web::form::{Form, FormError};
use crate::web::headers;

/// The assertion holds this long before and after its issue, milliseconds: clocks differ, and
/// clients allow one second themselves.
const HOLDS_MS: u64 = 30_000;

/// Answers `POST /samlValidate`.
pub async fn post(mut call: Call) -> Response {
    let body = call.take_body();
    let visitor = call.visitor();
    let query = call.query();
    let read = match to_bytes(body, REQUEST_MAX).await {
        Ok(body) => saml_request::read(&body),
        Err(_) => Err(SamlRequestError::TooLarge),
    };
    let parameters = parameters(&query);
    let target = parameters.as_ref().map_or("", |(target, _)| target);
    let validation = match (&parameters, &read) {
        (Err(outcome), _) => Err(outcome.clone()),
        (_, Err(error)) => Err(Outcome::bad_request(error)),
        (Ok((service, renew)), Ok(asked)) => Ok(Validation {
            endpoint: SAML_VALIDATE,
            accepts: Accepts::Service,
            service,
            ticket: &asked.artifact,
            pgt_url: None,
            format: None,
            renew: *renew,
        }),
    };
    let outcome = visitor.validate(validation).await;
    visitor.saml_answer(&outcome, target, read.as_ref().ok())
}

/// `TARGET` and `renew`; some clients send the service under its usual name.
fn parameters(query: &Result<Form, FormError>) -> Result<(&str, bool), Outcome> {
    let form = query.as_ref().map_err(Outcome::bad_request)?;
    let one = |name| form.one(name).map_err(Outcome::bad_request);
    let target = match one("TARGET")? {
        Some(target) => Some(target),
        None => one("service")?,
    };
    let target = target.ok_or_else(Outcome::missing_target)?;
    Ok((target, form.has("renew")))
}

impl Visitor<'_> {
    fn saml_answer(
        &self,
        outcome: &Outcome,
        target: &str,
        asked: Option<&SamlRequest>,
    ) -> Response {
        let now = self.cas.tickets.now();
        let id = |what: &str| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(self.visit.request_id.as_bytes());
            hasher.update(what.as_bytes());
            // A name must not begin with a digit.
            format!("_{}", hasher.finalize().to_hex())
        };
        let config = self.cas.config.load();
        let frame = Frame {
            in_response_to: asked.and_then(|asked| asked.id.as_deref()),
            response_id: &id("response"),
            assertion_id: &id("assertion"),
            issuer: &config.saml.issuer,
            audience: target,
            attribute_namespace: &config.saml.attribute_namespace,
            issued: &iso_8601(now),
            not_before: &iso_8601(now.saturating_sub(HOLDS_MS)),
            not_after: &iso_8601(now.saturating_add(HOLDS_MS)),
        };
        let mut response = Response::new(Body::from(saml1::write(outcome, &frame)));
        if matches!(outcome, Outcome::Failure(f) if f.code == Code::InternalError) {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        let out = response.headers_mut();
        let xml = HeaderValue::from_static("text/xml;charset=UTF-8");
        out.insert(header::CONTENT_TYPE, xml);
        headers::of_any(out, self.visit.https);
        response
    }
}
