//! `castor-loadtest report`: its arguments.
//!
//! Promises: every record is read before anything is written. Does not: draw ([`crate::report`]).

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;

use super::Usage;
use crate::progress::say;
use crate::report;
use crate::run::Run;
use crate::run::file::write_whole;

/// Records on one page.
const RUNS_MAX: usize = 100;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  castor-loadtest bench pairs --json pairs.json\n  castor-loadtest report pairs.json --html pairs.html\n  castor-loadtest report before.json after.json --html both.html --markdown both.md\n\nWithout --html and --markdown the Markdown summary is printed. Exits with 2 when a record cannot be\nread, with 1 when a file cannot be written; how the runs went is in the report."
)]
pub(super) struct ReportArgs {
    /// Records, as --json FILE wrote them
    #[arg(value_name = "RUN.json", required = true)]
    records: Vec<PathBuf>,
    /// Write one HTML page: a single file that loads nothing and runs no script
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write a Markdown summary
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

pub(super) fn run(arguments: &ReportArgs) -> anyhow::Result<bool> {
    let runs = read(&arguments.records).map_err(Usage)?;
    for (file, text) in [
        (&arguments.html, report::page as fn(&[Run]) -> String),
        (&arguments.markdown, report::markdown),
    ] {
        if let Some(file) = file {
            write(file, &text(&runs))?;
        }
    }
    if arguments.html.is_none() && arguments.markdown.is_none() {
        print!("{}", report::markdown(&runs));
    }
    Ok(true)
}

fn read(files: &[PathBuf]) -> anyhow::Result<Vec<Run>> {
    if files.len() > RUNS_MAX {
        bail!("{} records; at most {RUNS_MAX} fit on a page", files.len());
    }
    files.iter().map(|file| Run::read(file)).collect()
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    write_whole(file, text)?;
    say(&format!("written: {}", file.display()));
    Ok(())
}
