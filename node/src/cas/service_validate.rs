//! `/serviceValidate` (CAS 2) and `/p3/serviceValidate` (CAS 3): a service ticket, once.
//!
//! Both answer with attributes, as servers of the field have done for years. The ticket is consumed
//! first and judged afterwards: a wrong service, an unmet `renew` or a missing permission has used
//! it up. `pgtUrl` has no effect: no application may proxy yet.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use castor_proto::ticket::{Payload, St, TicketId};

use super::Cas;
use super::outcome::{AuthenticationFacts, Outcome, Success};
use super::paths::{P3_SERVICE_VALIDATE, SERVICE_VALIDATE};
use super::response::{Format, respond};
use super::service_url::{self, ServiceUrl};
use super::visit::{Visit, Visitor, log_ticket};
use crate::clock;
use crate::ops::audit::Action;
use crate::services::access::Access;
use crate::tickets::{ClaimRequest, Consumed, Granted};
use crate::web::form::{Form, FormError};

/// Answers `GET /serviceValidate`.
pub async fn get(state: State<Arc<Cas>>, visit: Extension<Visit>, request: Request) -> Response {
    answer(SERVICE_VALIDATE, state, visit, request).await
}

/// Answers `GET /p3/serviceValidate`.
pub async fn get_p3(state: State<Arc<Cas>>, visit: Extension<Visit>, request: Request) -> Response {
    answer(P3_SERVICE_VALIDATE, state, visit, request).await
}

async fn answer(
    endpoint: &'static str,
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
    let validation = Validation { endpoint, query };
    let outcome = validate(&visitor, &validation).await;
    respond(&outcome, format, visit.https)
}

/// A validation as it came in.
pub(super) struct Validation {
    /// Path below the prefix.
    pub(super) endpoint: &'static str,
    /// Its parameters.
    pub(super) query: Result<Form, FormError>,
}

/// Parameters of a validation, each there at most once.
struct Parameters<'a> {
    service: &'a str,
    ticket: &'a str,
    pgt_url: Option<&'a str>,
    format: Option<&'a str>,
    renew: bool,
}

/// Validates a service ticket and records it.
pub(super) async fn validate(visitor: &Visitor<'_>, validation: &Validation) -> Outcome {
    if !visitor.cas.serves() {
        return Outcome::undecided();
    }
    let form = match &validation.query {
        Ok(form) => form,
        Err(error) => return Outcome::bad_request(error),
    };
    let parameters = match parameters(form) {
        Ok(Some(parameters)) => parameters,
        Ok(None) => return Outcome::missing_parameters(),
        Err(error) => return Outcome::bad_request(error),
    };
    let shown = match TicketId::parse(parameters.ticket) {
        Ok(id) => id.masked(),
        Err(_) => "a ticket that is none".to_owned(),
    };
    log_ticket(&shown);
    let (outcome, who) = judge(visitor, validation.endpoint, &parameters).await;
    match &outcome {
        Outcome::Success(_) => visitor.audit(
            Action::ServiceTicketValidated,
            who.as_deref(),
            format!("{shown} for {}", parameters.service),
        ),
        Outcome::Failure(failure) => visitor.audit(
            Action::ServiceTicketValidateFailed,
            who.as_deref(),
            format!(
                "{}: {shown} for {}",
                failure.code.as_str(),
                parameters.service
            ),
        ),
    }
    outcome
}

fn parameters(form: &Form) -> Result<Option<Parameters<'_>>, FormError> {
    let (service, ticket) = (form.one("service")?, form.one("ticket")?);
    let (pgt_url, format) = (form.one("pgtUrl")?, form.one("format")?);
    let (Some(service), Some(ticket)) = (service, ticket) else {
        return Ok(None);
    };
    Ok(Some(Parameters {
        service,
        ticket,
        pgt_url,
        format,
        renew: form.has("renew"),
    }))
}

/// Consumes the ticket, then judges; also says whose ticket it was.
async fn judge(
    visitor: &Visitor<'_>,
    endpoint: &'static str,
    parameters: &Parameters<'_>,
) -> (Outcome, Option<String>) {
    let Ok(id) = TicketId::parse(parameters.ticket) else {
        return (Outcome::not_recognized(parameters.ticket), None);
    };
    let consumed = visitor
        .cas
        .tickets
        .consume(&ClaimRequest {
            request_id: &visitor.visit.request_id,
            endpoint,
            ticket: &id,
            service: parameters.service,
            pgt_url: parameters.pgt_url,
            renew: parameters.renew,
            format: parameters.format,
        })
        .await;
    match consumed {
        Consumed::Refused(refusal) => (Outcome::refused(parameters.ticket, refusal), None),
        Consumed::Undecided => (Outcome::undecided(), None),
        Consumed::Granted(granted) => {
            let outcome = match &granted.payload {
                Payload::St(st) => judge_service(visitor, st, &granted, parameters),
                _ => Outcome::wrong_kind(parameters.ticket),
            };
            (outcome, Some(granted.session.principal.id))
        }
    }
}

fn judge_service(
    visitor: &Visitor<'_>,
    st: &St,
    granted: &Granted,
    parameters: &Parameters<'_>,
) -> Outcome {
    if !service_url::is_same(&st.service, parameters.service) {
        return Outcome::other_service();
    }
    if parameters.renew && !st.from_new_login {
        return Outcome::not_from_new_login(parameters.ticket);
    }
    // The definition may have changed since the ticket was issued; the one now in force counts.
    let matchable = ServiceUrl::parse(&st.service).map(|url| url.matchable());
    let registered = matchable
        .as_ref()
        .ok()
        .and_then(|url| visitor.cas.services.find(url));
    let principal = &granted.session.principal;
    let asking = visitor.asking();
    let (Ok(url), Some(registered)) = (matchable, registered) else {
        return Outcome::unauthorized();
    };
    if registered.access(principal, &asking) != Access::Granted {
        return Outcome::unauthorized();
    }
    let Some(released) = registered.release(principal, &url) else {
        return Outcome::unauthorized();
    };
    let facts = released.authentication.then(|| AuthenticationFacts {
        date: iso_8601(granted.session.authenticated_at),
        long_term: granted.session.remember_me,
        new_login: st.from_new_login,
    });
    Outcome::Success(Box::new(Success {
        user: released.user,
        attributes: released.attributes,
        facts,
        pgt_iou: None,
        proxies: Vec::new(),
    }))
}

/// A moment as clients read it: UTC, milliseconds, `Z`.
fn iso_8601(wall_ms: u64) -> String {
    format!("{:.3}", clock::timestamp(wall_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_plain_iso_8601_in_utc() {
        assert_eq!(iso_8601(1_795_195_800_123), "2026-11-20T17:30:00.123Z");
        assert_eq!(iso_8601(0), "1970-01-01T00:00:00.000Z");
    }
}
