//! The cluster's authority, the nodes' certificates and the key ring, in `DIR/pki` and the nodes'
//! folders.
//!
//! Promises: made where they are missing and kept otherwise; a certificate with less than a week
//! left is issued anew. Does not: rotate keys.

use std::path::Path;

use anyhow::Context as _;
use castor_proto::ids::NodeName;
use castor_proto::seal::keyring::{ClusterKey, KeyId, KeyRing};
use castor_replication::driver::pki::Authority;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::files::{CLUSTER, NodeFiles};
use super::state::{make_folder, write_private, write_with_mode};
use super::web_ca::kept_authority;
use crate::clock::{Clock, Rng};

const CA_DAYS: u64 = 3_650;
const NODE_DAYS: u64 = 825;
const WEEK_SECONDS: u64 = 7 * 86_400;

/// Makes what is missing.
///
/// # Errors
/// When a file cannot be read, used or written.
pub(super) fn make(
    dir: &Path,
    nodes: &[NodeFiles],
    clock: &Clock,
    rng: &Rng,
) -> anyhow::Result<()> {
    let folder = make_folder(&dir.join("pki"))?;
    let now_ms = clock.wall_ms();
    let make = || Authority::create(CLUSTER, now_ms, CA_DAYS);
    let authority = kept_authority(
        &folder.join("ca.pem"),
        &folder.join("ca.key"),
        CLUSTER,
        make,
    )?;
    for node in nodes {
        let (certificate, key) = (node.folder.join("node.pem"), node.folder.join("node.key"));
        if key.exists() && expires(&certificate) > now_ms / 1000 + WEEK_SECONDS {
            continue;
        }
        let name = NodeName::parse(&node.state.name)
            .with_context(|| format!("{} cannot name a node", node.state.name))?;
        let pem = authority.issue_node(&name, now_ms, NODE_DAYS)?;
        write_private(&key, pem.key.as_bytes())?;
        write_with_mode(&certificate, pem.certificate.as_bytes(), 0o644)?;
    }
    let keyring = folder.join("keyring");
    if !keyring.exists() {
        let secret = Zeroizing::new(rng.bytes::<32>());
        let id = KeyId(u32::from_le_bytes(rng.bytes()));
        let ring = KeyRing::new(None, ClusterKey::new(id, secret, now_ms), None)?;
        write_private(&keyring, ring.format().as_bytes())?;
    }
    Ok(())
}

/// Seconds since the Unix epoch; 0 when there is no certificate.
fn expires(certificate: &Path) -> u64 {
    let Ok(der) = CertificateDer::from_pem_file(certificate) else {
        return 0;
    };
    let parsed = x509_parser::parse_x509_certificate(&der);
    parsed.map_or(0, |(_, parsed)| {
        u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0)
    })
}
