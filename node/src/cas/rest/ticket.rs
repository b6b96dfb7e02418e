//! `/v1/tickets/{id}`: a service ticket within a session, whether the session is alive, its end.

use axum::body::Body;
use axum::extract::Path;
use axum::response::Response;
use castor_proto::ticket::{TicketId, TicketKind};
use http::StatusCode;

use crate::cas::granting::{NotGranted, Wish};
use crate::cas::logout::Way;
use crate::cas::service_url::ServiceUrl;
use crate::cas::visit::{Call, Visitor, log_ticket};
use crate::ops::audit::Action;
use crate::tickets::{Found, Session};
use crate::web::cookies::Presented;
use crate::web::form::Form;

const TEXT: &str = "text/plain;charset=UTF-8";

/// Answers `POST /v1/tickets/{id}`.
pub async fn post(Path(id): Path<String>, mut call: Call) -> Response {
    let body = call.take_body();
    let visitor = call.visitor();
    let form = match visitor.rest_form(body).await {
        Ok(form) => form,
        Err(refused) => return refused,
    };
    match visitor.rest_session(&id).await {
        Ok((_, session)) => visitor.rest_service_ticket(&session, &form).await,
        Err(refused) => refused,
    }
}

/// Answers `GET /v1/tickets/{id}`. Only sessions can be asked for: looking at a service ticket is no
/// business of whoever has its id.
pub async fn get(Path(id): Path<String>, call: Call) -> Response {
    let visitor = call.visitor();
    if let Err(refused) = visitor.rest_form(Body::empty()).await {
        return refused;
    }
    match visitor.rest_session(&id).await {
        Ok((id, _)) => visitor.rest_answer(StatusCode::OK, TEXT, id.as_str().to_owned()),
        Err(refused) => refused,
    }
}

/// Answers `DELETE /v1/tickets/{id}`, as signing out does: the applications are told, but those that
/// only a browser can tell. A session that has gone already is answered in the same way.
pub async fn delete(Path(id): Path<String>, call: Call) -> Response {
    let visitor = call.visitor();
    if let Err(refused) = visitor.rest_form(Body::empty()).await {
        return refused;
    }
    let Some(id) = session_id(&id) else {
        return visitor.rest_unknown();
    };
    log_ticket(&id.masked());
    let presented = Presented::Session {
        id: id.clone(),
        stale_key: false,
    };
    match visitor.end(&presented, Way::Program).await {
        Ok(_) => visitor.rest_answer(StatusCode::OK, TEXT, id.as_str().to_owned()),
        Err(error) => visitor.rest_ticket_error(error),
    }
}

fn session_id(text: &str) -> Option<TicketId> {
    let id = TicketId::parse(text).ok()?;
    (id.kind() == Some(TicketKind::Tgt)).then_some(id)
}

impl Visitor<'_> {
    async fn rest_session(&self, id: &str) -> Result<(TicketId, Session), Response> {
        let id = session_id(id).ok_or_else(|| self.rest_unknown())?;
        log_ticket(&id.masked());
        match self.cas.tickets.session(&id).await {
            Found::Live(session) => Ok((id, *session)),
            Found::Gone => Err(self.rest_unknown()),
            Found::Undecided => Err(self.rest_busy()),
        }
    }

    async fn rest_service_ticket(&self, session: &Session, form: &Form) -> Response {
        let bad = |says: String| self.rest_refused((StatusCode::BAD_REQUEST, says));
        let service = match form.one("service") {
            Ok(Some(service)) => service,
            Ok(None) => return bad("'service' is required".to_owned()),
            Err(error) => return bad(error.to_string()),
        };
        let url = match ServiceUrl::parse(service) {
            Ok(url) => url,
            Err(error) => return bad(error.to_string()),
        };
        let found = self.cas.registered(&url);
        let Some(registered) = found.filter(|registered| registered.is_open(&self.asking())) else {
            self.audit(
                Action::ServiceAccessEnforcementTriggered,
                None,
                format!("not registered: {service}"),
            );
            return self.rest_forbidden("the service is not authorized to use CAS");
        };
        let renewed = form.has("username") || form.has("password");
        if renewed {
            match self.rest_person(form).await {
                Ok(person) if person.principal.id == session.tgt.principal.id => {}
                Ok(_) => return self.rest_forbidden("the session is another person's"),
                Err(refused) => return refused,
            }
        } else if form.has("renew") || !self.is_enough(session, &registered) {
            return bad("this ticket needs 'username' and 'password'".to_owned());
        }
        let wish = Wish {
            url: &url,
            registered: &registered,
            session,
            from_new_login: renewed,
        };
        match self.grant(&wish).await {
            Ok(ticket) => self.rest_answer(StatusCode::OK, TEXT, ticket.as_str().to_owned()),
            Err(NotGranted::Access) => self.rest_forbidden("the service is not for this person"),
            Err(NotGranted::Ticket(error)) => self.rest_ticket_error(error),
        }
    }

    fn rest_forbidden(&self, says: &str) -> Response {
        self.rest_refused((StatusCode::FORBIDDEN, says.to_owned()))
    }
}
