//! What protects a message besides TLS: sealed with the cluster's key ring, signed by its sender.
//!
//! * [`keyring`]: the cluster's keys, their roles, and one derived key per purpose;
//! * [`aead`]: XChaCha20-Poly1305 over values (cookies, login flow) and envelopes;
//! * [`sign`]: Ed25519, the node's own key;
//! * [`envelope`]: header, ciphertext and signature around a batch of messages.
//!
//! Promises: nothing is decrypted that is not signed by the sender named in it, and nothing is
//! decoded that does not decrypt; secrets are wiped from memory when dropped and never printed.
//! There is no random number generator and no clock here: nonces and times are arguments.

pub mod aead;
pub mod base64url;
pub mod envelope;
pub mod keyring;
pub mod sign;

pub use envelope::{
    Expected, Opened, Outgoing, Plaintext, ReplayGuard, open_envelope, seal_envelope, seal_pieces,
};
pub use keyring::{ClusterKey, KeyEntry, KeyId, KeyRing, KeyRole, Purpose};
pub use sign::{NodeSigner, PublicKey};
