//! `castor-loadtest faults`: its arguments.
//!
//! Promises: rates are in range before anything is asked of the cluster.
//! Does not: inject faults ([`crate::faults`]).

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::output::Output;
use super::site::SiteArgs;
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
    /// Write PREFIX.json (the record of the run), PREFIX.md and PREFIX.html
    #[arg(long, value_name = "PREFIX")]
    report: Option<PathBuf>,
    /// Write down every call, for castor-loadtest check; also tries what must not work
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

/// On a running cluster, or on one of its own.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = AFTER
)]
pub(super) struct FaultsArgs {
    #[command(subcommand)]
    pub(super) running: Option<Faults>,
    #[command(flatten)]
    pub(super) site: Option<SiteArgs>,
    #[command(flatten)]
    pub(super) output: Output,
}

const AFTER: &str = "What can be done to a cluster of its own, in network namespaces (as root):\n  kill-one         kill -9 of one node, started again later\n  rolling-restart  SIGTERM and start of each node in turn; no request may fail\n  pause            SIGSTOP of one node for 5 s\n  isolate          one node cut off from the others and from nginx\n  one-way          what one node sends to the others is lost\n  split            a minority cut off from the majority, nginx reaches both\n  slow-lossy       100 ms and 5 % loss between all hosts\n  flap             one node cut off and back every second\n  kill-two         kill -9 of two nodes at once, both started again\n  start-together   all nodes started at the same moment, again and again\n  clock-ahead      the clock of one node jumps an hour ahead, and back\n  clock-behind     the clock of one node jumps an hour back, and ahead again\n  fd-limit         one node may open no further file or connection\n  memory-limit     one node gets so little memory that the kernel kills it\n  disk-full        the disk of one node's audit file is full\n  add-remove       one more node joins, another leaves\n\n\
Examples:\n  castor-loadtest faults all --castor target/release/castor --history histories\n  \
castor-loadtest faults isolate split --nodes 5 --duration 30s --seed 7\n\n\
kill, stop and refill work on a running cluster instead: castor-loadtest faults kill --help";

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
    /// kill -9 nodes and start them again: each must soon hold every session, from all others, from one,
    /// and while one of those it fills itself from dies
    #[command(
        after_help = "Example:\n  castor demo --fill 1000000 --set authn.throttle.enabled=false\n  castor-loadtest faults refill --castor target/release/castor --history refill.jsonl --report refill"
    )]
    Refill {
        #[command(flatten)]
        faults: FaultArgs,
        /// Seconds a started node may take until it holds every session and is ready
        #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
        within: f64,
        /// How often it is filled from all other nodes
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
        times: u32,
    },
}

pub(super) async fn run(command: Faults) -> anyhow::Result<bool> {
    let (Faults::Kill { faults: arguments }
    | Faults::Stop {
        faults: arguments, ..
    }
    | Faults::Refill {
        faults: arguments, ..
    }) = &command;
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
    let report = match &command {
        Faults::Kill { .. } => faults::kill::run(&lab, &plan, environment).await?,
        Faults::Stop { seconds, .. } => {
            let stopped = Duration::from_secs(*seconds);
            faults::stop::run(&lab, &plan, stopped, environment).await?
        }
        Faults::Refill { within, times, .. } => {
            let within = Duration::from_secs_f64(positive("within", *within)?);
            let wanted = faults::refill::Wanted {
                within,
                times: *times,
            };
            faults::refill::run(&lab, &plan, wanted, environment).await?
        }
    };
    close(recorder, arguments.history.as_deref())?;
    show(&report, arguments)?;
    Ok(report.passed)
}

fn show(report: &Report, arguments: &FaultArgs) -> anyhow::Result<()> {
    if let Some(prefix) = &arguments.report {
        report.write(prefix)?;
    }
    let output = &arguments.common.output;
    if !output.prints_json() {
        return output.finish(&report.record()).map(|_| ());
    }
    println!("{}", serde_json::to_string_pretty(report)?);
    output.write(&report.record())
}

#[cfg(test)]
mod tests {
    use super::AFTER;
    use crate::nemesis::Nemesis;

    #[test]
    fn the_help_names_every_nemesis() {
        for nemesis in Nemesis::ALL {
            let line = format!("\n  {:16} {}\n", nemesis.name(), nemesis.says());
            assert!(AFTER.contains(&line), "{line}");
        }
    }
}
