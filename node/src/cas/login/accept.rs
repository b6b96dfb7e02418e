//! `POST /login`: takes credentials, or the consent to go on, on any node, also on one that drains.
//!
//! The order of the checks is the order of their cost, and the password comes last: a form that is
//! damaged, foreign, too old or for an unknown application never reaches the password threads.

use axum::body::{Bytes, to_bytes};
use axum::response::Response;
use http::StatusCode;

use super::{Asked, Refused};
use crate::authn::Throttled;
use crate::cas::judging::Judged;
use crate::cas::visit::{Call, Visitor, set_cookie, set_retry_after};
use crate::ops::audit::Action;
use crate::slo::{Reason, SessionEnd};
use crate::tickets::{Found, Session, SessionStart, TicketError};
use crate::web::cookies::Presented;
use crate::web::flow::FlowState;
use crate::web::form::{Form, FormError};
use crate::web::headers::Needs;
use crate::web::origin::Origin;
use crate::web::pages::{ErrorKind, Failure, Page};

/// A form that was taken apart.
struct Submitted {
    asked: Asked,
    username: String,
    password: zeroize::Zeroizing<String>,
    remember_me: bool,
    /// The wish to be asked before going on to further applications.
    warn: bool,
    /// The wish not to be asked any more.
    stop_asking: bool,
    event: Event,
    /// Why the form has to be shown again, when it has to.
    failure: Option<Failure>,
}

/// Which of our forms it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// Credentials.
    Submit,
    /// Going on to an application with the session there is.
    Proceed,
}

/// Answers `POST /login`.
pub async fn submit(mut call: Call) -> Response {
    let body = call.take_body();
    let visitor = call.visitor();
    if !visitor.cas.serves() {
        return visitor.error(ErrorKind::Unready);
    }
    let limit = visitor.cas.config.load().http.max_body.0;
    let Ok(body) = to_bytes(body, limit).await else {
        return visitor.error_as(StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::Request);
    };
    match visitor.read(call.head.uri.query(), &body) {
        Err(refused) => visitor.refuse(&refused),
        Ok(submitted) => visitor.accept(submitted).await,
    }
}

impl Visitor<'_> {
    /// Takes the form apart. What the query says goes before the body, and that before the state
    /// sealed into the form, as a person may have followed another link meanwhile.
    fn read(&self, query: Option<&str>, body: &Bytes) -> Result<Submitted, Refused> {
        let query = Form::parse(query.unwrap_or_default().as_bytes())?;
        let Ok(form) = Form::parse(body) else {
            let asked = self.asked(self.flow_of(&query, &Form::default(), None)?, false)?;
            return Ok(Submitted::again(asked, Failure::Form));
        };
        let (sealed, expired) = self.sealed_state(&form);
        let named = sealed.as_ref().and_then(|state| state.service.clone());
        let flow = self.flow_of(&query, &form, sealed)?;
        let is_named = flow.service == named;
        let asked = self.asked(flow, false)?;
        match fields(&form) {
            Err(_) => Ok(Submitted::again(asked, Failure::Form)),
            Ok(fields) => Ok(Submitted {
                asked,
                username: fields.username.to_owned(),
                password: fields.password.to_owned().into(),
                remember_me: fields.remember_me,
                warn: fields.warn,
                stop_asking: fields.stop_asking,
                event: fields.event.unwrap_or(Event::Submit),
                failure: match self.origin() {
                    Origin::Foreign => Some(Failure::Origin),
                    Origin::Own if fields.event.is_none() => Some(Failure::Form),
                    Origin::Own if expired => Some(Failure::Expired),
                    // The page named another application than the one it would go on to.
                    Origin::Own if fields.event == Some(Event::Proceed) && !is_named => {
                        Some(Failure::Expired)
                    }
                    Origin::Own => None,
                },
            }),
        }
    }

    /// The state sealed into the form, and whether it is missing, forged or too old.
    fn sealed_state(&self, form: &Form) -> (Option<FlowState>, bool) {
        let Ok(Some(execution)) = form.one("execution") else {
            return (None, true);
        };
        let lifetime = self.cas.config.load().web.login_flow_lifetime.as_millis();
        let tickets = &self.cas.tickets;
        match FlowState::open(execution, &tickets.keyring(), tickets.now(), lifetime) {
            Ok(state) => (Some(state), false),
            Err(error) => {
                tracing::debug!(%error, "login form refused");
                (None, true)
            }
        }
    }

    fn flow_of(
        &self,
        query: &Form,
        form: &Form,
        sealed: Option<FlowState>,
    ) -> Result<FlowState, Refused> {
        let sealed = sealed.unwrap_or_default();
        let first = |name: &'static str| -> Result<Option<String>, FormError> {
            Ok(match query.one(name)? {
                Some(value) => Some(value.to_owned()),
                None => form.one(name)?.map(str::to_owned),
            })
        };
        let (service, by_target) = match super::service_of(query)? {
            (None, _) => super::service_of(form)?,
            found => found,
        };
        let (service, by_target) = match service {
            None => (sealed.service, sealed.by_target),
            found => (found, by_target),
        };
        Ok(FlowState {
            service,
            by_target,
            renew: query.has("renew") || form.has("renew") || sealed.renew,
            method: first("method")?.or(sealed.method),
        })
    }

    async fn accept(&self, submitted: Submitted) -> Response {
        let Submitted {
            asked,
            username,
            password,
            remember_me,
            warn,
            stop_asking,
            event,
            failure,
        } = submitted;
        if event == Event::Proceed {
            return self.proceed(&asked, failure, stop_asking).await;
        }
        if let Some(failure) = failure {
            if failure == Failure::Origin {
                let what = "a form of another origin";
                self.audit(Action::AuthenticationFailed, None, what);
            }
            return self.form(&asked, Some(failure), &username);
        }
        match self.judge_credentials(&username, &password).await {
            Judged::Accepted { principal, handler } => {
                let target = asked.target.as_ref();
                let lifetimes = target.map(|target| target.registered.lifetimes);
                let start = SessionStart {
                    principal,
                    handler,
                    remember_me,
                    client_address: self.visit.client.address_text(),
                    max_life: lifetimes.and_then(|own| own.session),
                    max_idle: lifetimes.and_then(|own| own.session_idle),
                };
                self.signed_in(&asked, start, warn).await
            }
            Judged::Rejected => self.form(&asked, Some(Failure::Credentials), username.trim()),
            Judged::Missing => self.form(&asked, Some(Failure::Missing), &username),
            Judged::Throttled(Throttled { seconds, .. }) => {
                let failure = Failure::Throttled { seconds };
                let mut response = self.form(&asked, Some(failure), username.trim());
                set_retry_after(&mut response, seconds);
                response
            }
            Judged::NotNow => self.error(ErrorKind::Busy),
        }
    }

    async fn signed_in(&self, asked: &Asked, start: SessionStart, warn: bool) -> Response {
        let who = start.principal.id.clone();
        let session = match self.continue_or_start(asked, start).await {
            Ok(session) => session,
            Err(error) => return self.ticket_error(error),
        };
        let mut response = match &asked.target {
            Some(target) => self.grant_by_login(target, &session).await,
            None => {
                let page = Page::SignedIn { username: who };
                self.page(StatusCode::OK, &page, &Needs::default())
            }
        };
        set_cookie(&mut response, self.session_cookie(&session));
        set_cookie(&mut response, self.warn_cookie(warn, &session));
        response
    }

    /// Goes on with the browser's session when the same person signed in again and it is not near
    /// its end, so that signing out still reaches every application; else begins a new one, which
    /// takes the old one's place. Where fresh credentials were demanded it always begins a new one,
    /// because the session says when they were given; so it does where the cookie is bound to another
    /// address or browser.
    async fn continue_or_start(
        &self,
        asked: &Asked,
        start: SessionStart,
    ) -> Result<Session, TicketError> {
        let tickets = &self.cas.tickets;
        let presented = self.presented();
        let is_good_here = matches!(presented, Presented::Session { .. });
        let present = self.replaceable(&presented, &start).await;
        let remember_me = tickets.policy().of_session(start.remember_me).1;
        let target = asked.target.as_ref();
        let enough =
            |session| target.is_none_or(|target| self.is_enough(session, &target.registered));
        if let Some(session) = &present
            && is_good_here
            && !asked.flow.renew
            && enough(session)
            && session.tgt.principal == start.principal
            && session.tgt.remember_me == remember_me
            && session.is_young(tickets.now())
        {
            return Ok(session.clone());
        }
        let session = self.begin(start, present.as_ref()).await?;
        if let Some(old) = present {
            self.replace(old, &session).await;
        }
        Ok(session)
    }

    /// The session whose place a new one takes. One whose cookie is bound to elsewhere is only the same
    /// person's to replace, who has just proved to be that: else their own session would be one too many.
    async fn replaceable(&self, presented: &Presented, start: &SessionStart) -> Option<Session> {
        let Presented::Elsewhere { id } = presented else {
            return self.session_of(presented).await.0;
        };
        match self.cas.tickets.session(id).await {
            Found::Live(old) if old.tgt.principal.id == start.principal.id => Some(*old),
            Found::Live(_) | Found::Gone | Found::Undecided => None,
        }
    }

    /// Ends the browser's old session. The same person's applications belong to the new one from now
    /// on and are told when that ends; somebody else's are told now.
    async fn replace(&self, old: Session, new: &Session) {
        let tickets = &self.cas.tickets;
        let is_same_person = old.tgt.principal.id == new.tgt.principal.id;
        let (visited, missing) = match tickets.replace_session(&old.id).await {
            Ok(replaced) => replaced,
            Err(error) => {
                tracing::warn!(%error, "a replaced session lives on until it expires");
                return;
            }
        };
        let owner = &old.tgt.principal.id;
        let what = format!("{} replaced by a newer session", old.id.masked());
        self.audit(Action::TicketGrantingTicketDestroyed, Some(owner), what);
        if is_same_person {
            if let Err(error) = tickets.adopt(&old, new, visited).await {
                tracing::warn!(%error, "signing out will not reach all applications");
            }
            return;
        }
        self.cas.slo.tell(SessionEnd {
            visited,
            partial: missing > 0,
            principal: Some(old.tgt.principal.clone()),
            ..self.session_end(&old.id, Reason::Replaced)
        });
    }
}

struct Fields<'a> {
    username: &'a str,
    password: &'a str,
    remember_me: bool,
    warn: bool,
    stop_asking: bool,
    /// None when it is none of ours.
    event: Option<Event>,
}

fn fields(form: &Form) -> Result<Fields<'_>, FormError> {
    // Boxes: ticked when they are there, as browsers leave out the others.
    let ticked = |name: &'static str| -> Result<bool, FormError> {
        let value = form.one(name)?;
        Ok(value.is_some_and(|value| !value.eq_ignore_ascii_case("false")))
    };
    // Old clients send `lt` and others leave `_eventId` out; what is sent must be whole.
    form.one("lt")?;
    form.one("execution")?;
    Ok(Fields {
        username: form.one("username")?.unwrap_or_default(),
        password: form.one("password")?.unwrap_or_default(),
        remember_me: ticked("rememberMe")?,
        warn: ticked("warn")?,
        stop_asking: ticked("ignorewarn")?,
        event: match form.one("_eventId")? {
            None | Some("submit") => Some(Event::Submit),
            Some("proceed") => Some(Event::Proceed),
            Some(_) => None,
        },
    })
}

impl Submitted {
    fn again(asked: Asked, failure: Failure) -> Self {
        Self {
            asked,
            username: String::new(),
            password: String::new().into(),
            remember_me: false,
            warn: false,
            stop_asking: false,
            event: Event::Submit,
            failure: Some(failure),
        }
    }
}
