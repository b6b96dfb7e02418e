//! Granting a service ticket and sending it to the application.

use axum::body::Body;
use axum::response::Response;
use castor_proto::ticket::St;
use http::{HeaderName, HeaderValue, StatusCode};

use super::{Asked, Target};
use crate::cas::visit::{Visitor, log_ticket, set_cookie};
use crate::ops::audit::Action;
use crate::services::ResponseType;
use crate::services::access::Access;
use crate::tickets::{Session, TicketError};
use crate::web::headers::{self, Needs};
use crate::web::pages::{ErrorKind, Page};

impl Visitor<'_> {
    /// Goes on to the application with an existing session. When the session ends meanwhile the
    /// person is asked for credentials, or sent on without a ticket for `gateway`.
    pub(super) async fn grant_by_session(
        &self,
        asked: &Asked,
        target: &Target,
        session: &Session,
    ) -> Response {
        if !self.may_use(target, session) {
            self.not_created(session, target, "access refused");
            return if asked.gateway {
                self.redirect(&target.url.redirect())
            } else {
                self.no_access(target)
            };
        }
        match self.issue(target, session, false).await {
            Ok(response) => response,
            Err(TicketError::SessionEnded) => {
                let mut response = self.without_session(asked);
                set_cookie(&mut response, self.cas.cookies.remove());
                response
            }
            Err(error) => self.ticket_error(error),
        }
    }

    /// Goes on to the application right after credentials were accepted.
    pub(super) async fn grant_by_login(&self, target: &Target, session: &Session) -> Response {
        if !self.may_use(target, session) {
            self.not_created(session, target, "access refused");
            return self.no_access(target);
        }
        match self.issue(target, session, true).await {
            Ok(response) => response,
            Err(error) => self.ticket_error(error),
        }
    }

    fn may_use(&self, target: &Target, session: &Session) -> bool {
        let access = target
            .registered
            .access(&session.tgt.principal, &self.asking());
        access == Access::Granted
    }

    async fn issue(
        &self,
        target: &Target,
        session: &Session,
        from_new_login: bool,
    ) -> Result<Response, TicketError> {
        let service = St {
            service: target.url.as_str().to_owned(),
            registered_service: target.registered.id,
            from_new_login,
        };
        let life = target.registered.lifetimes.service_ticket;
        let issued = self
            .cas
            .tickets
            .service_ticket(session, service, life)
            .await;
        let ticket = issued.inspect_err(|error| {
            self.not_created(session, target, &error.to_string());
        })?;
        log_ticket(&ticket.masked());
        self.audit(
            Action::ServiceTicketCreated,
            Some(&session.tgt.principal.id),
            format!("{} for {}", ticket.masked(), target.url.as_str()),
        );
        Ok(self.send(target, ticket.as_str()))
    }

    fn not_created(&self, session: &Session, target: &Target, why: &str) {
        self.audit(
            Action::ServiceTicketNotCreated,
            Some(&session.tgt.principal.id),
            format!("{why}: {}", target.url.as_str()),
        );
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
            TicketError::NotNow | TicketError::SessionEnded => ErrorKind::Unready,
            TicketError::TooLarge => ErrorKind::Failed,
        })
    }

    /// Sends the ticket by redirect, posted form or headers.
    fn send(&self, target: &Target, ticket: &str) -> Response {
        let instead = target.registered.redirect_url.as_deref();
        match target.response {
            ResponseType::Redirect => {
                self.redirect(&target.url.redirect_with_ticket(instead, ticket))
            }
            ResponseType::Post => {
                let action = instead.unwrap_or(target.url.as_str()).to_owned();
                let needs = Needs {
                    leads_to: Some(action.clone()),
                    picture: None,
                    script: true,
                };
                let page = Page::Post {
                    action,
                    service: target.registered.name.clone(),
                    fields: vec![("ticket".to_owned(), ticket.to_owned())],
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
