//! Log lines on standard error, as JSON or text, with a level that a reload changes.
//!
//! Values are fields, not parts of a sentence. A request's span carries `request_id`, so that one
//! request can be followed from the node that issued a ticket to the one that validated it. It knows
//! nothing about what may be logged: secrets and whole ticket ids have no way to print themselves.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, reload};

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
}

/// Changes the level of the running process.
#[derive(Clone, Debug)]
pub struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
}

/// Starts logging for the whole process.
///
/// # Errors
///
/// When it was started before, or the level does not parse.
pub fn start(config: &Log) -> Result<Logging, LoggingError> {
    let (filter, handle) = reload::Layer::new(filter(&config.level)?);
    let lines = lines(config.format, std::io::stderr);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|_| LoggingError::Twice)?;
    Ok(Logging { filter: handle })
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
            .with_writer(writer)
            .boxed(),
        LogFormat::Text => tracing_subscriber::fmt::layer()
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(writer)
            .boxed(),
    }
}

impl Logging {
    /// Writes lines of `level` from now on.
    ///
    /// # Errors
    ///
    /// When the level does not parse; the old one stays.
    pub fn set_level(&self, level: &LogLevel) -> Result<(), LoggingError> {
        self.filter
            .reload(filter(level)?)
            .map_err(|error| LoggingError::Level(error.to_string()))
    }
}

fn filter(level: &LogLevel) -> Result<EnvFilter, LoggingError> {
    EnvFilter::builder()
        .parse(&level.0)
        .map_err(|error| LoggingError::Level(error.to_string()))
}
