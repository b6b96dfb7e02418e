//! `castor keys list`.

use clap::{Args, Subcommand};

use super::client::{Client, NodeArgs};
use super::table::of_objects;
use super::{Done, print, print_json};

/// Shows the cluster key ring.
#[derive(Debug, Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Lists the keys this node uses, by id; never the keys themselves.
    #[command(after_help = "Example:\n  castor keys list --json")]
    List {
        #[command(flatten)]
        node: NodeArgs,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: &KeysArgs) -> Done {
    let KeysCommand::List { node, json } = &args.command;
    let answer = Client::new(node)?.get("/admin/v1/keys")?;
    if *json {
        return print_json(&answer);
    }
    let columns = [("ID", "id"), ("ROLE", "role"), ("CREATED", "created")];
    print(&of_objects(&columns, &answer["keys"]))
}
