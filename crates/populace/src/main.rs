//! The program: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(populace::main_with(std::env::args_os()))
}
