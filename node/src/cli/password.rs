//! `castor password hash`: a hash for the users file.
//!
//! The password is read from standard input, without echo when that is a terminal, and never from the
//! arguments, which every user of the machine can see.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::{Done, Failure, print};
use crate::authn::password::{DEFAULT_COST, hash};
use crate::clock::Rng;

/// Longest line that is read.
const LINE_BYTES_MAX: u64 = 4096;

/// Makes password hashes.
#[derive(Debug, Args)]
pub(super) struct PasswordArgs {
    #[command(subcommand)]
    command: PasswordCommand,
}

#[derive(Debug, Subcommand)]
enum PasswordCommand {
    /// Reads a password from standard input and prints its Argon2id hash for the users file.
    #[command(after_help = "Examples:\n  castor password hash\n  \
        printf '%s\\n' \"$PASSWORD\" | castor password hash")]
    Hash,
}

pub(super) fn run(args: &PasswordArgs) -> Done {
    let PasswordCommand::Hash = args.command;
    let password = if std::io::stdin().is_terminal() {
        let first = ask("Password: ")?;
        if *first != *ask("Again: ")? {
            return Err(Failure::Usage("the two are not the same".to_owned()));
        }
        first
    } else {
        read_line()?
    };
    if password.is_empty() {
        return Err(Failure::Usage("the password is empty".to_owned()));
    }
    let hash = hash(&password, DEFAULT_COST, &Rng::system()).context("cannot hash")?;
    print(&format!("{hash}\n"))
}

/// Asks on the terminal without echo.
fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let terminal = std::io::stdin();
    let before = tcgetattr(&terminal).map_err(std::io::Error::from)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ECHONL);
    let mut out = std::io::stderr();
    out.write_all(prompt.as_bytes())
        .and_then(|()| out.flush())?;
    tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(std::io::Error::from)?;
    let line = read_line();
    tcsetattr(&terminal, OptionalActions::Flush, &before).map_err(std::io::Error::from)?;
    line
}

fn read_line() -> Result<Zeroizing<String>, Failure> {
    use std::io::Read as _;
    let mut line = Zeroizing::new(String::new());
    std::io::stdin()
        .lock()
        .take(LINE_BYTES_MAX)
        .read_line(&mut line)
        .context("cannot read the password; it must be UTF-8 text")?;
    let end = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(end);
    Ok(line)
}
