//! Which certificates of applications are believed: the system's authorities and `outbound.ca_file`.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// What calls trust; cheap to clone.
#[derive(Clone)]
pub struct Trust {
    pub(super) config: Arc<ClientConfig>,
    authorities: usize,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trust({} authorities)", self.authorities)
    }
}

/// What is wrong with `outbound.ca_file`; one line with the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("outbound.ca_file: {0}")]
pub struct TrustError(String);

impl Trust {
    /// Reads the system's authorities and those of `ca_file`.
    ///
    /// # Errors
    /// When `ca_file` cannot be read or holds no certificate of use.
    pub fn load(ca_file: Option<&Path>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            tracing::warn!(%error, "an authority of the system cannot be read");
        }
        roots.add_parsable_certificates(system.certs);
        if let Some(path) = ca_file {
            add_file(&mut roots, path)?;
        }
        if roots.is_empty() {
            tracing::warn!(
                "no certificate authority is trusted, so no application can be reached over TLS; \
                 install ca-certificates or set outbound.ca_file"
            );
        }
        let authorities = roots.len();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TrustError(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            authorities,
        })
    }
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), TrustError> {
    let wrong = |says: String| {
        let path = path.display();
        TrustError(format!(
            "{path}: {says}; give a PEM file with certificates of authorities"
        ))
    };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(format!("cannot be read: {error}")))?;
    if certificates.is_empty() {
        return Err(wrong("holds no certificate".to_owned()));
    }
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|error| wrong(format!("a certificate in it is of no use: {error}")))?;
    }
    Ok(())
}
