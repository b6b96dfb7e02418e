//! How much a link may have under way: what congestion control allows, and never too little.
//!
//! Congestion control takes each lost packet for a sign of a full network and halves its window, down to
//! two packets. A link between nodes carries little, so it hardly ever grows again: on a way that loses
//! a packet in twenty, claims would wait for the window rather than for the way. What is below the
//! floor is a few packets in each round trip, which is no flood.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use quinn_proto::RttEstimator;
use quinn_proto::congestion::{Controller, ControllerFactory, Cubic, CubicConfig};

/// A link may always have this much under way, bytes (128 KiB): on a slow way of 10 Mbit/s that is a
/// tenth of a second, with 200 ms of round trip it is 5 Mbit/s.
const FLOOR: u64 = 128 << 10;

/// Makes the congestion control of a connection.
#[derive(Debug, Default)]
pub(super) struct Floored {
    cubic: Arc<CubicConfig>,
}

impl ControllerFactory for Floored {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        let inner = Cubic::new(Arc::clone(&self.cubic), now, mtu);
        Box::new(Window { inner })
    }
}

#[derive(Debug, Clone)]
struct Window {
    inner: Cubic,
}

impl Controller for Window {
    fn on_sent(&mut self, now: Instant, bytes: u64, last: u64) {
        self.inner.on_sent(now, bytes, last);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        self.inner.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest: Option<u64>,
    ) {
        self.inner.on_end_acks(now, in_flight, app_limited, largest);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, persistent: bool, lost: u64) {
        self.inner.on_congestion_event(now, sent, persistent, lost);
    }

    fn on_mtu_update(&mut self, mtu: u16) {
        self.inner.on_mtu_update(mtu);
    }

    fn window(&self) -> u64 {
        self.inner.window().max(FLOOR)
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        self.inner.initial_window().max(FLOOR)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::driver::clock;

    #[test]
    fn losses_never_close_the_window() {
        let start = clock::instant().into_std();
        let mut window = Arc::new(Floored::default()).build(start, 1_452);
        assert_eq!(window.window(), FLOOR);
        for second in 1..100 {
            let now = start + Duration::from_secs(second);
            window.on_congestion_event(now, now, second % 10 == 0, 1_452);
            assert!(window.window() >= FLOOR);
        }
        let plain = Cubic::new(Arc::default(), start, 1_452);
        assert!(plain.window() < FLOOR, "the floor does nothing");
    }
}
