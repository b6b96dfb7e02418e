//! `GET /login`: asks for credentials, or goes on to the application when there is a session.

pub mod accept;
mod grant;
mod warn;

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;

use super::service_url::{ServiceUrl, ServiceUrlError};
use super::visit::{Call, Visitor, set_cookie};
use crate::ops::audit::Action;
use crate::services::participation::SessionFacts;
use crate::services::{RegisteredService, ResponseType};
use crate::tickets::{Found, Session};
use crate::web::cookies::{self, Presented};
use crate::web::flow::FlowState;
use crate::web::form::{self, Form, FormError};
use crate::web::headers::Needs;
use crate::web::language::Tag;
use crate::web::pages::{ErrorKind, Failure, LoginPage, Page, ServiceInfo};
use warn::Consent;

/// The application that a person wants to go to.
#[derive(Debug, Clone)]
struct Target {
    url: ServiceUrl,
    registered: Arc<RegisteredService>,
    /// How the ticket goes back.
    response: ResponseType,
    /// Under which names: those of SAML 1.1, or those of CAS.
    by_target: bool,
}

/// What a login was asked for with, checked.
#[derive(Debug, Clone, Default)]
struct Asked {
    /// As received, for the form's state and action.
    flow: FlowState,
    gateway: bool,
    target: Option<Target>,
}

/// Why a login request is not served.
enum Refused {
    /// It is malformed.
    Malformed,
    /// The application is not registered, or nobody may use it now.
    Service,
    /// Nobody may use it now, and it says where people go instead.
    Elsewhere(String),
}

impl From<FormError> for Refused {
    fn from(_: FormError) -> Self {
        Self::Malformed
    }
}

impl From<ServiceUrlError> for Refused {
    fn from(_: ServiceUrlError) -> Self {
        Self::Malformed
    }
}

/// Answers `GET /login`.
pub async fn request(call: Call) -> Response {
    let visitor = call.visitor();
    if !visitor.cas.receives() {
        return visitor.error(ErrorKind::Unready);
    }
    let asked = match asked_by_query(&visitor, call.head.uri.query()) {
        Ok(asked) => asked,
        Err(refused) => return visitor.refuse(&refused),
    };
    visitor.by_cookie(&asked, Consent::NotAsked).await
}

/// Reads the query of a login request.
fn asked_by_query(visitor: &Visitor<'_>, query: Option<&str>) -> Result<Asked, Refused> {
    let query = Form::parse(query.unwrap_or_default().as_bytes())?;
    let (service, by_target) = service_of(&query)?;
    let flow = FlowState {
        service,
        by_target,
        renew: query.has("renew"),
        method: query.one("method")?.map(str::to_owned),
    };
    let gateway = query.has("gateway");
    visitor.asked(flow, gateway)
}

/// The service of a query or form, and whether it came under its name in SAML 1.1.
fn service_of(form: &Form) -> Result<(Option<String>, bool), FormError> {
    if let Some(service) = form.one("service")? {
        return Ok((Some(service.to_owned()), false));
    }
    let target = form.one("TARGET")?;
    Ok((target.map(str::to_owned), target.is_some()))
}

impl Visitor<'_> {
    /// Finds the application; `gateway` counts only without `renew` and with an application.
    fn asked(&self, flow: FlowState, gateway: bool) -> Result<Asked, Refused> {
        let Some(service) = &flow.service else {
            return Ok(Asked {
                flow,
                gateway: false,
                target: None,
            });
        };
        let url = ServiceUrl::parse(service)?;
        let Some(registered) = self.cas.registered(&url) else {
            self.audit(
                Action::ServiceAccessEnforcementTriggered,
                None,
                format!("not registered: {service}"),
            );
            return Err(Refused::Service);
        };
        if !registered.is_open(&self.asking()) {
            let closed = format!("closed: {service}");
            self.audit(Action::ServiceAccessEnforcementTriggered, None, closed);
            let instead = registered.access.unauthorized_redirect_url();
            return Err(instead.map_or(Refused::Service, |url| Refused::Elsewhere(url.to_owned())));
        }
        let response = flow
            .method
            .as_deref()
            .and_then(ResponseType::parse)
            .or(registered.response_type)
            .unwrap_or(ResponseType::Redirect);
        Ok(Asked {
            gateway: gateway && !flow.renew,
            target: Some(Target {
                url,
                registered,
                response,
                by_target: flow.by_target,
            }),
            flow,
        })
    }

    fn refuse(&self, refused: &Refused) -> Response {
        match refused {
            Refused::Malformed => {
                // Without what was sent: it may be anything.
                let what = "malformed request";
                self.audit(Action::ServiceAccessEnforcementTriggered, None, what);
                self.error(ErrorKind::Request)
            }
            Refused::Service => self.error(ErrorKind::Service),
            Refused::Elsewhere(url) => self.redirect(url),
        }
    }

    /// The session behind a cookie, and whether the cookie should go.
    async fn session_of(&self, presented: &Presented) -> (Option<Session>, bool) {
        match presented {
            Presented::None => (None, false),
            Presented::Unusable => (None, true),
            Presented::Session { id, .. } => match self.cas.tickets.session(id).await {
                Found::Live(session) => (Some(*session), false),
                Found::Gone => (None, true),
                // Perhaps it is alive where we cannot look: keep the cookie.
                Found::Undecided => (None, false),
            },
            // Kept while its session lives: it signs out, and is good again where it was set.
            Presented::Elsewhere { id } => {
                let found = self.cas.tickets.session(id).await;
                (None, matches!(found, Found::Gone))
            }
        }
    }

    /// Answers by the session of the browser's cookie, or without one.
    async fn by_cookie(&self, asked: &Asked, consent: Consent) -> Response {
        let presented = self.presented();
        let (found, remove_cookie) = self.session_of(&presented).await;
        let mut response = match found {
            Some(session) => {
                self.with_session(asked, &session, &presented, consent)
                    .await
            }
            None => self.without_session(asked),
        };
        if remove_cookie {
            set_cookie(&mut response, self.cas.cookies.remove());
        }
        response
    }

    async fn with_session(
        &self,
        asked: &Asked,
        session: &Session,
        presented: &Presented,
        consent: Consent,
    ) -> Response {
        let mut response = match &asked.target {
            _ if asked.flow.renew => self.form(asked, None, ""),
            None => {
                let username = session.tgt.principal.id.clone();
                let page = Page::SignedIn { username };
                self.page(StatusCode::OK, &page, &Needs::default())
            }
            Some(target) if !self.is_enough(session, &target.registered) => {
                self.without_session(asked)
            }
            Some(target) if self.asks_before(target, session, consent) => {
                self.ask(asked, target, session, consent)
            }
            Some(target) => self.grant_by_session(asked, target, session).await,
        };
        let stale = matches!(
            presented,
            Presented::Session {
                stale_key: true,
                ..
            }
        );
        if stale && response.headers().get(http::header::SET_COOKIE).is_none() {
            set_cookie(&mut response, self.session_cookie(session));
        }
        response
    }

    /// Whether a session is enough for an application, or it wants fresh credentials.
    pub(super) fn is_enough(&self, session: &Session, registered: &RegisteredService) -> bool {
        let facts = SessionFacts {
            principal: &session.tgt.principal,
            authenticated_at: session.tgt.authenticated_at,
            last_used: session.last_used,
            now: self.cas.tickets.now(),
        };
        registered.takes_session(&facts)
    }

    fn without_session(&self, asked: &Asked) -> Response {
        match &asked.target {
            Some(target) if asked.gateway => self.redirect(&target.url.redirect()),
            _ => self.form(asked, None, ""),
        }
    }

    /// The login form.
    fn form(&self, asked: &Asked, failure: Option<Failure>, username: &str) -> Response {
        let Some(execution) = self.sealed(&asked.flow) else {
            return self.error(ErrorKind::Request);
        };
        let status = failure.map_or(StatusCode::OK, Failure::status);
        let service = asked.target.as_ref().map(|t| service_info(&t.registered));
        let picture = service.as_ref().and_then(|info| info.logo.clone());
        let page = LoginPage {
            execution,
            action: action(&asked.flow, self.visit.locale.as_ref()),
            service,
            failure,
            username: username.to_owned(),
            renew: asked.flow.renew,
            remember_me: self.cas.tickets.policy().remembered.is_some(),
            warn: self.offers_warn(),
            warn_checked: cookies::warns(self.headers),
        };
        let needs = Needs {
            leads_to: asked.flow.service.clone(),
            picture,
            ..Needs::default()
        };
        self.page(status, &Page::Login(Box::new(page)), &needs)
    }

    /// The state of a form, for its hidden input `execution`.
    fn sealed(&self, flow: &FlowState) -> Option<String> {
        let tickets = &self.cas.tickets;
        flow.seal(&tickets.keyring(), self.cas.nonce(), tickets.now())
            .ok()
    }

    fn session_cookie(&self, session: &Session) -> Option<http::HeaderValue> {
        let ring = self.cas.tickets.keyring();
        let max_age = self.max_age(session);
        let pin = self.pin();
        self.cas.cookies.set(
            &session.id,
            &ring,
            self.cas.nonce(),
            max_age,
            pin.as_deref(),
        )
    }

    /// How long the cookies of a session are kept, in seconds; until the browser ends unless the
    /// person asked to be remembered.
    fn max_age(&self, session: &Session) -> Option<u64> {
        let left = session.hard_expiry.saturating_sub(self.cas.tickets.now()) / 1000;
        session.tgt.remember_me.then_some(left)
    }
}

/// Where the form goes: `login` with what it was asked for with, so that a reload or a form that
/// has become too old still knows the application and the language.
fn action(flow: &FlowState, locale: Option<&Tag>) -> String {
    let mut query = Vec::new();
    if let Some(service) = &flow.service {
        let name = if flow.by_target { "TARGET" } else { "service" };
        query.push(format!("{name}={}", form::encode(service)));
    }
    if flow.renew {
        query.push("renew=true".to_owned());
    }
    if let Some(method) = &flow.method {
        query.push(format!("method={}", form::encode(method)));
    }
    if let Some(locale) = locale {
        query.push(format!("locale={}", locale.as_str()));
    }
    if query.is_empty() {
        "login".to_owned()
    } else {
        format!("login?{}", query.join("&"))
    }
}

fn service_info(registered: &RegisteredService) -> ServiceInfo {
    let logo = registered.logo.as_ref().filter(|logo| {
        // A picture must come over https or from ourselves; data would be as good as any.
        logo.starts_with("https://") || logo.starts_with('/')
    });
    ServiceInfo {
        name: registered.name.clone(),
        description: registered.description.clone(),
        logo: logo.cloned(),
        information_url: registered.information_url.clone(),
        privacy_url: registered.privacy_url.clone(),
    }
}
