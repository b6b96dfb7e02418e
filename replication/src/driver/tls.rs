//! Who may speak on the peer port: mutual TLS 1.3 against the cluster's own authority.
//!
//! A node's certificate has an Ed25519 key, which also signs its envelopes, and two names: the
//! cluster's, by which peers call it (at first only an address is known), and its own, which the
//! hello must repeat. Promises: every problem with the three PEM files is found before anything is
//! bound, and the error says what to do; the provider is passed explicitly; no early data, no session
//! resumption, so every link verifies certificates anew.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use castor_proto::ids::{NodeName, WallMs};
use castor_proto::seal::{NodeSigner, PublicKey};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

/// The application protocol of the peer port.
pub const ALPN: &[u8] = b"castor/1";

/// Why an identity cannot be used. The caller adds the name of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The cluster name is not a DNS label.
    #[error("`{0}` is not a cluster name: 1 to 40 characters a-z, 0-9 and - are")]
    ClusterName(String),
    /// No certificate where one should be.
    #[error("the certificate file holds no PEM certificate; `castor pki issue` makes one")]
    NoCertificate,
    /// No private key where one should be.
    #[error("the key file holds no PEM private key; `castor pki issue` makes one")]
    NoKey,
    /// No authority where one should be.
    #[error("the authority file holds no PEM certificate; `castor pki init` makes one")]
    NoAuthority,
    /// A PEM section is not a certificate.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
    /// The certificate's key is of another kind.
    #[error("the certificate's key is not Ed25519; issue another with `castor pki issue`")]
    NotEd25519,
    /// Certificate and key do not belong together.
    #[error("the certificate does not fit its key; both come from one `castor pki issue`")]
    KeyMismatch,
    /// Its time is over.
    #[error("the certificate expired {days} days ago; renew it with `castor pki renew`")]
    Expired {
        /// Whole days since.
        days: u64,
    },
    /// Its time has not begun.
    #[error("the certificate is valid only from {hours} hours on; is this machine's clock right?")]
    NotYetValid {
        /// Whole hours until.
        hours: u64,
    },
    /// Another authority signed it.
    #[error("the certificate was not issued by the cluster authority in the authority file")]
    WrongAuthority,
    /// A name that it must have is missing.
    #[error("the certificate lacks the name {name}; issue one for this node and cluster")]
    MissingName {
        /// The missing name.
        name: String,
    },
    /// The TLS library refuses it for another reason.
    #[error("the certificate is not usable: {0}")]
    Unusable(String),
}

/// The name by which a cluster's nodes are called.
#[must_use]
pub fn cluster_host(cluster: &str) -> String {
    format!("{cluster}.castor.internal")
}

/// The name of one node in its certificate.
#[must_use]
pub fn node_host(cluster: &str, node: &NodeName) -> String {
    format!("{node}.node.{cluster}.castor.internal")
}

/// Whether a text can be a cluster's name: 1 to 40 characters `a-z`, `0-9` and `-`.
#[must_use]
pub fn is_cluster_name(name: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    (1..=40).contains(&bytes.len())
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

/// A node's certificate chain, key and cluster authority, checked against each other.
pub struct NodeIdentity {
    cluster: String,
    node: NodeName,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
    signer: Arc<NodeSigner>,
    not_after: WallMs,
}

impl NodeIdentity {
    /// Reads and checks the three PEM files of a node; `now` is the wall clock.
    ///
    /// # Errors
    /// [`IdentityError`], which says what to do about it.
    pub fn from_pem(
        pem: &IdentityPem<'_>,
        cluster: &str,
        node: &NodeName,
        now: WallMs,
    ) -> Result<Self, IdentityError> {
        if !is_cluster_name(cluster) {
            return Err(IdentityError::ClusterName(cluster.to_owned()));
        }
        let chain = certificates(pem.certificate)?;
        let leaf = chain.first().ok_or(IdentityError::NoCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(pem.key).map_err(|_| IdentityError::NoKey)?;
        let authorities = certificates(pem.authority)?;
        if authorities.is_empty() {
            return Err(IdentityError::NoAuthority);
        }
        let details = CertificateDetails::read(leaf)?;
        let public = details.ed25519.ok_or(IdentityError::NotEd25519)?;
        let signer =
            NodeSigner::from_pkcs8(key.secret_der()).map_err(|_| IdentityError::KeyMismatch)?;
        if signer.public_key() != public {
            return Err(IdentityError::KeyMismatch);
        }
        details.check_time(now)?;
        verify_chain(&chain, &authorities, now)?;
        for name in [cluster_host(cluster), node_host(cluster, node)] {
            if !details.names.contains(&name) {
                return Err(IdentityError::MissingName { name });
            }
        }
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots
                .add(authority)
                .map_err(|error| IdentityError::Unusable(error.to_string()))?;
        }
        Ok(Self {
            cluster: cluster.to_owned(),
            node: node.clone(),
            chain,
            key,
            roots: Arc::new(roots),
            signer: Arc::new(signer),
            not_after: details.not_after,
        })
    }

    /// The cluster it belongs to.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The node it belongs to.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// When the certificate expires, milliseconds since the Unix epoch.
    #[must_use]
    pub fn not_after(&self) -> WallMs {
        self.not_after
    }

    /// The key that signs this node's envelopes.
    #[must_use]
    pub fn signer(&self) -> &Arc<NodeSigner> {
        &self.signer
    }

    /// TLS for connections that peers make.
    ///
    /// # Errors
    /// [`IdentityError::Unusable`] when the TLS library refuses what was checked before.
    pub fn server_config(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<ServerConfig, IdentityError> {
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::clone(&self.roots),
            Arc::clone(provider),
        )
        .build()
        .map_err(|error| IdentityError::Unusable(error.to_string()))?;
        let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(unusable)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.max_early_data_size = 0;
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// TLS for connections that this node makes.
    ///
    /// # Errors
    /// [`IdentityError::Unusable`] when the TLS library refuses what was checked before.
    pub fn client_config(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<ClientConfig, IdentityError> {
        let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .map_err(unusable)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.enable_early_data = false;
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }
}

impl fmt::Debug for NodeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeIdentity")
            .field("cluster", &self.cluster)
            .field("node", &self.node)
            .field("key", &self.signer.public_key())
            .finish_non_exhaustive()
    }
}

/// The contents of a node's three PEM files.
#[derive(Clone, Copy)]
pub struct IdentityPem<'a> {
    /// The node's certificate, and intermediate ones after it.
    pub certificate: &'a [u8],
    /// Its private key (PKCS#8).
    pub key: &'a [u8],
    /// The cluster authority; several during a change of authority.
    pub authority: &'a [u8],
}

/// What we need to know of a certificate.
#[derive(Debug, Clone)]
pub struct CertificateDetails {
    /// Its DNS names.
    pub names: Vec<String>,
    /// Its public key, if that is Ed25519.
    pub ed25519: Option<PublicKey>,
    /// Valid from, milliseconds since the Unix epoch.
    pub not_before: WallMs,
    /// Valid until, milliseconds since the Unix epoch.
    pub not_after: WallMs,
}

impl CertificateDetails {
    /// Reads a certificate; says nothing about whether anyone should trust it.
    ///
    /// # Errors
    /// [`IdentityError::Unreadable`].
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        let unreadable = |error: &dyn fmt::Display| IdentityError::Unreadable(error.to_string());
        let (_, certificate) = parse_x509_certificate(der).map_err(|error| unreadable(&error))?;
        let alternative = certificate
            .subject_alternative_name()
            .map_err(|error| unreadable(&error))?;
        let names = alternative
            .map(|extension| extension.value.general_names.iter())
            .into_iter()
            .flatten()
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            })
            .collect();
        let key = certificate.public_key();
        let is_ed25519 = key.algorithm.algorithm.to_id_string() == "1.3.101.112";
        let raw = key.subject_public_key.data.as_ref().try_into().ok();
        let validity = certificate.validity();
        Ok(Self {
            names,
            ed25519: raw.filter(|_| is_ed25519).map(PublicKey),
            not_before: milliseconds(validity.not_before.timestamp()),
            not_after: milliseconds(validity.not_after.timestamp()),
        })
    }

    fn check_time(&self, now: WallMs) -> Result<(), IdentityError> {
        if now > self.not_after {
            return Err(IdentityError::Expired {
                days: (now - self.not_after) / 86_400_000,
            });
        }
        if now < self.not_before {
            return Err(IdentityError::NotYetValid {
                hours: (self.not_before - now).div_ceil(3_600_000),
            });
        }
        Ok(())
    }
}

/// The one cryptographic provider of this crate.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| IdentityError::Unreadable(error.to_string()))
}

/// The chain leads to an authority and may be used in both directions.
fn verify_chain(
    chain: &[CertificateDer<'_>],
    authorities: &[CertificateDer<'_>],
    now: WallMs,
) -> Result<(), IdentityError> {
    let unusable = |error: webpki::Error| IdentityError::Unusable(error.to_string());
    let anchors: Vec<TrustAnchor<'_>> = authorities
        .iter()
        .map(webpki::anchor_from_trusted_cert)
        .collect::<Result<_, _>>()
        .map_err(unusable)?;
    let (leaf, intermediates) = chain.split_first().ok_or(IdentityError::NoCertificate)?;
    let leaf = EndEntityCert::try_from(leaf).map_err(unusable)?;
    let time = UnixTime::since_unix_epoch(Duration::from_millis(now));
    for usage in [KeyUsage::server_auth(), KeyUsage::client_auth()] {
        leaf.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            intermediates,
            time,
            usage,
            None,
            None,
        )
        .map_err(|error| match error {
            webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
                IdentityError::WrongAuthority
            }
            other => unusable(other),
        })?;
    }
    Ok(())
}

fn unusable(error: rustls::Error) -> IdentityError {
    IdentityError::Unusable(error.to_string())
}

fn milliseconds(seconds: i64) -> WallMs {
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::clock;
    use crate::driver::pki::{Authority, Pem};

    const DAY: u64 = 86_400_000;

    fn node(name: &str) -> NodeName {
        NodeName::parse(name).unwrap()
    }

    fn load(pem: &Pem, authority: &Authority, name: &str, now: u64) -> Result<(), IdentityError> {
        let pem = IdentityPem {
            certificate: pem.certificate.as_bytes(),
            key: pem.key.as_bytes(),
            authority: authority.certificate_pem().as_bytes(),
        };
        NodeIdentity::from_pem(&pem, "blue", &node(name), now).map(|identity| {
            identity.server_config(&provider()).unwrap();
            identity.client_config(&provider()).unwrap();
        })
    }

    #[test]
    fn an_issued_identity_loads_and_every_misfit_is_named() {
        let now = clock::wall_ms();
        let authority = Authority::create("blue", now, 10).unwrap();
        let stranger = Authority::create("blue", now, 10).unwrap();
        let good = authority.issue_node(&node("n1"), now, 5).unwrap();
        let other = authority.issue_node(&node("n2"), now, 5).unwrap();
        assert_eq!(load(&good, &authority, "n1", now), Ok(()));

        assert_eq!(
            load(&good, &stranger, "n1", now),
            Err(IdentityError::WrongAuthority)
        );
        let expired = load(&good, &authority, "n1", now + 6 * DAY);
        assert_eq!(expired, Err(IdentityError::Expired { days: 1 }));
        let early = load(&good, &authority, "n1", now - 3 * DAY);
        assert!(
            matches!(early, Err(IdentityError::NotYetValid { .. })),
            "{early:?}"
        );
        let misnamed = load(&good, &authority, "n2", now).unwrap_err().to_string();
        assert!(
            misnamed.contains("n2.node.blue.castor.internal"),
            "{misnamed}"
        );

        let mixed = Pem {
            certificate: good.certificate.clone(),
            key: other.key.clone(),
        };
        assert_eq!(
            load(&mixed, &authority, "n1", now),
            Err(IdentityError::KeyMismatch)
        );
        let no_key = Pem {
            certificate: good.certificate.clone(),
            key: good.certificate.clone(),
        };
        assert_eq!(
            load(&no_key, &authority, "n1", now),
            Err(IdentityError::NoKey)
        );
        let empty = Pem {
            certificate: String::new(),
            key: good.key.clone(),
        };
        assert_eq!(
            load(&empty, &authority, "n1", now),
            Err(IdentityError::NoCertificate)
        );
        let web = Authority::create_web("web", now, 10).unwrap();
        let web_pem = web.issue_web(&["localhost".to_owned()], now, 5).unwrap();
        assert_eq!(
            load(&web_pem, &authority, "n1", now),
            Err(IdentityError::NotEd25519)
        );
    }

    #[test]
    fn cluster_names_are_dns_labels() {
        for good in ["a", "blue", "eu-west-1"] {
            assert!(is_cluster_name(good));
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", &"x".repeat(41)] {
            assert!(!is_cluster_name(bad), "{bad}");
        }
    }

    #[test]
    fn debug_output_shows_no_private_key() {
        let now = clock::wall_ms();
        let authority = Authority::create("blue", now, 10).unwrap();
        let pem = authority.issue_node(&node("n1"), now, 5).unwrap();
        let files = IdentityPem {
            certificate: pem.certificate.as_bytes(),
            key: pem.key.as_bytes(),
            authority: authority.certificate_pem().as_bytes(),
        };
        let identity = NodeIdentity::from_pem(&files, "blue", &node("n1"), now).unwrap();
        let shown = format!("{identity:?}");
        assert!(
            shown.contains("n1") && !shown.contains("PRIVATE") && shown.len() < 200,
            "{shown}"
        );
    }
}
