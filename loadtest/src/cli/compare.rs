//! `castor-loadtest compare`: what a population saw beside the server's audit record.
//!
//! Promises: exits with 1 when they differ. Does not: ask a server.

use std::path::PathBuf;

use clap::Args;

use super::Usage;
use crate::progress::say;
use crate::run::{Cell, Run};
use crate::swarm::day_record;
use crate::swarm::scenario::read_small;

/// Largest report, in bytes.
const AUDIT_MAX: u64 = 64 << 20;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  castor-loadtest swarm --scenario new_school --time-scale 288 --cluster castor-demo/cluster.json --json day.json
  castor audit report --json --from 2026-11-22T01:00:00Z --to 2026-11-22T01:10:00Z castor-demo/node*/audit.log > audit.json
  castor-loadtest compare day.json audit.json

The interval of the report must hold the run and nothing else.")]
pub(super) struct CompareArgs {
    /// The record of the run, as swarm --json FILE wrote it
    #[arg(value_name = "RECORD.json")]
    record: PathBuf,
    /// What castor audit report --json wrote about the same time, from the files of all nodes
    #[arg(value_name = "AUDIT.json")]
    audit: PathBuf,
}

pub(super) fn run(arguments: &CompareArgs) -> anyhow::Result<bool> {
    let run = Run::read(&arguments.record).map_err(Usage)?;
    let audit = read_small(&arguments.audit, AUDIT_MAX).map_err(Usage)?;
    let (table, warnings, same) = day_record::compare(&run, &audit).map_err(Usage)?;
    println!("{}\n", table.title);
    for cells in std::iter::once(table.columns.iter().map(ToString::to_string).collect()).chain(
        table
            .rows
            .iter()
            .map(|row| row.iter().map(text).collect::<Vec<_>>()),
    ) {
        print_row(&cells);
    }
    for warning in warnings {
        say(&format!("audit report: {warning}"));
    }
    println!("{}", if same { "the same" } else { "DIFFERENT" });
    Ok(same)
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Number(number) => number.to_string(),
        Cell::Text(text) => text.clone(),
    }
}

fn print_row(cells: &[String]) {
    let [event, numbers @ ..] = cells else { return };
    let numbers = numbers.iter().map(|number| format!("{number:>18}"));
    println!("{event:34}{}", numbers.collect::<String>());
}
