//! XChaCha20-Poly1305 under keys of the ring: HChaCha20 makes a key of key and nonce, aws-lc does the rest
//! with it.
//!
//! Nonces are 24 random bytes given by the caller, drawn anew for every call: with 192 bits, 2^64
//! messages under one key collide with a probability below 2^-64, so no counter has to survive a
//! restart and no two nodes have to agree on one. Never derive a nonce from the message or a clock.
//!
//! Promises: opening is total; what was sealed for one purpose or context opens for no other; the
//! plaintext of a value is wiped when dropped.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, UnboundKey};
use chacha20::{R20, hchacha};
use zeroize::Zeroizing;

use crate::error::{SealError, ValueError};
use crate::limits::SEALED_VALUE_MAX;
use crate::seal::base64url;
use crate::seal::keyring::{KeyId, KeyRing, Purpose};

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 24;
/// Bytes of an authentication tag.
pub const TAG_BYTES: usize = 16;

/// 24 fresh random bytes.
pub type Nonce = [u8; NONCE_BYTES];

/// Encrypts `buffer` in place and returns the tag.
///
/// # Errors
/// [`SealError::Crypto`] beyond 256 GiB, which no limit of ours allows.
pub fn seal_in_place(
    key: &[u8; 32],
    nonce: &Nonce,
    associated: &[u8],
    buffer: &mut [u8],
) -> Result<[u8; TAG_BYTES], SealError> {
    let (cipher, nonce) = cipher(key, nonce).ok_or(SealError::Crypto)?;
    let tag = cipher
        .seal_in_place_separate_tag(nonce, Aad::from(associated), buffer)
        .map_err(|_| SealError::Crypto)?;
    tag.as_ref().try_into().map_err(|_| SealError::Crypto)
}

/// Decrypts `buffer` in place; false when the tag does not fit, and what is in the buffer then means
/// nothing.
#[must_use]
pub fn open_in_place(
    key: &[u8; 32],
    nonce: &Nonce,
    associated: &[u8],
    buffer: &mut [u8],
    tag: &[u8; TAG_BYTES],
) -> bool {
    cipher(key, nonce).is_some_and(|(cipher, nonce)| {
        cipher
            .open_in_place_separate_tag(nonce, Aad::from(associated), tag, buffer)
            .is_ok()
    })
}

/// The cipher of one message and its nonce there (draft-irtf-cfrg-xchacha-03, section 2.3): a key made
/// of the first 16 bytes of the nonce; four zeros and the other 8.
fn cipher(key: &[u8; 32], nonce: &Nonce) -> Option<(LessSafeKey, aws_lc_rs::aead::Nonce)> {
    let (first, last) = nonce.split_first_chunk::<16>()?;
    let subkey: Zeroizing<[u8; 32]> =
        Zeroizing::new(hchacha::<R20>(&(*key).into(), &(*first).into()).into());
    let mut short = [0; 12];
    short.get_mut(4..)?.copy_from_slice(last);
    let key = UnboundKey::new(&CHACHA20_POLY1305, subkey.as_slice()).ok()?;
    let nonce = aws_lc_rs::aead::Nonce::assume_unique_for_key(short);
    Some((LessSafeKey::new(key), nonce))
}

/// A small value that goes out to a browser and comes back: key id, nonce, ciphertext, tag.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedValue {
    key: KeyId,
    nonce: Nonce,
    /// Ciphertext with the tag at its end.
    sealed: Vec<u8>,
}

/// A sealed value, opened.
pub struct OpenedValue {
    /// What was sealed.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// The key it was sealed under; re-seal when it is not the current one.
    pub key: KeyId,
}

impl SealedValue {
    /// Seals under the current key. `context` is what the value belongs to and is not stored in it:
    /// the same must be given to open it.
    ///
    /// # Errors
    /// [`SealError::TooLarge`] when the value would exceed the limit.
    pub fn seal(
        ring: &KeyRing,
        purpose: Purpose,
        context: &[u8],
        nonce: Nonce,
        plaintext: &[u8],
    ) -> Result<Self, SealError> {
        if plaintext.len() > SEALED_VALUE_MAX {
            return Err(SealError::TooLarge {
                len: plaintext.len(),
                max: SEALED_VALUE_MAX,
            });
        }
        let entry = ring.current();
        let associated = associated(purpose, entry.id(), context);
        let mut sealed = Vec::with_capacity(plaintext.len() + TAG_BYTES);
        sealed.extend_from_slice(plaintext);
        let tag = seal_in_place(entry.subkey(purpose), &nonce, &associated, &mut sealed)?;
        sealed.extend_from_slice(&tag);
        Ok(Self {
            key: entry.id(),
            nonce,
            sealed,
        })
    }

    /// Opens under whichever key of the ring it names.
    ///
    /// # Errors
    /// [`ValueError`]; treat the value as absent.
    pub fn open(
        &self,
        ring: &KeyRing,
        purpose: Purpose,
        context: &[u8],
    ) -> Result<OpenedValue, ValueError> {
        let entry = ring.get(self.key).ok_or(ValueError::UnknownKey)?;
        let (ciphertext, tag) = self
            .sealed
            .split_last_chunk()
            .ok_or(ValueError::Malformed)?;
        let associated = associated(purpose, self.key, context);
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        if !open_in_place(
            entry.subkey(purpose),
            &self.nonce,
            &associated,
            &mut plaintext,
            tag,
        ) {
            return Err(ValueError::Forged);
        }
        Ok(OpenedValue {
            plaintext,
            key: self.key,
        })
    }

    /// The bytes: key id (4, big-endian), nonce, ciphertext, tag.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 + NONCE_BYTES + self.sealed.len());
        bytes.extend_from_slice(&self.key.0.to_be_bytes());
        bytes.extend_from_slice(&self.nonce);
        bytes.extend_from_slice(&self.sealed);
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`ValueError::Malformed`] when too short or too long.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ValueError> {
        let (key, rest) = bytes.split_first_chunk().ok_or(ValueError::Malformed)?;
        let (nonce, sealed) = rest.split_first_chunk().ok_or(ValueError::Malformed)?;
        if !(TAG_BYTES..=SEALED_VALUE_MAX + TAG_BYTES).contains(&sealed.len()) {
            return Err(ValueError::Malformed);
        }
        let key = KeyId(u32::from_be_bytes(*key));
        Ok(Self {
            key,
            nonce: *nonce,
            sealed: sealed.to_vec(),
        })
    }

    /// The value as base64url text, for a cookie or a form field.
    #[must_use]
    pub fn to_text(&self) -> String {
        base64url::encode(&self.to_bytes())
    }

    /// Reads what [`Self::to_text`] wrote.
    ///
    /// # Errors
    /// [`ValueError::Malformed`] when it is not that.
    pub fn from_text(text: &str) -> Result<Self, ValueError> {
        if text.len() > VALUE_TEXT_MAX {
            return Err(ValueError::Malformed);
        }
        Self::from_bytes(&base64url::decode(text).ok_or(ValueError::Malformed)?)
    }
}

/// Longest text of a sealed value, characters.
const VALUE_TEXT_MAX: usize = (4 + NONCE_BYTES + SEALED_VALUE_MAX + TAG_BYTES).div_ceil(3) * 4;

/// What a value is bound to: its purpose, its key, and the caller's context.
fn associated(purpose: Purpose, key: KeyId, context: &[u8]) -> Vec<u8> {
    let purpose = purpose.context().as_bytes();
    let mut bytes = Vec::with_capacity(purpose.len() + 5 + context.len());
    bytes.extend_from_slice(purpose);
    bytes.push(0);
    bytes.extend_from_slice(&key.0.to_be_bytes());
    bytes.extend_from_slice(context);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seal::keyring::ClusterKey;

    fn key(id: u32) -> ClusterKey {
        ClusterKey::new(KeyId(id), Zeroizing::new([id as u8; 32]), 0)
    }

    fn ring(id: u32) -> KeyRing {
        KeyRing::new(None, key(id), None).unwrap()
    }

    #[test]
    fn the_cipher_is_the_one_of_the_draft() {
        // draft-irtf-cfrg-xchacha-03, appendix A.3.1.
        let key: [u8; 32] = std::array::from_fn(|i| 0x80 + i as u8);
        let nonce: Nonce = std::array::from_fn(|i| 0x40 + i as u8);
        let associated = [
            0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7,
        ];
        let plaintext = b"Ladies and Gentlemen of the class of '99: If I could offer you only one \
            tip for the future, sunscreen would be it.";
        let mut buffer = plaintext.to_vec();
        let tag = seal_in_place(&key, &nonce, &associated, &mut buffer).unwrap();
        assert_eq!(buffer[..4], [0xbd, 0x6d, 0x17, 0x9d]);
        let expected = 0xc0875924c1c7987947deafd8780acf49u128.to_be_bytes();
        assert_eq!(tag, expected);
        assert!(open_in_place(&key, &nonce, &associated, &mut buffer, &tag));
        assert_eq!(buffer, plaintext);
    }

    proptest! {
        #[test]
        fn another_implementation_seals_and_opens_the_same(
            key: [u8; 32], nonce: [u8; 24],
            associated in prop::collection::vec(any::<u8>(), 0..200),
            plaintext in prop::collection::vec(any::<u8>(), 0..3_000),
        ) {
            use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce, aead::AeadInOut};
            let oracle = XChaCha20Poly1305::new(&key.into());
            let mut theirs = plaintext.clone();
            let their_tag = oracle
                .encrypt_inout_detached(&XNonce::from(nonce), &associated, theirs.as_mut_slice().into())
                .unwrap();
            let mut ours = plaintext.clone();
            let our_tag = seal_in_place(&key, &nonce, &associated, &mut ours).unwrap();
            prop_assert_eq!(&ours, &theirs);
            prop_assert_eq!(our_tag, <[u8; 16]>::from(their_tag));
            prop_assert!(open_in_place(&key, &nonce, &associated, &mut ours, &our_tag));
            prop_assert_eq!(ours, plaintext);
        }
    }

    #[test]
    fn a_value_opens_under_any_key_of_the_ring_and_says_which() {
        let sealed = SealedValue::seal(&ring(1), Purpose::Cookie, b"c", [5; 24], b"tgt").unwrap();
        let later = KeyRing::new(Some(key(1)), key(2), None).unwrap();
        let opened = sealed.open(&later, Purpose::Cookie, b"c").unwrap();
        assert_eq!(
            (opened.plaintext.as_slice(), opened.key),
            (b"tgt".as_slice(), KeyId(1))
        );
        let gone = sealed.open(&ring(2), Purpose::Cookie, b"c");
        assert_eq!(gone.err(), Some(ValueError::UnknownKey));
    }

    #[test]
    fn a_value_opens_for_its_own_purpose_and_context_only() {
        let ring = ring(1);
        let sealed = SealedValue::seal(&ring, Purpose::Cookie, b"a", [5; 24], b"x").unwrap();
        for (purpose, context) in [(Purpose::LoginFlow, b"a"), (Purpose::Cookie, b"b")] {
            assert_eq!(
                sealed.open(&ring, purpose, context).err(),
                Some(ValueError::Forged)
            );
        }
    }

    #[test]
    fn too_much_is_not_sealed() {
        let big = vec![0; SEALED_VALUE_MAX + 1];
        assert!(SealedValue::seal(&ring(1), Purpose::Cookie, b"", [0; 24], &big).is_err());
        let largest = &big[1..];
        let sealed = SealedValue::seal(&ring(1), Purpose::Cookie, b"", [0; 24], largest).unwrap();
        let read = SealedValue::from_text(&sealed.to_text()).unwrap();
        assert!(read.open(&ring(1), Purpose::Cookie, b"").is_ok());
    }

    proptest! {
        #[test]
        fn values_survive_their_text(plaintext in prop::collection::vec(any::<u8>(), 0..200),
                                     context in prop::collection::vec(any::<u8>(), 0..20),
                                     nonce: [u8; 24]) {
            let ring = ring(3);
            let value =
                SealedValue::seal(&ring, Purpose::LoginFlow, &context, nonce, &plaintext).unwrap();
            let read = SealedValue::from_text(&value.to_text()).unwrap();
            let opened = read.open(&ring, Purpose::LoginFlow, &context).unwrap();
            prop_assert_eq!(opened.plaintext.as_slice(), plaintext.as_slice());
        }

        #[test]
        fn any_changed_byte_is_refused(at in any::<prop::sample::Index>(), flip in 1u8..=255) {
            let ring = ring(3);
            let value = SealedValue::seal(&ring, Purpose::Cookie, b"", [9; 24], b"secret").unwrap();
            let mut bytes = value.to_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let read = SealedValue::from_bytes(&bytes).unwrap();
            prop_assert!(read.open(&ring, Purpose::Cookie, b"").is_err());
        }

        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,200}") {
            let _ = SealedValue::from_text(&text);
        }
    }
}
