//! Arguments and exit codes: 0 everything right, 1 something wrong, 2 wrong usage or files,
//! 3 the cluster was not healthy before the run began.
//!
//! Promises: standard output carries the result only; progress goes to standard error.
//! Does not: measure.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::bench::{Outcome, pairs, race, resend};
use crate::environment::Environment;
use crate::faults::{self, report::Report};
use crate::lab::{Lab, Unhealthy};
use crate::{clock, progress::say};

const LATER: &str = "Not there yet: swarm, trials, check, report.";

/// Load, faults and judgement for a CAS cluster: every answer is judged.
#[derive(Debug, Parser)]
#[command(name = "castor-loadtest", version, after_help = LATER)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure a healthy cluster
    #[command(subcommand)]
    Bench(Bench),
    /// Kill or stop nodes under load
    #[command(subcommand)]
    Faults(Faults),
}

#[derive(Debug, Args)]
struct Common {
    /// Description of the running cluster, as castor demo writes it
    #[arg(long, value_name = "FILE", default_value = "castor-demo/cluster.json")]
    cluster: PathBuf,
    /// Service URLs to ask tickets for; {n} becomes a number
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
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Bench {
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
    },
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

#[derive(Debug, Args)]
struct FaultArgs {
    #[command(flatten)]
    common: Common,
    /// The castor program, to start killed nodes again
    #[arg(long, default_value = "castor")]
    castor: PathBuf,
    /// Sessions to sign in before the first fault
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    sessions: u32,
    /// Pairs per second meanwhile
    #[arg(long, default_value_t = 50.0)]
    rate: f64,
    /// Sign-ins per second meanwhile
    #[arg(long, default_value_t = 2.0)]
    sign_ins: f64,
    /// Seconds the load is watched after each fault
    #[arg(long, value_name = "SECONDS", default_value_t = 8)]
    observe: u64,
    /// Seconds a started node may take until it is ready
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    ready_within: u64,
    /// Write PREFIX.md and PREFIX.json
    #[arg(long, value_name = "PREFIX")]
    report: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Faults {
    /// kill -9 each node in turn and start it again, then all but one
    #[command(
        after_help = "Example:\n  castor-loadtest faults kill --cluster castor-demo/cluster.json --castor target/release/castor --report kill"
    )]
    Kill {
        #[command(flatten)]
        faults: FaultArgs,
    },
    /// SIGSTOP each node in turn; the others must stay ready
    #[command(
        after_help = "Example:\n  castor-loadtest faults stop --cluster castor-demo/cluster.json --seconds 5"
    )]
    Stop {
        #[command(flatten)]
        faults: FaultArgs,
        /// Seconds each node is stopped
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
        seconds: u64,
    },
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("castor-loadtest: no runtime: {error}"));
            return ExitCode::from(1);
        }
    };
    let result = runtime.block_on(async {
        match cli.command {
            Command::Bench(bench) => run_bench(bench).await,
            Command::Faults(faults) => run_faults(faults).await,
        }
    });
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
    if error.is::<Usage>() {
        2
    } else if error.is::<Unhealthy>() {
        3
    } else {
        1
    }
}

fn open(common: &Common) -> anyhow::Result<(Lab, Environment)> {
    let timeout = Duration::from_secs(common.timeout.clamp(1, 600));
    let services = usize::from(common.services);
    let lab = Lab::open(&common.cluster, timeout, &common.service, services).map_err(Usage)?;
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

fn finish<D>(outcome: &Outcome<D>, json: bool) -> anyhow::Result<bool>
where
    D: serde::Serialize + std::fmt::Display,
{
    outcome.print(json)?;
    Ok(outcome.passed)
}

async fn run_bench(bench: Bench) -> anyhow::Result<bool> {
    match bench {
        Bench::Pairs {
            common,
            count,
            concurrency,
            nodes,
            rate,
            replay_every,
            front: _,
        } => {
            let (lab, environment) = open(&common)?;
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
            finish(&pairs::run(&lab, &plan, environment).await?, common.json)
        }
        Bench::Race {
            common,
            count,
            concurrency,
        } => {
            let (lab, environment) = open(&common)?;
            let outcome = race::run(&lab, count, usize::from(concurrency), environment).await?;
            finish(&outcome, common.json)
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
                common.json,
            )
        }
    }
}

async fn run_faults(command: Faults) -> anyhow::Result<bool> {
    let (arguments, stopped) = match &command {
        Faults::Kill { faults } => (faults, None),
        Faults::Stop { faults, seconds } => (faults, Some(Duration::from_secs(*seconds))),
    };
    let (lab, environment) = open(&arguments.common)?;
    let plan = faults::Plan {
        castor: arguments.castor.clone(),
        sessions: usize::try_from(arguments.sessions).unwrap_or(usize::MAX),
        pairs_per_second: positive("rate", arguments.rate)?,
        sign_ins_per_second: positive("sign-ins", arguments.sign_ins)?,
        observe: Duration::from_secs(arguments.observe),
        ready_within: Duration::from_secs(arguments.ready_within),
    };
    let report = match stopped {
        None => faults::kill::run(&lab, &plan, environment).await?,
        Some(stopped) => faults::stop::run(&lab, &plan, stopped, environment).await?,
    };
    show(&report, arguments)?;
    Ok(report.passed)
}

fn show(report: &Report, arguments: &FaultArgs) -> anyhow::Result<()> {
    if let Some(prefix) = &arguments.report {
        report.write(prefix)?;
    }
    if arguments.common.json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        print!("{}", report.markdown());
    }
    Ok(())
}
