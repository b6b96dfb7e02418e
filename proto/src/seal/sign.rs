//! Ed25519: which node made this.
//!
//! The key is the one of the node's TLS certificate, so a peer's public key is known from the
//! verified certificate of the link and needs no directory of its own. Every signature covers a
//! domain word first, so that a signature made here can never be one made for TLS (whose signed
//! content begins with 64 spaces) or for another purpose of ours.
//!
//! Promises: the private key never leaves [`NodeSigner`] and no `Debug` shows it; verification is
//! total. Does not check certificates or expiry: the driver does.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};

use crate::error::{KeyRejected, SealError};

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;
/// Bytes of a digest that is signed.
pub const DIGEST_BYTES: usize = 32;

/// The raw bytes of an Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ed25519:")?;
        self.0
            .iter()
            .take(8)
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a signature is about; part of what is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// An envelope between nodes.
    Envelope,
}

impl Domain {
    fn word(self) -> &'static [u8] {
        match self {
            Self::Envelope => b"castor envelope v1\0",
        }
    }
}

/// A node's signing key.
pub struct NodeSigner {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl NodeSigner {
    /// The key in this PKCS#8 document (DER).
    ///
    /// # Errors
    /// [`KeyRejected`] when it is not an Ed25519 private key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyRejected> {
        Self::new(Ed25519KeyPair::from_pkcs8(der).map_err(|_| KeyRejected)?)
    }

    /// The key that this seed stands for.
    ///
    /// # Errors
    /// [`KeyRejected`] when the library refuses it; it accepts every seed today.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyRejected> {
        Self::new(Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyRejected)?)
    }

    fn new(pair: Ed25519KeyPair) -> Result<Self, KeyRejected> {
        let bytes = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| KeyRejected)?;
        Ok(Self {
            pair,
            public: PublicKey(bytes),
        })
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// Signs a digest within a domain.
    ///
    /// # Errors
    /// [`SealError::Crypto`] when the library fails, which it does not with a valid key.
    pub fn sign(
        &self,
        domain: Domain,
        digest: &[u8; DIGEST_BYTES],
    ) -> Result<[u8; SIGNATURE_BYTES], SealError> {
        let signature = self.pair.try_sign(&message(domain, digest));
        let signature = signature.map_err(|_| SealError::Crypto)?;
        signature.as_ref().try_into().map_err(|_| SealError::Crypto)
    }
}

impl fmt::Debug for NodeSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NodeSigner").field(&self.public).finish()
    }
}

/// Whether `signature` is this key's over `digest` within `domain`.
#[must_use]
pub fn verify(
    key: &PublicKey,
    domain: Domain,
    digest: &[u8; DIGEST_BYTES],
    signature: &[u8; SIGNATURE_BYTES],
) -> bool {
    ParsedPublicKey::new(&ED25519, key.0)
        .is_ok_and(|key| key.verify_sig(&message(domain, digest), signature).is_ok())
}

fn message(domain: Domain, digest: &[u8; DIGEST_BYTES]) -> Vec<u8> {
    [domain.word(), digest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_signers_key_and_digest_verify() {
        let signer = NodeSigner::from_seed(&[1; 32]).unwrap();
        let other = NodeSigner::from_seed(&[2; 32]).unwrap();
        let digest = [3; 32];
        let signature = signer.sign(Domain::Envelope, &digest).unwrap();
        assert!(verify(
            &signer.public_key(),
            Domain::Envelope,
            &digest,
            &signature
        ));
        assert!(!verify(
            &other.public_key(),
            Domain::Envelope,
            &digest,
            &signature
        ));
        assert!(!verify(
            &signer.public_key(),
            Domain::Envelope,
            &[4; 32],
            &signature
        ));
        for at in 0..SIGNATURE_BYTES {
            let mut changed = signature;
            changed[at] ^= 1;
            assert!(!verify(
                &signer.public_key(),
                Domain::Envelope,
                &digest,
                &changed
            ));
        }
        assert!(!verify(
            &PublicKey([0xff; 32]),
            Domain::Envelope,
            &digest,
            &signature
        ));
    }

    #[test]
    fn a_signature_covers_its_domain() {
        let signer = NodeSigner::from_seed(&[1; 32]).unwrap();
        let pair = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let bare: [u8; 64] = pair.sign(&[3; 32]).as_ref().try_into().unwrap();
        assert!(!verify(
            &signer.public_key(),
            Domain::Envelope,
            &[3; 32],
            &bare
        ));
    }

    #[test]
    fn what_is_not_an_ed25519_key_is_rejected_and_debug_shows_the_public_half_only() {
        assert!(NodeSigner::from_pkcs8(b"not a key").is_err());
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let signer = NodeSigner::from_pkcs8(pair.to_pkcs8().unwrap().as_ref()).unwrap();
        assert_eq!(
            signer.public_key(),
            NodeSigner::from_seed(&[7; 32]).unwrap().public_key()
        );
        assert!(!format!("{signer:?}").contains("0707"));
    }
}
