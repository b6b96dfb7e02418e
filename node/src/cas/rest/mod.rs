//! The REST protocol below `/v1`, for programs that sign in without a browser.
//!
//! | call | file |
//! |---|---|
//! | `POST /v1/tickets` | [`tickets`]: a session |
//! | `POST /v1/tickets/{id}` | [`ticket`]: a service ticket within it |
//! | `GET /v1/tickets/{id}` | [`ticket`]: whether it is alive |
//! | `DELETE /v1/tickets/{id}` | [`ticket`]: ends it |
//! | `POST /v1/users` | [`users`]: who somebody is, without a session |
//!
//! Off unless `http.rest` says otherwise, as in Apereo CAS: whoever can reach it can try passwords.
//! The id of a session stands in its URLs, where proxies write it into their logs.

pub mod ticket;
pub mod tickets;
pub mod users;

use axum::body::{Body, to_bytes};
use axum::response::Response;
use castor_proto::ticket::Principal;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::judging::Judged;
use super::visit::{Visitor, set_retry_after};
use crate::authn::Throttled;
use crate::tickets::TicketError;
use crate::web::form::Form;
use crate::web::headers;

/// A refusal: status and text.
type Refused = (StatusCode, String);

const FORM: &str = "application/x-www-form-urlencoded";

/// Somebody who presented good credentials.
struct Person {
    principal: Principal,
    handler: &'static str,
}

impl Visitor<'_> {
    /// The form of a request; none when REST is off or the body is no form.
    async fn rest_form(&self, body: Body) -> Result<Form, Response> {
        let config = self.cas.config.load();
        if !config.http.rest {
            return Err(self.error(crate::web::pages::ErrorKind::Missing));
        }
        let kind = self.headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or(FORM);
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case(FORM) {
            let says = format!("the body must be {FORM}");
            return Err(self.rest_refused((StatusCode::UNSUPPORTED_MEDIA_TYPE, says)));
        }
        let limit = config.http.max_body.0;
        let Ok(body) = to_bytes(body, limit).await else {
            let says = format!("the body is larger than {limit} bytes");
            return Err(self.rest_refused((StatusCode::PAYLOAD_TOO_LARGE, says)));
        };
        Form::parse(&body)
            .map_err(|error| self.rest_refused((StatusCode::BAD_REQUEST, error.to_string())))
    }

    /// Judges the credentials of a form.
    async fn rest_person(&self, form: &Form) -> Result<Person, Response> {
        let bad = |says: String| self.rest_refused((StatusCode::BAD_REQUEST, says));
        let (username, password) = match (form.one("username"), form.one("password")) {
            (Ok(username), Ok(password)) => (username, password),
            (Err(error), _) | (_, Err(error)) => return Err(bad(error.to_string())),
        };
        let (username, password) = (username.unwrap_or_default(), password.unwrap_or_default());
        match self.judge_credentials(username, password).await {
            Judged::Accepted { principal, handler } => Ok(Person { principal, handler }),
            Judged::Rejected => Err(self.rest_failed()),
            Judged::Missing => Err(bad("'username' and 'password' are both required".into())),
            Judged::Throttled(Throttled { seconds, .. }) => {
                let says = format!("too many sign-ins have failed; try again in {seconds} s");
                let mut response = self.rest_refused((StatusCode::LOCKED, says));
                set_retry_after(&mut response, seconds);
                Err(response)
            }
            Judged::NotNow => Err(self.rest_busy()),
        }
    }

    /// Wrong credentials, in the words that clients of Apereo CAS read.
    fn rest_failed(&self) -> Response {
        let says = json!({
            "authentication_exceptions": ["FailedLoginException: the credentials are not accepted"]
        });
        self.rest_answer(
            StatusCode::UNAUTHORIZED,
            "application/json",
            says.to_string(),
        )
    }

    fn rest_busy(&self) -> Response {
        let says = "this node cannot serve now; try again".to_owned();
        let mut response = self.rest_refused((StatusCode::SERVICE_UNAVAILABLE, says));
        let seconds = HeaderValue::from_static("2");
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
        response
    }

    fn rest_ticket_error(&self, error: TicketError) -> Response {
        tracing::warn!(%error, "no ticket");
        match error {
            TicketError::Full => self.rest_refused((
                StatusCode::INSUFFICIENT_STORAGE,
                "the cluster holds as many tickets as it may".to_owned(),
            )),
            TicketError::TooMany => {
                let says = "the person has as many sessions as they may".to_owned();
                self.rest_refused((StatusCode::FORBIDDEN, says))
            }
            TicketError::SessionEnded => self.rest_unknown(),
            TicketError::NotNow | TicketError::TooLarge => self.rest_busy(),
        }
    }

    /// No such session. What was sent is not repeated: it may be a credential.
    fn rest_unknown(&self) -> Response {
        let says = "the ticket-granting ticket could not be found".to_owned();
        self.rest_refused((StatusCode::NOT_FOUND, says))
    }

    fn rest_refused(&self, (status, says): Refused) -> Response {
        self.rest_answer(status, "text/plain;charset=UTF-8", says)
    }

    fn rest_answer(&self, status: StatusCode, kind: &'static str, body: String) -> Response {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let out = response.headers_mut();
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers::of_any(out, self.visit.https);
        response
    }
}

/// Whether a client would rather have a page than text.
fn wants_page(headers: &HeaderMap) -> bool {
    let Some(accept) = headers.get(header::ACCEPT) else {
        return true;
    };
    let accept = accept.to_str().unwrap_or_default();
    accept.contains("*/*") || accept.contains("text/html")
}
