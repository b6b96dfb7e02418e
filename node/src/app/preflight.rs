//! Everything that a node reads before it binds anything: certificates, keys, users, definitions,
//! templates.
//!
//! The same for `castor serve` and `castor config check`. All problems are found in one go, each one
//! line that names the key, the file and the remedy.

use std::path::Path;
use std::sync::Arc;

use castor_proto::ids::NodeName;
use castor_proto::seal::keyring::KeyRing;
use castor_replication::driver::tls::{IdentityError, IdentityPem, NodeIdentity};

use crate::authn::file::FileAuthenticator;
use crate::authn::password::HashPool;
use crate::clock::{Clock, Rng};
use crate::config::source::read_bounded;
use crate::config::{Cluster, Config, Loaded};
use crate::server::tls;
use crate::services::file::ServiceFolder;
use crate::web::Web;

/// What a node is made from, read and checked.
#[derive(Debug)]
pub struct Checked {
    /// The configuration.
    pub loaded: Loaded,
    /// Name of this node.
    pub node: NodeName,
    /// Certificate and key of the listener; absent when it speaks plain text.
    pub tls: Option<tls::Identity>,
    /// Certificate and key of this node in its cluster.
    pub identity: Arc<NodeIdentity>,
    /// The cluster's keys.
    pub ring: Arc<KeyRing>,
    /// Group of the administration socket.
    pub admin_group: Option<u32>,
    /// The users file.
    pub users: Arc<FileAuthenticator>,
    /// The service definitions.
    pub services: Arc<ServiceFolder>,
    /// Templates and assets.
    pub web: Arc<Web>,
}

/// Reads and checks what `loaded` names.
///
/// # Errors
///
/// Every problem, one line each.
pub fn check(loaded: Loaded, clock: &Clock, rng: &Rng) -> Result<Checked, Vec<String>> {
    let config = &loaded.config;
    let mut problems = Vec::new();
    let mut note = |says: String| problems.push(says);
    let node = config
        .node
        .resolved_name()
        .map_err(|says| note(format!("node.name: {says}")))
        .ok();
    let tls = http_identity(config, clock)
        .map_err(|error| note(error.to_string()))
        .ok();
    let identity = node.as_ref().and_then(|node| {
        cluster_identity(&config.cluster, node, clock)
            .map_err(&mut note)
            .ok()
    });
    let ring = keyring(&config.cluster).map_err(&mut note).ok();
    let admin_group = admin_group(config).map_err(&mut note).ok();
    let users = users(config, rng).map_err(&mut note).ok();
    let services = ServiceFolder::open(config.services.folder.clone())
        .map_err(|error| note(format!("services.folder: {}", one_line(&error.to_string()))))
        .ok();
    let web = Web::open(&config.web, &config.http.prefix.0)
        .map_err(|error| note(error.to_string()))
        .ok();
    match (node, tls, identity, ring, admin_group, users, services, web) {
        (
            Some(node),
            Some(tls),
            Some(identity),
            Some(ring),
            Some(admin_group),
            Some(users),
            Some(services),
            Some(web),
        ) => Ok(Checked {
            node,
            tls,
            identity: Arc::new(identity),
            ring,
            admin_group,
            users,
            services: Arc::new(services),
            web: Arc::new(web),
            loaded,
        }),
        _ => Err(problems),
    }
}

/// The listener's certificate and key, when it has them.
pub(super) fn http_identity(
    config: &Config,
    clock: &Clock,
) -> Result<Option<tls::Identity>, tls::TlsError> {
    match (&config.http.tls.certificate, &config.http.tls.key) {
        (Some(certificate), Some(key)) => tls::load(certificate, key, clock.wall_ms()).map(Some),
        // The configuration's own checks refuse one without the other.
        (None, _) | (_, None) => Ok(None),
    }
}

/// This node's certificate and key in its cluster.
pub(super) fn cluster_identity(
    config: &Cluster,
    node: &NodeName,
    clock: &Clock,
) -> Result<NodeIdentity, String> {
    let certificate = read("cluster.certificate", &config.certificate)?;
    let key = zeroize::Zeroizing::new(read("cluster.key", &config.key)?);
    let authority = read("cluster.ca_file", &config.ca_file)?;
    let pem = IdentityPem {
        certificate: certificate.as_bytes(),
        key: key.as_bytes(),
        authority: authority.as_bytes(),
    };
    NodeIdentity::from_pem(&pem, &config.name, node, clock.wall_ms()).map_err(|error| {
        let (name, path) = match &error {
            IdentityError::NoKey | IdentityError::KeyMismatch => ("cluster.key", &config.key),
            IdentityError::NoAuthority => ("cluster.ca_file", &config.ca_file),
            _ => ("cluster.certificate", &config.certificate),
        };
        format!("{name}: {}: {error}", path.display())
    })
}

fn keyring(config: &Cluster) -> Result<Arc<KeyRing>, String> {
    let path = &config.keyring_file;
    let text = zeroize::Zeroizing::new(read("cluster.keyring_file", path)?);
    KeyRing::parse(&text)
        .map(Arc::new)
        .map_err(|error| format!("cluster.keyring_file: {}: {error}", path.display()))
}

fn read(key: &str, path: &Path) -> Result<String, String> {
    read_bounded(path).map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => "`castor pki` makes it, or name another file",
            std::io::ErrorKind::PermissionDenied => "make it readable for the service",
            _ => "name another file",
        };
        format!(
            "{key}: {}: cannot be read: {error}; {remedy}",
            path.display()
        )
    })
}

fn admin_group(config: &Config) -> Result<Option<u32>, String> {
    let Some(name) = &config.ops.admin_group else {
        return Ok(None);
    };
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let gid = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    });
    gid.map(Some).ok_or_else(|| {
        format!("ops.admin_group: /etc/group has no group {name:?}; add it or name another")
    })
}

fn users(config: &Config, rng: &Rng) -> Result<Arc<FileAuthenticator>, String> {
    let password = &config.authn.password;
    let pool = HashPool::start(password.threads, password.queue)
        .map_err(|error| format!("authn.password.threads: {error}; use fewer"))?;
    FileAuthenticator::open(config.authn.file.path.clone(), Arc::new(pool), rng.clone())
        .map(Arc::new)
        .map_err(|error| format!("authn.file.path: {}", one_line(&error.to_string())))
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}
