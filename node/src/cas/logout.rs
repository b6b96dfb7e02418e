//! `/logout`: ends the session of the browser.
//!
//! Answers when every node that must know does, or after one second; then nothing that starts later
//! validates on any connected node. Applications are told meanwhile, and nobody waits for them; those
//! that want to hear it from the browser are on the page. Holding the sealed cookie is enough, also
//! where it is bound to another address or browser: who has moved can still sign out. `url` of CAS 2 is
//! ignored, and `service` is followed only when it is registered and the configuration says so: else
//! anybody could send people anywhere.

use axum::response::Response;
use castor_proto::ticket::TicketId;
use http::{Method, StatusCode};

use super::service_url::ServiceUrl;
use super::visit::{Call, Visitor, set_cookie};
use crate::ops::audit::Action;
use crate::slo::{By, FrontNotice, Reason, SessionEnd};
use crate::tickets::{Found, TicketError};
use crate::web::cookies::{self, Presented};
use crate::web::form::Form;
use crate::web::headers::Needs;
use crate::web::origin::Origin;
use crate::web::pages::{ErrorKind, Page, SignedOutPage, ToldByBrowser};

/// What signing out came to.
#[derive(Default)]
pub(super) struct Outcome {
    had_session: bool,
    /// Some nodes do not know yet.
    partial: bool,
    front: Vec<FrontNotice>,
}

/// Who signs out: only a browser can tell applications anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Browser,
    Program,
}

/// Answers `/logout`.
pub async fn logout(call: Call) -> Response {
    let visitor = call.visitor();
    if !visitor.cas.serves() {
        return visitor.error(ErrorKind::Unready);
    }
    let presented = visitor.presented();
    let query = call.head.uri.query();
    if visitor.asks_first(&call.head.method, &presented) {
        return visitor.question(query);
    }
    let outcome = match visitor.end(&presented, Way::Browser).await {
        Ok(outcome) => outcome,
        // The cookie stays, so that trying again ends the session.
        Err(error) => {
            tracing::warn!(%error, "a session could not be ended");
            return visitor.error(ErrorKind::Unready);
        }
    };
    let mut response = match visitor.return_to(query) {
        Some(url) if outcome.front.is_empty() => visitor.redirect(&url.redirect()),
        next => visitor.signed_out(outcome, next.map(|url| url.redirect())),
    };
    if presented != Presented::None {
        set_cookie(&mut response, visitor.cas.cookies.remove());
    }
    if cookies::warns(&call.head.headers) {
        set_cookie(&mut response, visitor.cas.cookies.remove_warn());
    }
    response
}

impl Visitor<'_> {
    /// Whether to ask before: when configured, there is something to end, and the question has not been
    /// answered by our own form.
    fn asks_first(&self, method: &Method, presented: &Presented) -> bool {
        let answered = *method == Method::POST && self.origin() == Origin::Own;
        self.cas.config.load().logout.confirm && presented.held().is_some() && !answered
    }

    fn question(&self, query: Option<&str>) -> Response {
        let action = match query {
            Some(query) => format!("{}/logout?{query}", self.cas.prefix()),
            None => format!("{}/logout", self.cas.prefix()),
        };
        let needs = Needs {
            // The form may end in a redirect.
            leads_to: self.return_to(query).map(|url| url.redirect()),
            ..Needs::default()
        };
        self.page(StatusCode::OK, &Page::SignOut { action }, &needs)
    }

    /// Ends the session and has its applications told.
    pub(super) async fn end(
        &self,
        presented: &Presented,
        way: Way,
    ) -> Result<Outcome, TicketError> {
        let Some(id) = presented.held() else {
            return Ok(Outcome::default());
        };
        let principal = match self.cas.tickets.session(id).await {
            Found::Live(session) => Some(session.tgt.principal),
            Found::Gone | Found::Undecided => None,
        };
        let ended = self.cas.tickets.end_session(id).await?;
        if ended.existed {
            let who = principal.as_ref().map(|principal| principal.id.as_str());
            self.audit(Action::TicketGrantingTicketDestroyed, who, id.masked());
        }
        let partial = ended.existed && ended.missing > 0;
        let end = SessionEnd {
            principal,
            visited: ended.visited,
            partial: ended.missing > 0,
            ..self.session_end(id, Reason::Logout)
        };
        Ok(Outcome {
            had_session: ended.existed,
            partial,
            front: match way {
                Way::Browser => self.cas.slo.tell_with_browser(end),
                Way::Program => {
                    self.cas.slo.tell(end);
                    Vec::new()
                }
            },
        })
    }

    /// A session that this request ends, its applications still to be filled in.
    pub(super) fn session_end(&self, id: &TicketId, reason: Reason) -> SessionEnd {
        SessionEnd {
            key: id.key(),
            masked: id.masked(),
            principal: None,
            visited: Vec::new(),
            partial: false,
            reason,
            by: By {
                actor: None,
                client: self.visit.client.address,
                request: Some(self.visit.request_id.clone()),
            },
        }
    }

    fn signed_out(&self, outcome: Outcome, continue_url: Option<String>) -> Response {
        let urls = outcome.front.iter().map(|notice| notice.url.clone());
        let needs = Needs {
            fetched: urls.collect(),
            script: continue_url.is_some(),
            ..Needs::default()
        };
        let told = outcome.front.into_iter().map(|notice| ToldByBrowser {
            name: notice.name,
            url: notice.url,
        });
        let page = Page::SignedOut(Box::new(SignedOutPage {
            had_session: outcome.had_session,
            partial: outcome.partial,
            applications: told.collect(),
            continue_url,
        }));
        self.page(StatusCode::OK, &page, &needs)
    }

    /// Where the browser goes afterwards; a malformed query does not keep anybody signed in.
    fn return_to(&self, query: Option<&str>) -> Option<ServiceUrl> {
        let config = self.cas.config.load();
        let otherwise = || ServiceUrl::parse(config.logout.redirect_url.as_deref()?).ok();
        if !config.logout.follow_service_redirects {
            return otherwise();
        }
        self.registered_service(query).or_else(otherwise)
    }

    fn registered_service(&self, query: Option<&str>) -> Option<ServiceUrl> {
        let query = Form::parse(query?.as_bytes()).ok()?;
        let url = ServiceUrl::parse(query.one("service").ok()??).ok()?;
        let registered = self.cas.registered(&url)?;
        registered.is_open(&self.asking()).then_some(url)
    }
}
