//! Which server is asked: by its URL, or as a running cluster describes itself; and who signs in there.
//!
//! Promises: a file that is not given is never needed; the front door's URL was looked at ([`may_load`]).
//! Does not: ask the server anything.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::cluster::Cluster;
use crate::swarm::accounts::{self, Account};
use crate::whose::may_load;

/// Authorities of the system, in the order they are looked for.
const SYSTEM_AUTHORITIES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// What somebody says about a server.
#[derive(Debug, Clone, Default)]
pub struct Whom {
    /// URL of the server with its context path; the cluster's front door when absent.
    pub url: Option<String>,
    /// Description of a running cluster: front door, authority, nodes and their processes.
    pub cluster: Option<PathBuf>,
    /// Authorities to trust.
    pub ca: Option<PathBuf>,
    /// Accounts; the cluster's one when absent.
    pub accounts: Option<PathBuf>,
    /// Whether a target beyond this machine is theirs who ask.
    pub mine: bool,
}

impl Whom {
    /// The server as a cluster, and who signs in there: one account at least.
    ///
    /// # Errors
    /// When a file cannot be used, nobody can sign in, or the server is on another machine and nobody says whose
    /// it is.
    pub fn open(&self) -> anyhow::Result<(Cluster, Vec<Account>)> {
        let mut cluster = match (&self.cluster, &self.url) {
            (Some(file), _) => Cluster::read(file)?,
            (None, Some(url)) => Cluster::at(url)?,
            (None, None) => bail!("say where the server is: --url URL or --cluster FILE"),
        };
        if let (Some(url), Some(_)) = (&self.url, &self.cluster) {
            cluster.front = Cluster::at(url)?.front;
        }
        if let Some(ca) = &self.ca {
            cluster.ca_file = Some(ca.clone());
        }
        if cluster.ca_file.is_none() && cluster.front.starts_with("https:") {
            let mut found = SYSTEM_AUTHORITIES.iter().map(Path::new);
            cluster.ca_file = found.find(|file| file.exists()).map(Path::to_owned);
        }
        let accounts = match &self.accounts {
            Some(file) => accounts::read(file).context("--accounts")?,
            None if cluster.username.is_empty() => {
                bail!("say who signs in: --accounts FILE, see loadtest/scenarios/accounts.toml")
            }
            None => vec![Account::new(&cluster.username, &cluster.password)],
        };
        let nodes = cluster.nodes.iter().map(|node| &node.url);
        for url in std::iter::once(&cluster.front).chain(nodes) {
            may_load(url, self.mine)?;
        }
        Ok((cluster, accounts))
    }

    /// The server with the first account as the one that signs in.
    ///
    /// # Errors
    /// As [`Whom::open`].
    pub fn with_one_account(&self) -> anyhow::Result<Cluster> {
        let (mut cluster, accounts) = self.open()?;
        let account = accounts.first().context("--accounts: there is none")?;
        cluster.username.clone_from(&account.user);
        cluster.password = account.password(false);
        if self.accounts.is_some() {
            cluster.principal.clone_from(&account.principal);
        }
        Ok(cluster)
    }
}
