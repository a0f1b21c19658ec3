//! The command line: arguments in, exit codes out. Data goes to standard output, everything else to standard error.
//!
//! Exit codes: 0 done, 1 a check failed, 2 bad input or I/O, 130 interrupted.

mod args;
mod commands;
mod failure;
mod show;

use args::{Cli, Command};
use clap::{CommandFactory, Parser};
use failure::Failure;
use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Generate(arguments) => commands::generate::run(&arguments),
        Command::Replay(arguments) => commands::replay::run(&arguments),
        Command::Inspect(arguments) => commands::inspect::run(&arguments),
        Command::Check(arguments) => commands::check::run(&arguments),
        Command::Scenarios(arguments) => commands::scenarios::run(&arguments),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "populace", &mut io::stdout());
            Ok(())
        }
        Command::Man => clap_mangen::Man::new(Cli::command()).render(&mut io::stdout()).map_err(|error| Failure::output(&error)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
