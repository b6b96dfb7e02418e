//! The registered services in force.
//!
//! Readers take a snapshot without waiting; a reload swaps the whole set at once. Services are
//! asked in ascending `evaluationOrder`, then name whatever the case, then pattern, then id, and the
//! first that covers the URL counts. An [`Index`] leaves out those that cannot cover it. When a
//! pattern cannot be decided within its bounds the answer is "not registered": the next definition
//! in line may be the more generous one.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use castor_proto::delta::{ServiceKey, ServiceUse};

use super::definition::RegisteredService;
use super::index::Index;
use super::url::without_session;

/// Most patterns that may need many steps, tried for one URL: a bound of the time it takes.
const BACKTRACKING_MAX: usize = 256;

/// An unchanging set of services, sorted.
#[derive(Debug, Default)]
pub struct Snapshot {
    ordered: Vec<Arc<RegisteredService>>,
    index: Index,
    by_id: HashMap<i64, Arc<RegisteredService>>,
}

impl Snapshot {
    /// Sorts services; ids are unique, which the loader has seen to.
    pub fn new(services: Vec<RegisteredService>) -> Self {
        let mut ordered: Vec<Arc<RegisteredService>> = services.into_iter().map(Arc::new).collect();
        ordered.sort_by_cached_key(|service| {
            let name = service.name.to_lowercase();
            (
                service.evaluation_order,
                name,
                service.service_id.clone(),
                service.id,
            )
        });
        let by_id = ordered.iter().map(|s| (s.id, Arc::clone(s))).collect();
        Self {
            index: Index::new(&ordered),
            ordered,
            by_id,
        }
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

    /// The first service that covers a URL, and how many were tried.
    pub fn search(&self, url: &str) -> Search<'_> {
        let mut search = Search {
            found: None,
            tried: 0,
        };
        let mut backtracking = 0;
        for position in self.index.candidates(url) {
            let Some(service) = self.ordered.get(position as usize) else {
                continue;
            };
            search.tried += 1;
            backtracking += usize::from(service.backtracks());
            if backtracking > BACKTRACKING_MAX {
                tracing::warn!(
                    "service URL refused: more than {BACKTRACKING_MAX} patterns with look-around \
                     or the like would have to be tried"
                );
                return search;
            }
            match service.covers(url) {
                Ok(true) => {
                    search.found = Some(service);
                    return search;
                }
                Ok(false) => {}
                Err(too_hard) => {
                    tracing::warn!(
                        service = service.id,
                        "service URL refused: serviceId: {too_hard}"
                    );
                    return search;
                }
            }
        }
        search
    }
}

/// The outcome of a search.
#[derive(Debug, Clone, Copy)]
pub struct Search<'s> {
    /// The service.
    pub found: Option<&'s Arc<RegisteredService>>,
    /// How many definitions were compared with the URL.
    pub tried: usize,
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
        self.current.load().search(url).found.cloned()
    }

    /// The definition under which an application got its ticket. Usually the one that covers its URL;
    /// when definitions have changed meanwhile, or the URL holds a session, the key tells.
    pub fn of_visit(&self, key: ServiceKey, used: &ServiceUse) -> Option<Arc<RegisteredService>> {
        let is_it = |service: &RegisteredService| ServiceKey::new(service.id, &used.url) == key;
        self.find(&without_session(&used.url))
            .filter(|service| is_it(service))
            .or_else(|| {
                let snapshot = self.snapshot();
                snapshot.iter().find(|service| is_it(service)).cloned()
            })
    }

    /// The service with an id.
    pub fn by_id(&self, id: i64) -> Option<Arc<RegisteredService>> {
        self.current.load().by_id.get(&id).cloned()
    }
}

#[cfg(test)]
mod tests;
