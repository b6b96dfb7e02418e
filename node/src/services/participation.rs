//! Whether a session is good enough for an application, or credentials are asked for again.

use castor_proto::ids::WallMs;
use castor_proto::ticket::Principal;

use super::attributes;
use super::pattern::Pattern;

/// What is known of a session.
#[derive(Debug, Clone, Copy)]
pub struct SessionFacts<'a> {
    /// Whose it is.
    pub principal: &'a Principal,
    /// When the credentials were accepted.
    pub authenticated_at: WallMs,
    /// When it was used last.
    pub last_used: WallMs,
    /// Now.
    pub now: WallMs,
}

/// Which sessions are good enough.
#[derive(Debug, Clone, Default)]
pub enum Participation {
    /// Every one.
    #[default]
    Always,
    /// None.
    Never,
    /// Credentials not older than this, in milliseconds.
    SinceAuthentication(u64),
    /// Used not longer ago than this, in milliseconds.
    SinceUse(u64),
    /// Of a person whose attributes match.
    Attributes {
        /// Whether all must match, or any one.
        all: bool,
        /// Name and patterns, of which one must match a part of a value.
        rules: Vec<(String, Vec<Pattern>)>,
    },
    /// What all of these agree on.
    All(Vec<Participation>),
}

impl Participation {
    /// Whether a session is good enough.
    pub fn accepts(&self, session: &SessionFacts<'_>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::SinceAuthentication(most) => {
                session.now.saturating_sub(session.authenticated_at) < *most
            }
            Self::SinceUse(most) => session.now.saturating_sub(session.last_used) < *most,
            Self::Attributes { all, rules } => {
                let holds = |(name, patterns): &(String, Vec<Pattern>)| {
                    let values = attributes::get(&session.principal.attributes, name);
                    values.unwrap_or_default().iter().any(|value| {
                        // What cannot be decided asks for credentials.
                        patterns.iter().any(|p| p.matches(value) == Ok(true))
                    })
                };
                if *all {
                    rules.iter().all(holds)
                } else {
                    rules.iter().any(holds)
                }
            }
            Self::All(members) => members.iter().all(|m| m.accepts(session)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::testing::{good, person};

    #[test]
    fn sessions_that_are_good_enough() {
        let minute = 60_000;
        for (policy, expected) in [
            ("Default\"", true),
            ("Never\"", false),
            (
                "AuthenticationDate\", \"timeUnit\": \"MINUTES\", \"timeValue\": 11",
                true,
            ),
            (
                "AuthenticationDate\", \"timeUnit\": \"MINUTES\", \"timeValue\": 10",
                false,
            ),
            ("AuthenticationDate\", \"timeValue\": 0", true),
            ("LastUsedTime\", \"timeValue\": 61", true),
            ("LastUsedTime\", \"timeValue\": 60", false),
            (
                "AttributeBased\", \"attributes\": {\"ROLE\": [\"^staff$\"]}",
                true,
            ),
            (
                "AttributeBased\", \"attributes\": {\"role\": [\"x\"], \"mail\": [\"lee\"]}",
                true,
            ),
            (
                "AttributeBased\", \"requireAllAttributes\": true, \"attributes\": \
                 {\"role\": [\"x\"], \"mail\": [\"lee\"]}",
                false,
            ),
        ] {
            let (kind, rest) = policy.split_once('"').unwrap();
            let class = "RegisteredServiceSingleSignOnParticipationPolicy";
            let policy = format!("{{\"@class\": \"P{kind}{class}\"{rest}}}");
            let one = good(&format!("\"singleSignOnParticipationPolicy\": {policy}"));
            let chain = good(&format!(
                "\"singleSignOnParticipationPolicy\": {{\"@class\": \"PChaining{class}\", \
                 \"policies\": [\"java.util.ArrayList\", [{policy}]]}}"
            ));
            let principal = person();
            let facts = SessionFacts {
                principal: &principal,
                authenticated_at: 100 * minute,
                last_used: 109 * minute,
                now: 110 * minute,
            };
            assert_eq!(one.participation.accepts(&facts), expected, "{policy}");
            assert_eq!(chain.participation.accepts(&facts), expected, "{policy}");
        }
    }
}
