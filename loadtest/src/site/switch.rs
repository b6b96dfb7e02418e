//! An Ethernet switch in user space: each port is the TAP device of a host, each direction between
//! two ports has its own delay, jitter, loss, duplication and cut.
//!
//! Promises: choices come from one seed, so that the same frames meet the same fate; at most
//! [`WAITING_MAX`] frames wait, more are dropped and counted.
//! Does not: limit the rate or change frames.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tappers::Tap;

use crate::clock;
use crate::rng::Rng;

/// Frames that may be on their way.
pub const WAITING_MAX: usize = 100_000;
/// Longest frame; TAP devices have an MTU of 1500.
const FRAME_BYTES_MAX: usize = 2048;
/// How soon the switch notices that it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Frames taken from one port before the others have their turn.
const BURST: usize = 64;

/// One direction between two ports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Link {
    /// Nothing passes.
    pub cut: bool,
    /// Time on the way.
    pub delay: Duration,
    /// Up to this much more, at random.
    pub jitter: Duration,
    /// Frames lost, in thousandths.
    pub loss: u16,
    /// Frames that arrive twice, in thousandths.
    pub twice: u16,
}

/// What the switch did.
#[derive(Debug, Default)]
pub struct Counts {
    /// Frames handed to a host.
    pub passed: AtomicU64,
    /// Lost at random or cut.
    pub lost: AtomicU64,
    /// Dropped because too many were waiting.
    pub overflow: AtomicU64,
}

/// A running switch.
pub struct Switch {
    table: Arc<Mutex<Vec<Vec<Link>>>>,
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Switch {
    /// Joins `taps`; port `n` is the host whose MAC address ends in `n`.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(taps: Vec<Tap>, seed: u64) -> anyhow::Result<Self> {
        let ports = taps.len();
        let table = Arc::new(Mutex::new(vec![vec![Link::default(); ports]; ports]));
        let counts = Arc::new(Counts::default());
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = Running {
            taps,
            fate: Fate {
                rng: Rng::new(seed),
                table: Arc::clone(&table),
                counts: Arc::clone(&counts),
                waiting: BinaryHeap::new(),
                number: 0,
            },
            stop: Arc::clone(&stop),
        };
        let thread = std::thread::Builder::new()
            .name("switch".to_owned())
            .spawn(move || running.run())
            .context("cannot start the switch")?;
        Ok(Self {
            table,
            counts,
            stop,
            thread: Some(thread),
        })
    }

    /// Changes the links from each of `from` to each of `to`, one way.
    pub fn change(&self, from: &[usize], to: &[usize], change: impl Fn(&mut Link)) {
        let mut table = lock(&self.table);
        for a in from {
            for b in to {
                if let Some(link) = table.get_mut(*a).and_then(|row| row.get_mut(*b)) {
                    change(link);
                }
            }
        }
    }

    /// All links are as new.
    pub fn heal(&self) {
        for row in lock(&self.table).iter_mut() {
            row.fill(Link::default());
        }
    }

    /// What it did so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its devices are gone when it has ended.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A frame on its way: when it arrives, its number, its port.
type Waiting = Reverse<(Instant, u64, usize, Arc<[u8]>)>;

/// What happens to frames; knows no device.
struct Fate {
    rng: Rng,
    table: Arc<Mutex<Vec<Vec<Link>>>>,
    counts: Arc<Counts>,
    waiting: BinaryHeap<Waiting>,
    number: u64,
}

impl Fate {
    /// Takes a frame that came from `port`.
    fn take(&mut self, port: usize, frame: &[u8], now: Instant) {
        let ports = lock(&self.table).len();
        let Some(&[first, .., last]) = frame.get(..6) else {
            return;
        };
        let frame: Arc<[u8]> = frame.into();
        if first & 1 == 1 {
            for other in (0..ports).filter(|other| *other != port) {
                self.send(port, other, &frame, now);
            }
        } else if usize::from(last) < ports {
            self.send(port, usize::from(last), &frame, now);
        }
    }

    fn send(&mut self, from: usize, to: usize, frame: &Arc<[u8]>, now: Instant) {
        let link = lock(&self.table)
            .get(from)
            .and_then(|row| row.get(to))
            .copied();
        let link = link.unwrap_or_default();
        if link.cut || self.chance(link.loss) {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let copies = 1 + u32::from(self.chance(link.twice));
        for _ in 0..copies {
            if self.waiting.len() >= WAITING_MAX {
                self.counts.overflow.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let jitter = u64::try_from(link.jitter.as_micros()).unwrap_or(u64::MAX);
            let more = match jitter {
                0 => 0,
                most => self.rng.next_u64() % most,
            };
            self.number += 1;
            let at = now + link.delay + Duration::from_micros(more);
            let waiting = (at, self.number, to, Arc::clone(frame));
            self.waiting.push(Reverse(waiting));
        }
    }

    fn chance(&mut self, thousandths: u16) -> bool {
        thousandths > 0 && self.rng.next_u64() % 1000 < u64::from(thousandths)
    }

    /// The next frame that has arrived by `now`.
    fn arrived(&mut self, now: Instant) -> Option<(usize, Arc<[u8]>)> {
        let Reverse((at, ..)) = self.waiting.peek()?;
        if *at > now {
            return None;
        }
        let Reverse((_, _, port, frame)) = self.waiting.pop()?;
        Some((port, frame))
    }

    fn until_next(&self, now: Instant) -> Duration {
        let next = self.waiting.peek().map(|Reverse((at, ..))| *at);
        next.map_or(LOOK_EVERY, |at| {
            at.saturating_duration_since(now).min(LOOK_EVERY)
        })
    }
}

struct Running {
    taps: Vec<Tap>,
    fate: Fate,
    stop: Arc<AtomicBool>,
}

impl Running {
    fn run(&mut self) {
        let mut frame = vec![0; FRAME_BYTES_MAX];
        while !self.stop.load(Ordering::Relaxed) {
            let timeout = Timespec::try_from(self.fate.until_next(clock::monotonic()));
            let mut ready: Vec<PollFd<'_>> = self
                .taps
                .iter()
                .map(|tap| PollFd::new(tap, PollFlags::IN))
                .collect();
            // An interrupted wait looks again at once.
            let _ = poll(&mut ready, timeout.ok().as_ref());
            let readable: Vec<bool> = ready
                .iter()
                .map(|fd| fd.revents().contains(PollFlags::IN))
                .collect();
            let now = clock::monotonic();
            for (port, tap) in self.taps.iter().enumerate() {
                if readable.get(port) != Some(&true) {
                    continue;
                }
                for _ in 0..BURST {
                    // No frame any more, or the host's device is down.
                    let Ok(length) = tap.recv(&mut frame) else {
                        break;
                    };
                    self.fate
                        .take(port, frame.get(..length).unwrap_or_default(), now);
                }
            }
            while let Some((port, frame)) = self.fate.arrived(clock::monotonic()) {
                // A device that is down drops what it gets, as a cable without a host does.
                if self
                    .taps
                    .get(port)
                    .is_some_and(|tap| tap.send(&frame).is_ok())
                {
                    self.fate.counts.passed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(seed: u64, link: Link) -> Fate {
        Fate {
            rng: Rng::new(seed),
            table: Arc::new(Mutex::new(vec![vec![link; 3]; 3])),
            counts: Arc::default(),
            waiting: BinaryHeap::new(),
            number: 0,
        }
    }

    fn frame(to: u8, number: u8) -> Vec<u8> {
        vec![2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, 0, 8, 0, number]
    }

    /// Numbers of the frames that arrive at port 1, in their order.
    fn arrivals(fate: &mut Fate, start: Instant) -> Vec<u8> {
        for number in 0..100 {
            let at = start + Duration::from_millis(u64::from(number));
            fate.take(0, &frame(1, number), at);
        }
        let end = start + Duration::from_secs(10);
        let arrived = std::iter::from_fn(|| fate.arrived(end));
        arrived.map(|(_, frame)| *frame.last().unwrap()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_fate() {
        let link = Link {
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(10),
            loss: 100,
            twice: 50,
            ..Link::default()
        };
        let start = clock::monotonic();
        let first = arrivals(&mut fate(7, link), start);
        assert_eq!(first, arrivals(&mut fate(7, link), start));
        assert_ne!(first, arrivals(&mut fate(8, link), start));
        assert!(!first.is_sorted(), "nothing overtook anything");
        let distinct: std::collections::BTreeSet<u8> = first.iter().copied().collect();
        assert!(
            distinct.len() < 100 && first.len() > distinct.len(),
            "{first:?}"
        );
    }

    #[test]
    fn frames_wait_for_their_delay_and_cuts_are_one_way() {
        let mut fate = fate(7, Link::default());
        let start = clock::monotonic();
        lock(&fate.table)[0][1].delay = Duration::from_millis(5);
        lock(&fate.table)[2][0].cut = true;
        fate.take(0, &frame(1, 1), start);
        fate.take(2, &frame(0, 2), start);
        fate.take(0, &frame(2, 3), start);
        assert_eq!(fate.arrived(start).unwrap().0, 2);
        assert!(fate.arrived(start + Duration::from_millis(4)).is_none());
        assert_eq!(fate.arrived(start + Duration::from_millis(5)).unwrap().0, 1);
        assert_eq!(fate.counts.lost.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_broadcast_reaches_all_but_its_sender_and_nonsense_nobody() {
        let mut fate = fate(7, Link::default());
        let start = clock::monotonic();
        fate.take(1, &[255; 20], start);
        fate.take(1, &frame(9, 1), start);
        fate.take(1, &[2, 0], start);
        let ports: Vec<usize> = std::iter::from_fn(|| fate.arrived(start))
            .map(|(p, _)| p)
            .collect();
        assert_eq!(ports, [0, 2]);
    }
}
