//! The page of all commands, made from their own help.

use clap::CommandFactory as _;

/// The page.
pub(super) fn as_markdown() -> String {
    let mut out = String::from(
        "# Commands\n\n\
         Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 cluster not healthy.\n\n\
         This page is made from each command's `--help`.\n",
    );
    let mut root = super::Castor::command().term_width(100);
    root.build();
    describe(&mut root, &mut out);
    out
}

fn describe(command: &mut clap::Command, out: &mut String) {
    let is_group = command.has_subcommands();
    if command.get_bin_name() != Some("castor") {
        let help = command.render_long_help().to_string();
        let name = command.get_bin_name().unwrap_or_default();
        if !is_group {
            let help: Vec<&str> = help.lines().map(str::trim_end).collect();
            out.push_str(&format!("\n## {name}\n\n```\n{}\n```\n", help.join("\n")));
        }
    }
    for sub in command.get_subcommands_mut() {
        if sub.get_name() != "help" {
            describe(sub, out);
        }
    }
}
