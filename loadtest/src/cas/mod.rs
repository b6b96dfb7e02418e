//! What a CAS server says, read the way clients read it.
//!
//! Promises: an answer is either understood completely or reported as odd with the reason; nothing
//! is guessed. Does not: send anything ([`crate::person`]) or judge ([`crate::judge`]).

pub mod form;
pub mod validation;

use crate::http::{Answer, CallError, encode};

/// The answer to a request for a service ticket with an SSO cookie.
#[derive(Debug)]
pub enum TicketAnswer {
    /// Redirect to the service with this ticket.
    Ticket(String),
    /// The login form: the server does not know the session.
    Form,
    /// 5xx: the server says it cannot answer now.
    Unavailable(u16),
    /// Anything else that answered.
    Odd(String),
    /// No answer.
    Failed(CallError),
}

/// Reads the answer to `GET /login?service=…`.
pub fn read_ticket_answer(answer: Result<Answer, CallError>, service: &str) -> TicketAnswer {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return TicketAnswer::Failed(error),
    };
    match answer.status.as_u16() {
        301..=303 => read_location(&answer, service),
        200 => match form::find(&answer.text()) {
            Some(_) => TicketAnswer::Form,
            None => TicketAnswer::Odd("200 with a page that is not the login form".to_owned()),
        },
        status @ 500..=599 => TicketAnswer::Unavailable(status),
        status => TicketAnswer::Odd(format!("status {status}")),
    }
}

fn read_location(answer: &Answer, service: &str) -> TicketAnswer {
    let Some(location) = answer.location() else {
        return TicketAnswer::Odd("redirect without Location".to_owned());
    };
    match ticket_in(location, service) {
        Some(ticket) => TicketAnswer::Ticket(ticket.to_owned()),
        None => {
            TicketAnswer::Odd("redirect elsewhere than to the service with a ticket".to_owned())
        }
    }
}

/// The ticket in a redirect to `service`, when `location` is exactly that.
pub fn ticket_in<'a>(location: &'a str, service: &str) -> Option<&'a str> {
    let separator = if service.contains('?') { '&' } else { '?' };
    let ticket = location
        .strip_prefix(service)?
        .strip_prefix(separator)?
        .strip_prefix("ticket=")?;
    let well_formed = ticket.starts_with("ST-")
        && ticket
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-');
    well_formed.then_some(ticket)
}

/// URL that asks for a ticket for `service` (or the form, without a session).
pub fn login_url(base: &str, service: &str) -> String {
    format!("{base}/login?service={}", encode(service))
}

/// URL that validates `ticket` for `service`.
pub fn validate_url(base: &str, service: &str, ticket: &str) -> String {
    validate_at(&format!("{base}/serviceValidate"), service, ticket)
}

/// URL that validates `ticket` for `service` at this endpoint.
pub fn validate_at(endpoint: &str, service: &str, ticket: &str) -> String {
    format!(
        "{endpoint}?service={}&ticket={}",
        encode(service),
        encode(ticket)
    )
}

/// The ticket as logs may show it: kind, sequence and the last three characters.
pub fn mask(ticket: &str) -> String {
    let head: Vec<&str> = ticket.splitn(3, '-').take(2).collect();
    let tail: String = ticket
        .chars()
        .rev()
        .take(3)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    format!("{}-*****{tail}", head.join("-"))
}

/// The tag of the node that issued `ticket`: the first four characters of its last part, which
/// has four for each node that decides about it. A hint for the reader of a report, nothing more.
pub fn issuer_tag(ticket: &str) -> Option<&str> {
    let tags = ticket.rsplit('-').next()?;
    if tags.len() % 4 == 0 {
        tags.get(..4)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticket_is_taken_only_from_a_redirect_to_the_service() {
        let at = "http://127.0.0.1/app";
        assert_eq!(
            ticket_in("http://127.0.0.1/app?ticket=ST-1-a-b", at),
            Some("ST-1-a-b")
        );
        assert_eq!(
            ticket_in(
                "http://127.0.0.1/app?x=1&ticket=ST-1-a",
                &format!("{at}?x=1")
            ),
            Some("ST-1-a")
        );
        assert_eq!(ticket_in("http://evil/app?ticket=ST-1-a", at), None);
        assert_eq!(ticket_in("http://127.0.0.1/app?ticket=ST-1_a", at), None);
        assert_eq!(ticket_in("http://127.0.0.1/app?ticket=TGT-1-a", at), None);
    }

    #[test]
    fn tickets_are_masked() {
        assert_eq!(mask("ST-12-secretsecret-ab12-cd34"), "ST-12-*****d34");
        assert_eq!(issuer_tag("ST-12-secretsecret-xyz"), None);
        assert_eq!(issuer_tag("ST-12-secretsecret-ab12cd34"), Some("ab12"));
    }
}
