//! The command line: arguments in, exit codes out. Data goes to standard output, everything else to standard error.
//!
//! Exit codes: 0 done, 1 a check failed, 2 bad input or I/O, 130 ended by Ctrl-C, 143 by SIGTERM.
//!
//! It is a library so that the Python package has the same command, and reads scenarios by the same options with the same messages.

/// A line on standard error. Nobody may be listening, which is no reason to fail.
macro_rules! note {
    ($($part:tt)*) => {{
        let mut out = populace_io::terminal::Printable(std::io::stderr());
        let _ = std::io::Write::write_fmt(&mut out, format_args!("{}\n", format_args!($($part)*)));
    }};
}

/// The beginning of a line on standard error.
macro_rules! note_part {
    ($($part:tt)*) => {{
        let mut out = populace_io::terminal::Printable(std::io::stderr());
        let _ = std::io::Write::write_fmt(&mut out, format_args!($($part)*));
    }};
}

mod args;
mod commands;
mod failure;
mod shortcuts;
mod show;

pub use args::ScenarioArgs;
pub use commands::policy::{component as policy_component, schedule as schedule_component};
pub use commands::scenario::{Loaded, load_source};
pub use failure::Failure;
pub use shortcuts::{ComponentArg, Shortcuts};

use args::Command;
use populace_io::terminal::printable;
use std::ffi::OsString;

/// Runs the program: `arguments` are its name and what follows it. Gives the exit code.
pub fn main_with(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match args::parse(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let acts = |argument: &OsString| printable(&argument.to_string_lossy()) != argument.to_string_lossy();
            if arguments.iter().any(acts) {
                // Without colours, which are escapes too.
                note!("{}", error.render().to_string().trim_end());
            } else {
                // Nobody may be listening, which is no reason to fail.
                let _ = error.print();
            }
            return error.exit_code() as u8;
        }
    };
    let done = match cli.command {
        Command::Generate(arguments) => commands::generate::run(&arguments),
        #[cfg(any(feature = "http", feature = "kafka"))]
        Command::Stream(arguments) => commands::stream::run(&arguments),
        #[cfg(feature = "kafka")]
        Command::Consume(arguments) => commands::consume::run(&arguments),
        Command::Replay(arguments) => commands::replay::run(&arguments),
        Command::Inspect(arguments) => commands::inspect::run(&arguments),
        Command::Report(arguments) => commands::report::run(&arguments),
        Command::Check(arguments) => commands::check::run(&arguments),
        Command::Plan(arguments) => commands::plan::run(&arguments),
        Command::Recover(arguments) => commands::recover::run(&arguments),
        Command::Prepare(arguments) => commands::prepare::run(&arguments),
        Command::Features(arguments) => commands::features::run(&arguments),
        Command::Scenarios(arguments) => commands::scenarios::run(&arguments),
        Command::Verify(arguments) => commands::verify::run(&arguments),
        Command::Policy(arguments) => commands::policy::run(&arguments),
        Command::Score(arguments) => commands::score::run(&arguments),
        #[cfg(feature = "flow")]
        Command::Serve(arguments) => commands::serve::run(&arguments),
        #[cfg(feature = "flow")]
        Command::Flow(arguments) => commands::flow::run(&arguments),
        Command::Completions { shell } => args::completions(shell),
        Command::Man { command } => args::manual(&command),
    };
    match done {
        Ok(()) => 0,
        Err(failure) => failure.report(),
    }
}
