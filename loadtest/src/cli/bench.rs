//! `castor-loadtest bench`: its arguments.
//!
//! Promises: rates and counts are in range before anything is asked of the cluster.
//! Does not: measure ([`crate::bench`]).

use std::path::PathBuf;

use clap::Subcommand;

use super::growth::{self, GrowthArgs};
use super::saturate::{self, CeilingArgs, ConstantArgs, LoginsArgs, SaturateArgs};
use super::{Common, close, finish, open, positive, record};
use crate::bench::{pairs, race, resend};

#[derive(Debug, Subcommand)]
pub(super) enum Bench {
    /// Issue a ticket on one node, validate it at once on another
    #[command(
        after_help = "Examples:\n  castor-loadtest bench pairs --cluster castor-demo/cluster.json --count 10000\n  castor-loadtest bench pairs --nodes --rate 200 --count 2000 --json"
    )]
    Pairs {
        #[command(flatten)]
        common: Common,
        /// Pairs to do
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
        count: u64,
        /// Workers, each with a signed-in person
        #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4096))]
        concurrency: u16,
        /// Through the front door (the default)
        #[arg(long, conflicts_with = "nodes")]
        front: bool,
        /// Straight to the nodes, every pair of nodes in turn
        #[arg(long)]
        nodes: bool,
        /// Pairs per second (open loop); as fast as possible when absent
        #[arg(long)]
        rate: Option<f64>,
        /// Every how many pairs the used ticket is tried again; 0 for never
        #[arg(long, default_value_t = 10)]
        replay_every: u64,
        /// Write down every call, for castor-loadtest check
        #[arg(long, value_name = "FILE")]
        history: Option<PathBuf>,
    },
    /// Find how much a cluster can take, and where its latency bends
    #[command(
        after_help = "Examples:\n  castor-loadtest bench saturate --cluster castor-demo/cluster.json\n  castor-loadtest bench saturate --operation issue --nodes --connections 32 --json issue.json\n  castor-loadtest bench saturate --rate 500 --time 30 --history saturate.jsonl\n  castor-loadtest bench saturate --url https://sso.example.org/cas --ca ca.pem --accounts accounts.toml \\\n      --service https://app.example.org/load --i-own-this-target"
    )]
    Saturate(SaturateArgs),
    /// Compare a cluster with bare servers that give the same answers without the work
    #[command(
        after_help = "Examples:\n  castor-loadtest bench ceiling --nginx castor-demo/nginx/nginx.conf\n  castor-loadtest bench ceiling --cluster one-node/cluster.json"
    )]
    Ceiling(CeilingArgs),
    /// Compare password logins with the bare hashing rate of the machine
    #[command(
        after_help = "Example:\n  castor-loadtest bench logins --cluster castor-demo/cluster.json --validations 500"
    )]
    Logins(LoginsArgs),
    /// Start clusters of several sizes on this machine and compare what a ticket costs them
    #[command(
        after_help = "Examples:\n  castor-loadtest bench growth --castor target/release/castor\n  castor-loadtest bench growth --nodes 1,3 --rate 500 --time 10 --json growth.json --html growth.html"
    )]
    Growth(GrowthArgs),
    /// The bare server that bench ceiling starts
    #[command(hide = true)]
    Constant(ConstantArgs),
    /// Validate the same ticket at all nodes at the same moment
    #[command(
        after_help = "Example:\n  castor-loadtest bench race --cluster castor-demo/cluster.json --count 1000"
    )]
    Race {
        #[command(flatten)]
        common: Common,
        /// Tickets to race
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
        count: u64,
        /// Races at a time
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
        concurrency: u16,
        /// Write down every call, for castor-loadtest check
        #[arg(long, value_name = "FILE")]
        history: Option<PathBuf>,
    },
    /// Send a forged request id twice through the front with one ticket
    #[command(
        after_help = "Example:\n  castor-loadtest bench resend --cluster castor-demo/cluster.json --control 100"
    )]
    Resend {
        #[command(flatten)]
        common: Common,
        /// Tickets to try
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
        count: u64,
        /// Tickets to try straight at the nodes, where the header is believed
        #[arg(long, default_value_t = 0)]
        control: u64,
        /// The header that the proxy overwrites
        #[arg(long, default_value = "Castor-Request-Id")]
        header: String,
    },
}

pub(super) async fn run(bench: Bench) -> anyhow::Result<bool> {
    match bench {
        Bench::Pairs {
            common,
            count,
            concurrency,
            nodes,
            rate,
            replay_every,
            history,
            front: _,
        } => {
            let (mut lab, environment) = open(&common)?;
            let plan = pairs::Plan {
                count,
                concurrency: usize::from(concurrency),
                route: if nodes {
                    pairs::Route::Nodes
                } else {
                    pairs::Route::Front
                },
                rate: rate.map(|rate| positive("rate", rate)).transpose()?,
                replay_every,
            };
            let recorder = record(&mut lab, history.as_deref())?;
            let outcome = pairs::run(&lab, &plan, environment).await?;
            let passed = finish(&outcome, &common.output);
            close(recorder, history.as_deref())?;
            passed
        }
        Bench::Saturate(arguments) => saturate::saturate(arguments).await,
        Bench::Ceiling(arguments) => saturate::ceiling(arguments).await,
        Bench::Logins(arguments) => saturate::logins(arguments).await,
        Bench::Growth(arguments) => growth::run(arguments).await,
        Bench::Constant(arguments) => saturate::constant(arguments).await,
        Bench::Race {
            common,
            count,
            concurrency,
            history,
        } => {
            let (mut lab, environment) = open(&common)?;
            let recorder = record(&mut lab, history.as_deref())?;
            let outcome = race::run(&lab, count, usize::from(concurrency), environment).await?;
            // A history that cannot be written keeps nobody from the result.
            let passed = finish(&outcome, &common.output);
            close(recorder, history.as_deref())?;
            passed
        }
        Bench::Resend {
            common,
            count,
            control,
            header,
        } => {
            let (lab, environment) = open(&common)?;
            finish(
                &resend::run(&lab, &header, count, control, environment).await?,
                &common.output,
            )
        }
    }
}
