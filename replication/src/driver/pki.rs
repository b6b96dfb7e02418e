//! The cluster's own certificate authority: made once, issues one certificate per node.
//!
//! Keys are Ed25519 and made here; the authority may sign only names below
//! `<cluster>.castor.internal`. Browsers do not accept Ed25519, so the web authority of a
//! demonstration, which is another one on purpose, uses ECDSA P-256.
//! Promises: serial numbers and keys are random; times are arguments. Not here: files and their
//! permissions.

use std::time::Duration;

use castor_proto::ids::{NodeName, WallMs};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SanType, SignatureAlgorithm, date_time_ymd,
};

use crate::driver::tls::{cluster_host, is_cluster_name, node_host};

/// Certificates are valid from this long before they are made, for clocks that are behind.
const BACKDATE_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;

/// Why no certificate was made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The cluster name is not a DNS label.
    #[error("`{0}` is not a cluster name: 1 to 40 characters a-z, 0-9 and - are")]
    ClusterName(String),
    /// The certificate or key of the authority cannot be read.
    #[error("the authority's certificate or key cannot be read: {0}")]
    Authority(rcgen::Error),
    /// A name cannot be in a certificate.
    #[error("`{0}` cannot be a name in a certificate")]
    Name(String),
    /// The library refused.
    #[error("the certificate could not be made: {0}")]
    Library(#[from] rcgen::Error),
}

/// A certificate and its private key, PEM.
#[derive(Clone)]
pub struct Pem {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS#8: a secret.
    pub key: String,
}

impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pem(..)")
    }
}

/// An authority that can issue.
pub struct Authority {
    name: String,
    pem: Pem,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.name)
    }
}

impl Authority {
    /// Makes the authority of a cluster, valid for `days`.
    ///
    /// # Errors
    /// [`PkiError::ClusterName`], or the library's refusal.
    pub fn create(cluster: &str, now: WallMs, days: u64) -> Result<Self, PkiError> {
        if !is_cluster_name(cluster) {
            return Err(PkiError::ClusterName(cluster.to_owned()));
        }
        let mut params = authority_params(&format!("Castor cluster {cluster}"), now, days);
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DnsName(cluster_host(cluster))],
            excluded_subtrees: vec![],
        });
        Self::make(cluster, params, &PKCS_ED25519)
    }

    /// Makes an authority for web servers, valid for `days`; for demonstrations and tests.
    ///
    /// # Errors
    /// The library's refusal.
    pub fn create_web(name: &str, now: WallMs, days: u64) -> Result<Self, PkiError> {
        let params = authority_params(&format!("Castor web {name}"), now, days);
        Self::make(name, params, &PKCS_ECDSA_P256_SHA256)
    }

    fn make(
        name: &str,
        params: CertificateParams,
        algorithm: &'static SignatureAlgorithm,
    ) -> Result<Self, PkiError> {
        let key = KeyPair::generate_for(algorithm)?;
        let certificate = params.self_signed(&key)?.pem();
        let pem = Pem {
            certificate,
            key: key.serialize_pem(),
        };
        Ok(Self {
            name: name.to_owned(),
            pem,
            issuer: Issuer::new(params, key),
        })
    }

    /// Reads an authority of the cluster (or, for [`Self::issue_web`], of any name) from its files.
    ///
    /// # Errors
    /// [`PkiError::Authority`].
    pub fn from_pem(name: &str, certificate: &str, key: &str) -> Result<Self, PkiError> {
        let pair = KeyPair::from_pem(key).map_err(PkiError::Authority)?;
        let issuer = Issuer::from_ca_cert_pem(certificate, pair).map_err(PkiError::Authority)?;
        let pem = Pem {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        };
        Ok(Self {
            name: name.to_owned(),
            pem,
            issuer,
        })
    }

    /// The authority's certificate, PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.pem.certificate
    }

    /// The authority's private key, PEM: a secret that belongs on no node.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.pem.key
    }

    /// Issues the certificate of a node of this cluster, valid for `days`.
    ///
    /// # Errors
    /// The library's refusal.
    pub fn issue_node(&self, node: &NodeName, now: WallMs, days: u64) -> Result<Pem, PkiError> {
        let names = [cluster_host(&self.name), node_host(&self.name, node)];
        let mut params = leaf_params(node.as_str(), &names, now, days)?;
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        self.issue(params, &PKCS_ED25519)
    }

    /// Issues the certificate of a web server with these names or addresses, valid for `days`.
    ///
    /// # Errors
    /// [`PkiError::Name`], or the library's refusal.
    pub fn issue_web(&self, names: &[String], now: WallMs, days: u64) -> Result<Pem, PkiError> {
        let common = names.first().map_or("", String::as_str);
        let mut params = leaf_params(common, names, now, days)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params, &PKCS_ECDSA_P256_SHA256)
    }

    fn issue(
        &self,
        params: CertificateParams,
        algorithm: &'static SignatureAlgorithm,
    ) -> Result<Pem, PkiError> {
        let key = KeyPair::generate_for(algorithm)?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Pem {
            certificate,
            key: key.serialize_pem(),
        })
    }
}

fn authority_params(common_name: &str, now: WallMs, days: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name(common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, now, days);
    params
}

fn leaf_params(
    common_name: &str,
    names: &[String],
    now: WallMs,
    days: u64,
) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name(common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    for name in names {
        params.subject_alt_names.push(match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(
                name.as_str()
                    .try_into()
                    .map_err(|_| PkiError::Name(name.clone()))?,
            ),
        });
    }
    set_validity(&mut params, now, days);
    Ok(params)
}

fn distinguished_name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn set_validity(params: &mut CertificateParams, now: WallMs, days: u64) {
    let at = |ms: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(ms / 1_000);
    params.not_before = at(now.saturating_sub(BACKDATE_MS));
    params.not_after = at(now.saturating_add(days.saturating_mul(DAY_MS)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::clock;

    #[test]
    fn an_authority_survives_its_files() {
        let now = clock::wall_ms();
        let made = Authority::create("blue", now, 10).unwrap();
        let read = Authority::from_pem("blue", made.certificate_pem(), made.key_pem()).unwrap();
        let node = NodeName::parse("n1").unwrap();
        let pem = read.issue_node(&node, now, 5).unwrap();
        let files = crate::driver::tls::IdentityPem {
            certificate: pem.certificate.as_bytes(),
            key: pem.key.as_bytes(),
            authority: made.certificate_pem().as_bytes(),
        };
        crate::driver::tls::NodeIdentity::from_pem(&files, "blue", &node, now).unwrap();
    }

    #[test]
    fn an_authority_can_sign_only_names_of_its_cluster() {
        let now = clock::wall_ms();
        let blue = Authority::create("blue", now, 10).unwrap();
        // The same key and constraint, used for another cluster's names.
        let bent = Authority::from_pem("green", blue.certificate_pem(), blue.key_pem()).unwrap();
        let node = NodeName::parse("n1").unwrap();
        let pem = bent.issue_node(&node, now, 5).unwrap();
        let files = crate::driver::tls::IdentityPem {
            certificate: pem.certificate.as_bytes(),
            key: pem.key.as_bytes(),
            authority: blue.certificate_pem().as_bytes(),
        };
        let refused =
            crate::driver::tls::NodeIdentity::from_pem(&files, "green", &node, now).unwrap_err();
        assert!(refused.to_string().contains("not usable"), "{refused}");
    }

    #[test]
    fn nothing_is_made_for_a_bad_name() {
        assert!(matches!(
            Authority::create("A B", 0, 1),
            Err(PkiError::ClusterName(_))
        ));
        let web = Authority::create_web("demo", clock::wall_ms(), 1).unwrap();
        assert!(
            web.issue_web(&["127.0.0.1".into(), "localhost".into()], 0, 1)
                .is_ok()
        );
        assert!(matches!(
            web.issue_web(&["ü".into()], 0, 1),
            Err(PkiError::Name(_))
        ));
    }
}
