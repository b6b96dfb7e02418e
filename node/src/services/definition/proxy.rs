//! Reading `proxyPolicy`.

use super::reader::{Fields, Unknown};
use crate::services::pattern::{Extent, PATTERN_MAX, Pattern};
use crate::services::proxy::ProxyPolicy;

/// `proxyPolicy`; absent means that the application may not proxy.
pub(super) fn read(fields: &mut Fields<'_, '_>, service_id: &str) -> ProxyPolicy {
    let Some(mut policy) = fields.object("proxyPolicy") else {
        return ProxyPolicy::Refuse;
    };
    let read = match policy.short_class().as_str() {
        "RefuseRegisteredServiceProxyPolicy" => ProxyPolicy::Refuse,
        "RegexMatchingRegisteredServiceProxyPolicy" => matching(&mut policy, service_id),
        other => {
            policy.unsupported_class(
                other,
                "supported are Refuse and RegexMatchingRegisteredServiceProxyPolicy",
            );
            policy.abandon();
            return ProxyPolicy::Refuse;
        }
    };
    policy.finish(Unknown::Refuse);
    read
}

fn matching(policy: &mut Fields<'_, '_>, service_id: &str) -> ProxyPolicy {
    let by_service = policy.flag("useServiceId", false);
    let exact = policy.flag("exactMatch", false);
    let source = if by_service {
        policy.warn_if_set("pattern", "has no effect with useServiceId");
        service_id.to_owned()
    } else {
        let pattern = policy.required_text("pattern", PATTERN_MAX);
        pattern.unwrap_or_default()
    };
    if exact {
        return ProxyPolicy::Exactly(source);
    }
    match Pattern::compile(&source, Extent::Part, true) {
        Ok(pattern) => {
            let anchored = source.starts_with('^') || source.starts_with("\\A");
            if !anchored {
                policy.warn_at(
                    "pattern",
                    "matches anywhere in a callback URL, as in Apereo CAS; begin it with ^",
                );
            }
            ProxyPolicy::Matching(pattern)
        }
        Err(e) => {
            policy.error_at("pattern", &e.0);
            ProxyPolicy::Refuse
        }
    }
}
