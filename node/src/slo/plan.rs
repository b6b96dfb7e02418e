//! Who is told how: from the applications of a session to requests.

use castor_proto::delta::{ServiceKey, ServiceUse};
use castor_proto::ids::WallMs;
use castor_proto::ticket::Principal;

use crate::outbound::Reach;
use crate::services::Registry;
use crate::services::definition::{LogoutType, RegisteredService};
use crate::services::url::without_session;
use crate::web::headers;

/// One request to one address of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) key: ServiceKey,
    pub(super) stamp: WallMs,
    pub(super) ticket: String,
    /// The user as this application knows them.
    pub(super) user: Option<String>,
    pub(super) url: String,
    pub(super) reach: Reach,
    /// Name of the application.
    pub(super) name: String,
}

/// What is to be done about the applications of a session.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Told by this node.
    pub(super) back: Vec<Notice>,
    /// Told by the browser.
    pub(super) front: Vec<Notice>,
    /// Told by nobody, because no browser fetches such a URL.
    pub(super) unreachable: Vec<Notice>,
    /// Not told: no longer registered, disabled, or not wishing to be.
    pub(super) nobody: Vec<(ServiceKey, WallMs)>,
}

impl Plan {
    /// Sorts the applications of a session by their definitions as they are now.
    pub(super) fn new(
        registry: &Registry,
        principal: Option<&Principal>,
        visited: &[(ServiceKey, ServiceUse)],
    ) -> Self {
        let mut plan = Self::default();
        for (key, used) in visited {
            let service = registry.of_visit(*key, used);
            let service = service.filter(|service| service.access.is_enabled());
            let logout_type = service.as_ref().map(|service| service.logout_type);
            if matches!(logout_type, Some(LogoutType::None) | None) {
                plan.nobody.push((*key, used.stamp));
                continue;
            }
            let Some(service) = service else { continue };
            let user = principal.and_then(|principal| {
                let url = without_session(&used.url);
                service
                    .release(principal, &url)
                    .map(|released| released.user)
            });
            let notice = |url: &str, reach| Notice {
                key: *key,
                stamp: used.stamp,
                ticket: used.ticket.clone(),
                user: user.clone(),
                url: url.to_owned(),
                reach,
                name: service.name.clone(),
            };
            let notices = if service.logout_urls.is_empty() {
                vec![notice(&used.url, reach(&service, &used.url))]
            } else {
                // Whoever wrote the definition wrote these very addresses.
                let urls = service.logout_urls.iter();
                urls.map(|url| notice(url, Reach::Named)).collect()
            };
            for notice in notices {
                let to = match logout_type {
                    Some(LogoutType::FrontChannel) if !headers::is_fetchable(&notice.url) => {
                        &mut plan.unreachable
                    }
                    Some(LogoutType::FrontChannel) => &mut plan.front,
                    _ => &mut plan.back,
                };
                to.push(notice);
            }
        }
        plan
    }
}

/// Into which networks the service URL itself may be called.
fn reach(service: &RegisteredService, url: &str) -> Reach {
    if service.names_host(&without_session(url)) {
        Reach::Named
    } else {
        Reach::Public
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::definition::Report;
    use crate::services::registry::Snapshot;

    fn service(id: i64, pattern: &str, extra: &str) -> RegisteredService {
        let text = format!(
            r#"{{"@class": "org.apereo.cas.services.CasRegisteredService", "id": {id},
                "name": "app {id}", "serviceId": {pattern:?}, "evaluationOrder": {id} {extra}}}"#
        );
        let mut report = Report::default();
        RegisteredService::read(&text, &mut report).unwrap_or_else(|| panic!("{report:?}"))
    }

    fn visit(id: i64, url: &str) -> (ServiceKey, ServiceUse) {
        let used = ServiceUse {
            stamp: 7,
            ticket: format!("ST-{id}-abc"),
            url: url.to_owned(),
        };
        (ServiceKey::new(id, url), used)
    }

    fn told(notices: &[Notice]) -> Vec<(&str, Reach)> {
        notices.iter().map(|n| (n.url.as_str(), n.reach)).collect()
    }

    #[test]
    fn each_application_is_told_as_its_definition_says() {
        let upper = r#", "usernameAttributeProvider": {"@class":
            "org.apereo.cas.services.DefaultRegisteredServiceUsernameProvider",
            "canonicalizationMode": "UPPER"}"#;
        let disabled = r#", "accessStrategy": {"@class":
            "org.apereo.cas.services.DefaultRegisteredServiceAccessStrategy", "enabled": false}"#;
        let urls = r#", "logoutUrl": "https://10.0.0.1/out,https://b.edu/out""#;
        let registry = Registry::new(Snapshot::new(vec![
            service(1, "https://a\\.edu/.*", upper),
            service(2, "https://b\\.edu/.*", urls),
            service(
                3,
                "https://c\\.edu/.*",
                r#", "logoutType": "FRONT_CHANNEL""#,
            ),
            service(4, "https://d\\.edu/.*", r#", "logoutType": "NONE""#),
            service(5, "https://e\\.edu/.*", disabled),
            service(6, "app://.*", r#", "logoutType": "FRONT_CHANNEL""#),
            service(9, "https://.*", ""),
        ]));
        let principal = Principal {
            id: "jane".to_owned(),
            attributes: Vec::new(),
        };
        let visited = [
            visit(1, "https://a.edu/x;jsessionid=1?y=2#z"),
            visit(2, "https://b.edu/"),
            visit(3, "https://c.edu/"),
            visit(4, "https://d.edu/"),
            visit(5, "https://e.edu/"),
            visit(6, "app://phone/"),
            visit(8, "https://gone.edu/"),
            visit(9, "https://10.0.0.1/"),
            // Another definition covers it by now.
            visit(9, "https://a.edu/old"),
        ];
        let plan = Plan::new(&registry, Some(&principal), &visited);
        assert_eq!(
            told(&plan.back),
            [
                ("https://a.edu/x;jsessionid=1?y=2#z", Reach::Named),
                ("https://10.0.0.1/out", Reach::Named),
                ("https://b.edu/out", Reach::Named),
                ("https://10.0.0.1/", Reach::Public),
                ("https://a.edu/old", Reach::Public),
            ]
        );
        assert_eq!(plan.back[0].user.as_deref(), Some("JANE"));
        assert_eq!(told(&plan.front), [("https://c.edu/", Reach::Named)]);
        assert_eq!(told(&plan.unreachable), [("app://phone/", Reach::Public)]);
        let skipped: Vec<_> = plan.nobody.iter().map(|(key, _)| *key).collect();
        assert_eq!(skipped, [visited[3].0, visited[4].0, visited[6].0]);
    }
}
