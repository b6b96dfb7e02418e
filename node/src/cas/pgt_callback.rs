//! Delivering a proxy-granting ticket to the URL that an application named (section 2.5.4 of the
//! specification): one request with `pgtId` and `pgtIou`, over TLS that is verified.
//!
//! The definition's proxy policy decides which URLs may get one. A URL that it does not allow gets
//! none and the validation goes on without, as in Apereo CAS; a URL that is allowed and cannot be
//! reached ends the validation with `INVALID_PROXY_CALLBACK`, and the ticket is taken back. So does a URL that
//! the policy and the application could read in two ways, before the policy is asked.

use std::time::Duration;

use castor_proto::ticket::TicketId;
use http::StatusCode;

use super::service_url::{ServiceUrl, ServiceUrlError};
use super::visit::Visitor;
use crate::ops::audit::Action;
use crate::outbound::{Call, Purpose, Reach, Target};
use crate::services::RegisteredService;
use crate::tickets::{ClaimRequest, Granted, TicketError};
use crate::web::form;

/// Longest callback URL, as received.
const CALLBACK_MAX: usize = 2048;

/// Most proxies in one chain.
pub(super) const CHAIN_MAX: usize = 8;

/// Longest time from a validation's request to the end of its callback, whatever `outbound.timeout` says: the proxies in front give a validation
/// three seconds, and would then ask another node, to which the ticket is used up.
const CALLBACK_TIME: Duration = Duration::from_millis(2_500);

/// Answers that say the application has taken it. Redirects are none: what is at their end may be
/// another application.
const TAKEN: [StatusCode; 3] = [StatusCode::OK, StatusCode::ACCEPTED, StatusCode::NO_CONTENT];

/// How a delivery went.
pub(super) enum Delivery {
    /// The application has the ticket under this name.
    Delivered(TicketId),
    /// It may not have one.
    NotAllowed,
    /// Nobody can say where its URL leads.
    Malformed,
    /// It did not take it.
    Failed,
    /// No ticket can be made now; another node may be able to.
    NotNow,
}

impl Visitor<'_> {
    /// Makes a proxy-granting ticket and delivers it to a URL as received.
    pub(super) async fn deliver_pgt(
        &self,
        registered: &RegisteredService,
        claim: &ClaimRequest<'_>,
        granted: &Granted,
        proxies: &[String],
        received: &str,
    ) -> Delivery {
        // A fragment is never sent, so nothing may depend on it.
        let url = received.split('#').next().unwrap_or(received);
        let who = &granted.session.principal.id;
        let not_created = |why: &str| {
            self.audit(
                Action::ProxyGrantingTicketNotCreated,
                Some(who),
                format!("{why}: {}", host_of(url)),
            );
        };
        if let Err(refused) = permit(registered, proxies, url) {
            tracing::warn!(
                service = registered.id,
                callback = %host_of(url),
                "no proxy-granting ticket: {refused}"
            );
            not_created(&refused.to_string());
            return match refused {
                Refused::Policy => Delivery::NotAllowed,
                Refused::Malformed(_) => Delivery::Malformed,
            };
        }
        let made = match self
            .cas
            .tickets
            .proxy_granting_ticket(
                claim,
                granted,
                url,
                registered.lifetimes.proxy_granting_ticket,
            )
            .await
        {
            Ok(made) => made,
            Err(error) => {
                not_created(&error.to_string());
                return match error {
                    TicketError::SessionEnded | TicketError::TooLarge | TicketError::TooMany => {
                        Delivery::Failed
                    }
                    TicketError::Full | TicketError::NotNow => Delivery::NotNow,
                };
            }
        };
        let whole = with_ids(url, made.iou.as_str(), made.id.as_str());
        if let Err(why) = self
            .call_back(&whole, registered.proxy.names_host(url))
            .await
        {
            tracing::warn!(service = registered.id, %why, "proxy-granting ticket not delivered");
            not_created(&why);
            self.take_back(&made.id).await;
            return Delivery::Failed;
        }
        self.audit(
            Action::ProxyGrantingTicketCreated,
            Some(who),
            format!("{} for {}", made.id.masked(), host_of(url)),
        );
        Delivery::Delivered(made.iou)
    }

    async fn take_back(&self, id: &TicketId) {
        let revoked = self.cas.tickets.revoke_proxy_granting_ticket(id).await;
        if let Err(error) = revoked {
            tracing::warn!(%error, "a proxy-granting ticket that nobody has lives on");
        }
    }

    async fn call_back(&self, url: &str, named: bool) -> Result<(), String> {
        let call = Call {
            purpose: Purpose::ProxyCallback,
            target: Target::parse(url).map_err(|error| error.to_string())?,
            reach: if named { Reach::Named } else { Reach::Public },
            plain: false,
            form: None,
            answer_max: 0,
        };
        let left = CALLBACK_TIME.saturating_sub(self.visit.began.elapsed());
        let answer = tokio::time::timeout(left, self.cas.outbound.call(call)).await;
        let answer = answer
            .map_err(|_| format!("no answer within {CALLBACK_TIME:?} from the request on"))?;
        let answer = answer.map_err(|error| error.to_string())?;
        if TAKEN.contains(&answer.status) {
            Ok(())
        } else {
            Err(format!("it answered {}", answer.status.as_u16()))
        }
    }
}

/// Why a URL gets no proxy-granting ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("the definition does not allow it")]
    Policy,
    #[error("malformed, {0}")]
    Malformed(ServiceUrlError),
}

/// Whether an application may have a proxy-granting ticket sent to a URL.
fn permit(registered: &RegisteredService, proxies: &[String], url: &str) -> Result<(), Refused> {
    let https = url
        .get(..8)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
    let may = https
        && url.len() <= CALLBACK_MAX
        && proxies.len() < CHAIN_MAX
        && registered.proxy.may_proxy();
    if !may {
        return Err(Refused::Policy);
    }
    ServiceUrl::parse(url).map_err(Refused::Malformed)?;
    if registered.proxy.allows(url) {
        Ok(())
    } else {
        Err(Refused::Policy)
    }
}

/// The callback with the ticket and its name; a fragment is never sent.
fn with_ids(url: &str, iou: &str, id: &str) -> String {
    let bare = url.split('#').next().unwrap_or(url);
    let joint = if bare.contains('?') { '&' } else { '?' };
    let (iou, id) = (form::encode(iou), form::encode(id));
    format!("{bare}{joint}pgtIou={iou}&pgtId={id}")
}

/// What of a callback may stand in logs: where it leads, without user name, password, path and query.
fn host_of(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest
        .find(|c: char| matches!(c, '/' | '?' | '#' | '\\') || c.is_control())
        .unwrap_or(rest.len());
    let authority = rest.get(..end).unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if scheme.is_empty() {
        host.to_owned()
    } else {
        format!("{scheme}://{host}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_have_no_path() {
        assert_eq!(host_of("https://a.edu/x?pgt=1"), "https://a.edu");
        assert_eq!(host_of("https://a.edu"), "https://a.edu");
        assert_eq!(host_of("nonsense/x"), "nonsense");
        assert_eq!(host_of("https://u:secret@a.edu/x"), "https://a.edu");
        assert_eq!(host_of("u:secret@a.edu/x"), "a.edu");
        assert_eq!(host_of("https://a.edu\r\nX: y"), "https://a.edu");
    }

    #[test]
    fn what_is_added_stands_in_the_query() {
        let added = "pgtIou=PGTIOU-1-a&pgtId=PGT-1-b";
        for (url, begins) in [
            ("https://a.edu/pgt", "https://a.edu/pgt?"),
            ("https://a.edu/pgt?x=1", "https://a.edu/pgt?x=1&"),
            ("https://a.edu/pgt#a?b", "https://a.edu/pgt?"),
        ] {
            let whole = with_ids(url, "PGTIOU-1-a", "PGT-1-b");
            assert_eq!(whole, format!("{begins}{added}"), "{url}");
        }
    }
}
