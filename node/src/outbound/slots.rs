//! How many calls run at one time: in all, and to one host.
//!
//! The host's turn comes first, so that a slow host keeps its own callers waiting and nobody else's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::CallError;

/// Calls that may run or wait; further ones are refused at once. Also bounds the hosts known here.
const CALLS_MAX: usize = 4096;

/// The turns.
#[derive(Debug)]
pub(super) struct Slots {
    admitted: Arc<Semaphore>,
    all: Arc<Semaphore>,
    per_host: usize,
    hosts: Arc<Mutex<BTreeMap<String, Host>>>,
}

#[derive(Debug)]
struct Host {
    turns: Arc<Semaphore>,
    /// Calls that run or wait; at none the host is forgotten.
    calls: usize,
}

/// A turn, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    _admitted: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
    _known: Known,
}

#[derive(Debug)]
struct Known {
    host: String,
    hosts: Arc<Mutex<BTreeMap<String, Host>>>,
}

impl Drop for Known {
    fn drop(&mut self) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get_mut(&self.host) {
            host.calls -= 1;
            if host.calls == 0 {
                hosts.remove(&self.host);
            }
        }
    }
}

impl Slots {
    pub(super) fn new(all: usize, per_host: usize) -> Self {
        Self {
            admitted: Arc::new(Semaphore::new(CALLS_MAX)),
            all: Arc::new(Semaphore::new(all)),
            per_host,
            hosts: Arc::default(),
        }
    }

    /// Waits for a turn; cancel safe.
    pub(super) async fn take(&self, host: &str) -> Result<Slot, CallError> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned();
        let admitted = admitted.map_err(|_| CallError::Busy)?;
        let (turns, known) = self.host(host);
        let own = turns.acquire_owned().await.map_err(|_| CallError::Busy)?;
        let all = Arc::clone(&self.all).acquire_owned().await;
        Ok(Slot {
            _admitted: admitted,
            _own: own,
            _all: all.map_err(|_| CallError::Busy)?,
            _known: known,
        })
    }

    fn host(&self, name: &str) -> (Arc<Semaphore>, Known) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(name.to_owned()).or_insert_with(|| Host {
            turns: Arc::new(Semaphore::new(self.per_host)),
            calls: 0,
        });
        host.calls += 1;
        let known = Known {
            host: name.to_owned(),
            hosts: Arc::clone(&self.hosts),
        };
        (Arc::clone(&host.turns), known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn is_free(slots: &Slots, host: &str) -> bool {
        let waited = tokio::time::timeout(Duration::from_millis(20), slots.take(host)).await;
        waited.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_host_keeps_only_its_own_callers_waiting() {
        let slots = Slots::new(3, 2);
        let first = slots.take("slow").await.unwrap();
        let _second = slots.take("slow").await.unwrap();
        assert!(!is_free(&slots, "slow").await);
        assert!(is_free(&slots, "other").await);
        let _third = slots.take("other").await.unwrap();
        assert!(!is_free(&slots, "third").await, "three in all");
        drop(first);
        assert!(is_free(&slots, "slow").await);
    }

    #[tokio::test]
    async fn hosts_are_forgotten_and_a_flood_is_refused() {
        let slots = Slots::new(1, 1);
        drop(slots.take("a").await.unwrap());
        assert!(slots.hosts.lock().unwrap().is_empty());
        let _all = Arc::clone(&slots.admitted)
            .try_acquire_many_owned(CALLS_MAX as u32)
            .unwrap();
        assert_eq!(slots.take("a").await.unwrap_err(), CallError::Busy);
    }
}
