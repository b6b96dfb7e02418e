//! TLS of the listener: the certificate and key, checked before use and swapped while running.
//!
//! A connection keeps the configuration it was accepted with; the next one gets the newest.

use std::io;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Why a certificate and key cannot be used; one line with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate file.
    #[error("http.tls.certificate: {0}")]
    Certificate(String),
    /// The key file.
    #[error("http.tls.key: {0}")]
    Key(String),
}

/// A certificate and key that fit each other and are valid now.
pub struct Identity {
    config: Arc<ServerConfig>,
    /// When the certificate expires, in seconds since the Unix epoch.
    pub expires: i64,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Reads and checks a certificate and key at `now`, in milliseconds since the Unix epoch.
///
/// # Errors
///
/// When a file cannot be read, holds nothing of use, the two do not fit, or the certificate is
/// expired or not valid yet.
pub fn load(certificate: &Path, key: &Path, now_ms: u64) -> Result<Identity, TlsError> {
    let shown = certificate.display();
    let bad_certificate = |says: String| TlsError::Certificate(format!("{shown}: {says}"));
    let bad_key = |says: String| TlsError::Key(format!("{}: {says}", key.display()));

    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| bad_certificate(format!("{}; give a PEM file", pem_says(&error))))?;
    let Some(leaf) = chain.first() else {
        return Err(bad_certificate(
            "holds no certificate; give a PEM file with the certificate and its chain".to_owned(),
        ));
    };
    let expires = check_dates(leaf, now_ms).map_err(bad_certificate)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| {
        bad_key(format!(
            "{}; give a PEM file with the private key, readable for the service",
            pem_says(&error)
        ))
    })?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    // `from_der` also checks that the key belongs to the certificate.
    let certified =
        CertifiedKey::from_der(chain, private, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => bad_key(format!(
                "does not belong to the certificate in {shown}; give the key it was issued for"
            )),
            other => bad_key(format!("cannot be used: {other}")),
        })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad_key(error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Identity {
        config: Arc::new(config),
        expires,
    })
}

fn pem_says(error: &rustls_pki_types::pem::Error) -> String {
    match error {
        rustls_pki_types::pem::Error::Io(error) => format!("cannot be read: {error}"),
        rustls_pki_types::pem::Error::NoItemsFound => "holds nothing of use".to_owned(),
        other => format!("is not valid PEM: {other}"),
    }
}

/// The end of the certificate's validity, in seconds since the Unix epoch.
fn check_dates(leaf: &CertificateDer<'_>, now_ms: u64) -> Result<i64, String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf)
        .map_err(|error| format!("the certificate cannot be read: {error}"))?;
    let now = i64::try_from(now_ms / 1000).unwrap_or(i64::MAX);
    let validity = parsed.validity();
    if now > validity.not_after.timestamp() {
        return Err(format!(
            "the certificate expired on {}; renew it",
            validity.not_after
        ));
    }
    if now < validity.not_before.timestamp() {
        return Err(format!(
            "the certificate is not valid before {}; check the clock of this machine",
            validity.not_before
        ));
    }
    Ok(validity.not_after.timestamp())
}

/// Does handshakes with the newest identity.
#[derive(Clone)]
pub struct TlsAcceptor(Arc<ArcSwap<ServerConfig>>);

impl std::fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsAcceptor")
    }
}

impl TlsAcceptor {
    /// Accepts with `identity`.
    pub fn new(identity: &Identity) -> Self {
        Self(Arc::new(ArcSwap::new(Arc::clone(&identity.config))))
    }

    /// Accepts with `identity` from the next connection on.
    pub fn replace(&self, identity: &Identity) {
        self.0.store(Arc::clone(&identity.config));
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        tokio_rustls::TlsAcceptor::from(self.0.load_full())
            .accept(stream)
            .await
    }
}
