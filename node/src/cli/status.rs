//! `castor status`: the node and what it knows of its cluster.

use clap::Args;
use serde_json::Value;

use super::client::{Client, NodeArgs};
use super::table::{cell, of_objects};
use super::{Done, Failure, print, print_json};

/// Shows this node and its cluster; exits with 3 when not every member is ready.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  castor status\n  \
    castor status --json --socket /run/castor/admin.sock")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &StatusArgs) -> Done {
    let status = Client::new(&args.node)?.get("/admin/v1/status")?;
    if args.json {
        print_json(&status)?;
    } else {
        print(&describe(&status))?;
    }
    match status["healthy"].as_bool() {
        Some(true) => Ok(()),
        Some(false) | None => Err(Failure::NotHealthy),
    }
}

/// How far a node that fills itself has come.
fn filling(bootstrap: &Value) -> String {
    let left = match bootstrap["seconds_left"].as_f64() {
        Some(left) => format!("about {left:.1} s left"),
        None => "no estimate yet".to_owned(),
    };
    format!(
        "filling from its peers: {} of {} shards, {} tickets in {} s, {left}\n",
        cell(&bootstrap["shards"]),
        cell(&bootstrap["shards_total"]),
        cell(&bootstrap["entries"]),
        cell(&bootstrap["seconds"]),
    )
}

fn describe(status: &Value) -> String {
    let mut out = format!(
        "{} is {}\nversion {} (revision {}, wire {}), incarnation {}\n",
        cell(&status["node"]),
        cell(&status["state"]),
        cell(&status["version"]),
        cell(&status["revision"]),
        cell(&status["wire"]),
        cell(&status["incarnation"]),
    );
    if let Some(problem) = status["problem"].as_str() {
        out.push_str(&format!("problem: {problem}\n"));
    }
    if status["bootstrap"]["done"] == false {
        out.push_str(&filling(&status["bootstrap"]));
    }
    if status["clock_ok"] == false {
        let offset = cell(&status["clock_offset_seconds"]);
        out.push_str(&format!("the clock is off by {offset} s\n"));
    }
    let tickets = status["tickets"].as_object().into_iter().flatten();
    let tickets: Vec<String> = tickets
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    out.push_str(&format!(
        "tickets: {}; {} bytes\n\n",
        tickets.join(", "),
        cell(&status["store_bytes"])
    ));
    let columns = [
        ("PEER", "node"),
        ("STATE", "state"),
        ("LINK", "link"),
        ("WIRE", "wire"),
        ("LAG s", "lag_seconds"),
        ("BACKLOG", "backlog_deltas"),
        ("CLOCK s", "clock_offset_seconds"),
        ("INCARNATION", "incarnation"),
    ];
    match status["members"].as_array() {
        Some(members) if !members.is_empty() => {
            out.push_str(&of_objects(&columns, &status["members"]));
        }
        _ => out.push_str("no other node is known\n"),
    }
    out
}
