//! The demo's own authority for web certificates, and the certificates it issues.
//!
//! Promises: made once and kept; a certificate is made anew when its names do not suffice or it
//! has less than a week left. Does not: have anything to do with the cluster's authority, which
//! says who may be a node.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use castor_replication::driver::pki::Authority;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::state::{make_folder, write_private, write_with_mode};
use crate::clock::Clock;

const DAY_SECONDS: u64 = 86_400;
const CA_DAYS: u64 = 3_650;
/// Browsers refuse certificates of more than 398 days.
const LEAF_DAYS: u64 = 397;
/// Name of the authority.
const NAME: &str = "demo";

/// The authority, in its folder.
pub(super) struct WebCa {
    folder: PathBuf,
    /// The authority's certificate.
    pub(super) certificate: PathBuf,
    authority: Authority,
    now_ms: u64,
}

/// A certificate and key, as files.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl WebCa {
    /// Opens the authority in `folder`, or makes it.
    ///
    /// # Errors
    /// When its files cannot be read, written or used.
    pub(super) fn open(folder: &Path, clock: &Clock) -> anyhow::Result<Self> {
        let folder = make_folder(folder)?;
        let now_ms = clock.wall_ms();
        let certificate = folder.join("ca.pem");
        let authority = kept_authority(&certificate, &folder.join("ca.key"), NAME, || {
            Authority::create_web(NAME, now_ms, CA_DAYS)
        })?;
        Ok(Self {
            folder,
            certificate,
            authority,
            now_ms,
        })
    }

    /// A certificate named `name` for these hosts; the kept one when it still fits.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub(super) fn identity(&self, name: &str, hosts: &[&str]) -> anyhow::Result<Identity> {
        let identity = Identity {
            certificate: self.folder.join(format!("{name}.pem")),
            key: self.folder.join(format!("{name}.key")),
        };
        if !self.still_fits(&identity, hosts) {
            let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
            let pem = self.authority.issue_web(&hosts, self.now_ms, LEAF_DAYS)?;
            write_private(&identity.key, pem.key.as_bytes())?;
            write_with_mode(&identity.certificate, pem.certificate.as_bytes(), 0o644)?;
        }
        Ok(identity)
    }

    fn still_fits(&self, identity: &Identity, hosts: &[&str]) -> bool {
        let Ok(der) = CertificateDer::from_pem_file(&identity.certificate) else {
            return false;
        };
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(&der) else {
            return false;
        };
        let expires = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
        let lasts = expires > self.now_ms / 1000 + 7 * DAY_SECONDS;
        let Ok(server) = rustls::server::ParsedCertificate::try_from(&der) else {
            return false;
        };
        let names = hosts.iter().all(|host| {
            rustls_pki_types::ServerName::try_from(*host)
                .is_ok_and(|name| rustls::client::verify_server_name(&server, &name).is_ok())
        });
        lasts && names && identity.key.exists()
    }
}

/// The authority in these files, or the one that `make` makes and that is written there.
///
/// # Errors
/// When a file cannot be read, used or written.
pub(super) fn kept_authority(
    certificate: &Path,
    key: &Path,
    name: &str,
    make: impl FnOnce() -> Result<Authority, castor_replication::driver::pki::PkiError>,
) -> anyhow::Result<Authority> {
    if certificate.exists() && key.exists() {
        let read = |path: &Path| {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        };
        return Authority::from_pem(name, &read(certificate)?, &read(key)?)
            .with_context(|| certificate.display().to_string());
    }
    let authority = make()?;
    write_private(key, authority.key_pem().as_bytes())?;
    write_with_mode(certificate, authority.certificate_pem().as_bytes(), 0o644)?;
    Ok(authority)
}

#[cfg(test)]
mod tests {
    use rustls::client::danger::ServerCertVerifier as _;

    use super::*;

    const NOW_MS: u64 = 1_795_000_000_000;

    #[test]
    fn kept_while_it_fits_and_renewed_when_not() {
        let dir = tempfile::tempdir().unwrap();
        let open = |ms| WebCa::open(dir.path(), &Clock::manual(ms)).unwrap();
        let read = |identity: &Identity| std::fs::read_to_string(&identity.certificate).unwrap();
        let ca = open(NOW_MS);
        let authority = std::fs::read(&ca.certificate).unwrap();
        let first = read(&ca.identity("front", &["localhost", "127.0.0.1"]).unwrap());
        let again = open(NOW_MS);
        assert_eq!(std::fs::read(&again.certificate).unwrap(), authority);
        assert_eq!(
            read(
                &again
                    .identity("front", &["localhost", "127.0.0.1"])
                    .unwrap()
            ),
            first
        );
        let more = read(
            &again
                .identity("front", &["sso.example.org", "localhost"])
                .unwrap(),
        );
        assert_ne!(more, first, "a name was missing");
        let late = open(NOW_MS + 392 * 86_400_000);
        assert_ne!(
            read(&late.identity("front", &["localhost"]).unwrap()),
            more,
            "nearly expired"
        );
    }

    #[test]
    fn certificates_are_accepted_by_a_verifying_client_and_server() {
        let dir = tempfile::tempdir().unwrap();
        let ca = WebCa::open(dir.path(), &Clock::system()).unwrap();
        let identity = ca.identity("front", &["localhost", "127.0.0.1"]).unwrap();
        let now = Clock::system().wall_ms();
        crate::server::tls::load(&identity.certificate, &identity.key, now).unwrap();
        let der = CertificateDer::from_pem_file(&identity.certificate).unwrap();
        let root = CertificateDer::from_pem_file(&ca.certificate).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(root).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
        let verifier = verifier.build().unwrap();
        let at =
            rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_millis(now));
        let verify = |name: &'static str| {
            let name = rustls_pki_types::ServerName::try_from(name).unwrap();
            verifier
                .verify_server_cert(&der, &[], &name, &[], at)
                .is_ok()
        };
        assert!(verify("localhost") && verify("127.0.0.1"));
        assert!(!verify("example.org"));
    }
}
