//! `castor pki init|issue|renew`: the cluster's authority, its key ring, and node certificates.
//!
//! Secrets are written with mode 0600 and never replaced without being told to.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use castor_proto::ids::NodeName;
use castor_proto::seal::keyring::{ClusterKey, KeyId, KeyRing};
use castor_replication::driver::pki::Authority;
use clap::{Args, Subcommand};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::files::{self, PRIVATE, PUBLIC};
use super::{Done, Failure, print};
use crate::clock::{Clock, Rng};

/// Makes the cluster's authority, its key ring, and node certificates.
#[derive(Debug, Args)]
pub(super) struct PkiArgs {
    #[command(subcommand)]
    command: PkiCommand,
}

#[derive(Debug, Subcommand)]
enum PkiCommand {
    /// Makes the authority of a new cluster (ca.pem, ca.key) and its key ring (keyring).
    #[command(
        after_help = "Example:\n  castor pki init --cluster example --dir ./pki\n\n\
        Give ca.pem and keyring to every node. Keep ca.key elsewhere: who has it can make\n\
        nodes of this cluster."
    )]
    Init {
        /// Name of the cluster, as in cluster.name.
        #[arg(long, value_name = "NAME")]
        cluster: String,
        /// Folder for the files; made when it is missing.
        #[arg(long, value_name = "DIR", default_value = "pki")]
        dir: PathBuf,
        /// Days that the authority is valid.
        #[arg(long, value_name = "DAYS", default_value_t = 3650)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=36500))]
        days: u32,
        /// Replaces files that exist.
        #[arg(long)]
        force: bool,
    },
    /// Issues the certificate of a node: node.pem and node.key.
    #[command(after_help = "Example:\n  castor pki issue cas1 --dir ./pki --out ./cas1")]
    Issue(IssueArgs),
    /// Issues a node's certificate anew, in place of the old one.
    #[command(
        after_help = "Example:\n  castor pki renew cas1 --dir ./pki --out ./cas1\n\n\
        A running node takes the new files when they change."
    )]
    Renew(IssueArgs),
}

#[derive(Debug, Args)]
struct IssueArgs {
    /// Name of the node, as in node.name.
    #[arg(value_name = "NODE", value_parser = node_name)]
    node: NodeName,
    /// Folder with ca.pem and ca.key.
    #[arg(long, value_name = "DIR", default_value = "pki")]
    dir: PathBuf,
    /// Folder for node.pem and node.key; made when it is missing. By default the node's name in
    /// --dir.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Days that the certificate is valid.
    #[arg(long, value_name = "DAYS", default_value_t = 825)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// Replaces files that exist.
    #[arg(long)]
    force: bool,
}

fn node_name(text: &str) -> Result<NodeName, String> {
    NodeName::parse(text).map_err(|error| error.to_string())
}

pub(super) fn run(args: &PkiArgs) -> Done {
    let (clock, rng) = (Clock::system(), Rng::system());
    match &args.command {
        PkiCommand::Init {
            cluster,
            dir,
            days,
            force,
        } => init(cluster, dir, *days, *force, &clock, &rng),
        PkiCommand::Issue(args) => issue(args, args.force, &clock),
        PkiCommand::Renew(args) => issue(args, true, &clock),
    }
}

fn init(cluster: &str, dir: &Path, days: u32, force: bool, clock: &Clock, rng: &Rng) -> Done {
    let [certificate, key, keyring] = ["ca.pem", "ca.key", "keyring"].map(|name| dir.join(name));
    files::must_be_new(&[&certificate, &key, &keyring], force)?;
    let now = clock.wall_ms();
    let authority = Authority::create(cluster, now, days.into())
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let secret = Zeroizing::new(rng.bytes::<32>());
    let id = KeyId(u32::from_le_bytes(rng.bytes()));
    let ring = KeyRing::new(None, ClusterKey::new(id, secret, now), None)
        .context("cannot make a key ring")?;
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    files::write(&key, authority.key_pem().as_bytes(), PRIVATE)?;
    files::write(&keyring, ring.format().as_bytes(), PRIVATE)?;
    files::write(&certificate, authority.certificate_pem().as_bytes(), PUBLIC)?;
    print(&format!(
        "{}  to every node (cluster.ca_file)\n{}  to every node, secret (cluster.keyring_file)\n\
         {}  to no node, secret: it makes nodes of this cluster\n",
        certificate.display(),
        keyring.display(),
        key.display(),
    ))
}

fn issue(args: &IssueArgs, force: bool, clock: &Clock) -> Done {
    let out = match &args.out {
        Some(out) => out.clone(),
        None => args.dir.join(args.node.as_str()),
    };
    let [certificate, key] = ["node.pem", "node.key"].map(|name| out.join(name));
    files::must_be_new(&[&certificate, &key], force)?;
    let authority = read_authority(&args.dir)?;
    let pem = authority
        .issue_node(&args.node, clock.wall_ms(), args.days.into())
        .map_err(|error| Failure::Usage(error.to_string()))?;
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    files::write(&key, pem.key.as_bytes(), PRIVATE)?;
    files::write(&certificate, pem.certificate.as_bytes(), PUBLIC)?;
    print(&format!(
        "{}  to {} (cluster.certificate)\n{}  to {}, secret (cluster.key)\n",
        certificate.display(),
        args.node,
        key.display(),
        args.node,
    ))
}

fn read_authority(dir: &Path) -> anyhow::Result<Authority> {
    let read = |name: &str| {
        let path = dir.join(name);
        std::fs::read_to_string(&path)
            .with_context(|| format!("{}; `castor pki init` makes it", path.display()))
    };
    let certificate = read("ca.pem")?;
    let key = Zeroizing::new(read("ca.key")?);
    let cluster = cluster_of(&certificate)
        .with_context(|| format!("{} is no cluster's authority", dir.join("ca.pem").display()))?;
    Ok(Authority::from_pem(&cluster, &certificate, &key)?)
}

/// The cluster that an authority is for: it may issue only names below `<cluster>.castor.internal`.
fn cluster_of(certificate: &str) -> Option<String> {
    use x509_parser::extensions::GeneralName;
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).ok()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).ok()?;
    let constraints = parsed.name_constraints().ok()??;
    let trees = constraints.value.permitted_subtrees.as_ref()?;
    trees.iter().find_map(|tree| match &tree.base {
        GeneralName::DNSName(name) => name.strip_suffix(".castor.internal").map(str::to_owned),
        _ => None,
    })
}
