//! The configuration of the running process, and what a reload changes about it.
//!
//! Readers see one whole configuration or the next, never a mixture. Keys that need a restart keep the
//! value they were started with, whatever the file says meanwhile.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::schema::{Change, Section as _};
use super::{Config, ConfigError, Loaded};

/// The configuration in force; cheap to clone, all clones see a reload.
#[derive(Clone, Debug)]
pub struct Live(Arc<ArcSwap<Config>>);

impl Live {
    /// Begins with `config`.
    pub fn new(config: Config) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(config)))
    }

    /// The configuration now.
    pub fn load(&self) -> arc_swap::Guard<Arc<Config>> {
        self.0.load()
    }

    /// Replaces the whole configuration; [`Live::reload`] is the careful way.
    pub fn store(&self, config: Config) {
        self.0.store(Arc::new(config));
    }

    /// Reads what `started` was made from again and takes the keys that a reload may change. Returns
    /// the keys whose new value waits for a restart.
    ///
    /// # Errors
    ///
    /// What is wrong with it; everything stays as it was.
    pub fn reload(&self, started: &Loaded) -> Result<Vec<String>, ConfigError> {
        let newer = super::load(&started.sources)?;
        let mut next = Config::clone(&self.load());
        next.adopt(&newer.config);
        self.store(next);
        let waiting = started
            .resolved
            .iter()
            .zip(&newer.resolved)
            .filter(|(old, new)| old.change == Change::Restart && old.value != new.value)
            .map(|(old, _)| old.key.clone());
        Ok(waiting.collect())
    }
}
