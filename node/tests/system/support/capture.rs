//! A look at the loopback interface: every packet, as the kernel hands it to a raw socket.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// All protocols, as the kernel numbers them (ETH_P_ALL), in network order.
const ALL_PROTOCOLS: i32 = 0x0300;
const ETHERNET: usize = 14;

/// A capture that runs until it is stopped.
pub(crate) struct Capture {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Vec<u8>>>,
}

impl Capture {
    /// Records UDP payloads to or from any of `ports`. Needs root.
    pub(crate) fn start(ports: Vec<u16>) -> Self {
        let socket = Socket::new(
            Domain::PACKET,
            Type::RAW,
            Some(Protocol::from(ALL_PROTOCOLS)),
        );
        let socket = socket.expect("a packet socket; the system tests run as root");
        socket
            .set_recv_buffer_size(8 << 20)
            .expect("a larger buffer");
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .expect("a read time-out");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || record(socket, &ports, &stopped));
        Self { stop, thread }
    }

    /// Ends the capture and gives the UDP payloads, in order.
    pub(crate) fn stop(self) -> Vec<Vec<u8>> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the capture thread ends")
    }
}

fn record(mut socket: Socket, ports: &[u16], stop: &AtomicBool) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut packet = vec![0u8; 65_600];
    // A read without a packet times out, so what arrived before the stop is still taken.
    loop {
        match socket.read(&mut packet) {
            Ok(length) => found.extend(udp_payload(&packet[..length], ports)),
            Err(_) if stop.load(Ordering::Acquire) => return found,
            Err(_) => {}
        }
    }
}

/// The payload of an IPv4 UDP packet of these ports.
fn udp_payload(frame: &[u8], ports: &[u16]) -> Option<Vec<u8>> {
    let ip = frame.get(ETHERNET..)?;
    let header = usize::from(ip.first()? & 0x0f) * 4;
    let is_udp = ip.first()? >> 4 == 4 && *ip.get(9)? == 17;
    let udp = ip.get(header..)?;
    let port = |at: usize| Some(u16::from_be_bytes([*udp.get(at)?, *udp.get(at + 1)?]));
    let wanted = ports.contains(&port(0)?) || ports.contains(&port(2)?);
    (is_udp && wanted).then(|| udp.get(8..).map(<[u8]>::to_vec))?
}

/// Whether any payload contains these bytes.
pub(crate) fn seen(payloads: &[Vec<u8>], needle: &[u8]) -> bool {
    payloads
        .iter()
        .any(|p| p.windows(needle.len()).any(|w| w == needle))
}
