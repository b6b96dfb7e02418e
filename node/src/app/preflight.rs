//! Everything that a node reads before it binds anything: certificates, keys, users, definitions,
//! templates.
//!
//! The same for `castor serve` and `castor config check`. All problems are found in one go, each one
//! line that names the key, the file and the remedy.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use castor_proto::ids::NodeName;
use castor_proto::seal::keyring::KeyRing;
use castor_replication::driver::tls::{IdentityError, IdentityPem, NodeIdentity};
use rustix::fs::Access;

use crate::authn::file::FileAuthenticator;
use crate::authn::password::HashPool;
use crate::clock::{Clock, Rng};
use crate::config::source::read_bounded;
use crate::config::types::{AuditOutput, Listen};
use crate::config::{Cluster, Config, Loaded};
use crate::ops::audit::AuditError;
use crate::outbound::Trust;
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
    /// Certificates of applications that are believed.
    pub trust: Trust,
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
    let audit = audit_file(config).map_err(&mut note).ok();
    let trust = Trust::load(config.outbound.ca_file.as_deref())
        .map_err(|error| note(error.to_string()))
        .ok();
    match (
        node,
        tls,
        identity,
        ring,
        admin_group,
        users,
        services,
        web,
        audit,
        trust,
    ) {
        (
            Some(node),
            Some(tls),
            Some(identity),
            Some(ring),
            Some(admin_group),
            Some(users),
            Some(services),
            Some(web),
            Some(()),
            Some(trust),
        ) => Ok(Checked {
            node,
            tls,
            identity: Arc::new(identity),
            ring,
            admin_group,
            users,
            services: Arc::new(services),
            web: Arc::new(web),
            trust,
            loaded,
        }),
        _ => Err(problems),
    }
}

/// What works, but should not stay so; one line each.
pub fn warnings(loaded: &Loaded) -> Vec<String> {
    let config = &loaded.config;
    let cluster = &config.cluster;
    let keys = [
        ("cluster.key", Some(&cluster.key)),
        ("cluster.keyring_file", Some(&cluster.keyring_file)),
        ("http.tls.key", config.http.tls.key.as_ref()),
    ];
    let keys = keys
        .into_iter()
        .filter_map(|(key, path)| Some((key, path?)));
    let secrets = loaded.secret_files.iter();
    let secrets = secrets.map(|(key, path)| (key.as_str(), path));
    let mut found: Vec<String> = keys
        .chain(secrets)
        .filter_map(|(key, path)| exposed(key, path))
        .collect();
    if let Some(folder) = missing_audit_folder(config) {
        found.push(format!(
            "audit.file: {}: this folder is not there yet; the service needs it to start",
            folder.display()
        ));
    }
    found.extend(everybody_has_one_address(config));
    found
}

/// Says so when failed sign-ins are counted by an address that is the proxy's: only a proxy of this
/// machine reaches the listener, and it is not believed. Over a Unix socket it is.
fn everybody_has_one_address(config: &Config) -> Option<String> {
    let http = &config.http;
    let by_proxy = matches!(http.listen, Listen::Tcp(_)) && http.listen.is_local();
    let counts = config.authn.throttle.enabled;
    (counts && by_proxy && http.trusted_proxies.is_empty()).then(|| {
        format!(
            "http.trusted_proxies: is empty, so everybody behind a proxy on {} has the proxy's address, and \
             the wrong passwords of a few make all wait (authn.throttle); set it to the proxy's address, \
             such as [\"127.0.0.1\"]",
            http.listen
        )
    })
}

/// Says so when others than the service can use a secret file. Its group may read it where the
/// file is somebody else's, because the service itself has no other way then.
fn exposed(key: &str, path: &Path) -> Option<String> {
    let data = std::fs::metadata(path).ok()?;
    let mode = data.mode() & 0o777;
    let own = data.uid() == rustix::process::geteuid().as_raw();
    let allowed = if own { 0o700 } else { 0o740 };
    (mode & !allowed != 0).then(|| {
        format!(
            "{key}: {}: mode {mode:04o} lets others use this secret; chmod {:04o} it, and make a new \
             one if it was so for long",
            path.display(),
            mode & allowed & 0o640
        )
    })
}

/// The folder of the audit file, when it does not exist: a service manager may make it.
fn missing_audit_folder(config: &Config) -> Option<&Path> {
    let folder = audit_path(config)?.parent()?;
    (!folder.as_os_str().is_empty() && !folder.exists()).then_some(folder)
}

fn audit_path(config: &Config) -> Option<&Path> {
    (config.audit.output == AuditOutput::File)
        .then_some(config.audit.file.as_deref())
        .flatten()
}

/// Whether the audit file can be written. It is not made: whoever checks a configuration may not
/// be the user of the service, who could not write the file then.
fn audit_file(config: &Config) -> Result<(), String> {
    let Some(path) = audit_path(config) else {
        return Ok(());
    };
    if missing_audit_folder(config).is_some() {
        return Ok(());
    }
    let opened = match File::options().append(true).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            let needed = Access::WRITE_OK | Access::EXEC_OK;
            rustix::fs::access(folder, needed).map_err(Into::into)
        }
        other => other.map(drop),
    };
    opened.map_err(|error| {
        AuditError::Open {
            key: "audit.file",
            place: path.display().to_string(),
            error,
        }
        .to_string()
    })
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::types::Cidr;
    use crate::config::value::Value as _;
    use crate::config::{self, Sources};

    /// The defaults, with a proxy on this machine that is believed.
    fn behind_a_proxy() -> Loaded {
        let mut loaded = config::load(&Sources::default()).unwrap();
        let proxy = toml::Value::String("127.0.0.1".to_owned());
        let proxies = vec![Cidr::from_toml(&proxy, Path::new("")).unwrap()];
        loaded.config.http.trusted_proxies = proxies;
        loaded
    }

    #[test]
    fn a_proxy_that_is_not_believed_is_named_where_it_makes_all_people_one() {
        let believed = behind_a_proxy();
        assert_eq!(everybody_has_one_address(&believed.config), None);
        let loaded = config::load(&Sources::default()).unwrap();
        let says = warnings(&loaded).join("\n");
        let mut config = loaded.config;
        assert!(says.starts_with("http.trusted_proxies: "), "{says}");
        assert!(says.contains("set it to"), "{says}");
        config.authn.throttle.enabled = false;
        assert_eq!(everybody_has_one_address(&config), None);
        config.authn.throttle.enabled = true;
        for listen in [
            Listen::Tcp("192.0.2.1:8443".parse().unwrap()),
            Listen::Unix("/run/castor/http.sock".into()),
        ] {
            config.http.listen = listen;
            assert_eq!(everybody_has_one_address(&config), None);
        }
    }

    #[test]
    fn secrets_that_others_can_use_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let mut loaded = behind_a_proxy();
        let config = &mut loaded.config;
        let at = |name: &str| dir.path().join(name);
        config.cluster.key = at("node.key");
        config.cluster.keyring_file = at("keyring");
        config.http.tls.key = Some(at("http.key"));
        let with = |modes: [u32; 3]| {
            for (name, mode) in ["node.key", "keyring", "http.key"].iter().zip(modes) {
                std::fs::write(at(name), "secret").unwrap();
                let mode = std::fs::Permissions::from_mode(mode);
                std::fs::set_permissions(at(name), mode).unwrap();
            }
            warnings(&loaded)
        };
        assert_eq!(with([0o600, 0o400, 0o600]), [""; 0]);
        let says = with([0o644, 0o640, 0o602]);
        assert_eq!(says.len(), 3, "{says:?}");
        for (says, key) in says
            .iter()
            .zip(["cluster.key", "cluster.keyring_file", "http.tls.key"])
        {
            assert!(says.starts_with(&format!("{key}: ")), "{says}");
            assert!(says.contains("chmod 0600"), "{says}");
        }
    }

    #[test]
    fn a_token_that_others_can_read_is_named_wherever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (file, token) = (dir.path().join("castor.toml"), dir.path().join("token"));
        let secret = "0123456789abcdef0123";
        let proxies = "[http]\ntrusted_proxies = [\"127.0.0.1\"]\n";
        let with = |ops: &str, modes: [u32; 2]| {
            std::fs::write(&file, format!("{proxies}[ops]\n{ops}\n")).unwrap();
            std::fs::write(&token, secret).unwrap();
            for (path, mode) in [&file, &token].into_iter().zip(modes) {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            }
            let file = Some(file.clone());
            let sources = Sources {
                file,
                ..Sources::default()
            };
            warnings(&config::load(&sources).unwrap())
        };
        let by_file = "token_file = \"token\"";
        assert_eq!(with(by_file, [0o644, 0o600]), [""; 0]);
        for mode in [0o640, 0o604, 0o644] {
            let says = with(by_file, [0o644, mode]);
            assert_eq!(says.len(), 1, "{says:?}");
            assert!(says[0].starts_with("ops.token_file: "), "{says:?}");
            assert!(says[0].contains("chmod 0600"), "{says:?}");
        }
        let inline = format!("token = \"{secret}\"");
        assert_eq!(with(&inline, [0o600, 0o644]), [""; 0]);
        let says = with(&inline, [0o644, 0o600]);
        assert_eq!(says.len(), 1, "{says:?}");
        assert!(says[0].starts_with("ops.token: "), "{says:?}");
        assert!(!says[0].contains(secret), "{says:?}");
    }

    #[test]
    fn an_audit_file_that_cannot_be_written_is_a_problem_and_none_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let mut loaded = behind_a_proxy();
        let mut check = |file: &str| {
            loaded.config.audit.output = AuditOutput::File;
            loaded.config.audit.file = Some(dir.path().join(file));
            (audit_file(&loaded.config), warnings(&loaded).len())
        };
        assert_eq!(check("audit.log"), (Ok(()), 0));
        assert!(!dir.path().join("audit.log").exists());
        std::fs::write(dir.path().join("audit.log"), "").unwrap();
        assert_eq!(check("audit.log"), (Ok(()), 0));
        assert_eq!(check("later/audit.log"), (Ok(()), 1));
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        let says = check("folder").0.unwrap_err();
        assert!(says.starts_with("audit.file: "), "{says}");
        assert!(check("audit.log/below").0.is_err(), "below a file");
    }
}
