//! `castor-loadtest bench saturate|ceiling|logins|constant`: their arguments.
//!
//! Promises: nobody's server but one's own is put under load by mistake: what is not on loopback
//! needs `--i-own-this-target`; the record is written also when the run was interrupted.
//! Does not: measure ([`crate::bench`]).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use clap::Args;

use super::target::ServerArgs;
use super::{CLUSTER, Common, Usage, close, open, open_at, positive, record};
use crate::bench::load::Operation;
use crate::bench::load::target::Way;
use crate::bench::usage::{self, Group};
use crate::bench::{Bed, ceiling, constant, hashing, saturate};
use crate::lab::Lab;
use crate::run::Run;
use crate::server::Whom;
use crate::stop::Stop;

/// What the commands here share.
#[derive(Debug, Args)]
pub(super) struct Load {
    #[command(flatten)]
    common: Common,
    /// Connections, each with one request under way at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// Seconds of each measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    time: u64,
    /// Every how many tickets the used ticket is tried again and must be refused; 0 for never
    #[arg(long, default_value_t = 100)]
    replay_every: u64,
}

#[derive(Debug, Args)]
pub(super) struct SaturateArgs {
    #[command(flatten)]
    load: Load,
    /// What is asked again and again
    #[arg(long, value_enum, default_value_t = Operation::Pair)]
    operation: Operation,
    /// Straight to the nodes: tickets at one, validations at the next
    #[arg(long)]
    nodes: bool,
    /// Only this many operations per second, instead of as many as can be and then rising rates
    #[arg(long)]
    rate: Option<f64>,
    #[command(flatten)]
    server: ServerArgs,
    /// Write down every call, for castor-loadtest check
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

impl SaturateArgs {
    /// The server: a URL needs no description of a cluster, unless one is named.
    fn whom(&self) -> anyhow::Result<Whom> {
        let common = &self.load.common;
        let named = common.cluster != Path::new(CLUSTER);
        let cluster = (named || !self.server.has_url()).then(|| common.cluster.clone());
        if self.nodes && cluster.is_none() {
            bail!("--nodes needs to know the nodes: give a --cluster FILE that names them");
        }
        Ok(self.server.whom(cluster, common.i_own_this_target))
    }
}

#[derive(Debug, Args)]
pub(super) struct CeilingArgs {
    #[command(flatten)]
    load: Load,
    /// Configuration of the nginx before the cluster; without it the first node is asked straight
    #[arg(long, value_name = "FILE")]
    nginx: Option<PathBuf>,
    /// Rounds for each side, in turn
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Folder within which the files of the constant servers get a new one, removed at the end
    #[arg(long, value_name = "DIR", default_value = "castor-ceiling")]
    folder: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct LoginsArgs {
    #[command(flatten)]
    load: Load,
    /// Cost of the user's Argon2id hash: KiB of memory, passes, lanes
    #[arg(long, value_name = "M,T,P", default_value = "19456,2,1", value_parser = cost)]
    cost: (u32, u32, u32),
    /// Validations per second beside the logins
    #[arg(long, default_value_t = 500.0)]
    validations: f64,
    /// Sign-ins under way at a time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    logins: u16,
}

#[derive(Debug, Args)]
pub(super) struct ConstantArgs {
    /// The answers, as bench ceiling writes them
    #[arg(long, value_name = "FILE")]
    answers: PathBuf,
    /// Address
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddr,
}

fn cost(text: &str) -> Result<(u32, u32, u32), String> {
    let parts: Result<Vec<u32>, _> = text.split(',').map(str::parse).collect();
    match parts.as_deref() {
        Ok([memory, passes, lanes]) => Ok((*memory, *passes, *lanes)),
        _ => Err("three numbers, such as 19456,2,1".to_owned()),
    }
}

/// Opens the target and finds whose processor time is counted.
fn ready(load: &Load) -> anyhow::Result<Bed> {
    let (lab, environment) = open(&load.common)?;
    Ok(Bed {
        groups: groups(&lab, Some(&load.common.cluster)),
        lab,
        environment,
    })
}

/// This program, the nodes as far as they run here, and the nginx of a demo beside their description.
fn groups(lab: &Lab, cluster: Option<&Path>) -> Vec<Group> {
    let mut groups = vec![usage::own()];
    let servers = Group::new("servers", lab.cluster.nodes.iter().map(|node| node.pid));
    if !servers.pids.is_empty() {
        groups.push(servers);
    }
    let nginx = cluster.map(|file| file.with_file_name("nginx/nginx.conf"));
    if let Some(Ok(pid)) = nginx.map(|file| ceiling::nginx_pid(&file)) {
        groups.push(Group::tree("nginx", pid));
    }
    groups
}

pub(super) async fn saturate(arguments: SaturateArgs) -> anyhow::Result<bool> {
    let load = &arguments.load;
    let rate = arguments.rate.map(|rate| positive("rate", rate));
    let whom = arguments.whom().map_err(Usage)?;
    let (mut lab, environment) = open_at(&load.common, &whom)?;
    let recorder = record(&mut lab, arguments.history.as_deref())?;
    let bed = Bed {
        groups: groups(&lab, whom.cluster.as_deref()),
        lab,
        environment,
    };
    let settings = saturate::Settings {
        operation: arguments.operation,
        way: if arguments.nodes {
            Way::Nodes
        } else {
            Way::Front
        },
        connections: usize::from(load.connections),
        rate: rate.transpose()?,
        time: Duration::from_secs(load.time),
        replay_every: load.replay_every,
    };
    let run = saturate::run(&bed, &settings).await?;
    let passed = end(run, load);
    close(recorder, arguments.history.as_deref())?;
    passed
}

pub(super) async fn ceiling(arguments: CeilingArgs) -> anyhow::Result<bool> {
    let load = &arguments.load;
    let bed = ready(load)?;
    let settings = ceiling::Settings {
        nginx: arguments.nginx,
        folder: std::path::absolute(&arguments.folder)?,
        connections: usize::from(load.connections),
        time: Duration::from_secs(load.time),
        rounds: arguments.rounds,
        replay_every: load.replay_every,
    };
    let run = ceiling::run(&bed, &settings).await?;
    end(run, load)
}

pub(super) async fn logins(arguments: LoginsArgs) -> anyhow::Result<bool> {
    let load = &arguments.load;
    let bed = ready(load)?;
    let settings = hashing::Settings {
        cost: arguments.cost,
        connections: usize::from(arguments.logins),
        validations: positive("validations", arguments.validations)?,
        time: Duration::from_secs(load.time),
    };
    let run = hashing::run(&bed, &settings).await?;
    end(run, load)
}

pub(super) async fn constant(arguments: ConstantArgs) -> anyhow::Result<bool> {
    let stop = Stop::on_signals()?;
    constant::serve(&arguments.answers, arguments.listen, &stop).await?;
    Ok(true)
}

fn end(mut run: Run, load: &Load) -> anyhow::Result<bool> {
    run.must_be_judged();
    run.bound();
    load.common.output.finish(&run)
}
