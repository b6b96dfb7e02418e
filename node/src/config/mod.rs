//! The configuration: one TOML file, environment variables, `--set`.
//!
//! [`load`] reads, merges and checks everything and tells all that is wrong, one line each, before
//! anything is bound. The sections (one file each) are the only list of keys: the parser, the
//! reference and `config show` are made from them. What lies in the files that the configuration
//! names (certificates, users, definitions) is checked by the rooms that use them.

mod audit;
mod authn;
mod cluster;
mod http;
mod live;
mod log;
mod logout;
mod node;
mod ops;
mod outbound;
pub mod reference;
mod saml;
pub mod schema;
mod services;
pub mod source;
mod tickets;
pub mod types;
mod validation;
pub mod value;
mod web;

use std::path::PathBuf;

pub use audit::Audit;
pub use authn::{Authn, AuthnFile, AuthnPassword, AuthnThrottle};
pub use cluster::Cluster;
pub use http::{Http, HttpTls};
pub use live::Live;
pub use log::Log;
pub use logout::Logout;
pub use node::Node;
pub use ops::Ops;
pub use outbound::{HostSuffix, Outbound, ProxyUrl};
pub use saml::Saml;
pub use services::Services;
pub use source::Sources;
pub use tickets::{Tickets, TicketsRememberMe, TicketsSt, TicketsTgt};
pub use types::{ByteSize, Cidr, Listen, Period};
pub use validation::Validation;
pub use web::{Web, WebCookie};

#[cfg(test)]
mod tests;

use schema::{Problem, Reader, Resolved, Section, SectionSpec, section};

/// Where the configuration is when `--config` does not say otherwise.
pub const DEFAULT_FILE: &str = "/etc/castor/castor.toml";

/// The administration socket, when nothing else is said.
pub const DEFAULT_ADMIN_SOCKET: &str = "/run/castor/admin.sock";

section! {
    /// Everything that can be configured.
    pub struct Config("") {
    }
    sections {
        /// Who this node is.
        node: Node,
        /// The listener for people and applications.
        http: Http,
        /// The listeners for operators.
        ops: Ops,
        /// The other nodes.
        cluster: Cluster,
        /// Lifetimes and limits.
        tickets: Tickets,
        /// How people prove who they are.
        authn: Authn,
        /// Which applications may ask.
        services: Services,
        /// What happens after signing out.
        logout: Logout,
        /// Requests to applications.
        outbound: Outbound,
        /// What answers to validations look like.
        validation: Validation,
        /// What SAML answers say.
        saml: Saml,
        /// What people see.
        web: Web,
        /// The record of who did what.
        audit: Audit,
        /// What the node says about itself.
        log: Log,
    }
}

/// A configuration that passed every check, and where each value came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Every key with its value and origin, in the order of the reference.
    pub resolved: Vec<Resolved>,
    /// The keys of secrets, each with the file that holds it: one of its own, or the configuration.
    pub secret_files: Vec<(String, PathBuf)>,
    /// What it was made from; loading it again reads the file anew.
    pub sources: Sources,
}

/// What is wrong with a configuration, one line for each problem.
#[derive(Clone, Debug, thiserror::Error)]
pub struct ConfigError {
    /// The problems, in the order of the file and then of the reference.
    pub problems: Vec<Problem>,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, Problem(line)) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(line)?;
        }
        Ok(())
    }
}

impl Config {
    /// Every key set to its default, as an empty file would give.
    ///
    /// # Errors
    ///
    /// When a built-in default does not pass its own check, which the tests rule out.
    pub fn defaults() -> Result<Self, ConfigError> {
        load(&Sources::default()).map(|loaded| loaded.config)
    }

    fn check(&self, reader: &mut Reader<'_>) {
        if let Err(says) = self.node.resolved_name() {
            reader.note_key("node.name", &says);
        }
        self.http.check(reader);
        self.ops.check(reader);
        self.cluster.check(reader);
        self.authn.throttle.check(reader);
        self.tickets.check(reader);
        self.logout.check(reader);
        self.outbound.check(reader);
        self.audit.check(reader);
    }
}

/// Every section with its keys, in the order of the reference.
pub fn sections() -> Vec<SectionSpec> {
    let mut out = Vec::new();
    Config::describe(&mut out);
    out.retain(|section| !section.keys.is_empty());
    out
}

fn known_keys() -> Vec<String> {
    let mut known = Vec::new();
    for spec in sections().into_iter().flat_map(|section| section.keys) {
        if spec.secret {
            known.push(format!("{}_file", spec.key));
        }
        known.push(spec.key);
    }
    known
}

/// Reads, merges and checks a configuration.
///
/// # Errors
///
/// Every problem found, each one line that names the place, the key and the remedy.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    match sources.read() {
        Ok(text) => load_text(sources, &text),
        Err(unreadable) => {
            // What else is wrong is told in the same go.
            let others = load_text(sources, "").err().map(|error| error.problems);
            let problems = [vec![unreadable], others.unwrap_or_default()].concat();
            Err(ConfigError { problems })
        }
    }
}

/// Merges and checks a configuration whose file says `text`. What it names beside that, such as the
/// file of a secret, is read.
///
/// # Errors
///
/// As [`load`].
pub fn load_text(sources: &Sources, text: &str) -> Result<Loaded, ConfigError> {
    let (entries, mut problems) = sources.merge(text, &known_keys());
    let mut reader = Reader::new(&entries, sources.file.as_deref());
    let config = Config::read(&mut reader);
    if let Some(config) = &config {
        config.check(&mut reader);
    }
    problems.append(&mut reader.problems);
    let (resolved, secret_files) = (reader.resolved, reader.secret_files);
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded {
            config,
            resolved,
            secret_files,
            sources: sources.clone(),
        }),
        _ => Err(ConfigError { problems }),
    }
}
