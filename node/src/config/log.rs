//! `[log]`: what the node says about itself, on standard error.

use super::schema::section;
use super::types::{LogFormat, LogLevel};

section! {
    /// What the node says about itself, on standard error.
    pub struct Log("log") {
        /// Which lines are written: a level, or `target=level` pairs separated by commas.
        level: LogLevel = "info", Reload;
        /// How lines look.
        format: LogFormat = "json", Restart;
    }
}
