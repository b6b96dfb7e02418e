//! Looks a gossip message over before the library decodes and obeys it.
//!
//! The library trusts its peers: 65 KB from the network may unpack to gigabytes, a version that goes
//! backwards trips an assertion in its task, and a change of one's own entry is taken as one's own.
//! Here the message is walked first, in place and without building anything. Promises: what passes
//! unpacks to at most [`CONTENT_MAX`] bytes, keeps to what our own nodes publish, and does not speak
//! for this process. The layout is the library's (0.11): see decision 0002 for why it is pinned.

use std::borrow::Cow;
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

/// Who this process is for gossip: a peer may not speak for it.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// Node name.
    pub node: &'a str,
    /// Start time.
    pub generation: u64,
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
            let _collected = self.version()?;
            let _newest = self.version()?;
        }
        Some(())
    }

    fn delta(&mut self, own: Own<'_>) -> Option<()> {
        let content = self.unpack()?;
        let mut reader = Reader { rest: &content };
        // The newest version of the process spoken of, once one is.
        let mut newest: Option<u64> = None;
        while !reader.rest.is_empty() {
            match reader.u8()? {
                NODE => {
                    if reader.process()? == (own.node, own.generation) {
                        return None;
                    }
                    let _collected = reader.version()?;
                    let _from = reader.version()?;
                    newest = Some(0);
                }
                KEY_VALUE => {
                    let (key, value) = (reader.text()?, reader.text()?);
                    let version = reader.version()?;
                    let known_status = reader.u8()? <= 2;
                    let fits = gossip::check(key, value).is_ok();
                    if !fits || !known_status || version <= newest? {
                        return None;
                    }
                    newest = Some(version);
                }
                MAX_VERSION => {
                    let version = reader.version()?;
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

    /// Name and start time of a process.
    fn process(&mut self) -> Option<(&'a str, u64)> {
        let name = self.text()?;
        NodeName::parse(name).ok()?;
        let generation = self.u64()?;
        let address_bytes = match self.u8()? {
            4 => 4,
            6 => 16,
            _ => return None,
        };
        self.take(address_bytes)?;
        let _port = self.u16()?;
        Some((name, generation))
    }

    fn version(&mut self) -> Option<u64> {
        self.u64().filter(|version| *version <= SEQUENCE_MAX)
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
    use super::*;

    const OWN: Own<'_> = Own {
        node: "n1",
        generation: 7,
    };

    fn text(text: &str) -> Vec<u8> {
        let length = u16::try_from(text.len()).unwrap().to_le_bytes();
        [&length, text.as_bytes()].concat()
    }

    /// The operation that begins what is said of a process.
    fn of(node: &str, generation: u64) -> Vec<u8> {
        let numbers = [0u64.to_le_bytes(), 0u64.to_le_bytes()].concat();
        let address = [4, 127, 0, 0, 1, 0xfd, 0x20];
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
    fn a_change_of_somebody_else_passes_and_one_of_this_process_does_not() {
        let change = |node, generation| ack(&[of(node, generation), set("phase", "ready", 3)]);
        assert!(decode(&change("n2", 7), OWN).is_some());
        assert!(decode(&change("n1", 6), OWN).is_some(), "an earlier start");
        assert!(decode(&change("n1", 7), OWN).is_none());
        assert!(decode(&change("N_2", 7), OWN).is_none(), "no node name");
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
