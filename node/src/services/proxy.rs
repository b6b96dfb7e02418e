//! Whether an application may obtain proxy tickets, and where its proxy-granting ticket goes.

use super::pattern::Pattern;

/// An application's right to proxy.
#[derive(Debug, Clone, Default)]
pub enum ProxyPolicy {
    /// It has none.
    #[default]
    Refuse,
    /// To callback URLs in which the pattern occurs, whatever the case.
    Matching(Pattern),
    /// To this callback URL only, byte by byte.
    Exactly(String),
}

impl ProxyPolicy {
    /// Whether the application may proxy at all.
    pub fn may_proxy(&self) -> bool {
        !matches!(self, Self::Refuse)
    }

    /// Whether a proxy-granting ticket may be sent to a callback URL. A pattern that cannot be
    /// decided within its bounds allows nothing.
    ///
    /// # Security
    /// Says what the definition's author allowed and nothing of where the URL leads: TLS, redirects
    /// and private addresses are the caller's to check.
    pub fn allows(&self, callback_url: &str) -> bool {
        match self {
            Self::Refuse => false,
            Self::Matching(pattern) => pattern.matches(callback_url) == Ok(true),
            Self::Exactly(url) => url == callback_url,
        }
    }

    /// Whether it allows a callback URL by naming its host.
    pub fn names_host(&self, callback_url: &str) -> bool {
        self.allows(callback_url)
            && match self {
                Self::Matching(pattern) => pattern.names_host(callback_url),
                Self::Exactly(_) => true,
                Self::Refuse => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use crate::services::testing::{good, read};

    #[test]
    fn callbacks_by_policy() {
        let pgt = "https://app.edu/pgt";
        for (policy, url, allowed) in [
            ("RefuseRegisteredServiceProxyPolicy\"", pgt, false),
            (
                "Regex\", \"pattern\": \"^https://APP\\\\.edu/pgt$\"",
                pgt,
                true,
            ),
            (
                "Regex\", \"pattern\": \"^https://app\\\\.edu/pgt$\"",
                "https://app.edu/pgt2",
                false,
            ),
            (
                "Regex\", \"pattern\": \"^https://app\"",
                "https://app.evil/pgt",
                true,
            ),
            ("Regex\", \"useServiceId\": true", pgt, true),
            ("Regex\", \"useServiceId\": true", "https://b.edu/", false),
            (
                "Regex\", \"pattern\": \"https://app.edu/pgt\", \"exactMatch\": true",
                pgt,
                true,
            ),
            (
                "Regex\", \"pattern\": \"https://app.edu/pgt\", \"exactMatch\": true",
                "https://APP.edu/pgt",
                false,
            ),
        ] {
            let policy = policy.replace("Regex", "RegexMatchingRegisteredServiceProxyPolicy");
            let service = good(&format!("\"proxyPolicy\": {{\"@class\": \"P{policy}}}"));
            assert_eq!(service.proxy.allows(url), allowed, "{policy} {url}");
            let refuses = policy.starts_with("Refuse");
            assert_eq!(service.proxy.may_proxy(), !refuses, "{policy}");
        }
        assert!(!good("\"tags\": []").proxy.may_proxy());
        let anywhere = "\"proxyPolicy\": {\"@class\": \
            \"PRegexMatchingRegisteredServiceProxyPolicy\", \"pattern\": \"app\"}";
        let told = read(anywhere).1.warnings;
        assert!(
            told.iter().any(|w| w.key == "proxyPolicy.pattern"),
            "{told:?}"
        );
        let rest = "\"proxyPolicy\": {\"@class\": \"PRestfulRegisteredServiceProxyPolicy\"}";
        assert!(read(rest).0.is_none());
    }
}
