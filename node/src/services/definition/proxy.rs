//! `proxyPolicy`: which URLs may receive a proxy-granting ticket.

use super::reader::{Fields, Unknown};
use crate::services::pattern::{Extent, Pattern};

/// Which callback URLs of an application may receive a proxy-granting ticket.
#[derive(Debug, Clone, Default)]
pub struct ProxyPolicy(Rule);

#[derive(Debug, Clone, Default)]
enum Rule {
    /// None.
    #[default]
    Refuse,
    /// Those that a pattern covers.
    Covered(Pattern),
    /// Those that begin with a text.
    Literal(String),
}

impl ProxyPolicy {
    /// Whether a callback URL may receive one. Only https will do (section 2.5.4 of the
    /// specification), whatever the pattern says; a pattern that cannot be decided refuses.
    pub fn allows(&self, callback_url: &str) -> bool {
        let https = callback_url
            .get(..8)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
        https
            && match &self.0 {
                Rule::Refuse => false,
                Rule::Covered(pattern) => pattern.matches(callback_url) == Ok(true),
                Rule::Literal(text) => callback_url == text,
            }
    }

    /// Whether there is any URL that may.
    pub fn may_proxy(&self) -> bool {
        !matches!(self.0, Rule::Refuse)
    }
}

/// Reads the policy; `service_id` is the definition's own pattern.
pub(super) fn read(fields: &mut Fields<'_, '_>, service_id: &str) -> ProxyPolicy {
    let Some(mut policy) = fields.object("proxyPolicy") else {
        return ProxyPolicy::default();
    };
    let class = policy.short_class();
    match class.as_str() {
        "RefuseRegisteredServiceProxyPolicy" => {
            policy.finish(Unknown::Refuse);
            ProxyPolicy::default()
        }
        "RegexMatchingRegisteredServiceProxyPolicy" => {
            let pattern = policy.text("pattern");
            let use_service_id = policy.flag("useServiceId", false);
            let exact = policy.flag("exactMatch", false);
            policy.finish(Unknown::Refuse);
            let source = if use_service_id {
                service_id.to_owned()
            } else if let Some(pattern) = pattern {
                pattern
            } else {
                fields.error_at("proxyPolicy", "pattern: is needed");
                return ProxyPolicy::default();
            };
            if exact {
                return ProxyPolicy(Rule::Literal(source));
            }
            match Pattern::compile(&source, Extent::Full, true) {
                Ok(pattern) => ProxyPolicy(Rule::Covered(pattern)),
                Err(error) => {
                    fields.error_at("proxyPolicy", &format!("pattern: {error}"));
                    ProxyPolicy::default()
                }
            }
        }
        other => {
            policy.unsupported_class(other);
            policy.abandon();
            ProxyPolicy::default()
        }
    }
}
