//! The UDP socket and QUIC settings under all links.
//!
//! Promises: one port for calling and being called; a peer that vanishes is noticed in 5 s at the
//! latest (1 s keep-alive), a restarted one at once: the keys of stateless resets and of connection
//! ids are derived from the cluster key and the node's name, so a new process can reset the
//! connections of its predecessor. No migration, no early data, every quantity bounded.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use castor_proto::ids::NodeName;
use castor_proto::message::FAST_PARTS;
use castor_proto::seal::{KeyRing, Purpose};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    AckFrequencyConfig, ClientConfig, Endpoint, EndpointConfig, IdleTimeout, MtuDiscoveryConfig,
    ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use quinn_proto::HashedConnectionIdGenerator;
use rustls::crypto::CryptoProvider;

use crate::driver::link_metrics::LinkMetrics;
use crate::driver::socket::{CountingSocket, KnownAddresses};
use crate::driver::surroundings::Surroundings;
use crate::driver::tls::{IdentityError, NodeIdentity};
use crate::driver::window::Floored;

/// A silent connection is given up after this.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection without traffic sends something this often.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Round trip assumed before the first measurement; the library's 333 ms makes lost handshakes slow.
const INITIAL_RTT: Duration = Duration::from_millis(50);
/// Largest datagram tried, bytes: on loopback and on networks with jumbo frames a fill takes a quarter of
/// the packets. What the way does not carry the probes find out. Ten of them, which the library hands over at
/// once, stay within the 64 KiB of one system call.
const DATAGRAM_MAX: u16 = 6_000;
/// Unread bytes of one stream (1 MiB): two full batches, so a lane whose reader is behind makes its
/// writer wait, and gather.
const STREAM_WINDOW: u32 = 1 << 20;
/// Unread bytes, and unacknowledged bytes, of one connection (24 MiB). More than all streams of all lanes
/// together can have under way, so that a lane that waits never keeps another one, or gossip, waiting.
const CONNECTION_WINDOW: u32 = 24 << 20;
/// So many packets may come before QUIC acknowledges them; alone they are acknowledged after 25 ms, and at once
/// when one is missing. Each acknowledgement wakes a node that has nothing to do with it: what waits for an
/// answer waits for the engine's, which travels on the other node's own connection. On a way so bad that fewer
/// packets may be under way, down to `window.rs`'s four, a window that arrives whole waits for the 25 ms. That is
/// left so: the library asks the peer once for each connection, so the number cannot follow the window; a smaller
/// one, or a shorter wait, is more packets on every good way; and a floor of twice as many packets is more than the
/// short queue of a narrow line holds (16 KiB in `narrow.rs`), which is what makes the floor give way. Where it does,
/// more than one packet in four is missing, and what comes behind a missing one is acknowledged at once.
const UNACKED_MAX: u32 = 8;
/// Streams that a peer may have open: those of its lanes, and 40 for gossip, which opens one for each message. So
/// many, because new room is announced whenever an eighth is used up, in a packet that has to be acknowledged: with
/// little room that is more packets than gossip itself has.
const STREAMS_MAX: u32 = FAST_PARTS as u32 + 2 + 40;

/// Binds the peer port and starts QUIC on it.
///
/// # Errors
/// The operating system's, among them an address in use.
pub(super) fn bind(
    surroundings: &Surroundings,
    listen: SocketAddr,
    server: ServerConfig,
    keys: &EndpointKeys,
    known: KnownAddresses,
    metrics: LinkMetrics,
) -> io::Result<Endpoint> {
    let runtime = Arc::new(TokioRuntime);
    let socket = (surroundings.bind)(listen)?;
    let socket = CountingSocket::new(socket, keys.connection_id, known, metrics);
    let config = keys.endpoint_config();
    Endpoint::new_with_abstract_socket(config, Some(server), Arc::new(socket), runtime)
}

/// Settings for being called, with this identity.
///
/// # Errors
/// [`IdentityError::Unusable`].
pub(super) fn server_config(
    identity: &NodeIdentity,
    provider: &Arc<CryptoProvider>,
) -> Result<ServerConfig, IdentityError> {
    let tls = QuicServerConfig::try_from(identity.server_config(provider)?)
        .map_err(|error| IdentityError::Unusable(error.to_string()))?;
    let mut config = ServerConfig::with_crypto(Arc::new(tls));
    config
        .transport_config(Arc::new(transport()))
        .migration(false)
        .max_incoming(64)
        .incoming_buffer_size(64 << 10)
        .incoming_buffer_size_total(1 << 20);
    Ok(config)
}

/// Settings for calling, with this identity.
///
/// # Errors
/// [`IdentityError::Unusable`].
pub(super) fn client_config(
    identity: &NodeIdentity,
    provider: &Arc<CryptoProvider>,
) -> Result<ClientConfig, IdentityError> {
    let tls = QuicClientConfig::try_from(identity.client_config(provider)?)
        .map_err(|error| IdentityError::Unusable(error.to_string()))?;
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(Arc::new(transport()));
    Ok(config)
}

pub(super) fn transport() -> TransportConfig {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(DATAGRAM_MAX);
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(VarInt::from_u32(UNACKED_MAX));
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(IdleTimeout::try_from(IDLE_TIMEOUT).ok())
        .keep_alive_interval(Some(KEEP_ALIVE))
        .initial_rtt(INITIAL_RTT)
        .congestion_controller_factory(Arc::new(Floored::default()))
        .max_concurrent_bidi_streams(VarInt::from_u32(4))
        .max_concurrent_uni_streams(VarInt::from_u32(STREAMS_MAX))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(u64::from(CONNECTION_WINDOW))
        .mtu_discovery_config(Some(mtu))
        .ack_frequency_config(Some(acks))
        .datagram_receive_buffer_size(None);
    config
}

/// Reset and connection id keys: the same for every process of this node under this cluster key.
pub(super) struct EndpointKeys {
    reset: [u8; 32],
    connection_id: u64,
}

impl EndpointKeys {
    pub(super) fn derive(ring: &KeyRing, node: &NodeName) -> Self {
        let secret = ring.current().subkey(Purpose::ResetKey);
        let derive = |what: &str| {
            let mut hasher = blake3::Hasher::new_keyed(secret);
            hasher
                .update(what.as_bytes())
                .update(b"/")
                .update(node.as_str().as_bytes());
            *hasher.finalize().as_bytes()
        };
        let [a, b, c, d, e, f, g, h, ..] = derive("connection id");
        let connection_id = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        Self {
            reset: derive("reset"),
            connection_id,
        }
    }

    fn endpoint_config(&self) -> EndpointConfig {
        let mut config =
            EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &self.reset)));
        let key = self.connection_id;
        config
            .cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(key)))
            .grease_quic_bit(false);
        // Refused only below 1,200.
        let _ = config.max_udp_payload_size(DATAGRAM_MAX);
        config
    }
}
