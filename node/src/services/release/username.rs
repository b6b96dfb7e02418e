//! Under which name an application knows a person.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use castor_proto::ticket::Principal;
use zeroize::Zeroizing;

use crate::services::attributes::{self, Attributes};
use crate::services::key::EncryptingKey;
use crate::services::pattern::Pattern;

/// How the user name is made.
#[derive(Debug, Clone, Default)]
pub struct UsernameProvider {
    /// Where it comes from.
    pub source: UsernameSource,
    /// What is removed from it.
    pub remove: Option<Pattern>,
    /// What follows it, after an `@`.
    pub scope: Option<String>,
    /// How it is written.
    pub case: UsernameCase,
    /// Whether it is encrypted for the application.
    pub encrypt: bool,
}

/// Where a user name comes from.
#[derive(Debug, Clone, Default)]
pub enum UsernameSource {
    /// It is the principal's id.
    #[default]
    Principal,
    /// The first value of an attribute; the principal's id when there is none.
    Attribute(String),
    /// A pseudonym that differs from application to application.
    Anonymous(PersistentId),
    /// The same for everybody.
    Static(String),
}

/// A pseudonym as the Shibboleth identity provider computes it: the SHA-1 digest of service, `!`,
/// person, `!` and salt, in Base64.
#[derive(Clone)]
pub struct PersistentId {
    /// Known to this definition only: who has it can find out who is behind a pseudonym.
    pub salt: Zeroizing<String>,
    /// Attribute whose first value stands for the person, instead of the principal's id.
    pub attribute: Option<String>,
}

impl fmt::Debug for PersistentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersistentId({:?})", self.attribute)
    }
}

/// How the user name is written for an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UsernameCase {
    /// As it is.
    #[default]
    AsIs,
    /// In capitals.
    Upper,
    /// In small letters.
    Lower,
}

impl PersistentId {
    fn of(&self, principal: &Principal, service: &str) -> String {
        let own = self
            .attribute
            .as_ref()
            .and_then(|name| first(&principal.attributes, name));
        let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
        if !service.trim().is_empty() {
            context.update(service.as_bytes());
            context.update(b"!");
        }
        context.update(own.unwrap_or(&principal.id).as_bytes());
        context.update(b"!");
        context.update(self.salt.replace('\n', " ").as_bytes());
        STANDARD.encode(context.finish())
    }
}

fn first<'a>(attributes: &'a [(String, Vec<String>)], name: &str) -> Option<&'a str> {
    let values = attributes::get(attributes, name)?;
    values.first().map(String::as_str)
}

impl UsernameProvider {
    /// The name; an attribute is taken as it is released, or else as the person has it. `None` when
    /// nothing is left of it, or it cannot be encrypted: then nobody is told anything.
    pub(super) fn name(
        &self,
        principal: &Principal,
        released: &Attributes,
        service: &str,
        key: Option<&EncryptingKey>,
    ) -> Option<String> {
        let name = match &self.source {
            UsernameSource::Principal => principal.id.clone(),
            UsernameSource::Attribute(name) => first(released, name)
                .or_else(|| first(&principal.attributes, name))
                .unwrap_or(&principal.id)
                .trim()
                .to_owned(),
            UsernameSource::Anonymous(persistent) => persistent.of(principal, service),
            UsernameSource::Static(name) => name.clone(),
        };
        let name = match &self.remove {
            Some(pattern) => pattern.remove_from(&name).ok()?,
            None => name,
        };
        let name = match &self.scope {
            Some(scope) => format!("{name}@{scope}"),
            None => name,
        };
        let name = match self.case {
            UsernameCase::AsIs => name.trim().to_owned(),
            UsernameCase::Upper => name.trim().to_uppercase(),
            UsernameCase::Lower => name.trim().to_lowercase(),
        };
        if name.is_empty() {
            return None;
        }
        if self.encrypt {
            return key?.encrypt(&name);
        }
        Some(name)
    }
}
