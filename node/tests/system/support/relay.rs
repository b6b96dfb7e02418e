//! Lines between the nodes that can be made slow, one way at a time.
//!
//! Every node has a relay at the address that it advertises. Whoever dials it sends to the relay,
//! which passes the datagrams on from a socket of its own per dialler, after the delay of the way.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use super::wait;

/// How long a socket is listened to before the end of the test is looked for.
const LISTEN: Duration = Duration::from_millis(100);

/// Largest datagram.
const DATAGRAM: usize = 65_536;

/// Most datagrams under way at once in one direction between two nodes.
const UNDER_WAY: usize = 16_384;

/// Delays by way, in milliseconds: from the node that listens at one address to that at another.
#[derive(Default)]
struct Ways {
    delays: Mutex<HashMap<(SocketAddr, SocketAddr), u64>>,
    ended: AtomicBool,
    passed: AtomicU64,
}

/// The relays of a cluster.
pub(crate) struct Relays {
    ways: Arc<Ways>,
    pub(crate) addresses: Vec<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
}

/// A datagram on its way.
struct Parcel {
    due: Instant,
    bytes: Vec<u8>,
    out: Arc<UdpSocket>,
    to: SocketAddr,
}

impl Relays {
    /// One relay for each of these addresses that nodes listen at.
    pub(crate) fn start(nodes: &[SocketAddr]) -> Self {
        let ways = Arc::new(Ways::default());
        let mut relays = Self {
            ways: Arc::clone(&ways),
            addresses: Vec::new(),
            threads: Vec::new(),
        };
        for node in nodes {
            let socket = socket();
            relays
                .addresses
                .push(socket.local_addr().expect("a bound socket"));
            let (ways, node) = (Arc::clone(&ways), *node);
            relays
                .threads
                .push(spawn(move || carry(&ways, &Arc::new(socket), node)));
        }
        relays
    }

    /// Everything that the first node sends to the second takes this long from now on.
    pub(crate) fn delay(&self, from: SocketAddr, to: SocketAddr, millis: u64) {
        let mut delays = self.ways.delays.lock().expect("no relay panicked");
        delays.insert((from, to), millis);
    }

    /// Datagrams passed on so far.
    pub(crate) fn passed(&self) -> u64 {
        self.ways.passed.load(Relaxed)
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        self.ways.ended.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "a relay panicked"
            );
        }
    }
}

impl Ways {
    fn due(&self, from: SocketAddr, to: SocketAddr) -> Instant {
        let delays = self.delays.lock().expect("no relay panicked");
        let millis = delays.get(&(from, to)).copied().unwrap_or_default();
        wait::now() + Duration::from_millis(millis)
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let set = socket.set_read_timeout(Some(LISTEN));
    set.expect("a time-out can be set");
    socket
}

/// What comes in at a node's relay goes to the node, and each dialler has a way back.
fn carry(ways: &Arc<Ways>, front: &Arc<UdpSocket>, node: SocketAddr) {
    let (there, parcels) = sync_channel(UNDER_WAY);
    let mut threads = vec![post(ways, parcels)];
    let mut diallers: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut buffer = vec![0; DATAGRAM];
    while !ways.has_ended() {
        let Ok((length, dialler)) = front.recv_from(&mut buffer) else {
            continue;
        };
        let out = diallers.entry(dialler).or_insert_with(|| {
            let out = Arc::new(socket());
            let (ways, front, back) = (Arc::clone(ways), Arc::clone(front), Arc::clone(&out));
            threads.push(spawn(move || {
                carry_back(&ways, &back, &front, (node, dialler));
            }));
            out
        });
        let parcel = Parcel {
            due: ways.due(dialler, node),
            bytes: buffer[..length].to_vec(),
            out: Arc::clone(out),
            to: node,
        };
        // What does not fit is lost, as on any line.
        there.try_send(parcel).ok();
    }
    drop(there);
    for thread in threads {
        thread.join().expect("a relay's thread ends");
    }
}

fn carry_back(
    ways: &Arc<Ways>,
    back: &UdpSocket,
    front: &Arc<UdpSocket>,
    (node, dialler): (SocketAddr, SocketAddr),
) {
    let (there, parcels) = sync_channel(UNDER_WAY);
    let thread = post(ways, parcels);
    let mut buffer = vec![0; DATAGRAM];
    while !ways.has_ended() {
        let Ok((length, _)) = back.recv_from(&mut buffer) else {
            continue;
        };
        let parcel = Parcel {
            due: ways.due(node, dialler),
            bytes: buffer[..length].to_vec(),
            out: Arc::clone(front),
            to: dialler,
        };
        // What does not fit is lost, as on any line.
        there.try_send(parcel).ok();
    }
    drop(there);
    thread.join().expect("a relay's thread ends");
}

/// Sends each parcel when it is due, in the order in which they came.
fn post(ways: &Arc<Ways>, parcels: Receiver<Parcel>) -> JoinHandle<()> {
    let ways = Arc::clone(ways);
    // Nothing is ever sent here: waiting for it is waiting for the time.
    let (never, clock): (SyncSender<()>, Receiver<()>) = sync_channel(1);
    spawn(move || {
        for parcel in parcels {
            let left = parcel.due.saturating_duration_since(wait::now());
            if !left.is_zero() {
                let waited = clock.recv_timeout(left);
                assert_eq!(waited, Err(RecvTimeoutError::Timeout));
            }
            // A node that is away loses what is sent to it, as on any network.
            if parcel.out.send_to(&parcel.bytes, parcel.to).is_ok() {
                ways.passed.fetch_add(1, Relaxed);
            }
        }
        drop(never);
    })
}
