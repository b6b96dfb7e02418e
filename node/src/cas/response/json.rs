//! The JSON of `format=JSON`: exactly one of `authenticationSuccess` and `authenticationFailure`,
//! nothing that is null, an attribute as a list, also of one value, as applications know it from Apereo
//! CAS, or with one value as such, as the specification shows it.

use serde_json::{Map, Value, json};

use super::xml::FACTS;
use crate::cas::outcome::{Failure, Outcome, ProxyOutcome, Success};

/// How an attribute with one value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Single {
    /// As a list of one.
    List,
    /// The value as such.
    Scalar,
}

impl Single {
    /// By the key `validation.json_lists`.
    pub fn of(lists: bool) -> Self {
        if lists { Self::List } else { Self::Scalar }
    }

    fn value(self, value: impl Into<Value>) -> Value {
        match self {
            Self::List => Value::Array(vec![value.into()]),
            Self::Scalar => value.into(),
        }
    }
}

/// The document of an outcome.
pub fn write(outcome: &Outcome, single: Single) -> String {
    let member = match outcome {
        Outcome::Success(success) => {
            json!({ "authenticationSuccess": success_of(success, single) })
        }
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

fn success_of(success: &Success, single: Single) -> Value {
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
            [one] => single.value(one.as_str()),
            several => Value::from(several),
        };
        attributes.insert(name.clone(), value);
    }
    if let Some(facts) = &success.facts {
        let [date, long_term, new_login] = FACTS;
        attributes.insert(date.into(), single.value(facts.date.as_str()));
        attributes.insert(long_term.into(), single.value(facts.long_term));
        attributes.insert(new_login.into(), single.value(facts.new_login));
    }
    if !attributes.is_empty() {
        out.insert("attributes".into(), attributes.into());
    }
    Value::Object(out)
}
