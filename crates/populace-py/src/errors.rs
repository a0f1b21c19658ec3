//! Failures as Python exceptions; the classes are those of `populace._errors`.

use populace::Failure;
use populace_analysis::AnalysisError;
use populace_io::document::Diagnostics;
use populace_io::error::RunError;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use std::fmt::Display;

/// An exception of the class `name` of `populace._errors`.
fn exception(name: &str, message: &str) -> PyErr {
    Python::attach(|py| {
        let made = py.import("populace._errors").and_then(|module| module.getattr(name)?.call1((message,)));
        made.map_or_else(|error| error, PyErr::from_value)
    })
}

/// Something given is wrong.
pub(crate) fn input(message: impl Display) -> PyErr {
    exception("InputError", &message.to_string())
}

/// A file could not be read or written.
fn file(message: &impl Display) -> PyErr {
    exception("FileError", &message.to_string())
}

/// A bug, or a machine that has given up.
pub(crate) fn internal(message: impl Display) -> PyErr {
    exception("PopulaceError", &message.to_string())
}

/// Ctrl-C.
fn interrupted(message: impl Display) -> PyErr {
    PyKeyboardInterrupt::new_err(message.to_string())
}

pub(crate) fn failure(failure: Failure) -> PyErr {
    match failure {
        Failure::Input(message) | Failure::Check(message) => input(message),
        Failure::Interrupted(message) => interrupted(message),
        Failure::ClosedPipe => file(&"the pipe is closed"),
    }
}

pub(crate) fn documents(problems: &Diagnostics) -> PyErr {
    input(problems.to_string().trim_end())
}

pub(crate) fn run(error: &RunError) -> PyErr {
    match error {
        RunError::Interrupted => interrupted("interrupted"),
        RunError::Refused(message) => input(message),
        RunError::Io { .. } => file(error),
        error => internal(error),
    }
}

pub(crate) fn analysis(error: &AnalysisError) -> PyErr {
    match error {
        AnalysisError::Io { .. } => file(error),
        AnalysisError::Input(message) => input(message),
        AnalysisError::Scenario(problems) => documents(problems),
        AnalysisError::Run(error) => run(error),
    }
}
