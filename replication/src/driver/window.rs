//! How much a link may have under way: what congestion control allows, and never too little.
//!
//! Congestion control takes each lost packet for a sign of a full network and halves its window, down to
//! two packets. A link between nodes carries little, so it hardly ever grows again: on a way that loses
//! a packet in twenty, claims would wait for the window rather than for the way. What is below the
//! floor is a few packets in each round trip, which is no flood.
//!
//! Unless the way is narrow: what does not fit into its queue is lost, whatever the round trip. So the
//! floor gives way when far more is lost than a bad way loses by chance, down to what the way holds.
//! `narrow.rs` measures both.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use quinn_proto::RttEstimator;
use quinn_proto::congestion::{Controller, ControllerFactory, Cubic, CubicConfig};

/// A link may have this much under way, bytes (128 KiB), unless so much of it is lost that the way cannot
/// hold it: on a slow way of 10 Mbit/s that is a tenth of a second, with 200 ms of round trip it is 5 Mbit/s.
pub(super) const FLOOR: u64 = 128 << 10;

/// The floor never falls below so many packets.
const FLOOR_PACKETS_MIN: u64 = 4;

/// What is lost is judged each time when so many packets' worth was acknowledged or lost.
const SAMPLE_PACKETS: u64 = 32;

/// The floor is halved when more than one part in so many was lost.
const TOO_MANY: u64 = 4;

/// It grows again, by a packet, when less than one part in so many was.
const FEW: u64 = 8;

/// Makes the congestion control of a connection.
#[derive(Debug, Default)]
pub(super) struct Floored {
    cubic: Arc<CubicConfig>,
}

impl ControllerFactory for Floored {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        let inner = Cubic::new(Arc::clone(&self.cubic), now, mtu);
        let floor = Floor::new(mtu);
        Box::new(Window { inner, floor })
    }
}

/// What may be under way at least.
#[derive(Debug, Clone)]
struct Floor {
    packet: u64,
    bytes: u64,
    /// Since it was last judged.
    acked: u64,
    lost: u64,
}

impl Floor {
    fn new(mtu: u16) -> Self {
        Self {
            packet: mtu.into(),
            bytes: FLOOR,
            acked: 0,
            lost: 0,
        }
    }

    fn judge(&mut self) {
        let all = self.acked + self.lost;
        if all < SAMPLE_PACKETS * self.packet {
            return;
        }
        if self.lost * TOO_MANY > all {
            self.bytes = (self.bytes / 2).max(FLOOR_PACKETS_MIN * self.packet);
        } else if self.lost * FEW < all {
            self.bytes = (self.bytes + self.packet).min(FLOOR);
        }
        (self.acked, self.lost) = (0, 0);
    }
}

#[derive(Debug, Clone)]
struct Window {
    inner: Cubic,
    floor: Floor,
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
        self.floor.acked += bytes;
        self.floor.judge();
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
        self.floor.lost += lost;
        self.floor.judge();
    }

    fn on_mtu_update(&mut self, mtu: u16) {
        self.inner.on_mtu_update(mtu);
        self.floor.packet = mtu.into();
    }

    fn window(&self) -> u64 {
        self.inner.window().max(self.floor.bytes)
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

/// The floor as it would be if it never gave way.
#[cfg(test)]
pub(super) fn stubborn(now: Instant, mtu: u16) -> Box<dyn Controller> {
    let mut floor = Floor::new(mtu);
    floor.packet = FLOOR * 1_000_000;
    let inner = Cubic::new(Arc::default(), now, mtu);
    Box::new(Window { inner, floor })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::driver::clock;

    fn acked(window: &mut Floor, packets: u64, of: u64) {
        window.acked += (of - packets) * window.packet;
        window.lost += packets * window.packet;
        window.judge();
    }

    #[test]
    fn a_way_that_loses_a_packet_in_ten_keeps_the_floor_and_a_narrow_one_lowers_it_for_a_while() {
        let mut floor = Floor::new(1_452);
        (0..1_000).for_each(|_| acked(&mut floor, 4, 40));
        assert_eq!(floor.bytes, FLOOR);
        acked(&mut floor, 11, 40);
        assert_eq!(floor.bytes, FLOOR / 2);
        acked(&mut floor, 8, 40);
        assert_eq!(floor.bytes, FLOOR / 2);
        (0..20).for_each(|_| acked(&mut floor, 40, 40));
        assert_eq!(floor.bytes, FLOOR_PACKETS_MIN * 1_452);
        (0..100).for_each(|_| acked(&mut floor, 0, 40));
        assert_eq!(floor.bytes, FLOOR);
    }

    #[test]
    fn losses_never_close_the_window() {
        let start = clock::instant().into_std();
        let window = Arc::new(Floored::default()).build(start, 1_452);
        let mut window = window.into_any().downcast::<Window>().unwrap();
        assert_eq!(window.window(), FLOOR);
        for second in 1..100 {
            let now = start + Duration::from_secs(second);
            window.floor.acked += 19 * 1_452;
            window.on_congestion_event(now, now, second % 10 == 0, 1_452);
            assert!(window.window() >= FLOOR);
        }
        let plain = Cubic::new(Arc::default(), start, 1_452);
        assert!(plain.window() < FLOOR, "the floor does nothing");
    }
}
