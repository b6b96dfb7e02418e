//! What the nodes and nginx need on disk, made with the product's own commands where there are some.
//!
//! Promises: everything is in one folder; nginx has the configuration that the product recommends.
//! Does not: start anything but those commands, which end.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::hosts::{FIRST_NODE, FRONT, address};

/// Port of the nodes and of nginx.
pub const HTTP: u16 = 8443;
/// Port of the nodes' operations listener.
pub const OPS: u16 = 8444;
const CLUSTER: u16 = 8445;
/// User who may sign in.
pub const USER: &str = "casuser";
/// The name in the site's web certificate.
const HOST: &str = "castor-lab";
const NGINX: &str = include_str!("../../../node/demo/nginx.conf");
const SERVICE: &str = r#"{
  "@class": "org.apereo.cas.services.CasRegisteredService",
  "serviceId": "^http://127\\.0\\.0\\.1/.*$",
  "name": "Applications of the load generator",
  "id": 1,
  "attributeReleasePolicy": {
    "@class": "org.apereo.cas.services.ReturnAllowedAttributeReleasePolicy",
    "allowedAttributes": [ "java.util.ArrayList", [ "mail", "displayName" ] ]
  }
}
"#;

/// The folder of a site.
#[derive(Debug, Clone)]
pub struct Files {
    /// The folder.
    pub dir: PathBuf,
    castor: PathBuf,
}

/// Name of node `index`.
pub fn node_name(index: usize) -> String {
    format!("node{}", index + 1)
}

impl Files {
    /// Makes everything for `count` nodes, of which the first `seeds` name each other as seeds.
    ///
    /// # Errors
    /// When a command of the product fails or a file cannot be written.
    pub fn make(
        dir: &Path,
        castor: &Path,
        password: &str,
        count: usize,
        seeds: usize,
    ) -> anyhow::Result<Self> {
        let files = Self {
            dir: dir.to_owned(),
            castor: castor.to_owned(),
        };
        for folder in ["services", "nginx/logs", "nginx/temp"] {
            let folder = dir.join(folder);
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let pki = files.path("pki");
        files.castor(&["pki", "init", "--cluster", "lab", "--dir", &pki], "")?;
        let hash = files.castor(&["password", "hash"], password)?;
        files.write(
            "users.toml",
            &format!(
                "[[user]]\nname = \"{USER}\"\npassword = \"{}\"\n[user.attributes]\n\
                 mail = [\"casuser@example.org\"]\ndisplayName = [\"Casey User\"]\n",
                hash.trim()
            ),
        )?;
        files.write("services/Load-1.json", SERVICE)?;
        files.web_certificate(count)?;
        for index in 0..count {
            let name = node_name(index);
            let out = files.path(&name);
            files.castor(&["pki", "issue", &name, "--dir", &pki, "--out", &out], "")?;
            files.write(
                &format!("{name}/castor.toml"),
                &files.configuration(index, seeds),
            )?;
        }
        Ok(files)
    }

    /// A path in the folder.
    pub fn path(&self, inside: &str) -> String {
        self.dir.join(inside).display().to_string()
    }

    /// Writes nginx.conf for the nodes `members`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn nginx(&self, members: &[usize]) -> anyhow::Result<()> {
        let servers: Vec<String> = members
            .iter()
            .map(|index| {
                let address = address(FIRST_NODE + index);
                format!("    server {address}:{HTTP} max_fails=10 fail_timeout=2s;")
            })
            .collect();
        let tls = format!(
            "    proxy_ssl_verify on;\n    proxy_ssl_trusted_certificate \"{}\";\n    \
             proxy_ssl_name {HOST};\n    proxy_ssl_server_name on;\n    \
             proxy_ssl_session_reuse on;\n",
            self.path("web-ca.pem")
        );
        let text = NGINX
            .replace("@dir@", &self.path("nginx"))
            .replace("@servers@", &servers.join("\n"))
            .replace(
                "@listen@",
                &format!("    listen {}:{HTTP} ssl;", address(FRONT)),
            )
            .replace("@host@", HOST)
            .replace("@certificate@", &self.path("web.pem"))
            .replace("@key@", &self.path("web.key"))
            .replace("@tls@\n", &tls)
            .replace("@scheme@", "https")
            .replace("@demo@", "");
        self.write("nginx/nginx.conf", &text)
    }

    fn write(&self, inside: &str, text: &str) -> anyhow::Result<()> {
        let path = self.dir.join(inside);
        let says = || format!("cannot write {}", path.display());
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .with_context(says)?;
        file.write_all(text.as_bytes()).with_context(says)
    }

    fn castor(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let says = || format!("cannot run {} (see --castor)", self.castor.display());
        let mut child = Command::new(&self.castor)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(says)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that reads nothing may have closed it.
            let _ = writeln!(stdin, "{input}");
        }
        let output = child.wait_with_output().with_context(says)?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            bail!("castor {} failed: {}", arguments.join(" "), why.trim());
        }
        String::from_utf8(output.stdout).context("castor did not print text")
    }

    /// One certificate for nginx and all nodes, with all their addresses.
    fn web_certificate(&self, count: usize) -> anyhow::Result<()> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let name = "Authority of a castor-loadtest site";
        authority.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        self.write("web-ca.pem", &authority.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(authority, key);
        let mut names = vec![HOST.to_owned()];
        names.extend((FRONT..FIRST_NODE + count).map(|port| address(port).to_string()));
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
        self.write("web.pem", &certificate.pem())?;
        self.write("web.key", &key.serialize_pem())
    }

    fn configuration(&self, index: usize, seeds: usize) -> String {
        let (name, own) = (node_name(index), address(FIRST_NODE + index));
        let seeds: Vec<String> = (0..seeds)
            .map(|seed| format!("\"{}:{CLUSTER}\"", address(FIRST_NODE + seed)))
            .collect();
        let network = network(own);
        format!(
            "[node]\nname = \"{name}\"\n\n[http]\nlisten = \"{own}:{HTTP}\"\n\
             trusted_proxies = [\"{front}\"]\nrequest_id_header = \"Castor-Request-Id\"\n\n\
             [http.tls]\ncertificate = \"{web}.pem\"\nkey = \"{web}.key\"\n\n\
             [ops]\nlisten = \"{own}:{OPS}\"\nallow = [\"{network}\"]\n\
             admin_socket = \"{node}/admin.sock\"\n\n\
             [cluster]\nname = \"lab\"\nlisten = \"{own}:{CLUSTER}\"\nseeds = [{seeds}]\n\
             ca_file = \"{pki}/ca.pem\"\ncertificate = \"{node}/node.pem\"\n\
             key = \"{node}/node.key\"\nkeyring_file = \"{pki}/keyring\"\n\n\
             [authn.file]\npath = \"{users}\"\n\n[authn.throttle]\nenabled = false\n\n[services]\nfolder = \"{services}\"\n\n\
             [audit]\noutput = \"file\"\nfile = \"{node}/audit/audit.log\"\n",
            front = address(FRONT),
            web = self.path("web"),
            node = self.path(&name),
            seeds = seeds.join(", "),
            pki = self.path("pki"),
            users = self.path("users.toml"),
            services = self.path("services"),
        )
    }
}

fn network(own: Ipv4Addr) -> String {
    let [a, b, c, _] = own.octets();
    format!("{a}.{b}.{c}.0/24")
}
