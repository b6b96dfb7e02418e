//! `castor members list`.

use clap::{Args, Subcommand};

use super::client::{Client, NodeArgs};
use super::table::of_objects;
use super::{Done, print, print_json};

/// Shows the members of the cluster.
#[derive(Debug, Args)]
pub(super) struct MembersArgs {
    #[command(subcommand)]
    command: MembersCommand,
}

#[derive(Debug, Subcommand)]
enum MembersCommand {
    /// Lists every member this node knows.
    #[command(after_help = "Example:\n  castor members list --json")]
    List {
        #[command(flatten)]
        node: NodeArgs,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: &MembersArgs) -> Done {
    let MembersCommand::List { node, json } = &args.command;
    let answer = Client::new(node)?.get("/admin/v1/members")?;
    if *json {
        return print_json(&answer);
    }
    let columns = [
        ("NODE", "node"),
        ("STATE", "state"),
        ("INCARNATION", "incarnation"),
    ];
    print(&of_objects(&columns, &answer["members"]))
}
