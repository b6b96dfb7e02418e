//! Granting a service ticket within a session: the same for a browser, a form and a REST client.

use castor_proto::ticket::{St, TicketId};

use super::service_url::ServiceUrl;
use super::visit::{Visitor, log_ticket};
use crate::ops::audit::Action;
use crate::services::RegisteredService;
use crate::services::access::Access;
use crate::tickets::{Look, Session, TicketError};

/// Why there is no ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotGranted {
    /// The application is not for this person.
    Access,
    /// No ticket could be made.
    Ticket(TicketError),
}

/// Who asks for a ticket, and for which application.
pub(super) struct Wish<'a> {
    pub(super) url: &'a ServiceUrl,
    pub(super) registered: &'a RegisteredService,
    pub(super) session: &'a Session,
    /// Credentials were presented for this very ticket.
    pub(super) from_new_login: bool,
}

impl Visitor<'_> {
    /// Grants a service ticket, and records it or why not.
    pub(super) async fn grant(&self, wish: &Wish<'_>) -> Result<TicketId, NotGranted> {
        let Wish {
            url,
            registered,
            session,
            from_new_login,
        } = *wish;
        let who = session.tgt.principal.id.as_str();
        let not_created = |why: &str| {
            let what = format!("{why}: {}", url.as_str());
            self.audit(Action::ServiceTicketNotCreated, Some(who), what);
        };
        if registered.access(&session.tgt.principal, &self.asking()) != Access::Granted {
            not_created("access refused");
            return Err(NotGranted::Access);
        }
        let look = Look::BeforeUse;
        if self.end_too_many(session, look).await {
            not_created("one session too many");
            return Err(NotGranted::Ticket(TicketError::SessionEnded));
        }
        let service = St {
            service: url.as_str().to_owned(),
            registered_service: registered.id,
            from_new_login,
        };
        let issued = self
            .cas
            .tickets
            .service_ticket(session, service, registered.lifetimes.service_ticket)
            .await;
        let ticket = issued.map_err(|error| {
            not_created(&error.to_string());
            NotGranted::Ticket(error)
        })?;
        log_ticket(&ticket.masked());
        self.audit(
            Action::ServiceTicketCreated,
            Some(who),
            format!("{} for {}", ticket.masked(), url.as_str()),
        );
        Ok(ticket)
    }
}
