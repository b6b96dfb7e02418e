//! One lane of a link: its queue, and for each stream that carries it a task that writes, one that reads.
//!
//! Stream and bulk are ordered. The fast lane is spread over several streams, in turn: a lost packet then
//! keeps back one of them, for a round trip and more, and what the others carry passes it.
//! A queue holds encoded messages, bounded in number and bytes; the writer takes what has gathered
//! while the last batch was on its way and sends it as one envelope, so an idle lane sends at once
//! and a busy one in batches. The reader opens envelopes, refuses what is not what it should be,
//! counts it, and waits when the engine is behind.

use std::collections::VecDeque;
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use castor_proto::codec;
use castor_proto::error::{FrameError, SealError};
use castor_proto::frame::{self, FrameKind, HEADER_BYTES};
use castor_proto::ids::Member;
use castor_proto::limits::{BATCH_BYTES_MAX, BATCH_MESSAGES_MAX};
use castor_proto::message::{Lane, PeerMessage};
use castor_proto::seal::{
    Expected, NodeSigner, Outgoing, PublicKey, ReplayGuard, open_envelope, seal_pieces,
};
use castor_proto::version::WireVersion;
use quinn::{RecvStream, SendStream};
use tokio::sync::{Notify, watch};

use super::clock;
use super::link_metrics::Carried;
use super::network::Shared;
use super::transport::NetEvent;

/// Most messages waiting in one lane to one peer.
const QUEUE_MESSAGES_MAX: usize = 16_384;
/// Most bytes waiting in one lane to one peer (8 MiB).
const QUEUE_BYTES_MAX: usize = 8 << 20;

/// Batches of this many bytes are opened on another thread.
const LARGE: usize = 64 << 10;

/// Refused envelopes on one lane of one link after which the peer is fenced.
const LIES_MAX: u32 = 8;

/// Reasons for which a sound peer's envelopes are refused while key rings differ.
const HONEST: [&str; 3] = ["unknown_key", "aead", "signature"];

/// The queue is full: the peer, or the way to it, is slower than this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Encoded messages waiting for the writer.
#[derive(Default)]
pub(super) struct LaneQueue {
    waiting: Mutex<Waiting>,
    ready: Notify,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl LaneQueue {
    pub(super) fn push(&self, message: Vec<u8>) -> Result<(), Full> {
        let mut waiting = self.lock();
        let full = waiting.messages.len() >= QUEUE_MESSAGES_MAX
            || (waiting.bytes > 0 && waiting.bytes + message.len() > QUEUE_BYTES_MAX);
        if full {
            return Err(Full);
        }
        waiting.bytes += message.len();
        waiting.messages.push_back(message);
        let first = waiting.messages.len() == 1;
        drop(waiting);
        // One writer takes all that has gathered by then; the others sleep on.
        if first {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Waits until there is something, then takes up to a batch of it.
    ///
    /// Cancel safe: nothing is taken before it is returned.
    async fn next_batch(&self) -> Vec<Vec<u8>> {
        loop {
            let batch = self.take_batch();
            if !batch.is_empty() {
                return batch;
            }
            self.ready.notified().await;
        }
    }

    fn take_batch(&self) -> Vec<Vec<u8>> {
        let mut waiting = self.lock();
        let (mut bytes, mut count) = (0, 0);
        for message in waiting.messages.iter().take(BATCH_MESSAGES_MAX) {
            if count > 0 && bytes + message.len() > BATCH_BYTES_MAX {
                break;
            }
            bytes += message.len();
            count += 1;
        }
        waiting.bytes -= bytes;
        let batch = waiting.messages.drain(..count).collect();
        // What is left does not wait until this batch is written.
        if !waiting.messages.is_empty() {
            self.ready.notify_one();
        }
        batch
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a writer needs to know of its link.
pub(super) struct OutLane {
    pub(super) shared: Arc<Shared>,
    pub(super) lane: Lane,
    /// Which of the lane's streams.
    pub(super) part: usize,
    pub(super) queue: Arc<LaneQueue>,
    pub(super) peer: Member,
    pub(super) version: WireVersion,
    /// The key of the certificate that the peer has verified on this link.
    pub(super) signer: Arc<NodeSigner>,
    pub(super) sent: Carried,
}

/// Why a writer could not go on; the link is closed then.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteEnd {
    #[error("{0}")]
    Stream(#[from] quinn::WriteError),
    #[error("{0}")]
    Seal(#[from] SealError),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Random(#[from] std::io::Error),
}

impl OutLane {
    /// Writes until told to stop; then writes what is left, ends the stream and waits until the peer has all of it.
    pub(super) async fn run(
        self,
        mut stream: SendStream,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), WriteEnd> {
        stream.write_all(&[self.lane as u8]).await?;
        loop {
            let batch = tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                batch = self.queue.next_batch() => batch,
            };
            self.write(&mut stream, &batch).await?;
            // Sealing is work: what has been written is to be on its way before more of it is done.
            tokio::task::yield_now().await;
        }
        loop {
            let batch = self.queue.take_batch();
            if batch.is_empty() {
                break;
            }
            self.write(&mut stream, &batch).await?;
        }
        // Refused only when the stream has ended already, which is what is wanted.
        let _ = stream.finish();
        let _ = stream.stopped().await;
        Ok(())
    }

    async fn write(&self, stream: &mut SendStream, batch: &[Vec<u8>]) -> Result<(), WriteEnd> {
        let prefix = codec::list_prefix(batch.len());
        let messages = batch.iter().map(Vec::as_slice);
        let pieces: Vec<&[u8]> = iter::once(prefix.as_slice()).chain(messages).collect();
        let envelope = match self.seal(&pieces) {
            Ok(envelope) => envelope,
            // Nothing of it was written: the lane goes on without it.
            Err(WriteEnd::Seal(SealError::TooLarge { len, .. })) => {
                self.shared.oversize(&self.peer, self.lane, len);
                return Ok(());
            }
            Err(end) => return Err(end),
        };
        let header = frame::header(FrameKind::Envelope, envelope.len())?;
        self.sent.batch(envelope.len());
        stream.write_all(&header).await?;
        stream.write_chunk(envelope.into()).await?;
        Ok(())
    }

    fn seal(&self, pieces: &[&[u8]]) -> Result<Vec<u8>, WriteEnd> {
        let me = &self.shared.me;
        let outgoing = Outgoing {
            version: self.version,
            cluster: self.shared.cluster_tag,
            sender: &me.node,
            incarnation: me.incarnation,
            receiver: &self.peer.node,
            lane: self.lane,
            sequence: self.shared.next_sequence(self.lane, self.part),
            nonce: clock::nonce()?,
        };
        let ring = self.shared.ring.load();
        Ok(seal_pieces(&ring, &self.signer, &outgoing, pieces)?)
    }
}

/// Returns when told to stop, or when nobody is left to tell.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// What a reader needs to know of its link.
pub(super) struct InLane {
    pub(super) shared: Arc<Shared>,
    pub(super) lane: Lane,
    pub(super) peer: Member,
    pub(super) version: WireVersion,
    /// The key of the certificate that was verified on this link.
    pub(super) key: PublicKey,
    pub(super) guard: Arc<Mutex<ReplayGuard>>,
    pub(super) received: Carried,
}

impl InLane {
    /// Reads until the stream ends.
    ///
    /// # Errors
    /// [`ReadEnd`] when the stream is not a sequence of envelope frames; close the link then.
    pub(super) async fn run(self, mut stream: RecvStream) -> Result<(), ReadEnd> {
        let lane = Arc::new(self);
        let mut lies = 0;
        while let Some(envelope) = read_frame(&mut stream, FrameKind::Envelope).await? {
            lane.received.batch(envelope.len());
            // Cut short only when the whole node stops.
            let Some(opened) = Self::open_somewhere(&lane, envelope).await else {
                break;
            };
            match opened {
                Ok(messages) => {
                    let from = lane.peer.clone();
                    // Waits while the engine is behind: the peer's writer stops, then its queue fills.
                    lane.shared.emit(NetEvent::Messages(from, messages)).await;
                }
                Err(reason) => {
                    lane.shared.metrics.rejected(reason);
                    if lane.shared.worth_logging(reason) {
                        tracing::warn!(peer = %lane.peer.node, reason, "batch refused");
                    }
                    lies += u32::from(!HONEST.contains(&reason));
                    if lies == LIES_MAX {
                        let lied = NetEvent::Lied(lane.peer.clone(), reason);
                        lane.shared.emit(lied).await;
                    }
                }
            }
        }
        Ok(())
    }

    /// Opens a large batch on another thread, so that the event loop takes in the one before meanwhile.
    /// A small one would spend more time on its way there.
    async fn open_somewhere(
        lane: &Arc<Self>,
        envelope: Vec<u8>,
    ) -> Option<Result<Vec<PeerMessage>, &'static str>> {
        let threads = lane.shared.config.surroundings.threads;
        if envelope.len() < LARGE || !threads {
            return Some(lane.open(envelope));
        }
        let aside = Arc::clone(lane);
        let opened = tokio::task::spawn_blocking(move || aside.open(envelope));
        opened.await.ok()
    }

    fn open(&self, envelope: Vec<u8>) -> Result<Vec<PeerMessage>, &'static str> {
        let expected = Expected {
            cluster: self.shared.cluster_tag,
            sender: &self.peer.node,
            incarnation: self.peer.incarnation,
            receiver: &self.shared.me.node,
            lane: self.lane,
        };
        let ring = self.shared.ring.load();
        let opened =
            open_envelope(envelope, &ring, &self.key, &expected).map_err(|error| error.reason())?;
        if opened.version != self.version {
            return Err("version");
        }
        self.guard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .accept(self.lane, opened.sequence)
            .map_err(|error| error.reason())?;
        let messages: Vec<PeerMessage> = codec::decode(&opened.payload).map_err(|_| "decode")?;
        if messages
            .iter()
            .any(|message| message.since() > self.version)
        {
            return Err("version");
        }
        if !messages.iter().all(PeerMessage::check) {
            return Err("limit");
        }
        if messages.iter().all(|message| message.lane() == self.lane) {
            Ok(messages)
        } else {
            Err("decode")
        }
    }
}

/// Why a stream could not be read further.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadEnd {
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Stream(#[from] quinn::ReadError),
}

/// The payload of the next frame, which must be of this kind; `None` at the end of the stream.
pub(super) async fn read_frame(
    stream: &mut RecvStream,
    kind: FrameKind,
) -> Result<Option<Vec<u8>>, ReadEnd> {
    let mut header = [0; HEADER_BYTES];
    match read_full(stream, &mut header).await? {
        0 => return Ok(None),
        HEADER_BYTES => {}
        _ => return Err(FrameError::Truncated.into()),
    }
    let (found, len) = frame::parse_header(&header)?;
    if found != kind {
        return Err(FrameError::Kind(found as u16).into());
    }
    let mut payload = Vec::with_capacity(len);
    while payload.len() < len {
        match stream.read_chunk(len - payload.len(), true).await? {
            Some(chunk) => payload.extend_from_slice(&chunk.bytes),
            None => return Err(FrameError::Truncated.into()),
        }
    }
    Ok(Some(payload))
}

/// Fills the buffer as far as the stream goes; how far that was.
async fn read_full(stream: &mut RecvStream, buffer: &mut [u8]) -> Result<usize, quinn::ReadError> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest).await? {
            Some(count) => filled += count,
            None => break,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use castor_proto::ids::NodeName;
    use castor_proto::limits::DECODE_MAX;
    use castor_proto::seal::{ClusterKey, KeyId, KeyRing};
    use tokio::sync::mpsc;

    use super::*;
    use crate::driver::network::{Network, NetworkConfig};
    use crate::driver::pki::Authority;
    use crate::driver::tls::{IdentityPem, NodeIdentity};
    use crate::driver::{LinkMetrics, fresh_incarnation, wall_ms};

    async fn node(
        authority: &Authority,
        node: &str,
        seeds: Vec<String>,
    ) -> (Network, Member, mpsc::Receiver<NetEvent>) {
        let name = NodeName::parse(node).unwrap();
        let pem = authority.issue_node(&name, wall_ms(), 30).unwrap();
        let files = IdentityPem {
            certificate: pem.certificate.as_bytes(),
            key: pem.key.as_bytes(),
            authority: authority.certificate_pem().as_bytes(),
        };
        let identity = NodeIdentity::from_pem(&files, "blue", &name, wall_ms()).unwrap();
        let key = ClusterKey::new(KeyId(1), [1; 32].into(), 0);
        let ring = Arc::new(KeyRing::new(None, key, None).unwrap());
        let me = Member {
            node: name,
            incarnation: fresh_incarnation().unwrap(),
        };
        let at = ([127, 0, 0, 1], 0).into();
        let config = NetworkConfig::new(me.clone(), at, at, seeds);
        let metrics = LinkMetrics::register(&prometheus::Registry::new()).unwrap();
        let started = Network::start(config, &identity, ring, metrics).await;
        let (network, events) = started.unwrap();
        (network, me, events)
    }

    async fn until<T>(
        events: &mut mpsc::Receiver<NetEvent>,
        mut wanted: impl FnMut(NetEvent) -> Option<T>,
    ) -> T {
        let search = async {
            loop {
                if let Some(found) = wanted(events.recv().await.unwrap()) {
                    return found;
                }
            }
        };
        let limit = Duration::from_secs(15);
        tokio::time::timeout(limit, search).await.unwrap()
    }

    #[tokio::test]
    async fn a_batch_too_large_to_seal_is_dropped_and_the_lane_goes_on() {
        let authority = Authority::create("blue", wall_ms(), 30).unwrap();
        let (first, sender, mut events) = node(&authority, "n1", vec![]).await;
        let seeds = vec![first.advertise().to_string()];
        let (_second, to, mut inbox) = node(&authority, "n2", seeds).await;
        until(&mut events, |event| match event {
            NetEvent::LinkUp(member) => (member == to).then_some(()),
            _ => None,
        })
        .await;
        let queue = first.shared.registry().queue(&to, Lane::Stream).unwrap().0;
        queue.push(vec![0; DECODE_MAX]).unwrap();
        let message = PeerMessage::Subscribe { nonce: 1, have: 1 };
        first.post(&to, &message).unwrap();
        let messages = until(&mut inbox, |event| match event {
            NetEvent::Messages(from, messages) if from == sender => Some(messages),
            NetEvent::LinkDown(member) => panic!("{member:?} is down"),
            _ => None,
        })
        .await;
        assert_eq!(messages, [message]);
        assert_eq!(first.shared.metrics.oversize("n2", "stream").get(), 1);
        assert_eq!(first.links().len(), 1);
    }

    #[test]
    fn a_queue_is_bounded_and_gives_whole_batches_in_order() {
        let queue = LaneQueue::default();
        for number in 0..QUEUE_MESSAGES_MAX {
            queue.push(vec![number as u8]).unwrap();
        }
        assert_eq!(queue.push(vec![0]), Err(Full));
        let batch = queue.take_batch();
        assert_eq!(batch.len(), BATCH_MESSAGES_MAX);
        assert_eq!(batch[255], [255]);
        assert_eq!(queue.push(vec![0]), Ok(()));
    }

    #[test]
    fn a_queue_is_bounded_in_bytes_but_takes_one_message_of_any_size() {
        let queue = LaneQueue::default();
        queue.push(vec![0; QUEUE_BYTES_MAX + 1]).unwrap();
        assert_eq!(queue.push(vec![0]), Err(Full));
        assert_eq!(queue.take_batch().len(), 1);
        assert!(queue.take_batch().is_empty());
        for _ in 0..3 {
            queue.push(vec![0; BATCH_BYTES_MAX / 2]).unwrap();
        }
        assert_eq!(queue.take_batch().len(), 2);
        assert_eq!(queue.take_batch().len(), 1);
        assert_eq!(queue.lock().bytes, 0);
    }
}
