//! One validation, whatever its endpoint and its format: the ticket is consumed first and judged
//! afterwards (rule 11). A wrong service, an unmet `renew`, a missing permission or a callback that
//! fails has used it up.
//!
//! | endpoint | tickets | says |
//! |---|---|---|
//! | `/validate` | service tickets | the name |
//! | `/serviceValidate`, `/p3/serviceValidate` | service tickets | name, attributes |
//! | `/proxyValidate`, `/p3/proxyValidate` | service and proxy tickets | name, attributes, proxies |
//! | `/samlValidate` | service tickets | name, attributes |

use std::sync::Arc;

use castor_proto::ticket::{Payload, TicketId};

use super::outcome::{AuthenticationFacts, Outcome, Success};
use super::pgt_callback::Delivery;
use super::service_url::{self, ServiceUrl};
use super::visit::{Visitor, log_ticket};
use crate::clock;
use crate::ops::audit::Action;
use crate::services::RegisteredService;
use crate::services::access::Access;
use crate::tickets::{ClaimRequest, Consumed, Granted};
use crate::web::form::{Form, FormError};

/// Which tickets an endpoint validates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepts {
    /// Service tickets.
    Service,
    /// Service and proxy tickets.
    Proxied,
}

/// A validation that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validation<'a> {
    /// Path of the endpoint below the prefix.
    pub(super) endpoint: &'static str,
    /// Which tickets it validates.
    pub(super) accepts: Accepts,
    /// The service as sent.
    pub(super) service: &'a str,
    /// The ticket as sent.
    pub(super) ticket: &'a str,
    /// Where a proxy-granting ticket should go.
    pub(super) pgt_url: Option<&'a str>,
    /// The format as sent.
    pub(super) format: Option<&'a str>,
    /// Whether only a ticket from a new login will do.
    pub(super) renew: bool,
}

impl<'a> Validation<'a> {
    /// Reads the query of a validation; an outcome when it is not one.
    pub(super) fn read(
        endpoint: &'static str,
        accepts: Accepts,
        query: &'a Result<Form, FormError>,
    ) -> Result<Self, Outcome> {
        let form = query.as_ref().map_err(Outcome::bad_request)?;
        let one = |name| form.one(name).map_err(Outcome::bad_request);
        let (service, ticket) = (one("service")?, one("ticket")?);
        let (pgt_url, format) = (one("pgtUrl")?, one("format")?);
        let (Some(service), Some(ticket)) = (service, ticket) else {
            return Err(Outcome::missing_parameters());
        };
        Ok(Self {
            endpoint,
            accepts,
            service,
            ticket,
            pgt_url,
            format,
            renew: form.has("renew"),
        })
    }

    /// The same as what may change the answer (rule 4).
    fn claim<'b>(&'b self, request_id: &'b str, ticket: &'b TicketId) -> ClaimRequest<'b> {
        ClaimRequest {
            request_id,
            endpoint: self.endpoint,
            ticket,
            service: self.service,
            pgt_url: self.pgt_url,
            renew: self.renew,
            format: self.format,
        }
    }
}

/// What the ticket itself says.
struct Grant<'a> {
    service: &'a str,
    from_new_login: bool,
    proxies: &'a [String],
}

impl<'a> Grant<'a> {
    fn of(payload: &'a Payload, accepts: Accepts) -> Option<Self> {
        match payload {
            Payload::St(st) => Some(Self {
                service: &st.service,
                from_new_login: st.from_new_login,
                proxies: &[],
            }),
            Payload::Pt(pt) if accepts == Accepts::Proxied => Some(Self {
                service: &pt.service,
                from_new_login: pt.from_new_login,
                proxies: &pt.proxies,
            }),
            Payload::Pt(_) | Payload::Tgt(_) | Payload::Pgt(_) | Payload::Tst(_) => None,
        }
    }
}

impl Visitor<'_> {
    /// Validates what was read, if it could be read. A node that does not serve says so whatever was
    /// asked, so that a proxy asks another one.
    pub(super) async fn validate(&self, read: Result<Validation<'_>, Outcome>) -> Outcome {
        if !self.cas.serves() {
            return Outcome::undecided();
        }
        match read {
            Ok(validation) => self.validate_and_record(&validation).await,
            Err(outcome) => {
                // Without what was sent: it may be anything.
                if let Outcome::Failure(failure) = &outcome {
                    let what = format!("{}: {}", failure.code.as_str(), failure.text);
                    self.audit(Action::ServiceTicketValidateFailed, None, what);
                }
                outcome
            }
        }
    }

    async fn validate_and_record(&self, validation: &Validation<'_>) -> Outcome {
        let id = TicketId::parse(validation.ticket);
        let shown = match &id {
            Ok(id) => id.masked(),
            Err(_) => "a ticket that is none".to_owned(),
        };
        log_ticket(&shown);
        let (outcome, who) = match &id {
            Ok(id) => self.claim_and_judge(validation, id).await,
            Err(_) => (Outcome::not_recognized(validation.ticket), None),
        };
        let service = validation.service;
        match &outcome {
            Outcome::Success(_) => self.audit(
                Action::ServiceTicketValidated,
                who.as_deref(),
                format!("{shown} for {service}"),
            ),
            Outcome::Failure(failure) => self.audit(
                Action::ServiceTicketValidateFailed,
                who.as_deref(),
                format!("{}: {shown} for {service}", failure.code.as_str()),
            ),
        }
        outcome
    }

    /// Consumes the ticket, then judges; also says whose ticket it was.
    async fn claim_and_judge(
        &self,
        validation: &Validation<'_>,
        id: &TicketId,
    ) -> (Outcome, Option<String>) {
        let claim = validation.claim(&self.visit.request_id, id);
        match self.cas.tickets.consume(&claim).await {
            Consumed::Refused(refusal) => (Outcome::refused(validation.ticket, refusal), None),
            Consumed::Undecided => (Outcome::undecided(), None),
            Consumed::Granted(granted) => {
                let outcome = match Grant::of(&granted.payload, validation.accepts) {
                    Some(grant) => self.judge(validation, &claim, &grant, &granted).await,
                    None => Outcome::wrong_kind(validation.ticket),
                };
                (outcome, Some(granted.session.principal.id))
            }
        }
    }

    async fn judge(
        &self,
        validation: &Validation<'_>,
        claim: &ClaimRequest<'_>,
        grant: &Grant<'_>,
        granted: &Granted,
    ) -> Outcome {
        if !service_url::is_same(grant.service, validation.service) {
            return Outcome::other_service();
        }
        if validation.renew && !grant.from_new_login {
            return Outcome::not_from_new_login(validation.ticket);
        }
        // The definition may have changed since the ticket was issued; the one now in force counts.
        let principal = &granted.session.principal;
        let found = self
            .definition(grant, validation)
            .and_then(|(registered, url)| {
                let granted = registered.access(principal, &self.asking()) == Access::Granted;
                let released = registered.release(principal, &url)?;
                granted.then_some((registered, released))
            });
        let Some((registered, released)) = found else {
            return Outcome::unauthorized();
        };
        let pgt_iou = match validation.pgt_url {
            None => None,
            Some(url) => match self
                .deliver_pgt(&registered, claim, granted, grant.proxies, url)
                .await
            {
                Delivery::Delivered(iou) => Some(iou.as_str().to_owned()),
                Delivery::NotAllowed => None,
                Delivery::Malformed => return Outcome::malformed_proxy_callback(),
                Delivery::Failed => return Outcome::invalid_proxy_callback(),
                Delivery::NotNow => return Outcome::undecided(),
            },
        };
        let facts = released.authentication.then(|| AuthenticationFacts {
            date: iso_8601(granted.session.authenticated_at),
            long_term: granted.session.remember_me,
            new_login: grant.from_new_login,
        });
        Outcome::Success(Box::new(Success {
            user: released.user,
            attributes: released.attributes,
            facts,
            authenticated_at: iso_8601(granted.session.authenticated_at),
            pgt_iou,
            proxies: grant.proxies.to_vec(),
        }))
    }
}

impl Visitor<'_> {
    /// The definition of the application, and its URL as definitions see it. The two URLs may be two
    /// spellings of one; then one definition must cover both.
    fn definition(
        &self,
        grant: &Grant<'_>,
        validation: &Validation<'_>,
    ) -> Option<(Arc<RegisteredService>, String)> {
        let url = ServiceUrl::parse(grant.service).ok()?;
        let registered = self.cas.registered(&url)?;
        if validation.service != grant.service {
            let presented = ServiceUrl::parse(validation.service).ok()?;
            (self.cas.registered(&presented)?.id == registered.id).then_some(())?;
        }
        Some((registered, url.matchable().into_owned()))
    }
}

/// A moment as clients read it: UTC, milliseconds, `Z`.
pub(in crate::cas) fn iso_8601(wall_ms: u64) -> String {
    format!("{:.3}", clock::timestamp(wall_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_plain_iso_8601_in_utc() {
        assert_eq!(iso_8601(1_795_195_800_123), "2026-11-20T17:30:00.123Z");
        assert_eq!(iso_8601(0), "1970-01-01T00:00:00.000Z");
    }
}
