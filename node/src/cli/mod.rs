//! The commands: one file each.
//!
//! Every command says in `--help` what it does, with examples. Exit codes: 0 done, 1 failed, 2 wrong
//! usage or configuration, 3 cluster not healthy.

mod audit;
mod client;
mod config;
mod demo;
mod files;
mod import;
mod keys;
mod members;
mod password;
mod pki;
#[cfg(test)]
mod reference;
mod serve;
mod service;
mod services;
mod sessions;
mod status;
mod table;
mod throttle;
mod words;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A CAS single sign-on server that is its own high-availability cluster.
#[derive(Debug, Parser)]
#[command(name = "castor", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, \
                        3 cluster not healthy."
)]
struct Castor {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Demo(demo::DemoArgs),
    Config(config::ConfigArgs),
    Pki(pki::PkiArgs),
    Keys(keys::KeysArgs),
    Status(status::StatusArgs),
    Members(members::MembersArgs),
    Drain(service::DrainArgs),
    Resume(service::ResumeArgs),
    Services(services::ServicesArgs),
    Sessions(sessions::SessionsArgs),
    Throttle(throttle::ThrottleArgs),
    Audit(audit::AuditArgs),
    Password(password::PasswordArgs),
}

/// How a command ended.
#[derive(Debug)]
enum Failure {
    /// Exit code 1.
    Failed(anyhow::Error),
    /// Exit code 2; one line for each problem.
    Usage(String),
    /// Exit code 3; what there is to say has been said.
    NotHealthy,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}

type Done = Result<(), Failure>;

/// Runs the command of this process.
pub fn main() -> ExitCode {
    // clap itself exits with 2 for wrong usage and 0 for help.
    let done = match Castor::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Demo(args) => demo(args),
        Command::Config(args) => config::run(args),
        Command::Pki(args) => pki::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Members(args) => members::run(&args),
        Command::Drain(args) => service::drain(&args),
        Command::Resume(args) => service::resume(&args),
        Command::Services(args) => services::run(&args),
        Command::Sessions(args) => sessions::run(&args),
        Command::Throttle(args) => throttle::run(&args),
        Command::Audit(args) => audit::run(args),
        Command::Password(args) => password::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(error)) => {
            say(&format!("{error:#}"));
            ExitCode::from(1)
        }
        Err(Failure::Usage(says)) => {
            say(&says);
            ExitCode::from(2)
        }
        Err(Failure::NotHealthy) => ExitCode::from(3),
    }
}

fn demo(args: demo::DemoArgs) -> Done {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(demo::run(args));
    // A look-up of a name must not hold up the exit.
    runtime.shutdown_background();
    done.map_err(|error| match error {
        demo::DemoError::Usage(error) => Failure::Usage(format!("{error:#}")),
        demo::DemoError::Failed(error) => Failure::Failed(error),
    })
}

/// Prints to standard output; a reader that went away (`castor … | head`) is no failure.
fn print(text: &str) -> Done {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints lines to standard error, each with the program's name.
fn say(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stderr().lock();
    for line in text.lines() {
        // Nobody left to tell.
        let _ = writeln!(out, "castor: {line}");
    }
}

/// Prints JSON for scripts.
fn print_json(value: &serde_json::Value) -> Done {
    print(&format!("{value:#}\n"))
}

#[cfg(test)]
mod tests;
