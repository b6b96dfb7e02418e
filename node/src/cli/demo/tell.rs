//! What the demo says to the person at the terminal.
//!
//! Promises: standard output; a closed terminal does not end the demo.
//! Does not: log; the nodes' logs are in their folders.

use std::io::Write as _;
use std::path::Path;

use super::super::words::count_of;
use super::args::DemoArgs;
use super::files::NodeFiles;
use super::state::USERNAME;
use super::{Up, app};

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}

/// One line.
pub(super) fn note(text: &str) {
    say(text);
}

/// Before the nodes are started.
pub(super) fn starting(dir: &Path, nodes: &[NodeFiles]) {
    say(&format!(
        "Starting {} in {} ...",
        count_of(nodes.len(), "node", "nodes"),
        dir.display()
    ));
}

/// Everything is up.
pub(super) fn up(up: &Up<'_>, args: &DemoArgs) {
    let place = &up.place;
    let mut text = format!(
        "\n  Sign in        {}/login\n                 as {USERNAME} with the password {}\n",
        up.started.front, place.state.password
    );
    if !up.parts.apps.is_empty() {
        let [first, second] = place.state.app_ports.map(app::url);
        text.push_str(&format!(
            "  Applications   {first}\n                 {second} (needs no second sign-in)\n"
        ));
    }
    text.push_str(&format!(
        "  Authority      {}\n                 the browser warns until it trusts this file\n\n",
        place.ca_file().display()
    ));
    for node in &up.parts.fleet.nodes {
        let files = &node.files;
        text.push_str(&format!(
            "  {:<14} {}   {}   {}\n",
            files.state.name,
            files.url(),
            node.pid()
                .map_or_else(|| "not running".to_owned(), |pid| format!("process {pid}")),
            files.ops_url()
        ));
    }
    text.push_str(&format!(
        "\n  For scripts    {}\n  Logs           {}/node*/castor.log",
        place.dir.join(super::cluster_json::FILE).display(),
        place.dir.display()
    ));
    if up.parts.nginx.is_some() {
        text.push_str(&format!(
            "\n                 {}/nginx/logs/access.log: which node answered",
            place.dir.display()
        ));
    } else {
        text.push_str("\n\n  Without nginx the front door is the first node: when it is down, so is the door.");
    }
    if !args.is_local() {
        text.push_str(
            "\n\n  WARNING        This demo can be reached from other machines. It is made to try\n                 \
             things with, not to protect anything: use docs/operating for real service.",
        );
        if args.services.is_none() {
            text.push_str(
                "\n                 No application may ask for tickets: give definitions with --services.",
            );
        }
    }
    text.push_str("\n\nCtrl-C drains and stops everything; a second one stops at once.");
    say(&text);
}

/// A node has ended.
pub(super) fn node_ended(files: &NodeFiles, how: &str, castor: &Path) {
    say(&format!(
        "{} ended ({how}). The others go on without it. Start it again with\n  {} serve --config {}",
        files.state.name,
        castor.display(),
        files.config.display()
    ));
}

/// A node that had ended is back.
pub(super) fn node_returned(files: &NodeFiles, pid: u32) {
    say(&format!("{} is back, process {pid}.", files.state.name));
}
