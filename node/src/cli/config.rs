//! `castor config check|show|reference|import`.

use clap::{Args, Subcommand};

use super::serve::{SourceArgs, checked};
use super::{Done, Failure, import, print, print_json, say};
use crate::app::preflight;
use crate::clock::{Clock, Rng};
use crate::config::{self, reference};

/// Checks, shows and explains the configuration.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Reads everything that `serve` would, binds nothing, and says what is wrong.
    #[command(after_help = "Example:\n  castor config check --config ./castor.toml")]
    Check {
        #[command(flatten)]
        source: SourceArgs,
    },
    /// Shows every value in force and where it came from; never a secret.
    #[command(after_help = "Example:\n  castor config show | grep -v default")]
    Show {
        #[command(flatten)]
        source: SourceArgs,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prints every key with unit, range, default, and whether a reload takes it.
    #[command(after_help = "Example:\n  castor config reference > castor.toml")]
    Reference {
        /// Prints a page instead of an annotated file.
        #[arg(long)]
        markdown: bool,
    },
    /// Makes a configuration from the properties of Apereo CAS, and says what became of each.
    #[command(
        after_help = "Examples:\n  castor config import cas.properties > castor.toml\n  \
        castor config import /etc/cas/config/cas.properties --out castor.toml\n\n\
        The table says of each property: mapped, default anyway, overridden by a later line,\n\
        not supported. Exits 1 when one\n\
        that is not supported matters to security; castor.toml is made all the same.\n\
        YAML, and a file without a property, are refused with 1, and nothing is made."
    )]
    Import(import::ImportArgs),
}

pub(super) fn run(args: ConfigArgs) -> Done {
    match args.command {
        ConfigCommand::Check { source } => {
            let file = source.config.display().to_string();
            let checked = checked(&source.sources(), &Clock::system(), &Rng::system())?;
            for warning in preflight::warnings(&checked.loaded) {
                say(&format!("warning: {warning}"));
            }
            print(&format!("{file}: good, for node {}\n", checked.node))
        }
        ConfigCommand::Show { source, json } => {
            let loaded = config::load(&source.sources())
                .map_err(|error| Failure::Usage(error.to_string()))?;
            if json {
                print_json(&reference::show_json(&loaded.resolved))
            } else {
                print(&reference::show(&loaded.resolved))
            }
        }
        ConfigCommand::Import(args) => import::run(&args),
        ConfigCommand::Reference { markdown: true } => print(&reference::as_markdown()),
        ConfigCommand::Reference { markdown: false } => print(&reference::as_toml()),
    }
}
