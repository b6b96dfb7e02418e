//! Outcomes as bytes: XML and JSON (CAS 2 and 3), plain text (CAS 1) and SOAP (SAML 1.1).
//!
//! Every outcome is HTTP 200, also a refusal, because clients treat anything else as a broken
//! server; only "cannot tell now" is 503, so that a load balancer asks another node.

pub mod json;
pub mod plain;
pub mod saml1;
pub mod xml;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use json::Single;

use super::outcome::{Code, Failure, Outcome, ProxyOutcome};
use crate::web::headers;

/// A format of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// CAS 2 and 3, the default.
    Xml,
    /// CAS 3 with `format=JSON`; attributes with one value are written so.
    Json(Single),
    /// CAS 1.
    Plain,
}

impl Format {
    /// The parameter `format`; anything but JSON means XML.
    pub fn of_parameter(value: Option<&str>, single: Single) -> Self {
        match value {
            Some(value) if value.eq_ignore_ascii_case("json") => Self::Json(single),
            _ => Self::Xml,
        }
    }

    fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Xml => "application/xml;charset=UTF-8",
            Self::Json(_) => "application/json",
            Self::Plain => "text/plain;charset=UTF-8",
        })
    }
}

/// The HTTP answer for an outcome.
pub fn respond(outcome: &Outcome, format: Format, https: bool) -> Response {
    let body = match format {
        Format::Xml => xml::write(outcome),
        Format::Json(single) => json::write(outcome, single),
        Format::Plain => plain::write(outcome),
    };
    let failure = match outcome {
        Outcome::Success(_) => None,
        Outcome::Failure(failure) => Some(failure),
    };
    answer(body, failure, format, https)
}

/// The HTTP answer to a request for a proxy ticket, as XML or JSON.
pub fn respond_proxy(outcome: &ProxyOutcome, format: Format, https: bool) -> Response {
    let body = match format {
        Format::Xml | Format::Plain => xml::write_proxy(outcome),
        Format::Json(_) => json::write_proxy(outcome),
    };
    let failure = match outcome {
        ProxyOutcome::Success(_) => None,
        ProxyOutcome::Failure(failure) => Some(failure),
    };
    answer(body, failure, format, https)
}

fn answer(body: String, failure: Option<&Failure>, format: Format, https: bool) -> Response {
    let mut response = Response::new(Body::from(body));
    if failure.is_some_and(|failure| failure.code == Code::InternalError) {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, format.media_type());
    headers::of_any(headers, https);
    response
}

#[cfg(test)]
mod tests;
