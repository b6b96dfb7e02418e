//! The envelope around everything that passes between the engines of two nodes.
//!
//! ```text
//! version u16 | lane u8 | cluster 16 | incarnation 16 | sequence u64 | key id u32 | nonce 24
//! | sender u8 + bytes | receiver u8 + bytes                 clear, authenticated (little-endian)
//! | ciphertext | tag 16                                     XChaCha20-Poly1305, header as AAD
//! | signature 64                                            Ed25519 over BLAKE3 of all before it
//! ```
//!
//! Promises: [`open_envelope`] is total; it compares the header with what the link is known to be,
//! verifies the signature, then decrypts, and only then hands bytes to a decoder. Any changed,
//! missing or added byte is refused. Repetition within a link is the [`ReplayGuard`]'s business: call
//! it with what was opened. The wire version does not change this layout, only the payload.

use std::fmt;
use std::ops::{Deref, Range};

use zeroize::Zeroizing;

use crate::error::{OpenError, SealError};
use crate::hello::ClusterTag;
use crate::ids::{Incarnation, NodeName};
use crate::limits::{DECODE_MAX, ENVELOPE_OVERHEAD_MAX, FRAME_MAX};
use crate::message::{FAST_PARTS, Lane};
use crate::seal::aead::{self, NONCE_BYTES, Nonce, TAG_BYTES};
use crate::seal::keyring::{KeyId, KeyRing, Purpose};
use crate::seal::sign::{self, Domain, NodeSigner, PublicKey, SIGNATURE_BYTES};
use crate::version::WireVersion;

/// Header fields of fixed size, bytes.
const FIXED_BYTES: usize = 2 + 1 + 16 + 16 + 8 + 4 + NONCE_BYTES;

const _: () = assert!(
    FIXED_BYTES + 2 * (1 + NodeName::MAX) + TAG_BYTES + SIGNATURE_BYTES <= ENVELOPE_OVERHEAD_MAX,
    "the overhead stated in limits.rs holds"
);

/// Everything the sender says about an envelope.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Layout of the payload, as agreed in the hello.
    pub version: WireVersion,
    /// The sender's cluster.
    pub cluster: ClusterTag,
    /// The sender's node name.
    pub sender: &'a NodeName,
    /// The sender's incarnation.
    pub incarnation: Incarnation,
    /// The node it is for.
    pub receiver: &'a NodeName,
    /// The lane (ordered stream) it travels on.
    pub lane: Lane,
    /// Rises with every envelope of this incarnation to this receiver on this lane.
    pub sequence: u64,
    /// 24 fresh random bytes.
    pub nonce: Nonce,
}

/// What the receiver knows about the link an envelope came in on.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Our cluster.
    pub cluster: ClusterTag,
    /// Name of the peer, from its verified certificate and hello.
    pub sender: &'a NodeName,
    /// Incarnation of the peer, from its hello.
    pub incarnation: Incarnation,
    /// Our own name.
    pub receiver: &'a NodeName,
    /// The lane of the stream it came in on.
    pub lane: Lane,
}

/// An envelope that was what it should be.
#[derive(Debug)]
pub struct Opened {
    /// Layout of the payload.
    pub version: WireVersion,
    /// Its place in its lane.
    pub sequence: u64,
    /// The decrypted payload; wiped when dropped, as it may hold ticket ids.
    pub payload: Plaintext,
}

/// A payload within the envelope that it came in.
pub struct Plaintext {
    envelope: Zeroizing<Vec<u8>>,
    at: Range<usize>,
}

impl Deref for Plaintext {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.envelope.get(self.at.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext({} bytes)", self.at.len())
    }
}

/// Seals and signs a payload.
///
/// # Errors
/// [`SealError`] when the payload or a name is longer than allowed: split the batch, fix the name.
pub fn seal_envelope(
    ring: &KeyRing,
    signer: &NodeSigner,
    outgoing: &Outgoing<'_>,
    payload: &[u8],
) -> Result<Vec<u8>, SealError> {
    seal_pieces(ring, signer, outgoing, &[payload])
}

/// The same for a payload that lies in several places: each byte is copied once.
///
/// # Errors
/// As [`seal_envelope`].
pub fn seal_pieces(
    ring: &KeyRing,
    signer: &NodeSigner,
    outgoing: &Outgoing<'_>,
    pieces: &[&[u8]],
) -> Result<Vec<u8>, SealError> {
    let len = pieces.iter().map(|piece| piece.len()).sum();
    if len > DECODE_MAX {
        return Err(SealError::TooLarge {
            len,
            max: DECODE_MAX,
        });
    }
    let entry = ring.current();
    let mut bytes = Vec::with_capacity(len + ENVELOPE_OVERHEAD_MAX);
    bytes.extend_from_slice(&outgoing.version.number().to_le_bytes());
    bytes.push(outgoing.lane as u8);
    bytes.extend_from_slice(&outgoing.cluster.0);
    bytes.extend_from_slice(&outgoing.incarnation.0);
    bytes.extend_from_slice(&outgoing.sequence.to_le_bytes());
    bytes.extend_from_slice(&entry.id().0.to_le_bytes());
    bytes.extend_from_slice(&outgoing.nonce);
    for name in [outgoing.sender.as_str(), outgoing.receiver.as_str()] {
        let len = u8::try_from(name.len())
            .ok()
            .filter(|len| usize::from(*len) <= NodeName::MAX);
        bytes.push(len.ok_or(SealError::Name)?);
        bytes.extend_from_slice(name.as_bytes());
    }
    let header = bytes.clone();
    for piece in pieces {
        bytes.extend_from_slice(piece);
    }
    let (_, body) = bytes.split_at_mut(header.len());
    let tag = aead::seal_in_place(entry.subkey(Purpose::Batch), &outgoing.nonce, &header, body)?;
    bytes.extend_from_slice(&tag);
    let signature = signer.sign(Domain::Envelope, &digest(&bytes))?;
    bytes.extend_from_slice(&signature);
    Ok(bytes)
}

/// Checks, verifies, decrypts; in this order, and nothing further after the first failure. The payload
/// is decrypted where it lies.
///
/// # Errors
/// [`OpenError`], whose `reason` is to be counted; drop the envelope.
pub fn open_envelope(
    mut bytes: Vec<u8>,
    ring: &KeyRing,
    key: &PublicKey,
    expected: &Expected<'_>,
) -> Result<Opened, OpenError> {
    let parts = judge(&bytes, ring, key, expected)?;
    let (version, sequence) = (parts.version, parts.sequence);
    let entry = ring
        .get(parts.key)
        .ok_or(OpenError::UnknownKey(parts.key.0))?;
    let (nonce, tag, header) = (*parts.nonce, *parts.tag, parts.header.to_vec());
    let at = header.len()..header.len() + parts.ciphertext.len();
    let version = WireVersion::from_number(version).ok_or(OpenError::Version(version))?;
    let body = bytes.get_mut(at.clone()).ok_or(OpenError::Truncated)?;
    if !aead::open_in_place(entry.subkey(Purpose::Batch), &nonce, &header, body, &tag) {
        return Err(OpenError::Aead);
    }
    Ok(Opened {
        version,
        sequence,
        payload: Plaintext {
            envelope: Zeroizing::new(bytes),
            at,
        },
    })
}

/// Compares the header with what is expected and verifies the signature.
fn judge<'a>(
    bytes: &'a [u8],
    ring: &KeyRing,
    key: &PublicKey,
    expected: &Expected<'_>,
) -> Result<Parts<'a>, OpenError> {
    if bytes.len() > FRAME_MAX {
        return Err(OpenError::Oversize);
    }
    let parts = Parts::split(bytes).ok_or(OpenError::Truncated)?;
    WireVersion::from_number(parts.version).ok_or(OpenError::Version(parts.version))?;
    if parts.cluster != expected.cluster.0 {
        return Err(OpenError::Cluster);
    }
    if parts.sender != expected.sender.as_str().as_bytes()
        || parts.incarnation != expected.incarnation.0
    {
        return Err(OpenError::Sender);
    }
    if parts.receiver != expected.receiver.as_str().as_bytes() {
        return Err(OpenError::Receiver);
    }
    if parts.lane != expected.lane as u8 {
        return Err(OpenError::Replay);
    }
    ring.get(parts.key)
        .ok_or(OpenError::UnknownKey(parts.key.0))?;
    if !sign::verify(
        key,
        Domain::Envelope,
        &digest(parts.signed),
        parts.signature,
    ) {
        return Err(OpenError::Signature);
    }
    Ok(parts)
}

/// The fields of an envelope, unchecked.
struct Parts<'a> {
    version: u16,
    lane: u8,
    cluster: [u8; 16],
    incarnation: [u8; 16],
    sequence: u64,
    key: KeyId,
    nonce: &'a Nonce,
    sender: &'a [u8],
    receiver: &'a [u8],
    header: &'a [u8],
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG_BYTES],
    signed: &'a [u8],
    signature: &'a [u8; SIGNATURE_BYTES],
}

impl<'a> Parts<'a> {
    fn split(bytes: &'a [u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk()?;
        let (lane, rest) = rest.split_first()?;
        let (cluster, rest) = rest.split_first_chunk()?;
        let (incarnation, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (key, rest) = rest.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (sender, rest) = split_name(rest)?;
        let (receiver, rest) = split_name(rest)?;
        let header = bytes.get(..bytes.len() - rest.len())?;
        let (signed, signature) = bytes.split_last_chunk()?;
        let (ciphertext, tag) = signed.get(header.len()..)?.split_last_chunk()?;
        Some(Self {
            version: u16::from_le_bytes(*version),
            lane: *lane,
            cluster: *cluster,
            incarnation: *incarnation,
            sequence: u64::from_le_bytes(*sequence),
            key: KeyId(u32::from_le_bytes(*key)),
            nonce,
            sender,
            receiver,
            header,
            ciphertext,
            tag,
            signed,
            signature,
        })
    }
}

fn split_name(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*len))
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

/// Refuses what was seen before: one per peer incarnation, with a counter per lane.
///
/// The fast lane has a counter for each remainder of the number by [`FAST_PARTS`]: each of its streams is
/// given one remainder, because streams overtake each other, and what is on one of them does not.
#[derive(Clone, Debug, Default)]
pub struct ReplayGuard {
    last: [[u64; FAST_PARTS]; Lane::ALL.len()],
}

impl ReplayGuard {
    /// Accepts a sequence number that is higher than every earlier one of its counter; 0 is none.
    ///
    /// # Errors
    /// [`OpenError::Replay`] otherwise.
    pub fn accept(&mut self, lane: Lane, sequence: u64) -> Result<(), OpenError> {
        let class = match lane {
            Lane::Fast => sequence as usize % FAST_PARTS,
            Lane::Stream | Lane::Bulk => 0,
        };
        let last = &mut self.last[lane as usize][class];
        if sequence <= *last {
            return Err(OpenError::Replay);
        }
        *last = sequence;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec;
    use crate::seal::keyring::ClusterKey;

    const INCARNATION: Incarnation = Incarnation([0x5a; 16]);

    fn name(text: &str) -> &'static NodeName {
        Box::leak(Box::new(NodeName::parse(text).unwrap()))
    }

    fn ring(id: u32, fill: u8) -> KeyRing {
        let key = ClusterKey::new(KeyId(id), Zeroizing::new([fill; 32]), 0);
        KeyRing::new(None, key, None).unwrap()
    }

    fn signer(fill: u8) -> NodeSigner {
        NodeSigner::from_seed(&[fill; 32]).unwrap()
    }

    fn outgoing() -> Outgoing<'static> {
        Outgoing {
            version: WireVersion::V1,
            cluster: ClusterTag::of("c"),
            sender: name("n1"),
            incarnation: INCARNATION,
            receiver: name("n2"),
            lane: Lane::Stream,
            sequence: 42,
            nonce: [9; 24],
        }
    }

    fn expected() -> Expected<'static> {
        Expected {
            cluster: ClusterTag::of("c"),
            sender: name("n1"),
            incarnation: INCARNATION,
            receiver: name("n2"),
            lane: Lane::Stream,
        }
    }

    fn sealed(payload: &[u8]) -> Vec<u8> {
        seal_envelope(&ring(1, 1), &signer(1), &outgoing(), payload).unwrap()
    }

    fn open(bytes: &[u8], expected: &Expected<'_>) -> Result<Opened, OpenError> {
        open_envelope(
            bytes.to_vec(),
            &ring(1, 1),
            &signer(1).public_key(),
            expected,
        )
    }

    #[test]
    fn a_payload_in_pieces_is_the_payload() {
        let whole = sealed(b"a payload in pieces");
        let pieces: [&[u8]; 3] = [b"a payload", b"", b" in pieces"];
        let pieces = seal_pieces(&ring(1, 1), &signer(1), &outgoing(), &pieces).unwrap();
        assert_eq!(pieces, whole);
    }

    #[test]
    fn nothing_of_the_payload_is_in_clear() {
        let payload = b"TGT-1-secretsecretsecret-alice@example.org";
        let bytes = sealed(payload);
        for window in payload.windows(6) {
            assert!(!bytes.windows(6).any(|w| w == window));
        }
    }

    #[test]
    fn an_envelope_for_elsewhere_is_refused_with_its_own_reason() {
        let bytes = sealed(b"x");
        let e = expected();
        let cases = [
            (
                Expected {
                    cluster: ClusterTag::of("other"),
                    ..e
                },
                "cluster",
            ),
            (
                Expected {
                    sender: name("n3"),
                    ..e
                },
                "sender",
            ),
            (
                Expected {
                    incarnation: Incarnation([1; 16]),
                    ..e
                },
                "sender",
            ),
            (
                Expected {
                    receiver: name("n3"),
                    ..e
                },
                "receiver",
            ),
            (
                Expected {
                    lane: Lane::Fast,
                    ..e
                },
                "replay",
            ),
        ];
        for (expected, reason) in cases {
            assert_eq!(open(&bytes, &expected).unwrap_err().reason(), reason);
        }
        let key = signer(1).public_key();
        let unknown = open_envelope(bytes.clone(), &ring(2, 1), &key, &e).unwrap_err();
        assert_eq!(unknown, OpenError::UnknownKey(1));
        let other_key = signer(2).public_key();
        let forged = open_envelope(bytes.clone(), &ring(1, 1), &other_key, &e).unwrap_err();
        assert_eq!(forged, OpenError::Signature);
        let same_id = open_envelope(bytes.clone(), &ring(1, 2), &key, &e).unwrap_err();
        assert_eq!(same_id, OpenError::Aead);
        let mut future = bytes;
        future[0] = 9;
        assert_eq!(open(&future, &e).unwrap_err(), OpenError::Version(9));
    }

    #[test]
    fn too_long_payloads_and_names_are_not_sealed() {
        let name = codec::decode::<NodeName>(&codec::encode(&"n".repeat(33))).unwrap();
        let long = Outgoing {
            receiver: &name,
            ..outgoing()
        };
        let refused = seal_envelope(&ring(1, 1), &signer(1), &long, b"x");
        assert_eq!(refused.unwrap_err(), SealError::Name);
        let payload = vec![0; DECODE_MAX + 1];
        assert!(seal_envelope(&ring(1, 1), &signer(1), &outgoing(), &payload).is_err());
        let largest = sealed(&payload[1..]);
        assert!(largest.len() <= FRAME_MAX);
        assert_eq!(
            open(&largest, &expected()).unwrap().payload.len(),
            DECODE_MAX
        );
        assert_eq!(
            open(&vec![0; FRAME_MAX + 1], &expected()).unwrap_err(),
            OpenError::Oversize
        );
    }

    #[test]
    fn a_repeated_or_older_sequence_is_a_replay_per_lane() {
        let mut guard = ReplayGuard::default();
        for lane in Lane::ALL {
            let parts = FAST_PARTS as u64;
            assert_eq!(guard.accept(lane, 0), Err(OpenError::Replay));
            assert_eq!(guard.accept(lane, 2), Ok(()));
            assert_eq!(guard.accept(lane, 2), Err(OpenError::Replay));
            assert_eq!(guard.accept(lane, 2 + 2 * parts), Ok(()));
            assert_eq!(guard.accept(lane, 2 + parts), Err(OpenError::Replay));
        }
    }

    #[test]
    fn streams_of_the_fast_lane_may_overtake_each_other() {
        let mut guard = ReplayGuard::default();
        assert_eq!(guard.accept(Lane::Fast, 35), Ok(()));
        assert_eq!(guard.accept(Lane::Fast, 34), Ok(()));
        assert_eq!(guard.accept(Lane::Fast, 34), Err(OpenError::Replay));
        assert_eq!(guard.accept(Lane::Stream, 35), Ok(()));
        assert_eq!(guard.accept(Lane::Stream, 34), Err(OpenError::Replay));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_sealed_opens(payload in prop::collection::vec(any::<u8>(), 0..600)) {
            let opened = open(&sealed(&payload), &expected()).unwrap();
            prop_assert_eq!(&*opened.payload, payload.as_slice());
            prop_assert_eq!(opened.sequence, 42);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(open(&bytes, &expected()).is_err());
        }
    }

    #[test]
    fn every_changed_bit_every_truncation_and_every_addition_is_refused() {
        let good = sealed(b"a payload of some length");
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                assert!(open(&bytes, &expected()).is_err(), "byte {at} bit {bit}");
            }
            assert!(open(&good[..at], &expected()).is_err(), "cut at {at}");
        }
        let mut longer = good;
        longer.push(0);
        assert!(open(&longer, &expected()).is_err());
    }
}
