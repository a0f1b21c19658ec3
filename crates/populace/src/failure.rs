//! How a command ends when it does not end well.

use populace_analysis::AnalysisError;
use populace_io::document::Diagnostics;
use populace_io::error::RunError;
use std::fmt::Display;
use std::io;

/// Why a command failed, and with which exit code it ends.
#[derive(Debug)]
pub enum Failure {
    /// A check failed: exit code 1.
    Check(String),
    /// Something given is wrong: exit code 2.
    Input(String),
    /// A signal: exit code 130 for Ctrl-C, 143 for SIGTERM.
    Interrupted(String),
    /// Whoever reads our output has closed it: no message, exit code 0.
    ClosedPipe,
}

impl Failure {
    /// Bad input, in one message.
    pub(crate) fn input(message: impl Display) -> Self {
        Self::Input(message.to_string())
    }

    /// A check that did not hold, in one message.
    pub(crate) fn check(message: impl Display) -> Self {
        Self::Check(message.to_string())
    }

    /// Standard output could not be written.
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::ClosedPipe } else { Self::Input(format!("standard output: {error}")) }
    }

    pub(crate) fn report(self) -> u8 {
        match self {
            Self::Check(message) => {
                note!("failed: {message}");
                1
            }
            Self::Input(message) if crate::commands::is_stopped() => Self::Interrupted(message).report(),
            Self::Input(message) => {
                note!("error: {message}");
                2
            }
            Self::Interrupted(message) => {
                note!("interrupted: {message}");
                crate::commands::exit_code()
            }
            Self::ClosedPipe => 0,
        }
    }
}

impl From<Diagnostics> for Failure {
    fn from(problems: Diagnostics) -> Self {
        Self::Input(problems.to_string().trim_end().to_owned())
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Interrupted => Self::Interrupted("stopped".into()),
            error if error.is_broken_pipe() => Self::ClosedPipe,
            error => Self::Input(error.to_string()),
        }
    }
}

impl From<AnalysisError> for Failure {
    fn from(error: AnalysisError) -> Self {
        match error {
            AnalysisError::Run(error) => error.into(),
            AnalysisError::Scenario(problems) => problems.into(),
            error @ (AnalysisError::Io { .. } | AnalysisError::Input(_)) => Self::input(error),
        }
    }
}
