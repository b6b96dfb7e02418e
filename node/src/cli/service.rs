//! `castor drain` and `castor resume`: takes a node out of service and into it again.

use clap::Args;

use super::client::{Client, NodeArgs};
use super::table::cell;
use super::{Done, print};

/// Takes a node out of service: it finishes what was begun and takes no new sign-ins.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  castor drain\n  castor drain && castor status\n\n\
    The process goes on; `castor resume` takes the node into service again, SIGTERM stops it."
)]
pub(super) struct DrainArgs {
    #[command(flatten)]
    node: NodeArgs,
}

/// Takes a drained node into service again.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  castor resume")]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    node: NodeArgs,
}

pub(super) fn drain(args: &DrainArgs) -> Done {
    change(&args.node, "/admin/v1/drain")
}

pub(super) fn resume(args: &ResumeArgs) -> Done {
    change(&args.node, "/admin/v1/resume")
}

fn change(node: &NodeArgs, path: &str) -> Done {
    let answer = Client::new(node)?.post(path, String::new())?;
    print(&format!("{}\n", cell(&answer["state"])))
}
