//! The demo's own authority for web certificates, and the certificates it issues.
//!
//! Promises: made once and kept; a certificate is made anew when its names do not suffice or it
//! has less than a week left. Does not: have anything to do with the cluster's authority, which
//! says who may be a node.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::state::{make_folder, write_private, write_with_mode};
use crate::clock::Clock;

const DAY_SECONDS: u64 = 86_400;
const CA_DAYS: u64 = 3_650;
/// Browsers refuse certificates of more than 398 days.
const LEAF_DAYS: u64 = 397;

/// The authority, in its folder.
pub(super) struct WebCa {
    folder: PathBuf,
    /// The authority's certificate.
    pub(super) certificate: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    now: u64,
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
        let now = clock.wall_ms() / 1000;
        let (certificate, key) = (folder.join("ca.pem"), folder.join("ca.key"));
        if !certificate.exists() || !key.exists() {
            make_ca(&certificate, &key, now)?;
        }
        let read = |path: &Path| {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        };
        let keys = KeyPair::from_pem(&read(&key)?).with_context(|| key.display().to_string())?;
        let issuer = Issuer::from_ca_cert_pem(&read(&certificate)?, keys)
            .with_context(|| certificate.display().to_string())?;
        Ok(Self { folder, certificate, issuer, now })
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
            self.issue(&identity, hosts)?;
        }
        Ok(identity)
    }

    fn still_fits(&self, identity: &Identity, hosts: &[&str]) -> bool {
        let Ok(der) = CertificateDer::from_pem_file(&identity.certificate) else { return false };
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(&der) else { return false };
        let expires = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
        let lasts = expires > self.now + 7 * DAY_SECONDS;
        let Ok(server) = rustls::server::ParsedCertificate::try_from(&der) else { return false };
        let names = hosts.iter().all(|host| {
            rustls_pki_types::ServerName::try_from(*host)
                .is_ok_and(|name| rustls::client::verify_server_name(&server, &name).is_ok())
        });
        lasts && names && identity.key.exists()
    }

    fn issue(&self, identity: &Identity, hosts: &[&str]) -> anyhow::Result<()> {
        let mut params = params(hosts.first().copied().unwrap_or("localhost"), self.now, LEAF_DAYS);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        for host in hosts {
            params.subject_alt_names.push(match host.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName((*host).try_into()?),
            });
        }
        let keys = KeyPair::generate()?;
        let certificate = params.signed_by(&keys, &self.issuer)?;
        write_private(&identity.key, keys.serialize_pem().as_bytes())?;
        write_with_mode(&identity.certificate, certificate.pem().as_bytes(), 0o644)
    }
}

fn make_ca(certificate: &Path, key: &Path, now: u64) -> anyhow::Result<()> {
    let mut params = params("Castor demo web authority", now, CA_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let keys = KeyPair::generate()?;
    let made = params.self_signed(&keys)?;
    write_private(key, keys.serialize_pem().as_bytes())?;
    write_with_mode(certificate, made.pem().as_bytes(), 0o644)
}

fn params(name: &str, now: u64, days: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // An hour back: the clock of whoever verifies may be behind.
    params.not_before = date_time_ymd(1970, 1, 1) + Duration::from_secs(now.saturating_sub(3_600));
    params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(now + days * DAY_SECONDS);
    params
}

#[cfg(test)]
mod tests {
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
        assert_eq!(read(&again.identity("front", &["localhost", "127.0.0.1"]).unwrap()), first);
        let more = read(&again.identity("front", &["sso.example.org", "localhost"]).unwrap());
        assert_ne!(more, first, "a name was missing");
        let late = open(NOW_MS + 392 * 86_400_000);
        assert_ne!(read(&late.identity("front", &["localhost"]).unwrap()), more, "nearly expired");
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
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(
            roots.into(),
            provider,
        );
        let verifier = verifier.build().unwrap();
        let at = rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_millis(now));
        let verify = |name: &'static str| {
            let name = rustls_pki_types::ServerName::try_from(name).unwrap();
            verifier.verify_server_cert(&der, &[], &name, &[], at).is_ok()
        };
        assert!(verify("localhost") && verify("127.0.0.1"));
        assert!(!verify("example.org"));
    }
}
