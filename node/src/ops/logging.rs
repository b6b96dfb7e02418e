//! Log lines on standard error, as JSON or text, with a level that a reload changes.
//!
//! Values are fields, not parts of a sentence. A request's span carries `request_id`, so that one
//! request can be followed from the node that issued a ticket to the one that validated it. It knows
//! nothing about what may be logged: secrets and whole ticket ids have no way to print themselves.

use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, reload};

use super::levels::{Levels, TooMany};
use super::log_fields::JsonFields;
use crate::config::Log;
use crate::config::types::{LogFormat, LogLevel};

/// Why logging cannot be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The process has a subscriber already.
    #[error("logging is set up already")]
    Twice,
    /// The level does not parse.
    #[error("log.level: {0}")]
    Level(String),
    /// Too many targets have a level of their own.
    #[error(transparent)]
    TooMany(#[from] TooMany),
}

/// Changes the level of the running process.
#[derive(Clone, Debug)]
pub struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
    levels: Arc<Mutex<Levels>>,
}

/// Starts logging for the whole process.
///
/// # Errors
///
/// When it was started before, or the level does not parse.
pub fn start(config: &Log) -> Result<Logging, LoggingError> {
    let (filter, handle) = reload::Layer::new(filter(&config.level.0)?);
    let lines = lines(config.format, std::io::stderr);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|_| LoggingError::Twice)?;
    Ok(Logging {
        filter: handle,
        levels: Arc::new(Mutex::new(Levels::new(&config.level.0))),
    })
}

/// What writes lines of a format.
pub fn lines<S, W>(format: LogFormat, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    match format {
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .fmt_fields(JsonFields)
            .with_writer(writer)
            .boxed(),
        LogFormat::Text => tracing_subscriber::fmt::layer()
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(writer)
            .boxed(),
    }
}

impl Logging {
    /// Writes lines of the configured `level` from now on. What operators have set for the time being stays
    /// as long as the configured level does.
    ///
    /// # Errors
    ///
    /// When the level does not parse; the old one stays.
    pub fn set_level(&self, level: &LogLevel) -> Result<(), LoggingError> {
        let mut levels = self.locked();
        let mut next = levels.clone();
        next.configure(&level.0);
        self.take(&mut levels, next)
    }

    /// The levels in force.
    pub fn levels(&self) -> Levels {
        self.locked().clone()
    }

    /// Sets the level of a target, or of everything else with `None`, until the process ends or
    /// `log.level` changes; without a level the configured one counts again.
    ///
    /// # Errors
    ///
    /// Too many targets have one.
    pub fn set_for_now(
        &self,
        target: Option<&str>,
        level: Option<&'static str>,
    ) -> Result<(), LoggingError> {
        let mut levels = self.locked();
        let mut next = levels.clone();
        next.set_for_now(target, level)?;
        self.take(&mut levels, next)
    }

    fn locked(&self) -> MutexGuard<'_, Levels> {
        // They are replaced whole, so a panic elsewhere leaves none half changed.
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, levels: &mut Levels, next: Levels) -> Result<(), LoggingError> {
        self.filter
            .reload(filter(&next.directives())?)
            .map_err(|error| LoggingError::Level(error.to_string()))?;
        *levels = next;
        Ok(())
    }
}

fn filter(directives: &str) -> Result<EnvFilter, LoggingError> {
    EnvFilter::builder()
        .parse(directives)
        .map_err(|error| LoggingError::Level(error.to_string()))
}
