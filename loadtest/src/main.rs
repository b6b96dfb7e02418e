//! `castor-loadtest`: reads the arguments and runs the command.

use std::process::ExitCode;

use castor_loadtest::cli;

fn main() -> ExitCode {
    cli::main()
}
