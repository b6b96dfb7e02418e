//! What a peer, a file or a browser did wrong, as typed errors.
//!
//! Promises: no message carries a payload, a key or a ticket id, so every error may be logged; every
//! reason for refusing something from the network has a stable word for the metric
//! `castor_replication_rejected_total{reason}`.

use crate::limits;

/// Why bytes are not the encoding of the wanted type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// More bytes than a value of this kind may have.
    #[error("larger than the limit for its kind")]
    TooLarge,
    /// The bytes end inside a value.
    #[error("the message ends inside a value")]
    Truncated,
    /// Bytes remain after the value.
    #[error("bytes remain after the message")]
    Trailing,
    /// A length asks for more memory than one collection may have.
    #[error("a length in the message is beyond the limit")]
    LengthBeyondLimit,
    /// A tag, number, character or invariant that no writer of ours produces.
    #[error("the message holds a value that does not exist: {0}")]
    Invalid(&'static str),
    /// Well-formed, but against a rule of its kind.
    #[error("breaks a rule of its kind")]
    Rule,
}

/// Why bytes on a stream are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The first four bytes are not ours.
    #[error("not a Castor frame: wrong magic bytes")]
    Magic,
    /// The frame layout has a number that this build does not know.
    #[error("frame layout {0} is not known here")]
    Layout(u16),
    /// The announced payload is longer than this stream may carry; nothing was allocated for it.
    #[error("a frame announces {len} bytes, the limit here is {max}")]
    Oversize {
        /// Bytes announced.
        len: u32,
        /// Limit of this stream, bytes.
        max: usize,
    },
    /// The frame's kind does not belong on this stream.
    #[error("frame kind {0} does not belong on this stream")]
    Kind(u16),
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame")]
    Truncated,
}

impl FrameError {
    /// The word under which this refusal is counted.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Magic | Self::Layout(_) | Self::Kind(_) => "frame",
            Self::Oversize { .. } => "oversize",
            Self::Truncated => "truncated",
        }
    }
}

/// Why an envelope was refused, in the order in which things are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Shorter than its own header says, or than the shortest envelope.
    #[error("the envelope is cut short")]
    Truncated,
    /// Longer than an envelope may be.
    #[error("the envelope is longer than the limit")]
    Oversize,
    /// A wire version that this node does not speak.
    #[error("the envelope has wire version {0}, which is not spoken here")]
    Version(u16),
    /// Made for another cluster.
    #[error("the envelope belongs to another cluster")]
    Cluster,
    /// The sender named in it, or its incarnation, is not the one at the other end of the link.
    #[error("the envelope names another sender than the link's peer")]
    Sender,
    /// Made for another node.
    #[error("the envelope was made for another node")]
    Receiver,
    /// Sealed under a key that is not in the ring.
    #[error("the envelope is sealed under key {0:08x}, which is not in the ring")]
    UnknownKey(u32),
    /// The signature is not the sender's over these bytes.
    #[error("the envelope's signature is not the sender's")]
    Signature,
    /// Altered, or sealed under other bytes of the same key id.
    #[error("the envelope does not open under its key")]
    Aead,
    /// Opened, but the content is not a list of messages.
    #[error("the envelope's content is not a list of messages")]
    Decode,
    /// A sequence number that was seen before, or an older one.
    #[error("the envelope was seen before")]
    Replay,
}

impl OpenError {
    /// The word under which this refusal is counted.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Oversize => "oversize",
            Self::Version(_) => "version",
            Self::Cluster => "cluster",
            Self::Sender => "sender",
            Self::Receiver => "receiver",
            Self::UnknownKey(_) => "unknown_key",
            Self::Signature => "signature",
            Self::Aead => "aead",
            Self::Decode => "decode",
            Self::Replay => "replay",
        }
    }
}

/// Why a payload could not be sealed: a programming or configuration error on our own side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Longer than one sealed thing of this kind may be.
    #[error("{len} bytes are more than the {max} that can be sealed at once")]
    TooLarge {
        /// Bytes offered.
        len: usize,
        /// Limit, bytes.
        max: usize,
    },
    /// A node name is longer than the header can carry.
    #[error("a node name is longer than {max} bytes", max = crate::ids::NodeName::MAX)]
    Name,
    /// The cryptographic library refused; with valid keys it does not.
    #[error("the cryptographic library refused to seal or sign")]
    Crypto,
}

/// Why a sealed value (cookie, login flow) is not one of ours. Deliberately coarse: the answer to a
/// browser is the same in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Not base64url, too short, or too long.
    #[error("not a sealed value")]
    Malformed,
    /// Sealed under a key that is not, or no longer, in the ring.
    #[error("sealed under a key that is not in the ring")]
    UnknownKey,
    /// Altered, or sealed for another purpose or context.
    #[error("does not open under its key")]
    Forged,
}

/// Why text is not a key ring. Never quotes the line, which may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// A line of the file is not a key.
    #[error("line {line}: {problem}")]
    Line {
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it and what belongs there.
        problem: &'static str,
    },
    /// The file is longer than any ring.
    #[error("the file is longer than {max} bytes", max = limits::KEY_FILE_MAX)]
    TooLong,
    /// No line has the role `current`.
    #[error(
        "no key has the role `current`; `castor keys rotate` or a copy from another node helps"
    )]
    NoCurrent,
    /// Two lines have the same role.
    #[error("two keys have the role `{0}`")]
    TwoOfRole(&'static str),
    /// Two lines have the same id.
    #[error("two keys have the id {0:08x}")]
    TwoOfId(u32),
}

/// Why bytes are not an Ed25519 key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 private key")]
pub struct KeyRejected;
