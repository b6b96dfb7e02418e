//! An application's public key, with which what only it may read is encrypted.
//!
//! RSA with the padding of PKCS #1 version 1.5, because that is what existing applications decrypt.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rsa::{Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;

/// Largest key file, in bytes.
pub const KEY_MAX: usize = 16 * 1024;

/// A key that encrypts.
#[derive(Clone)]
pub struct EncryptingKey {
    key: Arc<Pkcs1PublicEncryptingKey>,
}

impl fmt::Debug for EncryptingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncryptingKey(RSA, {} bits)", self.key.key_size_bits())
    }
}

impl EncryptingKey {
    /// Reads a key as PEM (`PUBLIC KEY`) or DER (SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let der = if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
            SubjectPublicKeyInfoDer::from_pem_slice(bytes)
                .map_err(|_| "holds no `PUBLIC KEY` in PEM".to_owned())?
                .to_vec()
        } else {
            bytes.to_vec()
        };
        let key = PublicEncryptingKey::from_der(&der)
            .map_err(|_| "is not an RSA public key of at least 2048 bits".to_owned())?;
        let key = Pkcs1PublicEncryptingKey::new(key)
            .map_err(|_| "is not usable for encryption".to_owned())?;
        Ok(Self { key: Arc::new(key) })
    }

    /// Encrypts a text, in Base64; `None` when it is longer than the key takes.
    pub fn encrypt(&self, text: &str) -> Option<String> {
        let mut out = vec![0; self.key.ciphertext_size()];
        let encrypted = self.key.encrypt(text.as_bytes(), &mut out).ok()?;
        Some(STANDARD.encode(encrypted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::rsa::{KeySize, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};

    #[test]
    fn what_is_encrypted_can_be_decrypted_by_its_owner() {
        let owner = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let der = owner.public_key().as_der().unwrap().as_ref().to_vec();
        let body = STANDARD.encode(&der);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
        let owner = Pkcs1PrivateDecryptingKey::new(owner).unwrap();
        for file in [der.as_slice(), pem.as_bytes()] {
            let key = EncryptingKey::read(file).unwrap();
            assert_eq!(format!("{key:?}"), "EncryptingKey(RSA, 2048 bits)");
            let text = STANDARD.decode(key.encrypt("Zoë").unwrap()).unwrap();
            let mut out = vec![0; owner.min_output_size()];
            assert_eq!(owner.decrypt(&text, &mut out).unwrap(), "Zoë".as_bytes());
            assert_eq!(key.encrypt(&"x".repeat(246)), None);
        }
        assert!(EncryptingKey::read(b"-----BEGIN CERTIFICATE-----\n").is_err());
        assert!(EncryptingKey::read(b"").is_err());
    }
}
