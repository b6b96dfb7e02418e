//! Properties as they are found, and what becomes of them.

mod cases;
mod files;
mod syntax;
mod verdicts;

use crate::config::{self, Sources};

/// What the loader of `castor serve` makes of it.
fn loaded(toml: &str) -> config::Config {
    let sources = Sources {
        file: Some("castor.toml".into()),
        set: vec!["node.name=cas1".to_owned()],
        ..Default::default()
    };
    config::load_text(&sources, toml)
        .unwrap_or_else(|error| panic!("{toml}\n{error}"))
        .config
}
