//! The registered services in force.
//!
//! Readers take a snapshot without waiting; a reload swaps the whole set at once. Services are
//! asked in ascending `evaluationOrder`, then name, then id, and the first that covers the URL
//! counts. When a pattern cannot be decided within its bounds the answer is "not registered":
//! the next definition in line may be the more generous one.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::definition::RegisteredService;

/// An unchanging set of services, sorted.
#[derive(Debug, Default)]
pub struct Snapshot {
    ordered: Vec<Arc<RegisteredService>>,
    by_id: HashMap<i64, Arc<RegisteredService>>,
}

impl Snapshot {
    /// Sorts services; ids are unique, which the loader has seen to.
    pub fn new(services: Vec<RegisteredService>) -> Self {
        let mut ordered: Vec<Arc<RegisteredService>> = services.into_iter().map(Arc::new).collect();
        ordered.sort_by(|a, b| {
            (a.evaluation_order, &a.name, a.id).cmp(&(b.evaluation_order, &b.name, b.id))
        });
        let by_id = ordered.iter().map(|s| (s.id, Arc::clone(s))).collect();
        Self { ordered, by_id }
    }

    /// The services in the order in which they are asked.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<RegisteredService>> {
        self.ordered.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ordered.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ordered.is_empty()
    }

    fn find(&self, url: &str) -> Option<&Arc<RegisteredService>> {
        for service in &self.ordered {
            match service.covers(url) {
                Ok(true) => return Some(service),
                Ok(false) => {}
                Err(too_hard) => {
                    tracing::warn!(
                        service = service.id,
                        "service URL refused: serviceId: {too_hard}"
                    );
                    return None;
                }
            }
        }
        None
    }
}

/// The set in force; cheap to read, swapped whole.
#[derive(Debug, Default)]
pub struct Registry {
    current: ArcSwap<Snapshot>,
}

impl Registry {
    /// A registry with a first set.
    pub fn new(snapshot: Snapshot) -> Self {
        Self {
            current: ArcSwap::from_pointee(snapshot),
        }
    }

    /// Puts another set in force; readers that already look at the old one finish with it.
    pub fn replace(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
    }

    /// The set in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The service that covers a URL, which must already be without `;jsessionid`.
    pub fn find(&self, url: &str) -> Option<Arc<RegisteredService>> {
        self.current.load().find(url).cloned()
    }

    /// The service with an id.
    pub fn by_id(&self, id: i64) -> Option<Arc<RegisteredService>> {
        self.current.load().by_id.get(&id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::definition::Report;

    fn service(id: i64, name: &str, order: i32, pattern: &str) -> RegisteredService {
        let text = serde_json::json!({
            "@class": "org.apereo.cas.services.CasRegisteredService",
            "id": id, "name": name, "evaluationOrder": order, "serviceId": pattern,
        });
        RegisteredService::read(&text.to_string(), &mut Report::default()).unwrap()
    }

    #[test]
    fn first_match_wins_in_evaluation_order_then_name() {
        let registry = Registry::new(Snapshot::new(vec![
            service(1, "all", 100, ".*"),
            service(2, "b", 5, "https://a.edu/.*"),
            service(3, "a", 5, "https://a.edu/.*"),
        ]));
        assert_eq!(registry.find("https://a.edu/x").unwrap().id, 3);
        assert_eq!(registry.find("https://b.edu/x").unwrap().id, 1);
        registry.replace(Snapshot::new(vec![service(9, "z", 0, "x")]));
        assert!(registry.find("https://a.edu/x").is_none());
        assert_eq!(registry.by_id(9).unwrap().name, "z");
    }

    #[test]
    fn an_undecidable_pattern_refuses_instead_of_falling_through() {
        let hard = r"(a|a)*(a|a)*(a|aa)*\1b";
        let registry = Registry::new(Snapshot::new(vec![
            service(1, "hard", 0, hard),
            service(2, "all", 9, ".*"),
        ]));
        assert!(registry.find(&"a".repeat(4000)).is_none());
        assert_eq!(registry.find("short").unwrap().id, 2);
    }
}
