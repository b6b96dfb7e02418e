//! Granting a service ticket and sending it to the application.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode};

use super::{Asked, Target};
use crate::cas::granting::{NotGranted, Wish};
use crate::cas::visit::{Visitor, set_cookie};
use crate::services::ResponseType;
use crate::tickets::{Session, TicketError};
use crate::web::headers::{self, Needs};
use crate::web::pages::{ErrorKind, Page};

impl Target {
    fn wish<'a>(&'a self, session: &'a Session, from_new_login: bool) -> Wish<'a> {
        Wish {
            url: &self.url,
            registered: &self.registered,
            session,
            from_new_login,
        }
    }

    /// Parameters that carry the ticket: those of SAML 1.1 when it was asked for with `TARGET`.
    fn parameters(&self, ticket: &str) -> Vec<(String, String)> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        if self.by_target {
            vec![pair("SAMLart", ticket), pair("TARGET", self.url.as_str())]
        } else {
            vec![pair("ticket", ticket)]
        }
    }
}

impl Visitor<'_> {
    /// Goes on to the application with an existing session. When the session ends meanwhile the
    /// person is asked for credentials, or sent on without a ticket for `gateway`.
    pub(super) async fn grant_by_session(
        &self,
        asked: &Asked,
        target: &Target,
        session: &Session,
    ) -> Response {
        match self.grant(&target.wish(session, false)).await {
            Ok(ticket) => self.send(target, ticket.as_str()),
            Err(NotGranted::Access) if asked.gateway => self.redirect(&target.url.redirect()),
            Err(NotGranted::Access) => self.no_access(target),
            Err(NotGranted::Ticket(TicketError::SessionEnded)) => {
                let mut response = self.without_session(asked);
                set_cookie(&mut response, self.cas.cookies.remove());
                response
            }
            Err(NotGranted::Ticket(error)) => self.ticket_error(error),
        }
    }

    /// Goes on to the application right after credentials were accepted.
    pub(super) async fn grant_by_login(&self, target: &Target, session: &Session) -> Response {
        match self.grant(&target.wish(session, true)).await {
            Ok(ticket) => self.send(target, ticket.as_str()),
            Err(NotGranted::Access) => self.no_access(target),
            Err(NotGranted::Ticket(error)) => self.ticket_error(error),
        }
    }

    fn no_access(&self, target: &Target) -> Response {
        match target.registered.access.unauthorized_redirect_url() {
            Some(url) => self.redirect(url),
            None => self.error(ErrorKind::Access),
        }
    }

    pub(super) fn ticket_error(&self, error: TicketError) -> Response {
        tracing::warn!(%error, "no ticket");
        self.error(match error {
            TicketError::Full => ErrorKind::Full,
            TicketError::TooMany => ErrorKind::Sessions,
            TicketError::NotNow | TicketError::SessionEnded => ErrorKind::Unready,
            TicketError::TooLarge => ErrorKind::Failed,
        })
    }

    /// Sends the ticket by redirect, posted form or headers.
    fn send(&self, target: &Target, ticket: &str) -> Response {
        let instead = target.registered.redirect_url.as_deref();
        match target.response {
            ResponseType::Redirect => self.redirect(
                &target
                    .url
                    .redirect_with(instead, &target.parameters(ticket)),
            ),
            ResponseType::Post => {
                let action = instead.unwrap_or(target.url.as_str()).to_owned();
                let needs = Needs {
                    leads_to: Some(action.clone()),
                    script: true,
                    ..Needs::default()
                };
                let page = Page::Post {
                    action,
                    service: target.registered.name.clone(),
                    fields: target.parameters(ticket),
                };
                self.page(StatusCode::OK, &page, &needs)
            }
            ResponseType::Header => self.send_headers(target, ticket),
        }
    }

    fn send_headers(&self, target: &Target, ticket: &str) -> Response {
        let mut response = Response::new(Body::empty());
        let out = response.headers_mut();
        for (name, value) in [
            ("service", target.url.redirect().as_str()),
            ("ticket", ticket),
        ] {
            if let Ok(value) = HeaderValue::try_from(value) {
                out.insert(HeaderName::from_static(name), value);
            }
        }
        headers::of_any(out, self.visit.https);
        response
    }
}
