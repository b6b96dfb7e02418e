//! `castor-loadtest bench growth`: its arguments.
//!
//! Promises: in range before anything is started. Does not: measure ([`crate::bench::growth`]).

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::output::Output;
use super::positive;
use crate::bench::growth::{self, Settings};
use crate::clock;
use crate::environment::Environment;
use crate::stop::Stop;

#[derive(Debug, Args)]
pub(super) struct GrowthArgs {
    /// The castor program whose demo is started
    #[arg(long, value_name = "FILE", default_value = "target/release/castor")]
    castor: PathBuf,
    /// Sizes of clusters, one after the other
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "1,3,5,9", value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: Vec<u8>,
    /// Tickets per second, the same for all sizes
    #[arg(long, value_name = "PER SECOND", default_value_t = 300.0)]
    rate: f64,
    /// Connections, each with one request under way at a time
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// Seconds of each measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    time: u64,
    /// Rounds of all sizes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Folder within which the clusters get a new one, removed at the end
    #[arg(long, value_name = "DIR", default_value = "castor-growth")]
    folder: PathBuf,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(arguments: GrowthArgs) -> anyhow::Result<bool> {
    let settings = Settings {
        castor: std::path::absolute(&arguments.castor)?,
        folder: std::path::absolute(&arguments.folder)?,
        nodes: arguments.nodes.into_iter().map(usize::from).collect(),
        rate: positive("rate", arguments.rate)?,
        connections: usize::from(arguments.connections),
        time: Duration::from_secs(arguments.time),
        rounds: arguments.rounds,
    };
    let stop = Stop::on_signals()?;
    // Nothing is drawn at random; the record has a seed all the same.
    let environment = Environment::find(clock::fresh_seed());
    let mut run = growth::run(&settings, &stop, environment).await?;
    run.must_be_judged();
    run.bound();
    arguments.output.finish(&run)
}
