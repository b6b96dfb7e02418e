//! `castor members list|remove`.

use clap::{Args, Subcommand};

use super::client::{Client, NodeArgs, encode};
use super::table::of_objects;
use super::{Done, Failure, print, print_json, say};
use castor_proto::ids::NodeName;

/// Shows the members of the cluster, and removes those that are gone for good.
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
    /// Makes all nodes forget one that is gone for good; refused while it is there.
    #[command(after_help = "Examples:\n  castor members remove cas3\n  \
        castor members remove cas3 --json && castor status\n\n\
        A stopped node may count as there for some seconds. Removing bans nobody: a node that is \
        started again under that name is a member. Exit codes: 0 it is forgotten, 1 there is no \
        such node, or it is there, 2 wrong usage.")]
    Remove {
        /// Name of the node, as `castor members list` shows it.
        #[arg(value_name = "NODE")]
        name: String,
        #[command(flatten)]
        node: NodeArgs,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: &MembersArgs) -> Done {
    match &args.command {
        MembersCommand::List { node, json } => list(node, *json),
        MembersCommand::Remove { name, node, json } => remove(name, node, *json),
    }
}

fn remove(name: &str, node: &NodeArgs, json: bool) -> Done {
    NodeName::parse(name).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
    let form = encode(&[("node", Some(name.to_owned()))]);
    let answer = Client::new(node)?.post("/admin/v1/members/remove", form)?;
    if json {
        return print_json(&answer);
    }
    say(&format!(
        "{name} is forgotten; the other nodes are told by gossip"
    ));
    Ok(())
}

fn list(node: &NodeArgs, json: bool) -> Done {
    let answer = Client::new(node)?.get("/admin/v1/members")?;
    if json {
        return print_json(&answer);
    }
    let columns = [
        ("NODE", "node"),
        ("STATE", "state"),
        ("INCARNATION", "incarnation"),
    ];
    print(&of_objects(&columns, &answer["members"]))
}
