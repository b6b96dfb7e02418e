//! `castor-loadtest faults`: its arguments.
//!
//! Promises: rates are in range before anything is asked of the cluster.
//! Does not: inject faults ([`crate::faults`]).

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Common, close, open, positive, record};
use crate::faults::{self, report::Report};

#[derive(Debug, Args)]
pub(super) struct FaultArgs {
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
    /// Write down every call, for castor-loadtest check; also tries what must not work
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Faults {
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

pub(super) async fn run(command: Faults) -> anyhow::Result<bool> {
    let (arguments, stopped) = match &command {
        Faults::Kill { faults } => (faults, None),
        Faults::Stop { faults, seconds } => (faults, Some(Duration::from_secs(*seconds))),
    };
    let (mut lab, environment) = open(&arguments.common)?;
    let recorder = record(&mut lab, arguments.history.as_deref())?;
    let plan = faults::Plan {
        castor: arguments.castor.clone(),
        sessions: usize::try_from(arguments.sessions).unwrap_or(usize::MAX),
        pairs_per_second: positive("rate", arguments.rate)?,
        sign_ins_per_second: positive("sign-ins", arguments.sign_ins)?,
        observe: Duration::from_secs(arguments.observe),
        ready_within: Duration::from_secs(arguments.ready_within),
        seed: environment.seed,
    };
    let report = match stopped {
        None => faults::kill::run(&lab, &plan, environment).await?,
        Some(stopped) => faults::stop::run(&lab, &plan, stopped, environment).await?,
    };
    close(recorder, arguments.history.as_deref())?;
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
