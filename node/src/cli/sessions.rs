//! `castor sessions list|show|end`.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::{Client, NodeArgs, encode};
use super::table::{cell, of_objects};
use super::words::count_of;
use super::{Done, Failure, print, print_json, say};
use crate::config::Period;
use crate::config::value::Value as _;

/// Lists, shows and ends sessions.
#[derive(Debug, Args)]
#[command(after_help = "Sessions are named by a handle; ticket ids are never shown.")]
pub(super) struct SessionsArgs {
    #[command(subcommand)]
    command: SessionsCommand,
}

#[derive(Debug, Subcommand)]
enum SessionsCommand {
    /// Lists sessions of the whole cluster, the last used first.
    #[command(after_help = "Examples:\n  castor sessions list --user jane\n  \
        castor sessions list --older-than 2h --json\n  \
        castor sessions list --service https://reports.example.org/ --address 192.0.2.7")]
    List {
        #[command(flatten)]
        which: FilterArgs,
        /// How many at most, up to 10000.
        #[arg(long, default_value_t = 100)]
        limit: usize,
        #[command(flatten)]
        node: NodeArgs,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows one session with the applications it visited.
    #[command(
        after_help = "Examples:\n  castor sessions show 6f2d0c9a41b7e85d3c10\n  \
        castor sessions show 6f2d0c9a41b7e85d3c10 --json"
    )]
    Show {
        /// Handle of the session.
        handle: String,
        #[command(flatten)]
        node: NodeArgs,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Ends sessions on every node, with all their tickets.
    #[command(
        after_help = "Examples:\n  castor sessions end 6f2d0c9a41b7e85d3c10\n  \
        castor sessions end --user jane\n  \
        castor sessions end --older-than 7d --json"
    )]
    End {
        /// Handle of one session.
        #[arg(conflicts_with_all = ["user", "service", "address", "older_than"])]
        handle: Option<String>,
        #[command(flatten)]
        which: FilterArgs,
        #[command(flatten)]
        node: NodeArgs,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Which sessions; all that is given must hold.
#[derive(Clone, Debug, Args)]
struct FilterArgs {
    /// Name of the user.
    #[arg(long)]
    user: Option<String>,
    /// Part of the URL of an application the session visited.
    #[arg(long)]
    service: Option<String>,
    /// Address at sign-in.
    #[arg(long)]
    address: Option<String>,
    /// Signed in at least this long ago: seconds, or a duration such as 90m, 2h or 7d.
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<u64>,
}

/// Seconds, or a duration as in the configuration.
fn age(text: &str) -> Result<u64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let value = toml::Value::String(text.to_owned());
    let age = Period::from_toml(&value, Path::new(""));
    age.map(|age| age.as_secs())
        .map_err(|_| "expected seconds, or a duration such as 90m, 2h or 7d".to_owned())
}

impl FilterArgs {
    fn pairs(&self) -> Vec<(&'static str, Option<String>)> {
        vec![
            ("user", self.user.clone()),
            ("service", self.service.clone()),
            ("address", self.address.clone()),
            ("older_than", self.older_than.map(|age| age.to_string())),
        ]
    }
}

pub(super) fn run(args: &SessionsArgs) -> Done {
    match &args.command {
        SessionsCommand::List {
            which,
            limit,
            node,
            json,
        } => {
            let mut pairs = which.pairs();
            pairs.push(("limit", Some(limit.to_string())));
            let path = format!("/admin/v1/sessions?{}", encode(&pairs));
            let answer = Client::new(node)?.get(&path)?;
            list(&answer, *json)
        }
        SessionsCommand::Show { handle, node, json } => {
            let handle = encode(&[("", Some(handle.clone()))]);
            let path = format!("/admin/v1/sessions/{}", handle.trim_start_matches('='));
            let answer = Client::new(node)?.get(&path)?;
            if *json {
                print_json(&answer)
            } else {
                show(&answer)
            }
        }
        SessionsCommand::End {
            handle,
            which,
            node,
            json,
        } => end(handle.as_ref(), which, node, *json),
    }
}

const COLUMNS: [(&str, &str); 6] = [
    ("HANDLE", "handle"),
    ("USER", "user"),
    ("ADDRESS", "address"),
    ("SIGNED IN", "authenticated"),
    ("LAST USED", "last_used"),
    ("APPLICATIONS", "services"),
];

fn list(answer: &Value, json: bool) -> Done {
    if json {
        return print_json(answer);
    }
    print(&of_objects(&COLUMNS, &answer["sessions"]))?;
    if answer["more"] == true {
        say("there are more; narrow the search or raise --limit");
    }
    Ok(())
}

fn show(session: &Value) -> Done {
    let mut out = String::new();
    for (name, value) in session.as_object().into_iter().flatten() {
        let shown = match value.as_array() {
            Some(items) => items.iter().map(item).collect(),
            None => format!(" {}", cell(value)),
        };
        out.push_str(&format!("{name}:{shown}\n"));
    }
    print(&out)
}

fn item(value: &Value) -> String {
    match value["url"].as_str() {
        Some(url) => format!("\n  {url} ({})", cell(&value["last_ticket"])),
        None => format!(" {}", cell(value)),
    }
}

fn end(handle: Option<&String>, which: &FilterArgs, node: &NodeArgs, json: bool) -> Done {
    let mut pairs = which.pairs();
    pairs.push(("handle", handle.cloned()));
    if pairs.iter().all(|(_, value)| value.is_none()) {
        return Err(Failure::Usage(
            "say which sessions: a handle, --user, --service, --address or --older-than".to_owned(),
        ));
    }
    let client = Client::new(node)?;
    // One request ends what one list shows; the rest follows in further ones.
    pairs.push(("limit", Some("1000".to_owned())));
    let (mut ended, mut unconfirmed) = (0, 0);
    loop {
        let answer = client.post("/admin/v1/sessions/end", encode(&pairs))?;
        let count = answer["ended"].as_u64().unwrap_or_default();
        ended += count;
        unconfirmed += answer["unconfirmed"].as_u64().unwrap_or_default();
        if answer["more"] != true || count == 0 {
            break;
        }
    }
    if json {
        print_json(&serde_json::json!({ "ended": ended, "unconfirmed": unconfirmed }))?;
    } else {
        print(&format!(
            "{} ended\n",
            count_of(ended, "session", "sessions")
        ))?;
    }
    if unconfirmed > 0 {
        say(&format!(
            "{unconfirmed} of them are not confirmed by every node yet; they are as soon as it answers"
        ));
    }
    if handle.is_some() && ended == 0 {
        return Err(anyhow::anyhow!("no session has this handle").into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn an_age_is_seconds_or_a_duration() {
        for (text, seconds) in [("0", 0), ("7200", 7_200), ("90m", 5_400), ("7d", 604_800)] {
            assert_eq!(age(text), Ok(seconds), "{text}");
        }
        for text in ["", "-1", "2 weeks", "1.5h"] {
            assert!(age(text).unwrap_err().contains("90m"), "{text}");
        }
    }
}
