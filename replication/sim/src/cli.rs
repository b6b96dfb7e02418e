//! Arguments and exit codes: 0 nothing was broken, 1 something was, 2 wrong usage or files.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};

use crate::fleet::{self, Bounds};
use crate::progress::{Progress, say, tell};
use crate::report::{Sums, violation};
use crate::run::{self, Outcome};
use crate::world::Story;
use crate::{clock, seeds, year};

/// More threads than this are not asked for.
const JOBS_MAX: usize = 64;

/// After so many violations no further seed is begun: something is thoroughly wrong.
const ENOUGH: usize = 8;

const EXAMPLES: &str = "Examples:
  castor-sim                        the known seeds, then others for four minutes
  castor-sim --seeds 1000           the known seeds, then seeds 0 to 999
  castor-sim --seed 4711 --trace    one seed again, with its story in milliseconds
  castor-sim mutants                which seed finds which planted defect
  castor-sim year --state year.json a simulated year, to be interrupted and gone on with

Exit codes: 0 nothing was broken, 1 something was, 2 wrong usage or files.";

/// Simulated clusters: the production engine under seeded faults, judged by invariants
#[derive(Debug, Parser)]
#[command(name = "castor-sim", version, after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Runs the known seeds, then this many others, however long it takes
    #[arg(long, value_name = "N", conflicts_with = "seed")]
    seeds: Option<u64>,
    /// Runs one seed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Begins no seed after this many minutes; 4 unless --seeds is given
    #[arg(long, value_name = "M", conflicts_with = "seed")]
    minutes: Option<f64>,
    /// Tells the story of the seed in milliseconds
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Prints the result as JSON
    #[arg(long)]
    json: bool,
    /// Threads; as many as there are processors unless given
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=JOBS_MAX as i64))]
    jobs: Option<u16>,
    /// Plants this defect in every engine of the run
    #[cfg(feature = "mutants")]
    #[arg(long, value_name = "NAME", requires = "seed")]
    mutant: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plants one defect after another and looks whether some seed finds it
    Mutants {
        /// Seeds that a defect may survive before the check fails, where the known one no longer finds it
        #[arg(long, value_name = "N", default_value_t = 3_000)]
        budget: u64,
        /// Only this defect
        #[arg(long, value_name = "NAME")]
        only: Option<String>,
        /// Tells in how many of the first N seeds each defect breaks which invariant
        #[arg(long, value_name = "N")]
        table: Option<u64>,
    },
    /// Goes on with a simulated year, from where the state file says it is
    Year {
        /// Where the year's state is kept; made when it is not there
        #[arg(long, value_name = "FILE")]
        state: PathBuf,
        /// Begins no seed after this many minutes
        #[arg(long, value_name = "M")]
        minutes: Option<f64>,
    },
}

/// Reads the arguments and runs.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let jobs = cli
        .jobs
        .map_or_else(|| fleet::threads(JOBS_MAX), usize::from);
    match &cli.command {
        None => match cli.seed {
            Some(seed) => one(&cli, seed),
            None => many(&cli, jobs),
        },
        Some(Command::Mutants {
            budget,
            only,
            table,
        }) => mutants(jobs, *budget, only.as_deref(), *table),
        Some(Command::Year { state, minutes }) => {
            let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
            watch_signals(stop);
            match year::run(state, jobs, deadline(*minutes), stop) {
                Ok(whole) => verdict(whole),
                Err(error) => {
                    say(&format!("castor-sim: {error:#}"));
                    ExitCode::from(2)
                }
            }
        }
    }
}

fn verdict(whole: bool) -> ExitCode {
    ExitCode::from(u8::from(!whole))
}

fn deadline(minutes: Option<f64>) -> Option<Instant> {
    let wait = Duration::try_from_secs_f64(minutes? * 60.0).ok()?;
    clock::monotonic().checked_add(wait)
}

fn one(cli: &Cli, seed: u64) -> ExitCode {
    let mut story = Story::hashed();
    story.told = cli.trace;
    let outcome = play(cli, seed, story);
    let whole = outcome.violation.is_none();
    if !cli.trace && !cli.json {
        let hash = outcome.hash.clone().unwrap_or_default();
        tell(&format!(
            "seed {seed}: {} nodes, trace {hash:.16}",
            outcome.size
        ));
    }
    summary(cli, [outcome].into_iter().collect());
    verdict(whole)
}

#[cfg(not(feature = "mutants"))]
fn play(_: &Cli, seed: u64, story: Story) -> Outcome {
    run::run(seed, story)
}

#[cfg(feature = "mutants")]
fn play(cli: &Cli, seed: u64, story: Story) -> Outcome {
    match &cli.mutant {
        Some(name) => crate::mutants::play(name, seed, story),
        None => run::run(seed, story),
    }
}

fn many(cli: &Cli, jobs: usize) -> ExitCode {
    let known = seeds::known();
    let minutes = cli.minutes.or(cli.seeds.is_none().then_some(4.0));
    let stop = AtomicBool::new(false);
    let bounds = Bounds {
        jobs,
        until: deadline(minutes),
        stop: &stop,
    };
    let most = cli.seeds.unwrap_or(u64::MAX);
    let mut sums = Sums::default();
    let total = known.len() as u64;
    let mut progress = Progress::new(cli.seeds.map(|seeds| seeds.saturating_add(total)));
    fleet::run(
        &bounds,
        |at| match at.checked_sub(total) {
            None => known.get(usize::try_from(at).ok()?).copied(),
            Some(seed) => (seed < most).then_some(seed),
        },
        |seed| fleet::guarded(seed, |seed| run::run(seed, Story::default())),
        |outcome| {
            violation(&outcome).iter().for_each(|line| say(line));
            sums.add(outcome);
            if sums.violations.len() >= ENOUGH {
                stop.store(true, Relaxed);
            }
            progress.tick(|| {
                let (seeds, days) = (sums.seeds, sums.days());
                format!(
                    "{seeds} seeds, {days:.2} cluster-days, {} violations",
                    sums.violations.len()
                )
            });
        },
    );
    progress.finish();
    // Days in which too little happened prove nothing.
    let whole = sums.violations.is_empty() && (sums.seeds == 0 || sums.counts());
    summary(cli, sums);
    verdict(whole)
}

impl FromIterator<Outcome> for Sums {
    fn from_iter<I: IntoIterator<Item = Outcome>>(outcomes: I) -> Self {
        let mut sums = Self::default();
        outcomes.into_iter().for_each(|outcome| sums.add(outcome));
        sums
    }
}

fn summary(cli: &Cli, sums: Sums) {
    if cli.json {
        return tell(&format!("{:#}", sums.json()));
    }
    sums.lines().iter().for_each(|line| tell(line));
}

#[cfg(feature = "mutants")]
fn mutants(jobs: usize, budget: u64, only: Option<&str>, table: Option<u64>) -> ExitCode {
    let done = match table {
        Some(seeds) => crate::mutants::table(jobs, seeds, only),
        None => crate::mutants::check(jobs, budget, only),
    };
    match done {
        Some(whole) => verdict(whole),
        None => ExitCode::from(2),
    }
}

#[cfg(not(feature = "mutants"))]
fn mutants(_: usize, _: u64, _: Option<&str>, _: Option<u64>) -> ExitCode {
    say("castor-sim: built without defects to plant; use:");
    say("  cargo run --release -p castor-sim --features mutants -- mutants");
    ExitCode::from(2)
}

/// SIGINT and SIGTERM let the seeds under way finish; nothing is lost.
fn watch_signals(stop: &'static AtomicBool) {
    use tokio::signal::unix::{SignalKind, signal};
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let interrupt = signal(SignalKind::interrupt());
            let terminate = signal(SignalKind::terminate());
            let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else {
                return;
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            say("finishing the seeds under way");
            stop.store(true, Relaxed);
            // The second one is for somebody who will not wait.
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(130);
        });
    });
}
