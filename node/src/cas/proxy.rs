//! `/proxy` (section 2.7 of the specification): a proxy-granting ticket becomes a proxy ticket for
//! another application.

use axum::response::Response;
use castor_proto::ticket::{TicketId, TicketKind};

use super::outcome::{Code, ProxyOutcome};
use super::response::respond_proxy;
use super::service_url::ServiceUrl;
use super::visit::{Call, Visitor, log_ticket};
use crate::ops::audit::Action;
use crate::services::RegisteredService;
use crate::services::access::Access;
use crate::services::participation::SessionFacts;
use crate::tickets::{FoundProxy, ProxySession, TicketError};
use crate::web::form::Form;

/// Answers `GET /proxy`.
pub async fn get(call: Call) -> Response {
    let visitor = call.visitor();
    let query = call.query();
    let format = call.format(&query);
    let outcome = match query {
        Ok(form) => visitor.proxy(&form).await,
        Err(error) => visitor.malformed_proxy(ProxyOutcome::bad_request(error)),
    };
    respond_proxy(&outcome, format, visitor.visit.https)
}

impl Visitor<'_> {
    async fn proxy(&self, form: &Form) -> ProxyOutcome {
        if !self.cas.serves() {
            return ProxyOutcome::undecided();
        }
        let (pgt, target) = match (form.one("pgt"), form.one("targetService")) {
            (Ok(Some(pgt)), Ok(Some(target))) => (pgt, target),
            (Err(error), _) | (_, Err(error)) => {
                return self.malformed_proxy(ProxyOutcome::bad_request(error));
            }
            _ => return self.malformed_proxy(ProxyOutcome::missing_parameters()),
        };
        let id = match TicketId::parse(pgt) {
            Ok(id) if id.kind() == Some(TicketKind::Pgt) => id,
            _ => return self.no_proxy_ticket(None, target, ProxyOutcome::not_recognized()),
        };
        log_ticket(&id.masked());
        let session = match self.cas.tickets.proxy_session(&id).await {
            FoundProxy::Live(session) => session,
            FoundProxy::Gone => {
                return self.no_proxy_ticket(None, target, ProxyOutcome::not_recognized());
            }
            FoundProxy::Undecided => return ProxyOutcome::undecided(),
        };
        self.proxy_with(&session, target).await
    }

    async fn proxy_with(&self, session: &ProxySession, target: &str) -> ProxyOutcome {
        let who = Some(session.pgt.principal.id.as_str());
        if !self.may_still_proxy(session) {
            return self.no_proxy_ticket(who, target, ProxyOutcome::may_not_proxy());
        }
        let facts = SessionFacts {
            principal: &session.pgt.principal,
            authenticated_at: session.authenticated_at,
            last_used: session.last_used,
            now: self.cas.tickets.now(),
        };
        let registered = ServiceUrl::parse(target)
            .ok()
            .and_then(|url| self.cas.registered(&url))
            .filter(|r| r.access(&session.pgt.principal, &self.asking()) == Access::Granted)
            // Nobody is there who could be asked for fresh credentials.
            .filter(|r| r.takes_session(&facts));
        let Some(registered) = registered else {
            return self.no_proxy_ticket(who, target, ProxyOutcome::unauthorized());
        };
        let life = registered.lifetimes.proxy_ticket;
        match self
            .cas
            .tickets
            .proxy_ticket(session, target, registered.id, life)
            .await
        {
            Ok(ticket) => {
                log_ticket(&ticket.masked());
                self.audit(
                    Action::ProxyTicketCreated,
                    who,
                    format!("{} for {target}", ticket.masked()),
                );
                ProxyOutcome::Success(ticket.as_str().to_owned())
            }
            Err(TicketError::SessionEnded) => {
                self.no_proxy_ticket(who, target, ProxyOutcome::not_recognized())
            }
            Err(error) => {
                tracing::warn!(%error, "no proxy ticket");
                ProxyOutcome::undecided()
            }
        }
    }

    /// Whether an application may proxy by the definitions that are now in force. A proxy-granting
    /// ticket does not say whose it is; it is one of the applications that were visited in its session,
    /// and one of which nobody knows a definition any more, or that is closed, may be the one.
    fn may_still_proxy(&self, session: &ProxySession) -> bool {
        let services = &self.cas.services;
        let asking = self.asking();
        let allows = |service: &RegisteredService| {
            service.is_open(&asking) && service.proxy.allows(&session.pgt.callback)
        };
        let visited = self.cas.tickets.visited(session);
        let mut some_closed = false;
        for (key, used) in &visited {
            match services.of_visit(*key, used) {
                Some(service) if allows(&service) => return true,
                Some(service) => some_closed |= !service.is_open(&asking),
                None => some_closed = true,
            }
        }
        // This node may hear of the visit later than of the ticket.
        !some_closed && services.snapshot().iter().any(|service| allows(service))
    }

    /// Records a request that cannot be read, without what was sent.
    fn malformed_proxy(&self, outcome: ProxyOutcome) -> ProxyOutcome {
        if let ProxyOutcome::Failure(failure) = &outcome {
            let what = format!("{}: {}", failure.code.as_str(), failure.text);
            self.audit(Action::ProxyTicketNotCreated, None, what);
        }
        outcome
    }

    fn no_proxy_ticket(
        &self,
        who: Option<&str>,
        target: &str,
        outcome: ProxyOutcome,
    ) -> ProxyOutcome {
        let code = outcome.code().map_or("", Code::as_str);
        self.audit(
            Action::ProxyTicketNotCreated,
            who,
            format!("{code}: {target}"),
        );
        outcome
    }
}
