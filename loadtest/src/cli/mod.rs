//! Arguments and exit codes: 0 everything right, 1 something wrong, 2 wrong usage or files,
//! 3 the server was not fit for the run before it began.
//!
//! The rooms: [`mod@bench`], [`faults`] (and [`site`], its other form), [`check`], [`swarm`] and
//! [`trials`] (with [`target`], what both ask for), [`compare`] and [`report`];
//! [`output`] is what all do with the record of a run, [`time`] reads durations.
//!
//! Promises: standard output carries the result only; progress goes to standard error.
//! Does not: measure.

mod bench;
mod check;
mod compare;
mod faults;
mod growth;
mod output;
mod report;
mod saturate;
mod site;
mod swarm;
mod target;
mod time;
mod trials;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::bench::{Details, Outcome};
use crate::check::BadHistory;
use crate::environment::Environment;
use crate::history::{Header, Recorder};
use crate::lab::{Lab, Unhealthy};
use crate::server::Whom;
use crate::stop::Stop;
use crate::{clock, progress::say};
use output::Output;

/// Where castor demo puts the description of its cluster.
const CLUSTER: &str = "castor-demo/cluster.json";

/// Load, faults and judgement for a CAS cluster: every answer is judged.
#[derive(Debug, Parser)]
#[command(name = "castor-loadtest", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure a healthy cluster
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Break a cluster under load: one of its own, or kill and stop nodes of a running one
    Faults(Box<faults::FaultsArgs>),
    /// Judge the history of a run: is every promise kept?
    Check(check::CheckArgs),
    /// Let a population of users live at a CAS server: they sign in, visit applications, die and are born again
    Swarm(Box<swarm::SwarmArgs>),
    /// Compare the events that a population saw with the audit record of the server
    Compare(compare::CompareArgs),
    /// Repeat the six trials of Lafayette College and print their tables beside what is measured
    Trials(Box<trials::TrialsArgs>),
    /// Turn records of runs into a page with plots, or into Markdown
    Report(report::ReportArgs),
}

#[derive(Debug, Args)]
struct Common {
    /// Description of the running cluster, as castor demo writes it
    #[arg(long, value_name = "FILE", default_value = CLUSTER)]
    cluster: PathBuf,
    /// Service URLs to ask tickets for; the n in braces becomes a number
    #[arg(long, default_value = "http://127.0.0.1/castor-loadtest/app{n}")]
    service: String,
    /// How many different services
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    services: u16,
    /// Seconds a request may take
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    timeout: u64,
    /// Seed of random choices; a fresh one when absent
    #[arg(long)]
    seed: Option<u64>,
    /// Load a cluster that is not on this machine: it is mine to load
    #[arg(long)]
    i_own_this_target: bool,
    #[command(flatten)]
    output: Output,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let command = match cli.command {
        Command::Faults(arguments) => match *arguments {
            faults::FaultsArgs {
                site: Some(site),
                output,
                ..
            } => return done(site::run(&site, &output)),
            other => Command::Faults(Box::new(other)),
        },
        other => other,
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("castor-loadtest: no runtime: {error}"));
            return ExitCode::from(1);
        }
    };
    let result = runtime.block_on(async {
        match command {
            Command::Bench(command) => bench::run(command).await,
            Command::Faults(arguments) => match arguments.running {
                Some(command) => faults::run(command).await,
                None => Err(Usage(anyhow::anyhow!("faults needs a name: see --help")).into()),
            },
            Command::Check(arguments) => check::run(&arguments),
            Command::Swarm(arguments) => swarm::run(*arguments).await,
            Command::Compare(arguments) => compare::run(&arguments),
            Command::Trials(arguments) => trials::run(*arguments).await,
            Command::Report(arguments) => report::run(&arguments),
        }
    });
    done(result)
}

fn done(result: anyhow::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            say(&format!("castor-loadtest: {error:#}"));
            ExitCode::from(code_of(&error))
        }
    }
}

/// A file or an argument that cannot be used.
#[derive(Debug)]
struct Usage(anyhow::Error);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for Usage {}

fn code_of(error: &anyhow::Error) -> u8 {
    if error.is::<Usage>() || error.is::<BadHistory>() {
        2
    } else if error.is::<Unhealthy>() {
        3
    } else {
        1
    }
}

fn open(common: &Common) -> anyhow::Result<(Lab, Environment)> {
    let whom = Whom {
        cluster: Some(common.cluster.clone()),
        mine: common.i_own_this_target,
        ..Whom::default()
    };
    open_at(common, &whom)
}

/// As [`open`], of the server that `whom` says.
fn open_at(common: &Common, whom: &Whom) -> anyhow::Result<(Lab, Environment)> {
    let timeout = Duration::from_secs(common.timeout.clamp(1, 600));
    let services = usize::from(common.services);
    let cluster = whom.with_one_account().map_err(Usage)?;
    let mut lab = Lab::of(cluster, timeout, &common.service, services).map_err(Usage)?;
    lab.stop = Stop::on_signals()?;
    let seed = common.seed.unwrap_or_else(clock::fresh_seed);
    Ok((lab, Environment::find(seed)))
}

fn positive(name: &str, rate: f64) -> anyhow::Result<f64> {
    if rate.is_finite() && rate > 0.0 && rate <= 1e6 {
        return Ok(rate);
    }
    Err(Usage(anyhow::anyhow!(
        "--{name} must be above 0 and at most 1000000"
    ))
    .into())
}

fn finish<D: Details>(outcome: &Outcome<D>, output: &Output) -> anyhow::Result<bool> {
    let record = outcome.record();
    outcome.print(&record, output.prints_json())?;
    output.write(&record)?;
    Ok(record.verdict.passed())
}

/// Records the calls of `lab` in `file`, when one was given.
fn record(lab: &mut Lab, file: Option<&Path>) -> anyhow::Result<Option<Recorder>> {
    let Some(file) = file else {
        return Ok(None);
    };
    let recorder = Recorder::create(file, &lab.cluster, Header::default()).map_err(Usage)?;
    lab.history = recorder.history();
    Ok(Some(recorder))
}

/// Ends a history and says where it is.
fn close(recorder: Option<Recorder>, file: Option<&Path>) -> anyhow::Result<()> {
    let (Some(recorder), Some(file)) = (recorder, file) else {
        return Ok(());
    };
    let written = recorder.close()?;
    say(&format!(
        "history: {} lines; the queue was full {} times; castor-loadtest check {}",
        written.lines,
        written.stalls,
        file.display()
    ));
    Ok(())
}
