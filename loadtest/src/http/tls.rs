//! TLS of the client: the authorities it trusts.
//!
//! Promises: certificates are always verified. Does not: offer a way to skip that.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// TLS settings that trust the authorities in `ca_file` and nobody else.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub(super) fn client_config(ca_file: Option<&Path>) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = ca_file {
        let certificates = CertificateDer::pem_file_iter(file)
            .with_context(|| format!("ca_file: cannot read {}", file.display()))?;
        for certificate in certificates {
            let certificate =
                certificate.with_context(|| format!("ca_file: {} is not PEM", file.display()))?;
            roots
                .add(certificate)
                .with_context(|| format!("ca_file: a certificate in {}", file.display()))?;
        }
        if roots.is_empty() {
            bail!("ca_file: {} holds no certificate", file.display());
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS versions")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
