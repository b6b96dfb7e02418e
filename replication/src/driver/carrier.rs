//! Carries the gossip library's messages over links.
//!
//! The library's own carrier is plain UDP without authentication; here each message is one
//! unidirectional stream on a link that a hello has opened, so a stranger's bytes never reach its
//! decoder. Promises: queues are bounded and drop when full (gossip repeats itself); a slow peer never
//! delays a heartbeat to another; what a peer sends cannot end the library.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use castor_proto::frame::{self, FrameKind};
use castor_proto::ids::Member;
use castor_proto::limits::GOSSIP_MAX;
use chitchat::transport::{Socket, Transport};
use chitchat::{ChitchatMessage, Serializable};
use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::accept::STREAM_GOSSIP;
use super::clock;
use super::dial;
use super::gossip_wire::{self, Own};
use super::lane::{ReadEnd, read_frame};
use super::network::Shared;

/// Received messages waiting for the library.
pub(super) const INBOX_MAX: usize = 256;
/// Writing one message takes no longer on a link that works.
const SEND_TIMEOUT: Duration = Duration::from_millis(500);
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(1);

/// A message and the advertised address of its sender.
pub(super) type Received = (SocketAddr, ChitchatMessage);

/// Carries the library's messages over links.
pub(super) struct Carrier {
    shared: Arc<Shared>,
    received: Mutex<Option<mpsc::Receiver<Received>>>,
}

impl Carrier {
    pub(super) fn new(shared: Arc<Shared>, received: mpsc::Receiver<Received>) -> Self {
        Self {
            shared,
            received: Mutex::new(Some(received)),
        }
    }
}

#[async_trait]
impl Transport for Carrier {
    async fn open(&self, _listen: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let received = self
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let received = received.ok_or_else(|| anyhow::anyhow!("the carrier is open already"))?;
        Ok(Box::new(CarrierSocket {
            shared: Arc::clone(&self.shared),
            received,
        }))
    }
}

struct CarrierSocket {
    shared: Arc<Shared>,
    received: mpsc::Receiver<Received>,
}

#[async_trait]
impl Socket for CarrierSocket {
    /// Never waits: the library sends to all from one task.
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        let queue = self.shared.registry().gossip_to(&to);
        let Some(queue) = queue else {
            dial::call(&self.shared, to);
            return Ok(());
        };
        let bytes = message.serialize_to_vec();
        if bytes.len() > GOSSIP_MAX || queue.try_send(bytes).is_err() {
            self.shared.metrics.gossip_dropped();
        }
        Ok(())
    }

    /// Cancel safe, as the library needs it to be.
    async fn recv(&mut self) -> anyhow::Result<Received> {
        self.received
            .recv()
            .await
            .ok_or_else(|| anyhow::anyhow!("the network has ended"))
    }
}

/// Sends what the library has for one peer, a stream for each message.
pub(super) async fn send_loop(connection: Connection, mut queue: mpsc::Receiver<Vec<u8>>) {
    while let Some(message) = queue.recv().await {
        let Ok(frame) = frame::encode(FrameKind::Gossip, &message) else {
            continue;
        };
        let sent = async {
            let mut stream = connection.open_uni().await.ok()?;
            // Refused only when the stream has ended.
            let _ = stream.set_priority(3);
            if timeout(SEND_TIMEOUT, write_one(&mut stream, &frame))
                .await
                .is_err()
            {
                // Dropping it would end it properly, as if this were the whole message.
                let _ = stream.reset(VarInt::from_u32(0));
            }
            Some(())
        };
        if timeout(2 * SEND_TIMEOUT, sent).await.is_err() {
            tracing::debug!("no stream for a gossip message");
        }
    }
}

async fn write_one(stream: &mut SendStream, frame: &[u8]) -> Option<()> {
    stream.write_all(&[STREAM_GOSSIP]).await.ok()?;
    stream.write_all(frame).await.ok()?;
    stream.finish().ok()
}

/// Reads one message of a linked peer and hands it to the library.
///
/// # Errors
/// The reason, when it is not one frame with one message.
pub(super) async fn receive(
    shared: &Shared,
    (from, address): (&Member, SocketAddr),
    mut stream: RecvStream,
) -> Result<(), &'static str> {
    let read = read_frame(&mut stream, FrameKind::Gossip);
    let Ok(read) = timeout(RECEIVE_TIMEOUT, read).await else {
        return Ok(());
    };
    let bytes = match read {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err("truncated"),
        Err(ReadEnd::Frame(error)) => return Err(error.reason()),
        // The link broke, or the sender gave up.
        Err(ReadEnd::Stream(_)) => return Ok(()),
    };
    let own = Own {
        node: shared.me.node.as_str(),
        generation: shared.config.generation,
        address: shared.advertise,
        said: shared.said.load(Ordering::Relaxed),
    };
    let message = gossip_wire::decode(&bytes, own).ok_or("gossip")?;
    shared.silence.broken(from, clock::instant());
    if shared.gossip_in.try_send((address, message)).is_err() {
        shared.metrics.gossip_dropped();
    }
    // A stream that is dropped before its end was seen asks its sender to stop: one more packet each way.
    let _ = timeout(RECEIVE_TIMEOUT, stream.read_chunk(1, true)).await;
    Ok(())
}
