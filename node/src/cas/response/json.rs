//! The JSON of `format=JSON`: exactly one of `authenticationSuccess` and `authenticationFailure`,
//! nothing that is null, an attribute with one value as a scalar.

use serde_json::{Map, Value, json};

use super::xml::FACTS;
use crate::cas::outcome::{Failure, Outcome, ProxyOutcome, Success};

/// The document of an outcome.
pub fn write(outcome: &Outcome) -> String {
    let member = match outcome {
        Outcome::Success(success) => json!({ "authenticationSuccess": success_of(success) }),
        Outcome::Failure(failure) => failure_of(failure),
    };
    json!({ "serviceResponse": member }).to_string()
}

/// The document of a request for a proxy ticket. A refusal is an `authenticationFailure`, as the
/// specification has it.
pub fn write_proxy(outcome: &ProxyOutcome) -> String {
    let member = match outcome {
        ProxyOutcome::Success(ticket) => json!({ "proxySuccess": { "proxyTicket": ticket } }),
        ProxyOutcome::Failure(failure) => failure_of(failure),
    };
    json!({ "serviceResponse": member }).to_string()
}

fn failure_of(failure: &Failure) -> Value {
    json!({
        "authenticationFailure": {
            "code": failure.code.as_str(),
            "description": failure.text,
        }
    })
}

fn success_of(success: &Success) -> Value {
    let mut out = Map::new();
    out.insert("user".into(), success.user.trim().into());
    if let Some(iou) = &success.pgt_iou {
        out.insert("proxyGrantingTicket".into(), iou.as_str().into());
    }
    if !success.proxies.is_empty() {
        out.insert("proxies".into(), success.proxies.clone().into());
    }
    let mut attributes = Map::new();
    for (name, values) in &success.attributes {
        let value = match values.as_slice() {
            [one] => Value::from(one.as_str()),
            several => Value::from(several),
        };
        attributes.insert(name.clone(), value);
    }
    if let Some(facts) = &success.facts {
        let [date, long_term, new_login] = FACTS;
        attributes.insert(date.into(), facts.date.as_str().into());
        attributes.insert(long_term.into(), facts.long_term.into());
        attributes.insert(new_login.into(), facts.new_login.into());
    }
    if !attributes.is_empty() {
        out.insert("attributes".into(), attributes.into());
    }
    Value::Object(out)
}
