//! `castor-loadtest faults NAME...`: its arguments, and the frame around the hosts.
//!
//! Promises: hosts are made before the first thread is started and removed after the last one has
//! ended, also after an interrupt. Does not: inject faults ([`crate::nemesis`]).

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use super::output::Output;
use super::time;
use crate::clock;
use crate::environment::Environment;
use crate::nemesis::report::Report;
use crate::nemesis::{Nemesis, Plan, run};
use crate::report::closing;
use crate::run::Ended;
use crate::site::{Hosts, leftovers};
use crate::stop::Stop;

#[derive(Debug, Args)]
pub(super) struct SiteArgs {
    /// What to do to a cluster of its own: all, or names as below
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    /// The castor program
    #[arg(long, default_value = "castor")]
    castor: PathBuf,
    /// How long each fault lasts
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = time::parse)]
    duration: Duration,
    /// Nodes of the cluster
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=5))]
    nodes: u16,
    /// How often start-together starts all nodes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    starts: u32,
    /// Sessions to sign in before each fault
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    sessions: u32,
    /// Pairs per second
    #[arg(long, default_value_t = 30.0)]
    rate: f64,
    /// Races per second: one ticket at two nodes at the same moment, beside the pairs
    #[arg(long)]
    races: Option<f64>,
    /// Seed of random choices; a fresh one when absent
    #[arg(long)]
    seed: Option<u64>,
    /// Folder for the histories, and for the logs of the nodes and of nginx
    #[arg(long, value_name = "DIR")]
    history: Option<PathBuf>,
}

impl SiteArgs {
    fn plan(&self) -> anyhow::Result<Plan> {
        let mut names = Vec::new();
        for name in &self.names {
            let known = Nemesis::ALL.iter().find(|nemesis| nemesis.name() == name);
            match known {
                Some(nemesis) => names.push(*nemesis),
                None if name == "all" => names.extend(Nemesis::ALL),
                None => bail!("no nemesis {name:?}; there are all, {}", all_names()),
            }
        }
        let castor = std::path::absolute(&self.castor)?;
        let on_path = self.castor.components().count() == 1 && !castor.exists();
        Ok(Plan {
            castor: if on_path { self.castor.clone() } else { castor },
            names,
            duration: self.duration,
            nodes: usize::from(self.nodes),
            starts: self.starts,
            seed: self.seed.unwrap_or_else(clock::fresh_seed),
            histories: self.history.clone(),
            sessions: usize::try_from(self.sessions)?,
            pairs_per_second: super::positive("rate", self.rate)?,
            races_per_second: match self.races {
                Some(rate) => Some(super::positive("races", rate)?),
                None => None,
            },
        })
    }
}

pub(super) fn all_names() -> String {
    Nemesis::ALL.map(Nemesis::name).join(", ")
}

/// Runs it outside any runtime: threads live where the thread that started them was.
pub(super) fn run(arguments: &SiteArgs, output: &Output) -> anyhow::Result<bool> {
    let plan = arguments.plan().map_err(super::Usage)?;
    let environment = Environment::find(plan.seed);
    let dir = Folder::make()?;
    let hosts = Hosts::make(plan.nodes + 1, plan.seed)?;
    hosts.enter()?;
    let runtime = tokio::runtime::Runtime::new().context("no runtime")?;
    let began = clock::monotonic();
    let report = Mutex::new(Report::new(environment));
    let ended = runtime.block_on(async {
        let stop = Stop::on_signals()?;
        tokio::select! {
            done = run::all(&hosts, &plan, &dir.0, &report) => done?,
            () = stop.wait() => {}
        }
        anyhow::Ok(stop.ended())
    });
    let lasted = clock::monotonic().duration_since(began);
    drop(runtime);
    drop(hosts);
    drop(dir);
    let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.ended = ended.as_ref().copied().unwrap_or(Ended::Interrupted);
    show(&report, ended, lasted, output)
}

/// What was done is shown also when it did not come to its end.
fn show(
    report: &Report,
    ended: anyhow::Result<Ended>,
    lasted: Duration,
    output: &Output,
) -> anyhow::Result<bool> {
    if report.outcomes.is_empty() {
        match ended? {
            Ended::Whole => bail!("nothing was run"),
            Ended::Interrupted => bail!("interrupted; everything is removed"),
        }
    }
    let record = report.record(lasted);
    if output.prints_json() {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        for outcome in &report.outcomes {
            print!("{}", outcome.text());
        }
        print!("{}", closing(&record));
        println!("{}", report.last_line());
    }
    output.write(&record)?;
    ended?;
    Ok(report.passed)
}

/// The folder of this run.
struct Folder(PathBuf);

impl Folder {
    fn make() -> anyhow::Result<Self> {
        let path = leftovers::folder(std::process::id());
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        private(&path)?;
        Ok(Self(path))
    }
}

/// nginx's workers, which are nobody, must be able to pass through; keys have modes of their own.
fn private(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(path, mode).with_context(|| path.display().to_string())
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            crate::progress::say(&format!("cannot remove {}: {error}", self.0.display()));
        }
    }
}
