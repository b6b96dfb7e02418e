//! Who may use a service, and what it learns about the person.
//!
//! Decided at issue and again at validation, from the definition then in force.

use castor_proto::ticket::Principal;

use super::definition::{PrincipalRelease, RESERVED_NAMES, RegisteredService, UsernameCase};

/// Whether a principal may use a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Yes.
    Granted,
    /// Nobody may: the definition is disabled.
    Disabled,
    /// This person lacks a required attribute.
    Refused,
}

/// What a service is told about a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// The user name in the service's spelling.
    pub user: String,
    /// The attributes it may see, in the order of the principal.
    pub attributes: Vec<(String, Vec<String>)>,
    /// Whether facts about the authentication are told besides.
    pub authentication: bool,
}

impl RegisteredService {
    /// Whether a principal may use this service.
    pub fn access(&self, principal: &Principal) -> Access {
        if !self.access.enabled {
            return Access::Disabled;
        }
        let mut held = self.access.requirements.iter().map(|requirement| {
            let values = principal
                .attributes
                .iter()
                .filter(|(name, _)| *name == requirement.attribute)
                .flat_map(|(_, values)| values);
            values.into_iter().any(|value| {
                // A pattern that cannot be decided does not let anybody in.
                requirement
                    .patterns
                    .iter()
                    .any(|p| p.matches(value) == Ok(true))
            })
        });
        let granted = self.access.requirements.is_empty()
            || if self.access.require_all {
                held.all(|held| held)
            } else {
                held.any(|held| held)
            };
        if granted {
            Access::Granted
        } else {
            Access::Refused
        }
    }

    /// What this service learns about a principal. Attributes named like an element of the
    /// protocol are never released.
    pub fn release(&self, principal: &Principal) -> Released {
        let user = match self.username_case {
            UsernameCase::AsIs => principal.id.clone(),
            UsernameCase::Upper => principal.id.to_uppercase(),
            UsernameCase::Lower => principal.id.to_lowercase(),
        };
        let allowed = |name: &String| match &self.release.principal {
            PrincipalRelease::None => false,
            PrincipalRelease::Allowed(names) => names.contains(name),
            PrincipalRelease::AllBut(names) => !names.contains(name),
        };
        let attributes = principal
            .attributes
            .iter()
            .filter(|(name, values)| {
                allowed(name) && !values.is_empty() && !RESERVED_NAMES.contains(&name.as_str())
            })
            .cloned()
            .collect();
        Released {
            user,
            attributes,
            authentication: self.release.authentication,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::definition::Report;

    fn service(extra: &str) -> RegisteredService {
        let text = format!(
            r#"{{"@class": "org.apereo.cas.services.CasRegisteredService",
                "id": 1, "name": "n", "serviceId": "x", {extra}}}"#
        );
        let mut report = Report::default();
        RegisteredService::read(&text, &mut report).unwrap_or_else(|| panic!("{report:?}"))
    }

    fn person() -> Principal {
        let attribute = |name: &str, values: &[&str]| {
            (
                name.to_owned(),
                values.iter().map(|v| (*v).to_owned()).collect(),
            )
        };
        Principal {
            id: "mLee7".into(),
            attributes: vec![
                attribute("mail", &["m@example.edu"]),
                attribute("role", &["staff", "R&D"]),
                attribute("user", &["evil"]),
                attribute("empty", &[]),
            ],
        }
    }

    fn names(service: &RegisteredService) -> Vec<String> {
        let released = service.release(&person());
        released
            .attributes
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    }

    #[test]
    fn release_policies() {
        let class = r#""attributeReleasePolicy": {"@class": "org.apereo.cas.services."#;
        for (policy, expected) in [
            ("DenyAllAttributeReleasePolicy\"}", vec![]),
            ("ReturnAllAttributeReleasePolicy\"}", vec!["mail", "role"]),
            (
                "ReturnAllAttributeReleasePolicy\", \"excludedAttributes\": [\"mail\"]}",
                vec!["role"],
            ),
            (
                "ReturnAllowedAttributeReleasePolicy\", \"allowedAttributes\": \
                 [\"java.util.ArrayList\", [\"role\", \"user\"]]}",
                vec!["role"],
            ),
        ] {
            assert_eq!(
                names(&service(&format!("{class}{policy}"))),
                expected,
                "{policy}"
            );
        }
        assert!(names(&service("\"description\": \"\"")).is_empty());
    }

    #[test]
    fn required_attributes() {
        let strategy = |body: &str| {
            service(&format!(
                r#""accessStrategy": {{"@class":
                "org.apereo.cas.services.DefaultRegisteredServiceAccessStrategy", {body}}}"#
            ))
            .access(&person())
        };
        let both = r#""requiredAttributes": {"@class": "java.util.HashMap",
            "role": ["java.util.HashSet", ["faculty", "staff"]], "mail": ["nobody"]}"#;
        let one = r#""requiredAttributes": {"role": ["^sta"]}"#;
        assert_eq!(strategy(one), Access::Granted);
        assert_eq!(strategy(both), Access::Refused);
        let any = format!("{both}, \"requireAllAttributes\": false");
        assert_eq!(strategy(&any), Access::Granted);
        assert_eq!(
            strategy(r#""requiredAttributes": {"none": ["x"]}"#),
            Access::Refused
        );
        assert_eq!(
            strategy(r#""requiredAttributes": {"role": ["STAFF"]}"#),
            Access::Refused
        );
        let folded = r#""requiredAttributes": {"role": ["STAFF"]}, "caseInsensitive": true"#;
        assert_eq!(strategy(folded), Access::Granted);
        assert_eq!(strategy(r#""enabled": false"#), Access::Disabled);
    }

    #[test]
    fn user_name_in_one_case() {
        let provider = r#""usernameAttributeProvider": {"@class":
            "org.apereo.cas.services.DefaultRegisteredServiceUsernameProvider",
            "canonicalizationMode": "UPPER"}"#;
        assert_eq!(service(provider).release(&person()).user, "MLEE7");
    }
}
