//! The command line: arguments in, exit codes out. Data goes to standard output, everything else to standard error.
//!
//! Exit codes: 0 done, 1 a check failed, 2 bad input or I/O, 130 interrupted.

/// A line on standard error. Nobody may be listening, which is no reason to fail.
macro_rules! note {
    ($($part:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{}\n", format_args!($($part)*)));
    }};
}

/// The beginning of a line on standard error.
macro_rules! note_part {
    ($($part:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!($($part)*));
    }};
}

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
        Command::Score(arguments) => commands::score::run(&arguments),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "populace", &mut io::stdout());
            Ok(())
        }
        Command::Man { command } => manual(command.as_deref()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// The manual page of the program, or of one of its commands.
fn manual(name: Option<&str>) -> Result<(), Failure> {
    let mut program = Cli::command();
    program.build();
    let page = match name {
        None => program,
        Some(name) => {
            let Some(command) = program.find_subcommand(name) else {
                let known: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
                return Err(Failure::input(format!("there is no command `{name}`; there are {}", known.join(", "))));
            };
            command.clone()
        }
    };
    clap_mangen::Man::new(page).render(&mut io::stdout()).map_err(|error| Failure::output(&error))
}
