//! `castor throttle list|clear`.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::{Client, NodeArgs, encode};
use super::table::of_objects;
use super::{Done, Failure, print, print_json, say};

/// Shows who has failed to sign in too often, and lets them sign in again.
#[derive(Debug, Args)]
#[command(after_help = "Any node shows and clears for the whole cluster.")]
pub(super) struct ThrottleArgs {
    #[command(subcommand)]
    command: ThrottleCommand,
}

#[derive(Debug, Subcommand)]
enum ThrottleCommand {
    /// Lists users and addresses whose sign-ins are refused, the latest failure first.
    ///
    /// A user name that no handler knows is not kept and shown as `-`: somebody may have typed a
    /// password there. `--user` finds it all the same.
    #[command(
        after_help = "Examples:\n  castor throttle list\n  castor throttle list --all --user jane\n  \
        castor throttle list --address 192.0.2.7 --json"
    )]
    List {
        #[command(flatten)]
        who: WhoArgs,
        /// Also those who have failed and are not refused.
        #[arg(long)]
        all: bool,
        /// How many at most, up to 10000.
        #[arg(long, default_value_t = 100)]
        limit: usize,
        #[command(flatten)]
        node: NodeArgs,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Lets users or addresses sign in again at once, on every node.
    #[command(after_help = "Examples:\n  castor throttle clear --user jane\n  \
        castor throttle clear --address 192.0.2.7\n  castor throttle clear --all")]
    Clear {
        /// Handle of one line of the list.
        #[arg(conflicts_with_all = ["user", "address", "all"])]
        handle: Option<String>,
        #[command(flatten)]
        who: WhoArgs,
        /// Everybody.
        #[arg(long, conflicts_with_all = ["user", "address"])]
        all: bool,
        #[command(flatten)]
        node: NodeArgs,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Who; all that is given must hold.
#[derive(Clone, Debug, Args)]
struct WhoArgs {
    /// Name of the user.
    #[arg(long)]
    user: Option<String>,
    /// Address they failed from; of IPv6, any address of the same /64.
    #[arg(long)]
    address: Option<String>,
}

impl WhoArgs {
    fn pairs(&self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("user", self.user.clone()),
            ("address", self.address.clone()),
        ]
    }
}

fn flag(set: bool) -> Option<String> {
    set.then(|| "true".to_owned())
}

pub(super) fn run(args: &ThrottleArgs) -> Done {
    match &args.command {
        ThrottleCommand::List {
            who,
            all,
            limit,
            node,
            json,
        } => {
            let mut pairs = who.pairs();
            pairs.push(("all", flag(*all)));
            pairs.push(("limit", Some(limit.to_string())));
            let path = format!("/admin/v1/throttles?{}", encode(&pairs));
            let answer = Client::new(node)?.get(&path)?;
            list(&answer, *json)
        }
        ThrottleCommand::Clear {
            handle,
            who,
            all,
            node,
            json,
        } => {
            let mut pairs = who.pairs();
            pairs.push(("handle", handle.clone()));
            pairs.push(("all", flag(*all)));
            clear(&pairs, node, *json)
        }
    }
}

const COLUMNS: [(&str, &str); 7] = [
    ("HANDLE", "handle"),
    ("BY", "by"),
    ("USER", "user"),
    ("ADDRESS", "address"),
    ("FAILURES", "failures"),
    ("LAST", "last"),
    ("REFUSED UNTIL", "until"),
];

fn list(answer: &Value, json: bool) -> Done {
    if json {
        return print_json(answer);
    }
    print(&of_objects(&COLUMNS, &answer["throttles"]))?;
    if answer["more"] == true {
        say("there are more; narrow the search or raise --limit");
    }
    if answer["enabled"] == false {
        say("nothing is counted: authn.throttle.enabled is false");
    }
    Ok(())
}

fn clear(pairs: &[(&'static str, Option<String>)], node: &NodeArgs, json: bool) -> Done {
    if pairs.iter().all(|(_, value)| value.is_none()) {
        return Err(Failure::Usage(
            "say who: a handle, --user, --address or --all".to_owned(),
        ));
    }
    let answer = Client::new(node)?.post("/admin/v1/throttles/clear", encode(pairs))?;
    if json {
        print_json(&answer)?;
    } else {
        print(&format!("{} cleared\n", answer["cleared"]))?;
    }
    let by_handle = pairs
        .iter()
        .any(|(name, value)| *name == "handle" && value.is_some());
    if by_handle && answer["cleared"] == 0 {
        return Err(anyhow::anyhow!("nothing counts under this handle").into());
    }
    Ok(())
}
