//! Reading `usernameAttributeProvider`.

use zeroize::Zeroizing;

use super::reader::{Fields, Unknown};
use super::scripted;
use crate::services::pattern::{Extent, Pattern};
use crate::services::release::{PersistentId, UsernameCase, UsernameProvider, UsernameSource};

/// `usernameAttributeProvider`; absent means the principal's id.
pub(super) fn read(fields: &mut Fields<'_, '_>) -> UsernameProvider {
    let mut name = UsernameProvider::default();
    let Some(mut provider) = fields.object("usernameAttributeProvider") else {
        return name;
    };
    name.source = match provider.short_class().as_str() {
        "DefaultRegisteredServiceUsernameProvider" => UsernameSource::Principal,
        "PrincipalAttributeRegisteredServiceUsernameProvider" => {
            let attribute = provider.required_text("usernameAttribute", 255);
            UsernameSource::Attribute(attribute.unwrap_or_default())
        }
        "AnonymousRegisteredServiceUsernameAttributeProvider" => anonymous(&mut provider),
        "StaticRegisteredServiceUsernameProvider" => {
            let value = provider.required_text("value", 255).unwrap_or_default();
            if value.contains("${") || value.contains("#{") || scripted(&value) {
                provider.error_at("value", "expressions are not evaluated; write the name");
            }
            UsernameSource::Static(value)
        }
        other => {
            provider.unsupported_class(
                other,
                "supported are Default..., PrincipalAttribute..., Anonymous... and \
                 StaticRegisteredServiceUsernameProvider",
            );
            provider.abandon();
            return name;
        }
    };
    name.case = match provider.text("canonicalizationMode").as_deref() {
        None | Some("NONE") => UsernameCase::AsIs,
        Some("UPPER") => UsernameCase::Upper,
        Some("LOWER") => UsernameCase::Lower,
        Some(_) => {
            provider.error_at("canonicalizationMode", "must be NONE, UPPER or LOWER");
            UsernameCase::AsIs
        }
    };
    name.scope = provider.text("scope");
    name.encrypt = provider.flag("encryptUsername", false);
    // The dot covers line ends there.
    let remove = provider.text("removePattern");
    match remove.map(|source| Pattern::compile(&format!("(?s){source}"), Extent::Part, false)) {
        Some(Ok(pattern)) => name.remove = Some(pattern),
        Some(Err(e)) => provider.error_at("removePattern", &e.0),
        None => {}
    }
    provider.finish(Unknown::Refuse);
    name
}

fn anonymous(provider: &mut Fields<'_, '_>) -> UsernameSource {
    let Some(mut generator) = provider.object("persistentIdGenerator") else {
        provider.error_at(
            "persistentIdGenerator",
            "is required, with a salt: a random one would differ from node to node",
        );
        return UsernameSource::Principal;
    };
    let class = generator.short_class();
    if class != "ShibbolethCompatiblePersistentIdGenerator" {
        generator.unsupported_class(
            &class,
            "supported is ShibbolethCompatiblePersistentIdGenerator",
        );
        generator.abandon();
        return UsernameSource::Principal;
    }
    let salt = generator.required_text("salt", 1024).unwrap_or_default();
    let attribute = generator.text("attribute");
    generator.finish(Unknown::Refuse);
    UsernameSource::Anonymous(PersistentId {
        salt: Zeroizing::new(salt),
        attribute,
    })
}
