//! Requests that are done to their end though nobody may wait for the answer any more: how many at once.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{IntCounter, IntGauge, Registry};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most of them at once. Each lasts for some seconds at most, by the bounds of what it asks.
const MOST: u32 = 4096;

/// Their places.
#[derive(Debug)]
pub struct UnderWay {
    places: Arc<Semaphore>,
    taken: IntGauge,
    full: IntCounter,
}

/// A place; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    taken: IntGauge,
}

impl UnderWay {
    /// All places, and their metrics.
    ///
    /// # Errors
    /// When they are registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let taken = IntGauge::new(
            "castor_http_requests_under_way",
            "Requests that are done to their end even when the client goes away.",
        )?;
        let full = IntCounter::new(
            "castor_http_requests_unkept_total",
            "Requests that would have ended with their connection, because too many were under way.",
        )?;
        registry.register(Box::new(taken.clone()))?;
        registry.register(Box::new(full.clone()))?;
        Ok(Self {
            places: Arc::new(Semaphore::new(MOST as usize)),
            taken,
            full,
        })
    }

    /// A place. Without one a request ends with its connection, as the connections are bounded.
    pub(super) fn place(&self) -> Option<Place> {
        let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() else {
            self.full.inc();
            return None;
        };
        self.taken.inc();
        Some(Place {
            _permit: permit,
            taken: self.taken.clone(),
        })
    }

    /// Waits until none is under way, at most this long; false when it took longer.
    pub(super) async fn finish(&self, limit: Duration) -> bool {
        let all = self.places.acquire_many(MOST);
        tokio::time::timeout(limit, all).await.is_ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn places_are_bounded_and_come_back() {
        let under_way = UnderWay::register(&Registry::new()).unwrap();
        let mut places: Vec<Place> = (0..MOST).map(|_| under_way.place().unwrap()).collect();
        assert_eq!(under_way.taken.get(), i64::from(MOST));
        assert!(under_way.place().is_none());
        assert_eq!(under_way.full.get(), 1);
        assert!(!under_way.finish(Duration::from_secs(1)).await);
        places.clear();
        assert_eq!(under_way.taken.get(), 0);
        assert!(under_way.finish(Duration::ZERO).await);
    }
}
