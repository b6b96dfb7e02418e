//! `castor-sim`: reads the arguments and runs the command.

use std::process::ExitCode;

use castor_sim::cli;

fn main() -> ExitCode {
    cli::main()
}
