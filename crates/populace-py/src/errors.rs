//! Failures as Python exceptions; the classes are those of `populace._errors`.

use populace::Failure;
use populace_analysis::AnalysisError;
use populace_io::document::Diagnostics;
use populace_io::error::RunError;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use std::fmt::Display;

/// A text of the command line in Python's words: `overwrite=True` for `--overwrite`.
fn in_python(message: &str) -> String {
    const SWITCHES: [&str; 7] = ["overwrite", "resume", "ranks", "subset", "keep_latent", "include_suspected", "verify"];
    let mut text = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find("--") {
        let (before, option) = (&rest[..at], &rest[at + 2..]);
        let length = option.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(option.len());
        text.push_str(before);
        let starts = before.chars().last().or_else(|| text.chars().last()).is_none_or(|c| c.is_whitespace() || "(`'\"/".contains(c));
        if starts && option.starts_with(|c: char| c.is_ascii_lowercase()) {
            let name = option[..length].replace('-', "_");
            match name.as_str() {
                "from" => text.push_str("start"),
                "to" => text.push_str("end"),
                "ngram" => text.push_str("ngrams"),
                name if SWITCHES.contains(&name) => {
                    text.push_str(name);
                    text.push_str("=True");
                }
                name => match name.strip_prefix("no_") {
                    Some(name) => {
                        text.push_str(name);
                        text.push_str("=False");
                    }
                    None => text.push_str(name),
                },
            }
        } else {
            text.push_str("--");
            text.push_str(&option[..length]);
        }
        rest = &option[length..];
    }
    text.push_str(rest);
    text
}

/// An exception of the class `name` of `populace._errors`.
fn exception(name: &str, message: &str) -> PyErr {
    Python::attach(|py| {
        let made = py.import("populace._errors").and_then(|module| module.getattr(name)?.call1((message,)));
        made.map_or_else(|error| error, PyErr::from_value)
    })
}

/// Something given is wrong.
pub(crate) fn input(message: impl Display) -> PyErr {
    exception("InputError", &in_python(&message.to_string()))
}

/// A file could not be read or written.
fn file(message: &impl Display) -> PyErr {
    exception("FileError", &in_python(&message.to_string()))
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
