//! The program: the command line of the library, and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    aether_vault::cli::run()
}
