//! The program, as its users run it.

use std::process::{Command, Output, Stdio};

/// The program that was built with these tests, or the one that `POPULACE_BINARY` names, such as that of a release build.
pub fn command(arguments: &[&str]) -> Command {
    let built = env!("CARGO_BIN_EXE_populace").to_owned();
    let mut command = Command::new(std::env::var("POPULACE_BINARY").unwrap_or(built));
    command.args(arguments).stdin(Stdio::null());
    command
}

pub fn populace(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}
