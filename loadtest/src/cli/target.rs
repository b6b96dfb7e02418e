//! Arguments that say which server is asked, whom a population talks to, and where its record goes.
//!
//! Promises: in range before anything is asked of the target. Does not: run anything.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Usage;
use super::output::Output;
use crate::history::{Header, Recorder};
use crate::run::Run;
use crate::server::Whom;
use crate::swarm::addresses::Addresses;
use crate::swarm::target::{Options, Target};

/// Any CAS server, and who signs in there.
#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// The server, with its context path, such as `https://sso.example.org/cas`
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// PEM file of the authorities to trust; those of the cluster, or else of the system, when absent
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// TOML file with the accounts that sign in; the cluster's one when absent
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,
}

impl ServerArgs {
    /// What was said, with the description of a cluster.
    pub(super) fn whom(&self, cluster: Option<PathBuf>, mine: bool) -> Whom {
        Whom {
            url: self.url.clone(),
            cluster,
            ca: self.ca.clone(),
            accounts: self.accounts.clone(),
            mine,
        }
    }

    /// Whether a URL was given.
    pub(super) fn has_url(&self) -> bool {
        self.url.is_some()
    }
}

#[derive(Debug, Args)]
pub(super) struct TargetArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// A running cluster as castor demo describes it: front door, authority, nodes, an account
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    /// Service URLs to ask tickets for, registered at the server; n in braces becomes a number
    #[arg(long, default_value = "http://127.0.0.1/castor-loadtest/app{n}")]
    service: String,
    /// URL of an application that is registered and for nobody of the accounts; the scenario new_school asks for it
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1/castor-loadtest-refused"
    )]
    refused_service: String,
    /// Seconds a request may take
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    /// Addresses that people come from, FIRST-LAST, or any; on loopback 127.0.1.1-127.0.1.250
    #[arg(long, value_name = "RANGE")]
    browsers_from: Option<Addresses>,
    /// Addresses that applications come from; on loopback 127.0.2.1-127.0.2.250
    #[arg(long, value_name = "RANGE")]
    applications_from: Option<Addresses>,
    /// A node where old tickets are tried again; may be repeated. The cluster's nodes when absent
    #[arg(long, value_name = "URL")]
    node: Vec<String>,
    /// A process of the server on this machine, whose processor time is measured; may be repeated
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
    /// A Prometheus page of the server, for the same; may be repeated
    #[arg(long, value_name = "URL")]
    metrics: Vec<String>,
    /// Version of the protocol by which applications validate
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=3))]
    protocol: u8,
    /// Share of used tickets that are tried again, at the nodes in turn; each must be refused
    #[arg(long, value_name = "SHARE", default_value_t = 0.02)]
    replay: f64,
    /// Load a server that is not on this machine: it is mine to load
    #[arg(long)]
    i_own_this_target: bool,
}

#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    #[command(flatten)]
    output: Output,
    /// Write down every call, for castor-loadtest check
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

impl TargetArgs {
    /// Share of used tickets that are tried again.
    pub(super) fn replay(&self) -> anyhow::Result<f64> {
        if (0.0..=1.0).contains(&self.replay) {
            return Ok(self.replay);
        }
        Err(Usage(anyhow::anyhow!("--replay must be 0 to 1")).into())
    }

    /// The target, when the files can be used and it may be loaded.
    pub(super) fn open(&self, services: u16) -> anyhow::Result<Target> {
        let mut options = Options {
            whom: self
                .server
                .whom(self.cluster.clone(), self.i_own_this_target),
            service: self.service.clone(),
            timeout: Duration::from_secs(self.timeout),
            browsers: self.browsers_from.unwrap_or(Addresses::Any),
            applications: self.applications_from.unwrap_or(Addresses::Any),
            refused: self.refused_service.clone(),
            nodes: self.node.clone(),
            pids: self.pid.clone(),
            metrics: self.metrics.clone(),
            protocol: self.protocol,
        };
        if !self.i_own_this_target {
            // Then everything is on loopback, where there are addresses enough.
            let range = |given: Option<Addresses>, net: u8| {
                given.unwrap_or(Addresses::Range(
                    [127, 0, net, 1].into(),
                    [127, 0, net, 250].into(),
                ))
            };
            options.browsers = range(self.browsers_from, 1);
            options.applications = range(self.applications_from, 2);
        }
        Ok(Target::open(&options, usize::from(services)).map_err(Usage)?)
    }
}

impl OutputArgs {
    /// Starts the history, when one is wanted.
    pub(super) fn start(&self, target: &mut Target) -> anyhow::Result<Option<Recorder>> {
        let Some(file) = &self.history else {
            return Ok(None);
        };
        let recorder =
            Recorder::create(file, &target.lab.cluster, Header::default()).map_err(Usage)?;
        target.lab.history = recorder.history();
        Ok(Some(recorder))
    }

    /// Ends the history, shows the record and writes it; whether the run passed. A file that cannot be
    /// written does not keep the other from being written, nor the result from being shown.
    pub(super) fn finish(&self, run: &Run, history: Option<Recorder>) -> anyhow::Result<bool> {
        let passed = self.output.finish(run);
        super::close(history, self.history.as_deref())?;
        passed
    }
}
