//! Arguments that say whom a population talks to, and where its record goes; for `swarm` and `trials`.
//!
//! Promises: in range before anything is asked of the target. Does not: run anything.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Usage;
use crate::history::{Header, Recorder};
use crate::progress::say;
use crate::run::{Cell, Run, Table};
use crate::swarm::addresses::Addresses;
use crate::swarm::target::{Options, Target};

#[derive(Debug, Args)]
pub(super) struct TargetArgs {
    /// The server, with its context path: https://sso.example.org/cas
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A running cluster as castor demo describes it: front door, authority, nodes, an account
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    /// PEM file of the authorities to trust; those of the cluster, or else of the system, when absent
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// TOML file with the accounts that sign in; the cluster's one when absent
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,
    /// Service URLs to ask tickets for, registered at the server; {n} becomes a number
    #[arg(long, default_value = "http://127.0.0.1/castor-loadtest/app{n}")]
    service: String,
    /// URL of an application that is registered and for nobody of the accounts; the scenario new_school asks for it
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1/castor-loadtest-refused"
    )]
    refused_service: String,
    /// Seconds a request may take
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    timeout: u64,
    /// Addresses that people come from, FIRST-LAST, or any; on loopback 127.0.1.1-127.0.1.250
    #[arg(long, value_name = "RANGE")]
    browsers_from: Option<Addresses>,
    /// Addresses that applications come from; on loopback 127.0.2.1-127.0.2.250
    #[arg(long, value_name = "RANGE")]
    applications_from: Option<Addresses>,
    /// A node where old tickets are tried again; may be repeated. The cluster's nodes when absent
    #[arg(long, value_name = "URL")]
    node: Vec<String>,
    /// A process of the server on this machine, whose processor time is measured; may be repeated
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
    /// A Prometheus page of the server, for the same; may be repeated
    #[arg(long, value_name = "URL")]
    metrics: Vec<String>,
    /// Version of the protocol by which applications validate
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=3))]
    protocol: u8,
    /// Share of used tickets that are tried again, at the nodes in turn; each must be refused
    #[arg(long, value_name = "SHARE", default_value_t = 0.02)]
    replay: f64,
    /// Load a server that is not on this machine: it is mine to load
    #[arg(long)]
    i_own_this_target: bool,
}

#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// Write the record of the run, also when it is interrupted; castor-loadtest report draws it
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write down every call, for castor-loadtest check
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Print the record as JSON
    #[arg(long)]
    json: bool,
}

impl TargetArgs {
    /// Share of used tickets that are tried again.
    pub(super) fn replay(&self) -> anyhow::Result<f64> {
        if (0.0..=1.0).contains(&self.replay) {
            return Ok(self.replay);
        }
        Err(Usage(anyhow::anyhow!("--replay must be 0 to 1")).into())
    }

    /// The target, when the files can be used and it may be loaded.
    pub(super) async fn open(&self, services: u16) -> anyhow::Result<Target> {
        let mut options = Options {
            url: self.url.clone(),
            cluster: self.cluster.clone(),
            ca: self.ca.clone(),
            accounts: self.accounts.clone(),
            service: self.service.clone(),
            timeout: Duration::from_secs(self.timeout),
            browsers: self.browsers_from.unwrap_or(Addresses::Any),
            applications: self.applications_from.unwrap_or(Addresses::Any),
            refused: self.refused_service.clone(),
            nodes: self.node.clone(),
            pids: self.pid.clone(),
            metrics: self.metrics.clone(),
            protocol: self.protocol,
            mine: self.i_own_this_target,
        };
        if !self.i_own_this_target {
            // Then everything is on loopback, where there are addresses enough.
            let range = |given: Option<Addresses>, net: u8| {
                given.unwrap_or(Addresses::Range(
                    [127, 0, net, 1].into(),
                    [127, 0, net, 250].into(),
                ))
            };
            options.browsers = range(self.browsers_from, 1);
            options.applications = range(self.applications_from, 2);
        }
        Ok(Target::open(&options, usize::from(services))
            .await
            .map_err(Usage)?)
    }
}

impl OutputArgs {
    /// Starts the history, when one is wanted.
    pub(super) fn start(&self, target: &mut Target) -> anyhow::Result<Option<Recorder>> {
        let Some(file) = &self.history else {
            return Ok(None);
        };
        let recorder =
            Recorder::create(file, &target.lab.cluster, Header::default()).map_err(Usage)?;
        target.lab.history = recorder.history();
        Ok(Some(recorder))
    }

    /// Ends the history, shows the record and writes it; whether the run passed. A file that cannot be
    /// written does not keep the other from being written, nor the result from being shown.
    pub(super) fn finish(&self, run: &Run, history: Option<Recorder>) -> anyhow::Result<bool> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(run)?);
        } else {
            show(run);
        }
        let saved = self.record.as_deref().map(|file| run.save(file));
        let closed = super::close(history, self.history.as_deref());
        saved.transpose()?;
        closed?;
        if let Some(file) = &self.record {
            say(&format!(
                "record: castor-loadtest report {}",
                file.display()
            ));
        }
        Ok(run.verdict.passed())
    }
}

/// The record as text: tables, figures, judgement.
fn show(run: &Run) {
    println!("{}", run.title);
    for table in &run.tables {
        println!("\n{}", table.title);
        print_table(table);
    }
    println!();
    for latency in &run.latencies {
        let at = |wanted: f64| {
            let found = latency.percentiles.iter().find(|(p, _)| *p >= wanted);
            found.map_or(0.0, |(_, value)| *value)
        };
        println!(
            "  {:28} p50 {:>8.2}  p99 {:>8.2}  max {:>8.2} ms",
            latency.name,
            at(50.0),
            at(99.0),
            at(100.0)
        );
    }
    for figure in &run.figures {
        println!("  {}: {:.2} {}", figure.name, figure.value, figure.unit);
    }
    for note in &run.notes {
        println!("  note: {note}");
    }
    let verdict = &run.verdict;
    println!(
        "  answers: {} judged, {} wrong",
        verdict.judged, verdict.wrong
    );
    for (kind, count) in &verdict.kinds {
        println!("    {count} {kind}");
    }
    for what in verdict.examples.iter().chain(&verdict.failures) {
        println!("    {what}");
    }
    println!("{}", if verdict.passed() { "passed" } else { "FAILED" });
}

/// A table as text, numbers to the right.
pub(super) fn print_table(table: &Table) {
    let text = |cell: &Cell| match cell {
        Cell::Number(number) => format!("{number}"),
        Cell::Text(text) => text.clone(),
    };
    let rows: Vec<Vec<String>> = std::iter::once(table.columns.clone())
        .chain(table.rows.iter().map(|row| row.iter().map(text).collect()))
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..table.columns.len()).map(width).collect();
    for row in &rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:>width$}"));
        println!("  {}", cells.collect::<Vec<_>>().join("  "));
    }
}
