//! Asking before going on to an application, for people who wished to be asked (`warn`).
//!
//! The wish is a cookie, so any node knows it. The page is a form that comes back with
//! `_eventId=proceed`; it counts only from our own page, while its sealed state is fresh, and for the
//! application that it named. Everything else gets the page again, never a ticket.
//!
//! `gateway` promises the application that no page is shown, and the wish promises the person that
//! nothing happens unseen: both are kept by going on without a ticket.

use axum::response::Response;
use http::{HeaderValue, StatusCode};

use super::{Asked, Target, action, service_info};
use crate::cas::visit::{Visitor, set_cookie};
use crate::services::access::Access;
use crate::tickets::Session;
use crate::web::cookies;
use crate::web::headers::Needs;
use crate::web::pages::{ErrorKind, Failure, Page, WarnPage};

/// What is known about a person's consent to go on to an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consent {
    /// Nobody has been asked: ask those who wished it.
    NotAsked,
    /// Given on our page.
    Given,
    /// Something came back that does not count; ask, under this status.
    Unclear(StatusCode),
}

impl Visitor<'_> {
    /// Whether to ask before going on. Not where access is refused anyway.
    pub(super) fn asks_before(&self, target: &Target, session: &Session, consent: Consent) -> bool {
        let wished = match consent {
            Consent::NotAsked => self.offers_warn() && cookies::warns(self.headers),
            Consent::Given => false,
            Consent::Unclear(_) => true,
        };
        let access = || {
            let person = &session.tgt.principal;
            target.registered.access(person, &self.asking())
        };
        wished && access() == Access::Granted
    }

    /// The page that asks; for `gateway` the way back without a ticket.
    pub(super) fn ask(
        &self,
        asked: &Asked,
        target: &Target,
        session: &Session,
        consent: Consent,
    ) -> Response {
        if asked.gateway {
            return self.redirect(&target.url.redirect());
        }
        let Some(execution) = self.sealed(&asked.flow) else {
            return self.error(ErrorKind::Request);
        };
        let status = match consent {
            Consent::Unclear(status) => status,
            Consent::NotAsked | Consent::Given => StatusCode::OK,
        };
        let service = service_info(&target.registered);
        let needs = Needs {
            leads_to: asked.flow.service.clone(),
            picture: service.logo.clone(),
            ..Needs::default()
        };
        let page = WarnPage {
            execution,
            action: action(&asked.flow, self.visit.locale.as_ref()),
            service,
            address: origin_of(target.url.as_str()).to_owned(),
            username: session.tgt.principal.id.clone(),
        };
        self.page(status, &Page::Warn(Box::new(page)), &needs)
    }

    /// Takes the page back.
    pub(super) async fn proceed(
        &self,
        asked: &Asked,
        failure: Option<Failure>,
        stop_asking: bool,
    ) -> Response {
        let consent = failure.map_or(Consent::Given, |failure| Consent::Unclear(failure.status()));
        let mut response = self.by_cookie(asked, consent).await;
        if stop_asking && failure.is_none() {
            set_cookie(&mut response, self.cas.cookies.remove_warn());
        }
        response
    }

    /// The cookie of the wish after signing in: set for as long as the session's, or removed.
    pub(super) fn warn_cookie(&self, wished: bool, session: &Session) -> Option<HeaderValue> {
        if wished && self.offers_warn() {
            self.cas.cookies.set_warn(self.max_age(session))
        } else if cookies::warns(self.headers) {
            self.cas.cookies.remove_warn()
        } else {
            None
        }
    }

    pub(super) fn offers_warn(&self) -> bool {
        self.cas.config.load().web.offer_warn
    }
}

/// Scheme and host of a service URL, for people to recognise; a service URL without a host as it is.
fn origin_of(url: &str) -> &str {
    let host = url.find("://").map_or(url.len(), |at| at + 3);
    let rest = url.get(host..).unwrap_or_default();
    let end = rest.find(['/', '?', '#', ';']).unwrap_or(rest.len());
    url.get(..host + end).unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::origin_of;

    #[test]
    fn people_are_shown_scheme_and_host() {
        for (url, expected) in [
            ("https://a.edu/x?y#z", "https://a.edu"),
            ("https://a.edu:8443", "https://a.edu:8443"),
            ("https://é.edu;jsessionid=1/x", "https://é.edu"),
            ("app://?x", "app://"),
            ("mailto:x", "mailto:x"),
        ] {
            assert_eq!(origin_of(url), expected, "{url}");
        }
    }
}
