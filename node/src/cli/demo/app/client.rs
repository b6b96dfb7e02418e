//! The CAS client of the applications: validates a ticket, reads a logout request.
//!
//! Promises: a ticket is believed only when the front door, verified by TLS, says so.
//! Does not: try a ticket twice; the balancer re-sends where that is safe.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::super::nginx::UPSTREAM_HEADER;
use super::Setup;
use super::sessions::Visit;
use crate::clock;

/// The balancer may ask three nodes for 3 s each.
const VALIDATION_TIME: Duration = Duration::from_secs(12);
/// Longest ticket that is asked about.
const TICKET_MAX: usize = 256;

/// Why a person is not let in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Castor refused the ticket, with this code.
    Code(String),
    /// Castor could not be asked or its answer not be understood.
    NoAnswer(String),
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "serviceResponse")]
    response: ServiceResponse,
}

#[derive(Deserialize)]
struct ServiceResponse {
    #[serde(rename = "authenticationSuccess")]
    success: Option<Success>,
    #[serde(rename = "authenticationFailure")]
    failure: Option<Failure>,
}

#[derive(Deserialize)]
struct Success {
    user: String,
    #[serde(default)]
    attributes: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct Failure {
    code: String,
}

/// Validates `ticket` for `service` at the front door.
pub(super) async fn validate(setup: &Setup, service: &str, ticket: &str) -> Result<Visit, Refused> {
    if ticket.len() > TICKET_MAX {
        return Err(Refused::Code("INVALID_TICKET".to_owned()));
    }
    let url = format!(
        "{}/p3/serviceValidate?format=JSON&service={}&ticket={}",
        setup.front,
        encode(service),
        encode(ticket)
    );
    let started = clock::monotonic();
    let answer = setup
        .fetch
        .get(&url, VALIDATION_TIME)
        .await
        .map_err(|error| Refused::NoAnswer(format!("{error:#}")))?;
    let millis = clock::monotonic().duration_since(started).as_secs_f64() * 1000.0;
    if answer.status != 200 {
        return Err(Refused::NoAnswer(format!("status {}", answer.status)));
    }
    let document: Document = serde_json::from_slice(&answer.body)
        .map_err(|error| Refused::NoAnswer(error.to_string()))?;
    let success = match (document.response.success, document.response.failure) {
        (Some(success), None) => success,
        (None, Some(failure)) => return Err(Refused::Code(failure.code)),
        _ => return Err(Refused::NoAnswer("neither success nor failure".to_owned())),
    };
    let upstream = answer
        .headers
        .get(UPSTREAM_HEADER)
        .and_then(|value| value.to_str().ok());
    Ok(visit(setup, ticket, success, upstream, millis))
}

fn visit(
    setup: &Setup,
    ticket: &str,
    success: Success,
    upstream: Option<&str>,
    millis: f64,
) -> Visit {
    let tag = issuer_tag(ticket).to_owned();
    let fresh = success.attributes.get("isFromNewLogin");
    Visit {
        user: success.user,
        ticket: mask(ticket),
        issuer: setup.nodes_by_tag.get(&tag).cloned(),
        tag,
        validator: upstream
            .and_then(last_port)
            .and_then(|port| setup.nodes_by_port.get(&port).cloned()),
        millis: format!("{millis:.1}"),
        since: setup.clock.timestamp().strftime("%H:%M:%S UTC").to_string(),
        from_new_login: fresh.is_some_and(|value| texts(value) == ["true"]),
        attributes: success
            .attributes
            .iter()
            .map(|(k, v)| (k.clone(), texts(v)))
            .collect(),
    }
}

/// The tag of the issuing node: the first four characters of the last part.
pub(super) fn issuer_tag(ticket: &str) -> &str {
    let tags = ticket.rsplit('-').next().unwrap_or_default();
    tags.get(..4).unwrap_or_default()
}

fn texts(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::Array(items) => items.iter().flat_map(texts).collect(),
        serde_json::Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}

/// The port of the node that answered: the last of those that nginx asked.
fn last_port(upstreams: &str) -> Option<u16> {
    upstreams
        .rsplit([',', ' '])
        .next()?
        .rsplit(':')
        .next()?
        .parse()
        .ok()
}

/// Kind, sequence and the last three characters: what may be shown of a ticket.
fn mask(ticket: &str) -> String {
    let mut parts = ticket.splitn(3, '-');
    let (kind, sequence) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let tail = ticket
        .char_indices()
        .rev()
        .nth(2)
        .map_or("", |(at, _)| &ticket[at..]);
    format!("{kind}-{sequence}-*****{tail}")
}

/// The ticket in a `LogoutRequest`, as the usual clients find it.
pub(super) fn session_index(document: &str) -> Option<&str> {
    let (_, rest) = document.split_once("SessionIndex>")?;
    let (ticket, _) = rest.split_once('<')?;
    let ticket = ticket.trim();
    (!ticket.is_empty()).then_some(ticket)
}

/// Percent-encodes everything but unreserved characters.
pub(super) fn encode(text: &str) -> String {
    const SET: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(text, SET).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_a_list_and_as_one_value() {
        use serde_json::json;
        for value in [json!([true]), json!(true), json!("true"), json!(["true"])] {
            assert_eq!(texts(&value), ["true"], "{value}");
        }
    }

    #[test]
    fn small_readers() {
        assert_eq!(last_port("127.0.0.1:8501"), Some(8501));
        assert_eq!(last_port("127.0.0.1:8501, 127.0.0.1:8502"), Some(8502));
        assert_eq!(last_port(""), None);
        assert_eq!(mask("ST-7-secretsecret-ab12-cd34"), "ST-7-*****d34");
        assert_eq!(mask("x"), "x--*****");
        assert_eq!(issuer_tag("ST-7-secretsecret-ab12cd34"), "ab12");
        assert_eq!(issuer_tag("ü"), "");
        let logout = "<samlp:LogoutRequest><samlp:SessionIndex> ST-1-a </samlp:SessionIndex>";
        assert_eq!(session_index(logout), Some("ST-1-a"));
        assert_eq!(session_index("<samlp:LogoutRequest/>"), None);
    }
}
