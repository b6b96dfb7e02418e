//! `/logout`: ends the session of the browser.
//!
//! Answers when every node that must know does, or after one second; then nothing that starts later
//! validates on any connected node. `url` of CAS 2 is ignored, and `service` is followed only when
//! it is registered and the configuration says so: else anybody could send people anywhere.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;

use super::Cas;
use super::service_url::ServiceUrl;
use super::visit::{Visit, Visitor, set_cookie};
use crate::ops::audit::Action;
use crate::tickets::{Found, TicketError};
use crate::web::cookies::{self, Presented};
use crate::web::form::Form;
use crate::web::headers::Needs;
use crate::web::pages::{ErrorKind, Page};

/// Answers `/logout`.
pub async fn logout(
    State(cas): State<Arc<Cas>>,
    Extension(visit): Extension<Visit>,
    request: Request,
) -> Response {
    let visitor = Visitor {
        cas: &cas,
        visit: &visit,
        headers: request.headers(),
    };
    if !cas.serves() {
        return visitor.error(ErrorKind::Unready);
    }
    let presented = cookies::read(request.headers(), &cas.tickets.keyring());
    let (had_session, partial) = match visitor.end(&presented).await {
        Ok(ended) => ended,
        // The cookie stays, so that trying again ends the session.
        Err(error) => {
            tracing::warn!(%error, "a session could not be ended");
            return visitor.error(ErrorKind::Unready);
        }
    };
    let mut response = match visitor.return_to(request.uri().query()) {
        Some(url) => visitor.redirect(&url.redirect()),
        None => {
            let page = Page::SignedOut {
                had_session,
                partial,
            };
            visitor.page(StatusCode::OK, &page, &Needs::default())
        }
    };
    if presented != Presented::None {
        set_cookie(&mut response, cas.cookies.remove());
    }
    response
}

impl Visitor<'_> {
    /// Ends the session; returns whether there was one and whether some nodes do not know yet.
    async fn end(&self, presented: &Presented) -> Result<(bool, bool), TicketError> {
        let Presented::Session { id, .. } = presented else {
            return Ok((false, false));
        };
        let who = match self.cas.tickets.session(id).await {
            Found::Live(session) => Some(session.tgt.principal.id),
            Found::Gone | Found::Undecided => None,
        };
        let ended = self.cas.tickets.end_session(id).await?;
        if ended.existed {
            self.audit(
                Action::TicketGrantingTicketDestroyed,
                who.as_deref(),
                id.masked(),
            );
        }
        Ok((ended.existed, ended.existed && ended.missing > 0))
    }

    /// Where the browser goes afterwards; a malformed query does not keep anybody signed in.
    fn return_to(&self, query: Option<&str>) -> Option<ServiceUrl> {
        if !self.cas.config.load().logout.follow_service_redirects {
            return None;
        }
        let query = Form::parse(query?.as_bytes()).ok()?;
        let url = ServiceUrl::parse(query.one("service").ok()??).ok()?;
        let registered = self.cas.services.find(&url.matchable())?;
        registered.is_open(&self.asking()).then_some(url)
    }
}
