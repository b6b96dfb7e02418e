//! Looks a gossip message over before the library decodes and obeys it.
//!
//! The library trusts its peers: 65 KB from the network may unpack to gigabytes, a version that goes
//! backwards trips an assertion in its task, and a newer change of one's own entry is taken as one's own.
//! Here the message is walked first, in place and without building anything. Promises: what passes
//! unpacks to at most [`CONTENT_MAX`] bytes, keeps to what our own nodes publish, and tells this process
//! nothing new of itself. The layout is the library's (0.11): see decision 0002 for why it is pinned.
//!
//! An honest peer does tell a process what that has said itself. It answers a digest with everything that is
//! newer; each message is a stream of its own, so a digest from before a change may come after the news of that
//! change, which took another stream or the way by a third node. After a pause, when all that has waited comes
//! at once, that is likely. Such a word ends at a version that this process has reached: the library passes over
//! it and takes in the rest of the message, and the link stays. A word of a version, a collection or a beginning
//! that this process has never reached, or of this process at another address, nobody can have heard from it.
//! Nor can a digest that it sent call for one. That is a lie, or this memory went back (rule 1): such a message
//! is refused, or the library would take it for its own, and the link is closed. Versions decide: an earlier
//! process of this node is another one, by its start time, and heartbeats travel in digests, where the library
//! does not look at one's own.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};

use castor_proto::ids::NodeName;
use castor_proto::limits::{GOSSIP_MAX, SEQUENCE_MAX};
use chitchat::{ChitchatMessage, Deserializable};

use super::gossip;

/// Most bytes that the changes in one message unpack to (1 MiB): the states of some thousand
/// processes, many times what fits a message without compression.
pub const CONTENT_MAX: usize = 1 << 20;
/// Most bytes that one compressed block unpacks to: the library's own bound.
const BLOCK_MAX: usize = u16::MAX as usize;

const HEADER: [u8; 3] = [0x53, 0xb0, 0];
const SYN: u8 = 0;
const SYN_ACK: u8 = 1;
const ACK: u8 = 2;
const BAD_CLUSTER: u8 = 3;

const END: u8 = 0;
const COMPRESSED: u8 = 1;
const PLAIN: u8 = 2;

const NODE: u8 = 0;
const KEY_VALUE: u8 = 1;
const MAX_VERSION: u8 = 2;

/// Who this process is for gossip, and how far it has spoken: a peer may not speak for it.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// Node name.
    pub node: &'a str,
    /// Start time.
    pub generation: u64,
    /// Where it says it can be reached.
    pub address: SocketAddr,
    /// The newest version of what it has published.
    pub said: u64,
}

impl Own<'_> {
    /// The newest version that anybody can have heard of a process; `None` when it was never there.
    fn newest_of(&self, process: &Process<'_>) -> Option<u64> {
        if (process.name, process.generation) != (self.node, self.generation) {
            return Some(SEQUENCE_MAX);
        }
        let here = (self.address.ip(), self.address.port());
        (process.address == here).then_some(self.said)
    }
}

/// A process as a message names it.
struct Process<'a> {
    name: &'a str,
    generation: u64,
    address: (IpAddr, u16),
}

/// Decodes a message that a linked peer sent; `None` when it is to be refused.
///
/// The library's decoder has assertions in it; they must not end the process.
#[must_use]
pub fn decode(bytes: &[u8], own: Own<'_>) -> Option<ChitchatMessage> {
    if bytes.len() > GOSSIP_MAX {
        return None;
    }
    Reader { rest: bytes }.message(own)?;
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let mut rest = bytes;
        let message = ChitchatMessage::deserialize(&mut rest).ok()?;
        rest.is_empty().then_some(message)
    }));
    decoded.ok().flatten()
}

/// Takes a message apart; every step is `None` at the first thing that is not as it should be.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn message(mut self, own: Own<'_>) -> Option<()> {
        let header = self.array()?;
        if header != HEADER {
            return None;
        }
        match self.u8()? {
            SYN => {
                self.digest()?;
                self.text()?;
            }
            SYN_ACK => {
                self.digest()?;
                self.delta(own)?;
            }
            ACK => self.delta(own)?,
            BAD_CLUSTER => {}
            _ => return None,
        }
        self.rest.is_empty().then_some(())
    }

    fn digest(&mut self) -> Option<()> {
        for _ in 0..self.u16()? {
            self.process()?;
            let _heartbeat = self.u64()?;
            let _collected = self.version(SEQUENCE_MAX)?;
            let _newest = self.version(SEQUENCE_MAX)?;
        }
        Some(())
    }

    fn delta(&mut self, own: Own<'_>) -> Option<()> {
        let content = self.unpack()?;
        let mut reader = Reader { rest: &content };
        // Of the process spoken of, once one is: the newest version so far, and the newest there can be.
        let (mut newest, mut most): (Option<u64>, u64) = (None, 0);
        while !reader.rest.is_empty() {
            match reader.u8()? {
                NODE => {
                    most = own.newest_of(&reader.process()?)?;
                    let _collected = reader.version(most)?;
                    let _from = reader.version(most)?;
                    newest = Some(0);
                }
                KEY_VALUE => {
                    let (key, value) = (reader.text()?, reader.text()?);
                    let version = reader.version(most)?;
                    let known_status = reader.u8()? <= 2;
                    let fits = gossip::check(key, value).is_ok();
                    if !fits || !known_status || version <= newest? {
                        return None;
                    }
                    newest = Some(version);
                }
                MAX_VERSION => {
                    let version = reader.version(most)?;
                    if version < newest? {
                        return None;
                    }
                    newest = Some(version);
                }
                _ => return None,
            }
        }
        Some(())
    }

    /// The blocks of a delta, unpacked and put together.
    fn unpack(&mut self) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            let kind = self.u8()?;
            if kind == END {
                return Some(content);
            }
            let length = usize::from(self.u16()?);
            let block = self.take(length)?;
            let block = match kind {
                PLAIN => Cow::Borrowed(block),
                COMPRESSED => Cow::Owned(zstd::bulk::decompress(block, BLOCK_MAX).ok()?),
                _ => return None,
            };
            // An empty block says nothing and could be repeated for ever.
            if block.is_empty() || content.len() + block.len() > CONTENT_MAX {
                return None;
            }
            content.extend_from_slice(&block);
        }
    }

    fn process(&mut self) -> Option<Process<'a>> {
        let name = self.text()?;
        NodeName::parse(name).ok()?;
        let generation = self.u64()?;
        let host = match self.u8()? {
            4 => IpAddr::from(self.array::<4>()?),
            6 => IpAddr::from(self.array::<16>()?),
            _ => return None,
        };
        let port = self.u16()?;
        Some(Process {
            name,
            generation,
            address: (host, port),
        })
    }

    fn version(&mut self, most: u64) -> Option<u64> {
        self.u64().filter(|version| *version <= most)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::from(self.u16()?);
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use async_trait::async_trait;
    use chitchat::transport::{Socket, Transport};
    use chitchat::{ChitchatConfig, ChitchatHandle, ChitchatId, Serializable, spawn_chitchat};
    use tokio::sync::mpsc;

    use super::*;

    const OWN: Own<'_> = Own {
        node: "n1",
        generation: 7,
        address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8_445),
        said: 3,
    };

    fn text(text: &str) -> Vec<u8> {
        let length = u16::try_from(text.len()).unwrap().to_le_bytes();
        [&length, text.as_bytes()].concat()
    }

    /// The operation that begins what is said of a process.
    fn of(node: &str, generation: u64) -> Vec<u8> {
        from(node, generation, 8_445, [0, 0])
    }

    /// The same at this port, with what was collected and where the word begins.
    fn from(node: &str, generation: u64, port: u16, numbers: [u64; 2]) -> Vec<u8> {
        let numbers = numbers.map(u64::to_le_bytes).concat();
        let address = [&[4, 127, 0, 0, 1][..], &port.to_le_bytes()].concat();
        let generation = generation.to_le_bytes();
        [&[NODE][..], &text(node), &generation, &address, &numbers].concat()
    }

    fn set(key: &str, value: &str, version: u64) -> Vec<u8> {
        let version = version.to_le_bytes();
        [&[KEY_VALUE][..], &text(key), &text(value), &version, &[0]].concat()
    }

    fn newest(version: u64) -> Vec<u8> {
        [&[MAX_VERSION][..], &version.to_le_bytes()].concat()
    }

    fn ack(operations: &[Vec<u8>]) -> Vec<u8> {
        let content = operations.concat();
        let length = u16::try_from(content.len()).unwrap().to_le_bytes();
        [&HEADER, &[ACK, PLAIN][..], &length, &content, &[END]].concat()
    }

    #[test]
    fn junk_is_no_gossip_message() {
        for length in 0..64u8 {
            let bytes: Vec<u8> = (0..length).map(|place| place.wrapping_mul(37)).collect();
            assert!(decode(&bytes, OWN).is_none());
        }
    }

    #[test]
    fn a_newer_change_of_somebody_else_passes_and_one_of_this_process_does_not() {
        let change = |node, generation| ack(&[of(node, generation), set("phase", "ready", 4)]);
        assert!(decode(&change("n2", 7), OWN).is_some());
        assert!(decode(&change("n1", 6), OWN).is_some(), "an earlier start");
        assert!(decode(&change("n1", 7), OWN).is_none());
        assert!(decode(&change("N_2", 7), OWN).is_none(), "no node name");
    }

    #[test]
    fn of_this_process_a_peer_may_say_what_it_has_said_itself_and_no_more() {
        let passes = |operations: &[Vec<u8>]| decode(&ack(operations), OWN).is_some();
        let own = || of("n1", 7);
        assert!(passes(&[own(), set("phase", "ready", 3)]));
        assert!(passes(&[own(), set("phase", "ready", 2), newest(3)]));
        assert!(passes(&[from("n1", 7, 8_445, [3, 3]), newest(3)]));
        assert!(!passes(&[own(), set("phase", "ready", 3), newest(4)]));
        assert!(!passes(&[
            own(),
            set("wire", "1", 3),
            set("phase", "ready", 4)
        ]));
        let collected = from("n1", 7, 8_445, [4, 0]);
        assert!(
            !passes(&[collected, newest(3)]),
            "own keys would be forgotten"
        );
        assert!(!passes(&[from("n1", 7, 8_445, [0, 4]), newest(3)]));
        let elsewhere = from("n1", 7, 8_446, [0, 0]);
        assert!(!passes(&[elsewhere, newest(3)]), "it was never there");
        // What is said of others beside it counts as ever.
        assert!(passes(&[own(), newest(3), of("n2", 1), set("a", "b", 9)]));
        assert!(!passes(&[of("n2", 1), set("a", "b", 9), own(), newest(4)]));
    }

    /// The library in one process; the test carries its messages.
    struct Process {
        address: SocketAddr,
        handle: ChitchatHandle,
        bring: mpsc::Sender<(SocketAddr, ChitchatMessage)>,
        fetch: mpsc::Receiver<ChitchatMessage>,
    }

    struct Hand {
        brought: mpsc::Receiver<(SocketAddr, ChitchatMessage)>,
        fetched: mpsc::Sender<ChitchatMessage>,
    }

    #[async_trait]
    impl Socket for Hand {
        async fn send(&mut self, _to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
            Ok(self.fetched.send(message).await?)
        }

        async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
            let brought = self.brought.recv().await;
            brought.ok_or_else(|| anyhow::anyhow!("the test has ended"))
        }
    }

    struct Hands(Mutex<Option<Hand>>);

    #[async_trait]
    impl Transport for Hands {
        async fn open(&self, _listen: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
            let hand = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            Ok(Box::new(hand.unwrap()))
        }
    }

    impl Process {
        async fn start(node: &str, generation: u64, port: u16) -> Self {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let (bring, brought) = mpsc::channel(1);
            let (fetched, fetch) = mpsc::channel(1);
            let config = ChitchatConfig {
                chitchat_id: ChitchatId::new(node, generation, address),
                cluster_id: "blue".into(),
                // It speaks when it is asked to.
                gossip_interval: Duration::from_secs(86_400),
                listen_addr: address,
                seed_nodes: Vec::new(),
                failure_detector_config: chitchat::FailureDetectorConfig::default(),
                marked_for_deletion_grace_period: Duration::from_secs(86_400),
                catchup_callback: None,
                extra_liveness_predicate: None,
            };
            let hands = Hands(Mutex::new(Some(Hand { brought, fetched })));
            Self {
                address,
                handle: spawn_chitchat(config, Vec::new(), &hands).await.unwrap(),
                bring,
                fetch,
            }
        }

        async fn publish(&self, key: &str, value: &str) {
            let own = |library: &mut chitchat::Chitchat| library.self_node_state().set(key, value);
            self.handle.with_chitchat(own).await;
        }

        /// Everything it says of itself, and the newest version of it.
        async fn says(&self) -> (String, u64) {
            self.handle
                .with_chitchat(|library| {
                    let own = library.self_node_state();
                    let each = own.key_values_including_deleted();
                    (format!("{:?}", each.collect::<Vec<_>>()), own.max_version())
                })
                .await
        }

        async fn digest(&mut self) -> ChitchatMessage {
            self.handle.gossip(self.address).unwrap();
            self.fetch.recv().await.unwrap()
        }

        async fn hear(&self, message: ChitchatMessage) {
            self.bring.send((self.address, message)).await.unwrap();
        }

        async fn answer(&mut self, message: ChitchatMessage) -> ChitchatMessage {
            self.hear(message).await;
            self.fetch.recv().await.unwrap()
        }
    }

    #[tokio::test]
    async fn an_honest_peer_that_gets_a_late_digest_tells_a_process_of_itself() {
        let mut own = Process::start("n1", 7, 8_445).await;
        let mut peer = Process::start("n2", 1, 8_446).await;
        own.publish("phase", "empty").await;
        let late = own.digest().await;
        own.publish("phase", "ready").await;
        let early = own.digest().await;
        let answer = peer.answer(early).await;
        let news = own.answer(answer).await;
        peer.hear(news).await;
        let word = peer.answer(late).await.serialize_to_vec();
        let (said, version) = own.says().await;
        let own_at = |said| Own { said, ..OWN };
        assert!(decode(&word, own_at(version - 1)).is_none(), "it tells it");
        let passed = decode(&word, own_at(version)).expect("an honest word");
        own.answer(passed).await;
        assert_eq!(
            own.says().await,
            (said, version),
            "the library passes over it"
        );
    }

    #[test]
    fn versions_that_would_trip_the_library_are_refused() {
        let sound = |tail: &[Vec<u8>]| {
            let operations = [&[of("n2", 1), set("a", "b", 5)], tail].concat();
            decode(&ack(&operations), OWN).is_some()
        };
        assert!(sound(&[]) && sound(&[newest(5)]) && sound(&[set("c", "d", 6)]));
        assert!(!sound(&[newest(4)]), "the library asserts that it rises");
        assert!(!sound(&[set("c", "d", 5)]));
        assert!(
            !sound(&[newest(u64::MAX)]),
            "the next own version would overflow"
        );
        assert!(!sound(&[set(&"k".repeat(65), "", 6)]));
        assert!(
            !sound(&[set("\u{e4}", "", 6)]),
            "the library slices keys as ASCII"
        );
        assert!(!sound(&[set("k", &"v".repeat(1_025), 6)]));
        assert!(decode(&ack(&[newest(4)]), OWN).is_none(), "of nobody");
    }

    #[test]
    fn what_unpacks_to_more_than_a_cluster_can_say_is_refused() {
        // 64 KiB of one byte, as the compressor writes it.
        let block = zstd::bulk::compress(&[MAX_VERSION; BLOCK_MAX], 0).unwrap();
        let length = u16::try_from(block.len()).unwrap().to_le_bytes();
        let block = [&[COMPRESSED], &length[..], &block].concat();
        let repeated = block.repeat(60_000 / block.len());
        let bytes = [&HEADER, &[ACK][..], &repeated, &[END]].concat();
        assert!(bytes.len() <= GOSSIP_MAX);
        assert!(decode(&bytes, OWN).is_none());
        let unpacked = (Reader { rest: &bytes[4..] }).unpack();
        assert!(unpacked.is_none(), "it stops at the bound");
    }
}
