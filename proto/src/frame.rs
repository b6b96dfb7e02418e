//! Length-prefixed frames on an ordered byte stream, without any input or output.
//!
//! ```text
//! "CSTR" | layout u16 | kind u16 | length u32 | length bytes of payload      (little-endian)
//! ```
//!
//! Promises: the decoder is total, takes bytes in pieces of any size, refuses a frame as soon as its
//! twelve header bytes show that it is not acceptable, and holds at most one frame plus one piece.
//! It does not authenticate; that is done below (TLS) and inside (the envelope). The layout never
//! changes; what a payload looks like is the business of its kind.

use crate::error::FrameError;
use crate::limits;

/// First four bytes of every frame.
pub const MAGIC: [u8; 4] = *b"CSTR";
/// Number of this frame layout.
pub const LAYOUT: u16 = 1;
/// Bytes before the payload.
pub const HEADER_BYTES: usize = 12;

/// What a frame carries. The numbers are fixed for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum FrameKind {
    /// First frame of a link: who calls ([`crate::hello::Hello`]).
    Hello = 1,
    /// The answer to it ([`crate::hello::HelloAnswer`]).
    HelloAnswer = 2,
    /// A sealed, signed batch of messages ([`crate::seal`]).
    Envelope = 3,
    /// One message of the gossip library.
    Gossip = 4,
    /// Is the other end still there? Empty; answered by the same kind.
    Probe = 5,
}

impl FrameKind {
    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        [
            Self::Hello,
            Self::HelloAnswer,
            Self::Envelope,
            Self::Gossip,
            Self::Probe,
        ]
        .into_iter()
        .find(|kind| *kind as u16 == number)
    }

    /// Longest payload of this kind, bytes.
    #[must_use]
    pub fn bytes_max(self) -> usize {
        match self {
            Self::Hello | Self::HelloAnswer => limits::HELLO_MAX,
            Self::Envelope => limits::FRAME_MAX,
            Self::Gossip => limits::GOSSIP_MAX,
            Self::Probe => 0,
        }
    }
}

/// One whole frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the payload is.
    pub kind: FrameKind,
    /// The payload, at most [`FrameKind::bytes_max`] bytes.
    pub payload: Vec<u8>,
}

/// The header of a frame with this kind and payload length.
///
/// # Errors
/// [`FrameError::Oversize`] when no receiver would accept it.
pub fn header(kind: FrameKind, payload_len: usize) -> Result<[u8; HEADER_BYTES], FrameError> {
    let len = u32::try_from(payload_len).unwrap_or(u32::MAX);
    if payload_len > kind.bytes_max() {
        return Err(FrameError::Oversize {
            len,
            max: kind.bytes_max(),
        });
    }
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4..6].copy_from_slice(&LAYOUT.to_le_bytes());
    header[6..8].copy_from_slice(&(kind as u16).to_le_bytes());
    header[8..].copy_from_slice(&len.to_le_bytes());
    Ok(header)
}

/// Header and payload in one buffer.
///
/// # Errors
/// [`FrameError::Oversize`] when no receiver would accept it.
pub fn encode(kind: FrameKind, payload: &[u8]) -> Result<Vec<u8>, FrameError> {
    let header = header(kind, payload.len())?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

/// Reads a header: kind and payload length.
///
/// # Errors
/// [`FrameError`] when the header is not ours, or announces more than its kind may have.
pub fn parse_header(bytes: &[u8; HEADER_BYTES]) -> Result<(FrameKind, usize), FrameError> {
    let [m0, m1, m2, m3, l0, l1, k0, k1, n0, n1, n2, n3] = *bytes;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(FrameError::Magic);
    }
    let layout = u16::from_le_bytes([l0, l1]);
    if layout != LAYOUT {
        return Err(FrameError::Layout(layout));
    }
    let number = u16::from_le_bytes([k0, k1]);
    let kind = FrameKind::from_number(number).ok_or(FrameError::Kind(number))?;
    let len = u32::from_le_bytes([n0, n1, n2, n3]);
    match usize::try_from(len) {
        Ok(bytes) if bytes <= kind.bytes_max() => Ok((kind, bytes)),
        _ => Err(FrameError::Oversize {
            len,
            max: kind.bytes_max(),
        }),
    }
}

/// Puts frames together from pieces of a stream.
///
/// After an error the stream has lost its rhythm: every later call returns the same error.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    failed: Option<FrameError>,
}

impl FrameDecoder {
    /// An empty decoder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of the stream. Call [`Self::next_frame`] until it returns `None` before
    /// the next piece, or memory grows by every piece.
    pub fn push(&mut self, piece: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(piece);
        }
    }

    /// The next whole frame, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`] as soon as the header is complete and unacceptable; close the stream then.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let Some(header) = self.buffer.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let (kind, len) = parse_header(header).inspect_err(|error| {
            self.failed = Some(error.clone());
            self.buffer = Vec::new();
        })?;
        if self.buffer.len() < HEADER_BYTES + len {
            return Ok(None);
        }
        let rest = self.buffer.split_off(HEADER_BYTES + len);
        let mut payload = std::mem::replace(&mut self.buffer, rest);
        payload.drain(..HEADER_BYTES);
        Ok(Some(Frame { kind, payload }))
    }

    /// To be called when the stream has ended.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] when it ended inside a frame.
    pub fn finish(&self) -> Result<(), FrameError> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None if self.buffer.is_empty() => Ok(()),
            None => Err(FrameError::Truncated),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind() -> impl Strategy<Value = FrameKind> {
        prop_oneof![
            Just(FrameKind::Hello),
            Just(FrameKind::HelloAnswer),
            Just(FrameKind::Envelope),
            Just(FrameKind::Gossip),
        ]
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting_of_the_stream(
            frames in prop::collection::vec((kind(), prop::collection::vec(any::<u8>(), 0..300)), 0..6),
            pieces in prop::collection::vec(1usize..40, 1..80),
        ) {
            let mut stream = Vec::new();
            for (kind, payload) in &frames {
                stream.extend(encode(*kind, payload).unwrap());
            }
            let mut decoder = FrameDecoder::new();
            let mut seen = Vec::new();
            let mut rest = stream.as_slice();
            let mut sizes = pieces.iter().cycle();
            while !rest.is_empty() {
                let (piece, tail) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                rest = tail;
                decoder.push(piece);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    seen.push((frame.kind, frame.payload));
                }
            }
            prop_assert_eq!(decoder.finish(), Ok(()));
            prop_assert_eq!(seen, frames);
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_never_pass_the_limit(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut decoder = FrameDecoder::new();
            decoder.push(&bytes);
            while let Ok(Some(frame)) = decoder.next_frame() {
                prop_assert!(frame.payload.len() <= frame.kind.bytes_max());
            }
        }

        #[test]
        fn a_changed_header_byte_is_refused_or_changes_only_kind_or_length(
            at in 0usize..6, flip in 1u8..=255,
        ) {
            let mut bytes = encode(FrameKind::Envelope, b"payload").unwrap();
            bytes[at] ^= flip;
            let mut decoder = FrameDecoder::new();
            decoder.push(&bytes);
            prop_assert!(decoder.next_frame().is_err());
        }
    }

    #[test]
    fn a_frame_that_announces_4_gib_is_refused_at_its_header() {
        for kind in [1u16, 2, 3, 4, 5] {
            let mut bytes = MAGIC.to_vec();
            bytes.extend_from_slice(&LAYOUT.to_le_bytes());
            bytes.extend_from_slice(&kind.to_le_bytes());
            bytes.extend_from_slice(&u32::MAX.to_le_bytes());
            let mut decoder = FrameDecoder::new();
            decoder.push(&bytes);
            let refused = decoder.next_frame().unwrap_err();
            assert!(
                matches!(refused, FrameError::Oversize { len: u32::MAX, .. }),
                "{refused}"
            );
            assert!(
                decoder.buffer.capacity() <= bytes.len(),
                "nothing is set aside for it"
            );
            decoder.push(&[0; 1000]);
            assert_eq!(
                decoder.next_frame(),
                Err(refused),
                "the stream stays refused"
            );
        }
    }

    #[test]
    fn a_stream_that_ends_inside_a_frame_is_truncated() {
        let bytes = encode(FrameKind::Gossip, b"abc").unwrap();
        for cut in 1..bytes.len() {
            let mut decoder = FrameDecoder::new();
            decoder.push(&bytes[..cut]);
            assert_eq!(decoder.next_frame(), Ok(None));
            assert_eq!(decoder.finish(), Err(FrameError::Truncated));
        }
    }

    #[test]
    fn what_no_receiver_accepts_is_not_sent() {
        assert!(encode(FrameKind::Hello, &vec![0; limits::HELLO_MAX + 1]).is_err());
        assert!(header(FrameKind::Envelope, limits::FRAME_MAX).is_ok());
    }
}
