//! `castor-loadtest`: reads the arguments and runs the command.

use std::process::ExitCode;

use castor_loadtest::cli;

// The bare server of `bench ceiling` has the allocator of the server that it is compared with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
