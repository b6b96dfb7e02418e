//! `--json`, `--html`, `--markdown`: what every command does with the record of its run.
//!
//! Promises: the summary is printed and all files are tried, also when one of them cannot be
//! written; that is an error then. Does not: measure.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;

use crate::progress::say;
use crate::report;
use crate::run::Run;
use crate::run::file::write_whole;

/// Where the record and the reports go.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Output {
    /// Write the record of the run to FILE, for castor-loadtest report; without FILE print the
    /// result as JSON
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    json: Option<PathBuf>,
    /// Write the report as one HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the report as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

impl Output {
    /// Whether standard output is to be JSON.
    pub(super) fn prints_json(&self) -> bool {
        self.json.as_deref() == Some(Path::new("-"))
    }

    /// The file of the record, when one is to be written.
    pub(super) fn file(&self) -> Option<&Path> {
        self.json.as_deref().filter(|file| *file != Path::new("-"))
    }

    /// Prints the summary, or the record where JSON was asked for, and writes the files. Whether
    /// the run passed.
    ///
    /// # Errors
    /// When a file cannot be written; the others are.
    pub(super) fn finish(&self, run: &Run) -> anyhow::Result<bool> {
        if self.prints_json() {
            println!("{}", serde_json::to_string_pretty(run)?);
        } else {
            print!("{}", report::markdown(std::slice::from_ref(run)));
            print!("\n{}", report::closing(run));
        }
        self.write(run)?;
        Ok(run.verdict.passed())
    }

    /// Writes the files.
    ///
    /// # Errors
    /// When one cannot be written; the others are.
    pub(super) fn write(&self, run: &Run) -> anyhow::Result<()> {
        let runs = std::slice::from_ref(run);
        let mut errors = Vec::new();
        let mut done = |file: &Path, written: anyhow::Result<()>| match written {
            Ok(()) => say(&format!("written: {}", file.display())),
            Err(error) => errors.push(format!("{error:#}")),
        };
        if let Some(file) = self.file() {
            done(file, run.save(file));
        }
        if let Some(file) = &self.html {
            done(file, write_whole(file, &report::page(runs)));
        }
        if let Some(file) = &self.markdown {
            done(file, write_whole(file, &report::markdown(runs)));
        }
        if errors.is_empty() {
            return Ok(());
        }
        bail!("{}", errors.join("; "))
    }
}
