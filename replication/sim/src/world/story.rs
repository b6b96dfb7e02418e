//! What a run tells: lines in milliseconds for people, a hash for comparing two runs.

use castor_proto::message::PeerMessage;

use super::{BEGINNING, MS};

/// One line about a message: what a reader of a trace wants to know.
pub(super) fn describe(message: &PeerMessage) -> String {
    match message {
        PeerMessage::Ping { phase, .. } => format!("ping, {phase:?}"),
        PeerMessage::Pong { wall, phase, .. } => format!("pong, {phase:?}, wall {wall}"),
        PeerMessage::Subscribe { nonce, have } => format!("subscribe {nonce:x} after {have}"),
        PeerMessage::StreamStart { nonce, next, head } => {
            format!("stream {nonce:x} starts at {next}, head {head}")
        }
        PeerMessage::Deltas {
            first,
            head,
            entries,
        } => {
            let ends = entries.iter().filter(|e| e.destroyed.is_some()).count();
            format!(
                "{} deltas from {first}, head {head}, {ends} ends",
                entries.len()
            )
        }
        PeerMessage::DeltasAck { applied, .. } => format!("has up to {applied}"),
        PeerMessage::Store { rpc, .. } => format!("store {rpc:x}"),
        PeerMessage::Stored { rpc, refused } => format!("stored {rpc:x}, refused {refused:?}"),
        PeerMessage::Ask { rpc, key, ask, .. } => format!("ask {rpc:x} for {key:?}: {ask:?}"),
        PeerMessage::Answer { rpc, vote } => format!("vote {rpc:x}: {vote:?}"),
        PeerMessage::Decided { key, claim, .. } => format!("decided {key:?}: {claim:?}"),
        PeerMessage::Find { rpc, key } => format!("find {rpc:x}: {key:?}"),
        PeerMessage::Found { rpc, entry } => format!("found {rpc:x}: {entry:?}"),
        PeerMessage::ShardRequest { rpc, shard, .. } => format!("wants shard {shard} ({rpc:x})"),
        PeerMessage::ShardPart { rpc, entries, more } => {
            let entries = entries.as_ref().map(Vec::len);
            format!("part of a shard ({rpc:x}): {entries:?}, more {more}")
        }
        PeerMessage::Failures { counters } => format!("{} counters of failures", counters.len()),
        PeerMessage::CompareRequest { rpc, .. } => format!("compares ({rpc:x})"),
        PeerMessage::CompareReply { rpc, .. } => format!("compared ({rpc:x})"),
        PeerMessage::EntriesRequest { rpc, keys } => {
            format!("wants {} entries ({rpc:x})", keys.len())
        }
        PeerMessage::Entries { rpc, entries, .. } => format!("{} entries ({rpc:x})", entries.len()),
        PeerMessage::EntriesTaken { rpc } => format!("took entries ({rpc:x})"),
        PeerMessage::RoundRequest { rpc, asked } => {
            format!("asks for digests ({rpc:x}): {asked:?}")
        }
        PeerMessage::RoundReply { rpc, .. } => format!("tells digests ({rpc:x})"),
        PeerMessage::Fenced => "fenced".into(),
    }
}

/// Told while a world runs; silent and free of cost unless asked for.
#[derive(Default)]
pub struct Story {
    /// Print each event to standard output.
    pub told: bool,
    hasher: Option<Box<blake3::Hasher>>,
}

impl Story {
    /// Keeps a hash of everything that happens.
    pub fn hashed() -> Self {
        Self {
            told: false,
            hasher: Some(Box::default()),
        }
    }

    /// The hash so far, when one is kept.
    pub fn hash(&self) -> Option<String> {
        let hasher = self.hasher.as_ref()?;
        Some(hasher.finalize().to_hex().to_string())
    }

    pub(crate) fn line(&self, now: u64, what: impl FnOnce() -> String) {
        if self.told {
            let time = now.saturating_sub(BEGINNING);
            println!("{:>8}.{:03} {}", time / MS, time % MS, what());
        }
    }

    pub(crate) fn note(&mut self, numbers: &[u64], what: impl FnOnce() -> String) {
        if let Some(hasher) = &mut self.hasher {
            for number in numbers {
                hasher.update(&number.to_le_bytes());
            }
            hasher.update(what().as_bytes());
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
    }
}
