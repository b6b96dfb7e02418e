//! `castor audit report|tail`: counts what was recorded, and follows it.
//!
//! Both read files of JSON lines as the node writes them, from the command line or the one that the
//! configuration names. Nothing asks a running node: a report is as good with the files of a node
//! that is gone.

mod follow;
mod interval;
mod lines;
mod report;
mod tally;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::serve::SourceArgs;
use super::table::harmless;
use super::{Done, Failure, print, print_json, say};
use crate::clock::Clock;
use crate::config::{self, types::AuditOutput};
use crate::ops::audit::Action;
use follow::Follower;
use interval::Interval;
use tally::Tally;

/// Counts and follows the record of who did what.
#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Counts events by action, with averages per day, over the files of all nodes.
    #[command(
        after_help = "Examples:\n  castor audit report --from 2026-10-01 --to 2026-10-15 cas1/audit.log* cas2/audit.log*\n  \
        zcat -f cas*/audit.log* | castor audit report --from 2026-10-01 --to 2026-10-15 /dev/stdin\n\n\
        Nodes without lines, and nodes that were silent while the others were not, are named on\n\
        standard error and under \"warnings\" in the JSON. Compressed files are not read: see the\n\
        second example."
    )]
    Report(ReportArgs),
    /// Shows events as they are recorded, until it is interrupted; a rotated file is followed.
    #[command(
        after_help = "Examples:\n  castor audit tail\n  castor audit tail --action AUTHENTICATION_FAILED --who jane\n  \
        castor audit tail --file /var/log/castor/audit.log --json"
    )]
    Tail(TailArgs),
}

#[derive(Debug, Args)]
struct ReportArgs {
    /// First day in UTC, or a moment such as 2026-10-01T08:00:00Z.
    #[arg(long, value_name = "DATE")]
    from: String,
    /// Last day in UTC, itself included, or a moment, itself not included.
    #[arg(long, value_name = "DATE")]
    to: String,
    /// A node that should have lines; may be repeated. Nodes in the files are known anyway.
    #[arg(long, value_name = "NAME")]
    node: Vec<String>,
    /// Files of any number of nodes, in any order; none, the file of the configuration.
    files: Vec<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct TailArgs {
    /// Shows only this action; may be repeated.
    #[arg(long, value_name = "NAME")]
    action: Vec<String>,
    /// Shows only this user.
    #[arg(long, value_name = "USER")]
    who: Option<String>,
    /// How many of the last lines to look at first, at most 1000.
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=1000))]
    lines: u16,
    /// The file, instead of the one of the configuration.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
    /// Prints the lines as they were recorded, control characters escaped.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: AuditArgs) -> Done {
    match args.command {
        AuditCommand::Report(args) => count(args),
        AuditCommand::Tail(args) => tail(args),
    }
}

/// The file that the configuration names.
fn configured(source: SourceArgs) -> Result<PathBuf, Failure> {
    let loaded =
        config::load(&source.sources()).map_err(|error| Failure::Usage(error.to_string()))?;
    let audit = loaded.config.audit;
    match (audit.output, audit.file) {
        (AuditOutput::File, Some(file)) => Ok(file),
        (output, _) => Err(Failure::Usage(format!(
            "audit.output is {:?}, so there is no file; name the files",
            output.as_str()
        ))),
    }
}

fn count(args: ReportArgs) -> Done {
    let asked = Interval::parse(&args.from, &args.to).map_err(Failure::Usage)?;
    let files = if args.files.is_empty() {
        vec![configured(args.source)?]
    } else {
        args.files
    };
    let (interval, cut) = asked.until(Clock::system().timestamp().as_millisecond());
    let Some(interval) = interval else {
        return Err(Failure::Usage("--from is in the future".to_owned()));
    };
    if cut {
        say("the interval is not over; it is counted until now");
    }
    let mut tally = Tally::new(interval, &args.node).map_err(Failure::Usage)?;
    lines::read_all(&files, &mut |line| tally.line(line))?;
    for warning in report::warnings(&tally) {
        say(&format!("warning: {warning}"));
    }
    if args.json {
        print_json(&report::as_json(&tally))
    } else {
        print(&report::as_text(&tally))
    }
}

/// Which events are shown.
#[derive(Debug)]
struct Filter {
    actions: Vec<String>,
    who: Option<String>,
}

impl Filter {
    fn new(actions: &[String], who: Option<String>) -> Result<Self, Failure> {
        let known = |name: &String| Action::ALL.iter().any(|(a, _)| a.name() == name);
        let actions: Vec<String> = actions.iter().map(|a| a.to_ascii_uppercase()).collect();
        match actions.iter().find(|name| !known(name)) {
            Some(name) => Err(Failure::Usage(format!("no action is called {name}"))),
            None => Ok(Self { actions, who }),
        }
    }

    fn takes(&self, event: &Value) -> bool {
        let is = |key: &str, wanted: &str| event[key].as_str() == Some(wanted);
        let action = self.actions.is_empty() || self.actions.iter().any(|a| is("action", a));
        action && self.who.as_deref().is_none_or(|who| is("who", who))
    }
}

/// What is shown of a line; `None` when the filter does not take it.
fn shown(line: &[u8], filter: &Filter, json: bool) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    let Ok(event) = serde_json::from_str::<Value>(&text) else {
        // What is no event is shown to whoever asked for everything.
        let all = filter.actions.is_empty() && filter.who.is_none();
        return all.then(|| harmless(&text));
    };
    if !filter.takes(&event) {
        return None;
    }
    if json {
        return Some(plain(&text));
    }
    let keys = ["when", "node", "action", "who", "clientIpAddress", "what"];
    let fields = keys.map(|key| event[key].as_str().unwrap_or("-"));
    Some(harmless(&fields.join(" ")))
}

/// JSON as it was, but for characters beyond ASCII that steer terminals, which are written as escapes.
/// The others cannot stand in JSON.
fn plain(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if !c.is_ascii_whitespace() && c.is_control() {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

fn tail(args: TailArgs) -> Done {
    let filter = Filter::new(&args.action, args.who)?;
    let path = match args.file {
        Some(path) => path,
        None => configured(args.source)?,
    };
    let unreadable =
        |error| Failure::Failed(anyhow::anyhow!("cannot read {}: {error}", path.display()));
    let mut follower = Follower::open(&path, args.lines.into()).map_err(unreadable)?;
    let changes = follow::changes_beside(&path);
    loop {
        let wrote = follower.poll(&mut |line| match shown(line, &filter, args.json) {
            Some(text) => write_line(&text),
            None => Ok(()),
        });
        match wrote {
            Ok(()) => {}
            // Nobody reads on.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(unreadable(error)),
        }
        changes.wait();
    }
}

fn write_line(text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// A path as people read it.
fn name_of(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests;
