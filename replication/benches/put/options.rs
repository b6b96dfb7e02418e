//! What is measured: the words behind `--bench put --`.

use std::path::PathBuf;
use std::str::FromStr;

const USAGE: &str = "options: --folder DIR  --rounds 3  --millis 2000  --in-flight 1,4,16,64  --sessions 1000000  \
                     --only put|bootstrap  --without-redis";

/// What one run does.
pub(crate) struct Options {
    /// For what the processes write.
    pub(crate) folder: PathBuf,
    /// How often each is measured.
    pub(crate) rounds: usize,
    /// How long one slice is.
    pub(crate) millis: u64,
    /// Puts under way at the same moment.
    pub(crate) in_flight: Vec<usize>,
    /// Of the bootstrap.
    pub(crate) sessions: u64,
    pub(crate) puts: bool,
    pub(crate) bootstrap: bool,
    pub(crate) redis: bool,
}

impl Options {
    /// Panics with the usage when there is a word that means nothing.
    pub(crate) fn parse(args: &[String]) -> Self {
        let mut options = Self {
            folder: std::env::temp_dir().join(format!("castor-put.{}", std::process::id())),
            rounds: 3,
            millis: 2_000,
            in_flight: vec![1, 4, 16, 64],
            sessions: 1_000_000,
            puts: true,
            bootstrap: true,
            redis: true,
        };
        let mut words = args.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let mut value = || words.next().expect(USAGE);
            match word {
                "--folder" => options.folder = value().into(),
                "--rounds" => options.rounds = number(value()),
                "--millis" => options.millis = number(value()),
                "--sessions" => options.sessions = number(value()),
                "--in-flight" => options.in_flight = value().split(',').map(number).collect(),
                "--without-redis" => options.redis = false,
                "--only" => match value() {
                    "put" => options.bootstrap = false,
                    "bootstrap" => options.puts = false,
                    other => panic!("--only {other}: {USAGE}"),
                },
                // Cargo's own.
                "--bench" => {}
                other => panic!("{other}: {USAGE}"),
            }
        }
        options
    }
}

fn number<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text}: {USAGE}"))
}
