//! `castor serve`: runs one node.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use super::{Done, Failure};
use crate::app::{App, AppError, Checked, preflight};
use crate::clock::{Clock, Rng};
use crate::config::{self, Sources};
use crate::ops::lifecycle::Signals;
use crate::ops::logging;

/// Runs one node until SIGTERM, which drains it first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  castor serve\n  \
    castor serve --config ./castor.toml --set http.listen=127.0.0.1:9443\n\n\
    SIGTERM drains and stops, a second one stops at once. SIGHUP reads certificates, users,\n\
    definitions, templates and the keys marked reload again.")]
pub(super) struct ServeArgs {
    #[command(flatten)]
    pub(super) source: SourceArgs,
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Args)]
pub(super) struct SourceArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_FILE)]
    pub(super) config: PathBuf,
    /// Sets one key, after the file and the environment; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub(super) set: Vec<String>,
}

impl SourceArgs {
    /// The file, this process's environment and the options.
    pub(super) fn sources(self) -> Sources {
        Sources::with_environment(Some(self.config), self.set)
    }
}

/// Reads and checks everything.
pub(super) fn checked(sources: &Sources, clock: &Clock, rng: &Rng) -> Result<Checked, Failure> {
    let loaded = config::load(sources).map_err(|error| Failure::Usage(error.to_string()))?;
    preflight::check(loaded, clock, rng).map_err(|problems| Failure::Usage(problems.join("\n")))
}

pub(super) fn run(args: ServeArgs) -> Done {
    let (clock, rng) = (Clock::system(), Rng::system());
    let sources = args.source.sources();
    let loaded = config::load(&sources).map_err(|error| Failure::Usage(error.to_string()))?;
    // Started before the files are read, so that their warnings are logged.
    let logging = logging::start(&loaded.config.log).context("logging")?;
    let checked = preflight::check(loaded, &clock, &rng)
        .map_err(|problems| Failure::Usage(problems.join("\n")))?;
    small_pages();
    for warning in preflight::warnings(&checked.loaded) {
        tracing::warn!("{warning}");
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = checked.loaded.config.node.threads {
        runtime.worker_threads(threads);
    }
    let runtime = runtime.enable_all().build().context("the runtime")?;
    let done = runtime.block_on(async {
        // Taken first: a signal during the start must not kill a node that has already bound.
        let signals = Signals::take()
            .map_err(|error| AppError::Failed(format!("cannot take signals: {error}")))?;
        let app = App::start(checked, Some(logging), clock, rng).await?;
        app.run(signals).await
    });
    // Tasks that wait for something blocking must not hold up the exit.
    runtime.shutdown_background();
    done.map_err(|error| match error {
        AppError::Configuration(_) => Failure::Usage(error.to_string()),
        AppError::Failed(says) => Failure::Failed(anyhow::anyhow!(says)),
    })
}

/// The allocator asks for huge pages. For each of them the kernel moves others out of the way and clears
/// 2 MiB: an empty node that fills itself spent a third of its time there, and held a seventh more memory.
fn small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay on");
    }
}
