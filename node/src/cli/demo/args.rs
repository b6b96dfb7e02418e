//! Arguments of `castor demo`, and what follows from them before anything is written.
//!
//! Promises: contradictions are found here. Does not: touch files or ports.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use anyhow::bail;

/// A cluster on this machine to try things with.
#[derive(Debug, Clone, clap::Args)]
#[command(
    about = "Start a cluster on this machine behind nginx, to try things with",
    after_help = "Examples:\n  castor demo\n  castor demo --nodes 5 --dir /tmp/five\n  \
                  castor demo --set tickets.tgt.idle=5m --fill 100000\n  \
                  castor demo --listen 0.0.0.0 --host sso.example.org --services ./services\n\n\
                  DIR/cluster.json describes the running cluster for scripts. A second run with \
                  the same DIR keeps keys, ports and names; remove DIR to start afresh."
)]
pub(crate) struct DemoArgs {
    /// Nodes to start; three at the first run, later as many as before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) nodes: Option<u8>,
    /// Folder for everything the demo makes
    #[arg(long, value_name = "DIR", default_value = "castor-demo")]
    pub(crate) dir: PathBuf,
    /// Address of the front door; beyond loopback the password is random and services come from
    /// --services only
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    pub(crate) listen: IpAddr,
    /// Name that people reach the front door by
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Without nginx: the nodes speak HTTPS themselves and the front door is the first node
    #[arg(long)]
    pub(crate) no_nginx: bool,
    /// HTTPS between nginx and the nodes too, verified, as between separate machines
    #[arg(long)]
    pub(crate) tls: bool,
    /// Folder with service definitions to copy into DIR/services
    #[arg(long, value_name = "FOLDER")]
    pub(crate) services: Option<PathBuf>,
    /// Users file to use beside the user casuser
    #[arg(long, value_name = "FILE")]
    pub(crate) users: Option<PathBuf>,
    /// Set a configuration key on all nodes
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Create this many synthetic sessions once the cluster is up
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) fill: Option<u64>,
}

/// Keys that the demo decides about itself, with what to use instead.
const OWN_KEYS: [(&str, &str); 18] = [
    ("node.name", ""),
    ("node.demo_folder", ""),
    ("http.listen", "use --listen for the front door"),
    ("http.prefix", ""),
    ("http.tls.certificate", "use --tls"),
    ("http.tls.key", "use --tls"),
    ("ops.listen", ""),
    ("ops.admin_socket", ""),
    ("cluster.name", ""),
    ("cluster.listen", ""),
    ("cluster.advertise", ""),
    ("cluster.seeds", "use --nodes"),
    ("cluster.ca_file", ""),
    ("cluster.certificate", ""),
    ("cluster.key", ""),
    ("cluster.keyring_file", ""),
    ("authn.file.path", "use --users"),
    ("services.folder", "use --services"),
];

impl DemoArgs {
    /// Checks what arguments alone can show.
    ///
    /// # Errors
    /// One line with the argument and the remedy.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for set in &self.set {
            let key = set.split('=').next().unwrap_or_default().trim();
            if let Some((key, instead)) = OWN_KEYS.iter().find(|(own, _)| *own == key) {
                let instead = if instead.is_empty() {
                    "leave it out"
                } else {
                    instead
                };
                bail!("--set {key}: the demo sets this key itself; {instead}");
            }
        }
        if let Some(host) = &self.host
            && !is_host_name(host)
        {
            bail!("--host {host:?}: give a host name or an address, without port or scheme");
        }
        if !self.is_local() && self.host.is_none() && self.listen.is_unspecified() {
            bail!(
                "--listen {}: give --host too, the name that people reach this machine by",
                self.listen
            );
        }
        Ok(())
    }

    /// Whether the front door is on loopback only.
    pub(super) fn is_local(&self) -> bool {
        self.listen.is_loopback()
    }

    /// The name in the front door's URL and certificate.
    pub(super) fn host_name(&self) -> String {
        match &self.host {
            Some(host) => host.clone(),
            None if self.listen == IpAddr::V4(Ipv4Addr::LOCALHOST) => "localhost".to_owned(),
            None => self.listen.to_string(),
        }
    }

    /// The same as a URL has it: an IPv6 address in brackets.
    pub(super) fn host_in_url(&self) -> String {
        let host = self.host_name();
        match host.parse::<IpAddr>() {
            Ok(IpAddr::V6(six)) => format!("[{six}]"),
            _ => host,
        }
    }

    /// Whether the nodes speak HTTPS themselves.
    pub(super) fn nodes_speak_tls(&self) -> bool {
        self.tls || self.no_nginx
    }
}

fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.len() <= 253 && (host.parse::<IpAddr>().is_ok() || host.split('.').all(label))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        demo: DemoArgs,
    }

    fn check(arguments: &[&str]) -> Result<(), String> {
        let all = std::iter::once(&"demo").chain(arguments);
        let program = Program::try_parse_from(all).map_err(|error| error.to_string())?;
        program.demo.check().map_err(|error| error.to_string())
    }

    #[test]
    fn contradictions_are_found_before_anything_is_written() {
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&["--set", "tickets.st.life=20s"]), Ok(()));
        assert_eq!(
            check(&["--listen", "0.0.0.0", "--host", "sso.example.org"]),
            Ok(())
        );
        for (arguments, part) in [
            (&["--set", "node.name=x"][..], "leave it out"),
            (&["--set", "services.folder = x"], "--services"),
            (&["--listen", "0.0.0.0"], "--host"),
            (&["--host", "https://x"], "without port or scheme"),
            (&["--nodes", "0"], "0"),
            (&["--listen", "localhost"], "localhost"),
        ] {
            let error = check(arguments).unwrap_err();
            assert!(error.contains(part), "{arguments:?}: {error}");
        }
    }
}
