//! Who may use an application: rules about the definition, the request at hand and the person.
//!
//! Asked at issue and again at validation. Rules about the request look at whoever asks: the browser
//! at issue, the application at validation, as Apereo CAS does.

use std::net::IpAddr;

use castor_proto::ids::WallMs;
use castor_proto::ticket::Principal;
use http::HeaderMap;

use super::attributes;
use super::pattern::Pattern;

/// The request at hand, as far as rules look at it.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Now.
    pub now: WallMs,
    /// Address of the client behind the proxies, when it is known.
    pub address: Option<IpAddr>,
    /// Headers of the request.
    pub headers: &'a HeaderMap,
}

/// Whether a principal may use a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Yes.
    Granted,
    /// Nobody may: the definition is disabled, has expired, or not for this request.
    Closed,
    /// This person may not.
    Refused,
}

/// Who may use an application.
#[derive(Debug, Clone)]
pub enum AccessStrategy {
    /// One set of rules.
    Rules(Box<Rules>),
    /// Several strategies.
    Chain {
        /// Whether all must agree, or any one.
        all: bool,
        /// At least one.
        members: Vec<AccessStrategy>,
        /// Where people go who may not.
        unauthorized_redirect_url: Option<String>,
    },
}

/// One set of rules; all must hold.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Whether anybody may.
    pub enabled: bool,
    /// Whether an existing session is enough.
    pub sso_enabled: bool,
    /// Where people go who may not.
    pub unauthorized_redirect_url: Option<String>,
    /// Whether all attributes of a list must match, or any one; for both lists.
    pub require_all: bool,
    /// What the person's attributes must match.
    pub required: Vec<AttributeRule>,
    /// What they must not match.
    pub rejected: Vec<AttributeRule>,
    /// Not before this moment.
    pub from: Option<WallMs>,
    /// Not after this moment.
    pub until: Option<WallMs>,
    /// What the request must match.
    pub request: Vec<RequestRule>,
}

/// Holds when some value of an attribute contains a match of some pattern.
#[derive(Debug, Clone)]
pub struct AttributeRule {
    /// Name of the attribute, whatever the case.
    pub attribute: String,
    /// Any of these.
    pub patterns: Vec<Pattern>,
}

/// Holds when a part of the request contains a match.
#[derive(Debug, Clone)]
pub struct RequestRule {
    /// Which part.
    pub part: RequestPart,
    /// The pattern.
    pub pattern: Pattern,
}

/// A part of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestPart {
    /// The client's address as text.
    Address,
    /// A header; one that is missing does not match.
    Header(String),
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            enabled: true,
            sso_enabled: true,
            unauthorized_redirect_url: None,
            require_all: true,
            required: Vec::new(),
            rejected: Vec::new(),
            from: None,
            until: None,
            request: Vec::new(),
        }
    }
}

impl Default for AccessStrategy {
    fn default() -> Self {
        Self::Rules(Box::default())
    }
}

impl AccessStrategy {
    /// Whether anybody may use the application with such a request.
    pub fn is_open(&self, asking: &Asking<'_>) -> bool {
        match self {
            Self::Rules(rules) => rules.is_open(asking),
            Self::Chain {
                all: true, members, ..
            } => members.iter().all(|m| m.is_open(asking)),
            Self::Chain { members, .. } => members.iter().any(|m| m.is_open(asking)),
        }
    }

    /// Whether this person may use the application with such a request. In a chain of which one is
    /// enough, one must be open and admit the person, both.
    pub fn admits(&self, principal: &Principal, asking: &Asking<'_>) -> bool {
        match self {
            Self::Rules(rules) => rules.is_open(asking) && rules.admits(principal),
            Self::Chain {
                all: true, members, ..
            } => members.iter().all(|m| m.admits(principal, asking)),
            Self::Chain { members, .. } => members.iter().any(|m| m.admits(principal, asking)),
        }
    }

    /// Whether it is switched on, whatever the time and whoever asks.
    pub fn is_enabled(&self) -> bool {
        match self {
            Self::Rules(rules) => rules.enabled,
            Self::Chain {
                all: true, members, ..
            } => members.iter().all(Self::is_enabled),
            Self::Chain { members, .. } => members.iter().any(Self::is_enabled),
        }
    }

    /// Whether an existing session is enough.
    pub fn sso_enabled(&self) -> bool {
        match self {
            Self::Rules(rules) => rules.sso_enabled,
            Self::Chain {
                all: true, members, ..
            } => members.iter().all(Self::sso_enabled),
            Self::Chain { members, .. } => members.iter().any(Self::sso_enabled),
        }
    }

    /// Where people go who may not.
    pub fn unauthorized_redirect_url(&self) -> Option<&str> {
        match self {
            Self::Rules(rules) => rules.unauthorized_redirect_url.as_deref(),
            Self::Chain {
                unauthorized_redirect_url,
                ..
            } => unauthorized_redirect_url.as_deref(),
        }
    }
}

impl Rules {
    fn is_open(&self, asking: &Asking<'_>) -> bool {
        self.enabled
            && self.from.is_none_or(|from| asking.now >= from)
            && self.until.is_none_or(|until| asking.now <= until)
            && self.request.iter().all(|rule| rule.holds(asking))
    }

    fn admits(&self, principal: &Principal) -> bool {
        // A pattern that cannot be decided lets nobody in.
        let required = |rule: &AttributeRule| rule.holds(principal, false);
        let rejected = |rule: &AttributeRule| rule.holds(principal, true);
        let admitted = self.required.is_empty() || self.hold(&self.required, required);
        let refused = !self.rejected.is_empty() && self.hold(&self.rejected, rejected);
        admitted && !refused
    }

    fn hold(&self, rules: &[AttributeRule], holds: impl Fn(&AttributeRule) -> bool) -> bool {
        if self.require_all {
            rules.iter().all(holds)
        } else {
            rules.iter().any(holds)
        }
    }
}

impl AttributeRule {
    fn holds(&self, principal: &Principal, when_undecidable: bool) -> bool {
        let values = attributes::get(&principal.attributes, &self.attribute).unwrap_or_default();
        values.iter().any(|value| {
            let matches = |pattern: &Pattern| pattern.matches(value).unwrap_or(when_undecidable);
            self.patterns.iter().any(matches)
        })
    }
}

impl RequestRule {
    fn holds(&self, asking: &Asking<'_>) -> bool {
        let matches = |text: &str| self.pattern.matches(text) == Ok(true);
        match &self.part {
            RequestPart::Address => asking.address.is_some_and(|a| matches(&a.to_string())),
            RequestPart::Header(name) => {
                let value = asking.headers.get(name.as_str());
                value.and_then(|v| v.to_str().ok()).is_some_and(matches)
            }
        }
    }
}

#[cfg(test)]
mod tests;
