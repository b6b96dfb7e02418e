//! `castor-loadtest check`: its arguments.
//!
//! Promises: every bound has the default that the documents state.
//! Does not: judge ([`crate::check`]).

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::time;
use crate::check::{self, Limits};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  castor-loadtest faults kill --history kill.jsonl\n  castor-loadtest check kill.jsonl\n  castor-loadtest check kill.jsonl --visible-within 200ms --refused-max 5 --json\n\nExits with 1 when an S rule is broken or a B rule is beyond its bound, with 2 when the history\ncannot be read."
)]
pub(super) struct CheckArgs {
    /// The history, as --history wrote it
    #[arg(value_name = "HISTORY.jsonl")]
    history: PathBuf,
    /// Life of a service ticket; 10s when the history does not say
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    ticket_life: Option<Duration>,
    /// Longest life of a session; 8h when the history does not say
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    session_life: Option<Duration>,
    /// How far clocks may be apart
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time::parse)]
    clock_tolerance: Duration,
    /// B1: a new session must be known on every node after this
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time::parse)]
    visible_within: Duration,
    /// B2: a sign-out must be known on every node after this
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time::parse)]
    logout_within: Duration,
    /// B1 and B2 after a fault has ended
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time::parse)]
    healed_within: Duration,
    /// B3: sessions that may be lost
    #[arg(long, value_name = "N", default_value_t = 0)]
    lost_max: u64,
    /// B4: live tickets that may be refused in faults
    #[arg(long, value_name = "N", default_value_t = 0)]
    refused_max: u64,
    /// Tickets and sessions that may be held in memory, about 250 bytes each
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    entries_max: usize,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &CheckArgs) -> anyhow::Result<bool> {
    let limits = Limits {
        ticket_life: arguments.ticket_life,
        session_life: arguments.session_life,
        clock_tolerance: arguments.clock_tolerance,
        visible_within: arguments.visible_within,
        logout_within: arguments.logout_within,
        healed_within: arguments.healed_within,
        lost_max: arguments.lost_max,
        refused_max: arguments.refused_max,
        entries_max: arguments.entries_max,
    };
    let verdict = check::run(&arguments.history, &limits)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&verdict)?);
    } else {
        print!("{}", verdict.text());
    }
    Ok(verdict.passed)
}
