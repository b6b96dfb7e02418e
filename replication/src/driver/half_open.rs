//! Who may have a handshake under way.
//!
//! Promises: a bounded number of handshakes in all; strangers never take the slots kept for peers,
//! and one source of strangers never takes more than a few, so that whoever stalls keeps nobody
//! else out. A source is an IPv4 address or an IPv6 network of 64 bits, the least that anyone is
//! given. Not here: how long a handshake may take.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Handshakes and hellos under way at one moment.
const HALF_OPEN_MAX: usize = 64;
/// Slots that only peers may take.
const RESERVED: usize = 16;
/// Slots that one source of strangers may take.
const PER_SOURCE_MAX: usize = 4;
/// From this many on, a caller has to prove its address first.
const TRUSTED: usize = 16;
/// From this many of one source on, too: a forged address takes no more from its owner.
const TRUSTED_PER_SOURCE: usize = 2;

/// The handshakes under way.
#[derive(Clone, Default)]
pub(super) struct HalfOpen(Arc<Mutex<Slots>>);

#[derive(Default)]
struct Slots {
    total: usize,
    strangers: usize,
    sources: HashMap<IpAddr, usize>,
}

/// One handshake under way; ends when dropped.
pub(super) struct Slot {
    half_open: HalfOpen,
    /// Where a stranger calls from; `None` for a peer.
    source: Option<IpAddr>,
    /// Whether the caller must prove its address before anything is done for it.
    pub(super) must_prove: bool,
}

impl HalfOpen {
    /// Takes a slot; `None` when there is none for this caller. `known`: a peer's address.
    pub(super) fn admit(&self, from: SocketAddr, known: bool) -> Option<Slot> {
        let source = (!known).then(|| source(from.ip()));
        let mut slots = self.lock();
        let mut here = 0;
        if let Some(source) = source {
            here = slots.sources.get(&source).copied().unwrap_or(0);
            if here >= PER_SOURCE_MAX || slots.strangers >= HALF_OPEN_MAX - RESERVED {
                return None;
            }
        }
        if slots.total >= HALF_OPEN_MAX {
            return None;
        }
        let must_prove = slots.total >= TRUSTED || here >= TRUSTED_PER_SOURCE;
        slots.total += 1;
        if let Some(source) = source {
            slots.strangers += 1;
            slots.sources.insert(source, here + 1);
        }
        drop(slots);
        Some(Slot {
            half_open: self.clone(),
            source,
            must_prove,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut slots = self.half_open.lock();
        slots.total -= 1;
        let Some(source) = self.source else { return };
        slots.strangers -= 1;
        if let Some(here) = slots.sources.get_mut(&source) {
            *here -= 1;
            if *here == 0 {
                slots.sources.remove(&source);
            }
        }
    }
}

fn source(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(number: usize) -> SocketAddr {
        (Ipv6Addr::from_bits((number as u128) << 64), 1).into()
    }

    #[test]
    fn one_source_takes_a_few_slots_and_gives_them_back() {
        let half_open = HalfOpen::default();
        let from = |port| SocketAddr::from(([192, 0, 2, 1], port));
        let held: Vec<Slot> = (1..=4)
            .map(|port| half_open.admit(from(port), false).unwrap())
            .collect();
        let proofs: Vec<bool> = held.iter().map(|slot| slot.must_prove).collect();
        assert_eq!(proofs, [false, false, true, true]);
        assert!(half_open.admit(from(5), false).is_none());
        let mapped = SocketAddr::from((std::net::Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped(), 6));
        assert!(half_open.admit(mapped, false).is_none());
        let neighbour = half_open.admit(([192, 0, 2, 2], 5).into(), false);
        assert!(neighbour.is_some());
        assert!(half_open.admit(from(5), true).is_some(), "a peer's address");
        drop((held, neighbour));
        assert!(half_open.admit(from(5), false).is_some());
        let slots = half_open.lock();
        assert_eq!((slots.total, slots.strangers), (0, 0));
        assert!(slots.sources.is_empty());
    }

    #[test]
    fn a_network_of_64_bits_is_one_source() {
        let half_open = HalfOpen::default();
        let from = |end: u128| SocketAddr::from((Ipv6Addr::from_bits((7 << 64) + end), 1));
        let held: Vec<_> = (0..5)
            .map(|end| half_open.admit(from(end), false))
            .collect();
        assert_eq!(held.iter().flatten().count(), 4);
    }

    #[test]
    fn strangers_of_many_sources_leave_room_for_peers() {
        let half_open = HalfOpen::default();
        let strangers: Vec<Slot> = (0..1_000)
            .filter_map(|number| half_open.admit(stranger(number), false))
            .collect();
        assert_eq!(strangers.len(), HALF_OPEN_MAX - RESERVED);
        assert!(strangers[TRUSTED..].iter().all(|slot| slot.must_prove));
        let peers: Vec<Slot> = (0..1_000)
            .filter_map(|number| half_open.admit(stranger(number), true))
            .collect();
        assert_eq!(peers.len(), RESERVED);
        assert!(half_open.admit(stranger(2_000), true).is_none());
    }
}
