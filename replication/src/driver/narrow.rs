//! What the floor of the window does on narrow lines and on lossy ones, measured: two real QUIC
//! connections in simulated time, one line between them, a flood on one stream and heartbeats on another.
//!
//! Measures print themselves: `cargo test -p castor-replication narrow -- --nocapture`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use castor_proto::ids::NodeName;
use quinn_proto::congestion::{Controller, ControllerFactory, CubicConfig};
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig,
    Event, ServerConfig, StreamEvent, StreamId,
};

use super::pki::Authority;
use super::tls::{self, IdentityPem, NodeIdentity};
use super::window::{Floored, stubborn};
use super::{clock, quic};

/// How long a flood goes on, of simulated time.
const LASTS: Duration = Duration::from_secs(10);
const BEAT: Duration = Duration::from_millis(250);

#[derive(Clone, Copy)]
struct Line {
    bytes_per_second: u64,
    queue: u64,
    delay: Duration,
    /// Lost by chance, of 1,000 datagrams.
    loss: u64,
}

/// One direction of a line.
struct Way {
    line: Line,
    free_at: Instant,
    chance: u64,
    under_way: VecDeque<(Instant, Vec<u8>)>,
    sent: u64,
    lost: u64,
}

impl Way {
    fn new(line: Line, start: Instant) -> Self {
        Self {
            line,
            free_at: start,
            chance: 1,
            under_way: VecDeque::new(),
            sent: 0,
            lost: 0,
        }
    }

    fn takes(&self, bytes: usize) -> Duration {
        Duration::from_nanos(bytes as u64 * 1_000_000_000 / self.line.bytes_per_second)
    }

    fn send(&mut self, now: Instant, datagram: Vec<u8>) {
        self.sent += 1;
        let backlog = self.free_at.saturating_duration_since(now);
        let room = self.takes(self.line.queue as usize);
        // A linear congruence is chance enough, and the same in every run.
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        if backlog + self.takes(datagram.len()) > room
            || (self.chance >> 33) % 1_000 < self.line.loss
        {
            self.lost += 1;
            return;
        }
        self.free_at = self.free_at.max(now) + self.takes(datagram.len());
        self.under_way
            .push_back((self.free_at + self.line.delay, datagram));
    }
}

struct Side {
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    other: SocketAddr,
}

impl Side {
    fn take(&mut self, now: Instant, datagram: &[u8], out: &mut Way) {
        let mut answer = Vec::new();
        let event = self.endpoint.handle(
            now,
            self.other,
            None,
            None,
            BytesMut::from(datagram),
            &mut answer,
        );
        match event {
            Some(DatagramEvent::NewConnection(incoming)) => {
                let accepted = self.endpoint.accept(incoming, now, &mut answer, None);
                self.connection = Some(accepted.ok().unwrap());
            }
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                if let Some((_, connection)) = &mut self.connection {
                    connection.handle_event(event);
                }
            }
            Some(DatagramEvent::Response(transmit)) => {
                out.send(now, answer[..transmit.size].to_vec());
            }
            None => {}
        }
    }

    fn drive(&mut self, now: Instant, out: &mut Way) {
        let Some((handle, connection)) = &mut self.connection else {
            return;
        };
        if connection.poll_timeout().is_some_and(|at| at <= now) {
            connection.handle_timeout(now);
        }
        let mut datagram = Vec::new();
        loop {
            while let Some(event) = connection.poll_endpoint_events() {
                if let Some(event) = self.endpoint.handle_event(*handle, event) {
                    connection.handle_event(event);
                }
            }
            datagram.clear();
            let Some(transmit) = connection.poll_transmit(now, 1, &mut datagram) else {
                return;
            };
            out.send(now, datagram[..transmit.size].to_vec());
        }
    }

    fn wakes(&mut self) -> Option<Instant> {
        let (_, connection) = self.connection.as_mut()?;
        connection.poll_timeout()
    }
}

/// What came out.
#[derive(Debug)]
struct Measured {
    /// Of the flood, each second.
    bytes_per_second: u64,
    /// Of 100 datagrams.
    lost: u64,
    /// From writing a heartbeat to reading it.
    beats: Vec<Duration>,
}

impl Measured {
    /// In order of length, at so many hundredths.
    fn beat(&self, hundredths: usize) -> Duration {
        self.beats[(self.beats.len() - 1) * hundredths / 100]
    }

    /// Heartbeats that came later than a peer is suspected.
    fn late(&self) -> usize {
        let late = |beat: &&Duration| **beat > Duration::from_millis(750);
        self.beats.iter().filter(late).count()
    }
}

fn configs(factory: Arc<dyn ControllerFactory + Send + Sync>) -> (ClientConfig, ServerConfig) {
    let now = clock::wall_ms();
    let authority = Authority::create("blue", now, 30).unwrap();
    let identity = |name: &str| {
        let name = NodeName::parse(name).unwrap();
        let pem = authority.issue_node(&name, now, 30).unwrap();
        let files = IdentityPem {
            certificate: pem.certificate.as_bytes(),
            key: pem.key.as_bytes(),
            authority: authority.certificate_pem().as_bytes(),
        };
        NodeIdentity::from_pem(&files, "blue", &name, now).unwrap()
    };
    let provider = tls::provider();
    let mut client = quic::client_config(&identity("a"), &provider).unwrap();
    let mut transport = quic::transport();
    transport.congestion_controller_factory(factory);
    client.transport_config(Arc::new(transport));
    let server = quic::server_config(&identity("b"), &provider).unwrap();
    (client, server)
}

/// Floods a line for a while and beats besides.
fn measure(line: Line, factory: Arc<dyn ControllerFactory + Send + Sync>) -> Measured {
    let (client, server) = configs(factory);
    let start = clock::instant().into_std();
    let [at_a, at_b]: [SocketAddr; 2] = [([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into()];
    let config = Arc::new(EndpointConfig::default());
    let mut a = Side {
        endpoint: Endpoint::new(Arc::clone(&config), None, true, Some([1; 32])),
        connection: None,
        other: at_b,
    };
    let mut b = Side {
        endpoint: Endpoint::new(config, Some(Arc::new(server)), true, Some([2; 32])),
        connection: None,
        other: at_a,
    };
    a.connection = Some(
        a.endpoint
            .connect(start, client, at_b, "b.node.blue.castor.internal")
            .unwrap(),
    );
    let [mut there, mut back] = [Way::new(line, start), Way::new(line, start)];
    let mut now = start;
    let mut load = Load::new(start);
    while now < start + LASTS {
        load.write(now, &mut a);
        a.drive(now, &mut there);
        b.drive(now, &mut back);
        load.read(now, &mut b);
        b.drive(now, &mut back);
        let wakes = [a.wakes(), b.wakes(), Some(load.next_beat)];
        let comes = [&there, &back].map(|way| way.under_way.front().map(|(at, _)| *at));
        let next = wakes.into_iter().chain(comes).flatten().min().unwrap();
        now = next.max(now + Duration::from_micros(1));
        while let Some((_, datagram)) = there.under_way.pop_front_if(|(at, _)| *at <= now) {
            b.take(now, &datagram, &mut back);
        }
        while let Some((_, datagram)) = back.under_way.pop_front_if(|(at, _)| *at <= now) {
            a.take(now, &datagram, &mut there);
        }
    }
    load.beats.sort_unstable();
    Measured {
        bytes_per_second: load.read / LASTS.as_secs(),
        lost: there.lost * 100 / there.sent,
        beats: load.beats,
    }
}

/// What is written at one end and read at the other.
struct Load {
    start: Instant,
    next_beat: Instant,
    flood: Option<StreamId>,
    beat: Option<StreamId>,
    read: u64,
    beats: Vec<Duration>,
    rest: Vec<u8>,
}

impl Load {
    fn new(start: Instant) -> Self {
        Self {
            start,
            next_beat: start + BEAT,
            flood: None,
            beat: None,
            read: 0,
            beats: Vec::new(),
            rest: Vec::new(),
        }
    }

    fn write(&mut self, now: Instant, side: &mut Side) {
        let Some((_, connection)) = &mut side.connection else {
            return;
        };
        while let Some(event) = connection.poll() {
            assert!(!matches!(event, Event::ConnectionLost { .. }), "{event:?}");
        }
        if connection.is_handshaking() {
            return;
        }
        if self.flood.is_none() {
            self.flood = connection.streams().open(Dir::Uni);
            self.beat = connection.streams().open(Dir::Uni);
        }
        let (Some(flood), Some(beat)) = (self.flood, self.beat) else {
            return;
        };
        // As the lanes have it.
        let _ = connection.send_stream(beat).set_priority(2);
        if now >= self.next_beat {
            let at = now.duration_since(self.start).as_micros() as u64;
            let _ = connection.send_stream(beat).write(&at.to_le_bytes());
            self.next_beat = now + BEAT;
        }
        let chunk = vec![7; 64 << 10];
        // Until the stream has under way what it may, 1 MiB.
        while connection
            .send_stream(flood)
            .write(&chunk)
            .is_ok_and(|n| n == chunk.len())
        {}
    }

    fn read(&mut self, now: Instant, side: &mut Side) {
        let Some((_, connection)) = &mut side.connection else {
            return;
        };
        while let Some(event) = connection.poll() {
            assert!(!matches!(event, Event::ConnectionLost { .. }), "{event:?}");
            if let Event::Stream(StreamEvent::Opened { dir }) = event {
                while connection.streams().accept(dir).is_some() {}
            }
        }
        for stream in [self.flood, self.beat].into_iter().flatten() {
            let mut receiving = connection.recv_stream(stream);
            let Ok(mut chunks) = receiving.read(true) else {
                continue;
            };
            while let Ok(Some(chunk)) = chunks.next(usize::MAX) {
                if Some(stream) == self.flood {
                    self.read += chunk.bytes.len() as u64;
                } else {
                    self.rest.extend_from_slice(&chunk.bytes);
                }
            }
            let _ = chunks.finalize();
        }
        while let Some((stamp, rest)) = self.rest.split_first_chunk::<8>() {
            let sent = self.start + Duration::from_micros(u64::from_le_bytes(*stamp));
            self.beats.push(now.duration_since(sent));
            self.rest = rest.to_vec();
        }
    }
}

/// The floor as it would be if it never gave way.
struct Stubborn;

impl ControllerFactory for Stubborn {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        stubborn(now, mtu)
    }
}

fn compare(what: &str, line: Line) -> [Measured; 3] {
    let plain = measure(line, Arc::new(CubicConfig::default()));
    let fixed = measure(line, Arc::new(Stubborn));
    let floored = measure(line, Arc::new(Floored::default()));
    for (name, measured) in [
        ("Cubic", &plain),
        ("fixed floor", &fixed),
        ("floor", &floored),
    ] {
        println!(
            "{what}, {name}: {} KiB/s, {} % lost, heartbeats p50 {} ms, p99 {} ms, {} of {} late",
            measured.bytes_per_second >> 10,
            measured.lost,
            measured.beat(50).as_millis(),
            measured.beat(99).as_millis(),
            measured.late(),
            measured.beats.len(),
        );
    }
    [plain, fixed, floored]
}

const NARROW: Line = Line {
    bytes_per_second: 125_000,
    queue: 16 << 10,
    delay: Duration::from_millis(10),
    loss: 0,
};

#[test]
fn on_a_narrow_line_with_a_short_queue_heartbeats_pass_a_flood() {
    let [plain, fixed, floored] = compare("1 Mbit/s, queue 16 KiB", NARROW);
    assert!(fixed.lost > 40, "the line is not narrow: {fixed:?}");
    assert!(floored.lost < 25, "{floored:?}");
    assert!(floored.late() <= plain.late() + 2, "{floored:?}");
    assert!(floored.bytes_per_second * 10 > 8 * plain.bytes_per_second);
}

#[test]
fn on_a_narrow_line_with_a_long_queue_it_is_no_worse_than_plain_congestion_control() {
    let line = Line {
        queue: 64 << 10,
        ..NARROW
    };
    let [plain, _, floored] = compare("1 Mbit/s, queue 64 KiB", line);
    assert!(floored.lost < 25, "{floored:?}");
    assert!(floored.late() <= plain.late() + 2, "{floored:?}");
}

#[test]
fn on_a_wide_way_that_loses_a_packet_in_twenty_the_floor_stays() {
    let line = Line {
        bytes_per_second: 2_500_000,
        queue: 256 << 10,
        delay: Duration::from_millis(50),
        loss: 50,
    };
    let [plain, _, floored] = compare("20 Mbit/s, 5 % lost", line);
    assert!(
        floored.bytes_per_second > 4 * plain.bytes_per_second,
        "{floored:?}"
    );
}
