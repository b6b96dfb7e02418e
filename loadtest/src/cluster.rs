//! Reads the description of a running cluster (`cluster.json`), as `castor demo` writes it.
//!
//! Promises: every field that is used is checked, and an error names the file and the field.
//! Does not: start, stop or judge anything.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use http::Uri;
use serde::Deserialize;

/// A running cluster behind its front door.
#[derive(Clone, Deserialize)]
pub struct Cluster {
    /// URL of the front door, with the context path (`/cas`), without a slash at the end.
    pub front: String,
    /// A user who may sign in.
    pub username: String,
    /// That user's password.
    pub password: String,
    /// What applications must learn as the user; `username` when absent.
    #[serde(default)]
    pub principal: Option<String>,
    /// A password that must be refused.
    #[serde(default)]
    pub wrong_password: String,
    /// URL of the small application, when there is one.
    #[serde(default)]
    pub app: Option<String>,
    /// PEM file of the certificate authority behind the HTTPS URLs.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The nodes, in the order of their names.
    pub nodes: Vec<Node>,
}

/// One node of the cluster.
#[derive(Debug, Clone, Deserialize)]
pub struct Node {
    /// Stable name of the node.
    pub name: String,
    /// URL of the node itself, with the context path.
    pub url: String,
    /// URL of its operations listener (`/ready`, `/metrics`); empty for a server that has none.
    #[serde(default)]
    pub ops_url: String,
    /// Its Unix socket for administration.
    #[serde(default)]
    pub admin_socket: Option<PathBuf>,
    /// Process id; 0, null or absent when it does not run.
    #[serde(default, deserialize_with = "zero_for_null")]
    pub pid: u32,
    /// Configuration file that starts the node again.
    #[serde(default)]
    pub config: Option<PathBuf>,
}

fn zero_for_null<'de, D: serde::Deserializer<'de>>(pid: D) -> Result<u32, D::Error> {
    Ok(Option::deserialize(pid)?.unwrap_or_default())
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("front", &self.front)
            .field("username", &self.username)
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Reads and checks `file`.
    ///
    /// # Errors
    /// When the file cannot be read, is not JSON of this shape, or names a URL that cannot be used.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| {
            format!(
                "cannot read {}: is the cluster up (castor demo)?",
                file.display()
            )
        })?;
        let mut cluster: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} does not describe a cluster", file.display()))?;
        cluster
            .check()
            .with_context(|| format!("in {}", file.display()))?;
        Ok(cluster)
    }

    /// A server of which nothing but its URL is known.
    ///
    /// # Errors
    /// When `url` cannot be used.
    pub fn at(url: &str) -> anyhow::Result<Self> {
        let mut front = url.to_owned();
        trim_url("url", &mut front)?;
        Ok(Self {
            front,
            username: String::new(),
            password: String::new(),
            principal: None,
            wrong_password: String::new(),
            app: None,
            ca_file: None,
            nodes: Vec::new(),
        })
    }

    /// What applications must learn as the user.
    pub fn principal(&self) -> &str {
        self.principal.as_deref().unwrap_or(&self.username)
    }

    fn check(&mut self) -> anyhow::Result<()> {
        trim_url("front", &mut self.front)?;
        if self.nodes.is_empty() {
            bail!("nodes: there is none");
        }
        for node in &mut self.nodes {
            trim_url("nodes.url", &mut node.url)?;
            if !node.ops_url.is_empty() {
                trim_url("nodes.ops_url", &mut node.ops_url)?;
            }
        }
        Ok(())
    }

    /// The node at `index`, counted round robin.
    ///
    /// # Panics
    /// Never for a cluster that was read: `check` refuses one without nodes. One from [`Cluster::at`] has none.
    pub fn node(&self, index: usize) -> &Node {
        &self.nodes[index % self.nodes.len()]
    }
}

fn trim_url(field: &str, url: &mut String) -> anyhow::Result<()> {
    while url.ends_with('/') {
        url.pop();
    }
    let parsed: Uri = url
        .parse()
        .with_context(|| format!("{field}: {url:?} is not a URL"))?;
    match (parsed.scheme_str(), parsed.host()) {
        (Some("http" | "https"), Some(_)) => Ok(()),
        _ => bail!("{field}: {url:?} must be an http or https URL with a host"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Cluster> {
        let mut cluster: Cluster = serde_json::from_str(text)?;
        cluster.check()?;
        Ok(cluster)
    }

    #[test]
    fn reads_what_the_demo_writes_and_hides_the_password() {
        let cluster = parse(
            r#"{"front":"https://localhost:8443/cas/","username":"casuser","password":"secret-word",
            "wrong_password":"x","app":"http://127.0.0.1:1/","ca_file":"/d/ca.pem","nodes":[
            {"name":"node1","url":"http://127.0.0.1:2/cas","ops_url":"http://127.0.0.1:3",
             "admin_socket":"/d/admin.sock","pid":7,"config":"/d/castor.toml"}]}"#,
        )
        .unwrap();
        assert_eq!(cluster.front, "https://localhost:8443/cas");
        assert_eq!(cluster.node(5).name, "node1");
        assert!(!format!("{cluster:?}").contains("secret-word"));
    }

    #[test]
    fn says_which_field_is_wrong() {
        let error = parse(r#"{"front":"ftp://x/cas","username":"u","password":"p","nodes":[]}"#)
            .unwrap_err();
        assert!(error.to_string().starts_with("front:"), "{error}");
        let error = parse(r#"{"front":"http://x/cas","username":"u","password":"p","nodes":[]}"#)
            .unwrap_err();
        assert!(error.to_string().starts_with("nodes:"), "{error}");
    }
}
