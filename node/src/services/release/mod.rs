//! What an application learns about a person.
//!
//! Decided at validation, from the definition then in force: each policy selects attributes, names
//! them and filters their values; several policies are merged; the user name comes last, because it
//! may be taken from what is released.

mod filter;
mod username;

use castor_proto::ticket::Principal;

pub use filter::{Filter, FilterRule};
pub use username::{PersistentId, UsernameCase, UsernameProvider, UsernameSource};

use super::attributes::{self, Attributes};
use super::definition::RegisteredService;
use super::key::EncryptingKey;
use super::pattern::Pattern;

/// Names of the protocol's own elements: an attribute of that name would corrupt what clients read.
pub const RESERVED_NAMES: [&str; 10] = [
    "user",
    "proxy",
    "proxies",
    "proxyGrantingTicket",
    "attributes",
    "authenticationSuccess",
    "authenticationFailure",
    "proxySuccess",
    "proxyFailure",
    "proxyTicket",
];

/// What a service is told about a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// The user name in the service's spelling.
    pub user: String,
    /// The attributes it may see.
    pub attributes: Attributes,
    /// Whether facts about the authentication are told besides.
    pub authentication: bool,
}

/// Which attributes an application sees.
#[derive(Debug, Clone)]
pub struct AttributeRelease {
    /// In the order in which they are merged.
    pub policies: Vec<ReleasePolicy>,
    /// What happens to an attribute that two policies release.
    pub merging: Merging,
    /// Whether facts about the authentication are told besides.
    pub authentication: bool,
}

/// One release policy.
#[derive(Debug, Clone)]
pub struct ReleasePolicy {
    /// Which attributes.
    pub choice: Choice,
    /// Which of their values.
    pub filter: Option<Filter>,
    /// The user name is released besides, as this attribute, when there is none of that name.
    pub principal_id_attribute: Option<String>,
}

/// What happens to an attribute that two policies release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Merging {
    /// The later one counts.
    #[default]
    Replace,
    /// The earlier one counts.
    Add,
    /// The values of both, each once whatever its case.
    Multivalued,
}

/// A choice among a person's attributes. Pairs are an attribute's name and a list.
#[derive(Debug, Clone)]
pub enum Choice {
    /// No attribute.
    None,
    /// All but those of a list.
    AllBut(Vec<String>),
    /// Those of a list.
    Allowed(Vec<String>),
    /// An attribute, and the names under which it is released.
    Mapped(Vec<(String, Vec<String>)>),
    /// A name, and the attributes of which the first that has a value is released under it.
    Linked(Vec<(String, Vec<String>)>),
    /// Fixed names and values.
    Static(Vec<(String, Vec<String>)>),
    /// Those of a list, each value encrypted for the application.
    Encrypted(Vec<String>),
    /// What a pattern finds in values.
    Extracted(Vec<Extraction>),
}

/// What a pattern finds in the values of an attribute; a value without a match is not released.
#[derive(Debug, Clone)]
pub struct Extraction {
    /// The attribute.
    pub attribute: String,
    /// Looked for anywhere in a value.
    pub pattern: Pattern,
    /// What is released, with `${1}` for the text of the first group.
    pub transform: String,
}

impl Choice {
    fn of(&self, available: &Attributes, key: Option<&EncryptingKey>) -> Attributes {
        let mut chosen = Attributes::new();
        let values = |name: &str| attributes::get(available, name).map(<[String]>::to_vec);
        match self {
            Self::None => {}
            Self::AllBut(excluded) => {
                let is_excluded =
                    |name: &str| excluded.iter().any(|e| e.eq_ignore_ascii_case(name));
                let rest = available.iter().filter(|(name, _)| !is_excluded(name));
                chosen.extend(rest.cloned());
            }
            Self::Allowed(names) => {
                for name in names {
                    if let Some(values) = values(name) {
                        attributes::set(&mut chosen, name.clone(), values);
                    }
                }
            }
            Self::Mapped(map) => {
                for (source, targets) in map {
                    for target in targets {
                        // A person who has the attribute under its new name only has it too.
                        if let Some(values) = values(source).or_else(|| values(target)) {
                            attributes::set(&mut chosen, target.clone(), values);
                        }
                    }
                }
            }
            Self::Linked(map) => {
                for (name, sources) in map {
                    let mut found = sources.iter().filter_map(|source| values(source));
                    if let Some(values) = found.find(|values| !values.is_empty()) {
                        attributes::set(&mut chosen, name.clone(), values);
                    }
                }
            }
            Self::Static(map) => chosen.extend(map.iter().cloned()),
            Self::Encrypted(names) => {
                for name in names {
                    let encrypted = encrypted(name, values(name).unwrap_or_default(), key);
                    attributes::set(&mut chosen, name.clone(), encrypted);
                }
            }
            Self::Extracted(rules) => {
                for rule in rules {
                    let values = values(&rule.attribute).unwrap_or_default();
                    let found = values.iter().filter_map(|value| rule.of(value)).collect();
                    attributes::set(&mut chosen, rule.attribute.clone(), found);
                }
            }
        }
        chosen
    }
}

/// Without a key, or for a value that is too long for it, nothing is released.
fn encrypted(name: &str, values: Vec<String>, key: Option<&EncryptingKey>) -> Vec<String> {
    let encrypt = |value: &String| {
        let encrypted = key.and_then(|key| key.encrypt(value));
        if encrypted.is_none() {
            tracing::warn!(
                attribute = name,
                "not released: too long for the service's key"
            );
        }
        encrypted
    };
    values.iter().filter_map(encrypt).collect()
}

impl Extraction {
    fn of(&self, value: &str) -> Option<String> {
        let groups = self.pattern.groups(value).ok()??;
        let found = filter::expand(&self.transform, "${", "}", &groups);
        (!found.trim().is_empty()).then_some(found)
    }
}

impl ReleasePolicy {
    fn apply(
        &self,
        available: &Attributes,
        key: Option<&EncryptingKey>,
        user: Option<&str>,
    ) -> Attributes {
        let mut chosen = self.choice.of(available, key);
        if let (Some(name), Some(user)) = (&self.principal_id_attribute, user)
            && attributes::get(&chosen, name).is_none()
        {
            chosen.push((name.clone(), vec![user.to_owned()]));
        }
        chosen.retain(|(_, values)| !values.is_empty());
        match &self.filter {
            Some(filter) => filter.of(&chosen),
            None => chosen,
        }
    }
}

impl Merging {
    fn merge(self, into: &mut Attributes, more: Attributes) {
        for (name, values) in more {
            let present = into
                .iter_mut()
                .find(|(other, _)| other.eq_ignore_ascii_case(&name));
            match (self, present) {
                (_, None) => into.push((name, values)),
                (Self::Add, Some(_)) => {}
                (Self::Replace, Some(place)) => *place = (name, values),
                (Self::Multivalued, Some((_, held))) => {
                    for value in values {
                        let lower = value.to_lowercase();
                        if !held.iter().any(|other| other.to_lowercase() == lower) {
                            held.push(value);
                        }
                    }
                }
            }
        }
    }
}

impl AttributeRelease {
    /// Later policies of a chain also see what earlier ones released.
    fn apply(
        &self,
        principal: &Principal,
        key: Option<&EncryptingKey>,
        user: Option<&str>,
    ) -> Attributes {
        let mut released = Attributes::new();
        for policy in &self.policies {
            let mut available = principal.attributes.clone();
            for (name, values) in &released {
                attributes::set(&mut available, name.clone(), values.clone());
            }
            let more = policy.apply(&available, key, user);
            self.merging.merge(&mut released, more);
        }
        released.retain(|(name, _)| !RESERVED_NAMES.contains(&name.as_str()));
        released
    }
}

impl RegisteredService {
    /// What this service learns about a principal; `service` is its URL without `;jsessionid`.
    /// Attributes named like an element of the protocol are never released. `None` when the definition
    /// makes no user name of this principal; treat it as a refusal.
    pub fn release(&self, principal: &Principal, service: &str) -> Option<Released> {
        let key = self.key();
        let mut attributes = self.release.apply(principal, key, None);
        let user = self.username.name(principal, &attributes, service, key)?;
        let names_user = |policy: &ReleasePolicy| policy.principal_id_attribute.is_some();
        if self.release.policies.iter().any(names_user) {
            attributes = self.release.apply(principal, key, Some(&user));
        }
        Some(Released {
            user,
            attributes,
            authentication: self.release.authentication,
        })
    }
}

#[cfg(test)]
mod tests;
